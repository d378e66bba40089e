"""What `model.answer` costs over the bare encode-and-decode loop of the same module, in one process.

    python bench/answer.py        # prints the median ratio; aim: at most 1.15
"""

from statistics import median
from time import perf_counter

import torch

import medvlm_lab as lab
from medvlm_lab.models.beam import beam_search
from medvlm_lab.models.vqa_answerer import BEAMS

QUESTION = "Is there cardiomegaly?"


def main(rounds: int = 30) -> None:
    image = lab.sample("chest-xray-nodules")
    started = perf_counter()
    model = lab.load("vit-bert-vqa", device="cpu")
    loaded = perf_counter() - started
    model.answer(image, QUESTION)
    first = perf_counter() - started
    module, tokenizer = model.module, model.tokenizer
    pixels = model.pixels([image])

    @torch.inference_mode()
    def bare() -> None:
        ids = tokenizer.batch([QUESTION], module.config.question_context)
        memory, keep = module.encode(pixels, ids)
        beam_search(module.decode, memory, keep, tokenizer.start, tokenizer.end, BEAMS, module.config.answer_context)

    times: dict[str, list[float]] = {"answer": [], "bare": []}
    for _ in range(rounds):
        for name, call in (("answer", lambda: model.answer(image, QUESTION)), ("bare", bare)):
            begin = perf_counter()
            call()
            times[name].append(perf_counter() - begin)
    ratio = median(a / b for a, b in zip(times["answer"], times["bare"], strict=True))
    print(f"load {loaded:.2f} s, first answer after {first:.2f} s")
    print(f"answer {1e3 * median(times['answer']):.1f} ms, bare loop {1e3 * median(times['bare']):.1f} ms")
    print(f"ratio {ratio:.3f}")


if __name__ == "__main__":
    main()
