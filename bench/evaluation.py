"""What `lab.evaluate` costs beside the model itself, and our report metrics beside the libraries called directly.

    python bench/evaluation.py [pairs]    # exits 1 above 1.05 of the model's own time, or 1.0 of the libraries'

The model's own time is that of its calls in the evaluation, with pictures made beforehand. While it runs,
`lab.evaluate` scores each item and writes it down; at the end it resamples and draws the worst errors, which costs
about a second whatever the model, and is told apart by evaluating the finished folder again. The libraries are called
as their pages show, once for each score. pycocoevalcap's CIDEr is compared where it is installed.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from time import process_time

import numpy as np
import torch

import medvlm_lab as lab
from medvlm_lab.metrics.generation import bleu_counts, bleu_of, cider, meteor, rouge_l, words

BATCH, ROUNDS = 32, 2


class Made:
    """A data set whose studies' pictures are made once, beforehand."""

    def __init__(self, data):
        self.name, self.split, self.studies = data.name, data.split, data.studies
        self.made = [data.study(i) for i in range(data.studies)]
        self.made = [replace(study, picture=partial(_same, study.image())) for study in self.made]

    def study(self, number):
        return self.made[number]


def _same(image):
    return image


def seconds(call) -> float:
    """Processor time: other work on the machine does not count."""
    started = process_time()
    call()
    return process_time() - started


def overhead(task: str, name: str, phantom: str, studies: int, method: str) -> float:
    """Best of `ROUNDS`: the time while an evaluation runs over that of the model's calls in it."""
    model, data = lab.load(name, device="cpu"), Made(lab.dataset(f"phantom:{phantom}", "test", n=studies, size=128))
    inner = getattr(model, method)
    spent = []
    for _ in range(ROUNDS):
        calls: list[float] = []

        def timed(*arguments, calls=calls):
            started = process_time()
            found = inner(*arguments)
            calls.append(process_time() - started)
            return found

        setattr(model, method, timed)
        with tempfile.TemporaryDirectory() as out:
            run = partial(lab.evaluate, task, model, data, batch_size=BATCH, progress=False, out=out)
            whole, own, end = seconds(run), sum(calls), seconds(run)
        spent.append(((whole - end) / own, whole / own, whole, own, end))
    ratio, with_end, whole, own, end = min(spent)
    print(
        f"{task:<11} {name:<14} {studies:>5} studies: {whole:6.2f} s, the model {own:6.2f} s, scores and sheet at the "
        f"end {end:5.2f} s; ratio {ratio:.3f} while it runs, {with_end:.3f} with the end"
    )
    return ratio


def pairs(count: int) -> tuple[list[str], list[str]]:
    """`count` pairs of reports: two wordings of the same simulated patient."""
    xray = lab.phantom("chest-xray")
    scenes = xray.sample(0, count // 4)
    texts = [[str(xray.report(s, np.random.default_rng((k, i)))) for i, s in enumerate(scenes)] for k in range(5)]
    return sum(texts[1:], []), texts[0] * 4


def direct(written: list[str], references: list[str]) -> dict:
    """Each score as its library's page shows it; METEOR without WordNet, as here."""
    from nltk.translate.meteor_score import meteor_score
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics import BLEU

    no_synonyms = type("Nothing", (), {"synsets": staticmethod(lambda word: ())})
    scorer, each = RougeScorer(["rougeL"]), BLEU(effective_order=True)
    calls = {
        "BLEU": lambda: [each.sentence_score(w, [r]) for w, r in zip(written, references, strict=True)],
        "METEOR": lambda: [
            meteor_score([words(r)], words(w), wordnet=no_synonyms) for w, r in zip(written, references, strict=True)
        ],
        "ROUGE-L": lambda: [scorer.score(r, w) for w, r in zip(written, references, strict=True)],
    }
    if find_spec("pycocoevalcap"):
        from pycocoevalcap.cider.cider import Cider

        truth, said = ({i: [" ".join(words(t))] for i, t in enumerate(part)} for part in (references, written))
        calls["CIDEr"] = lambda: Cider().compute_score(truth, said)
    return calls


def main(count: int = 10_000) -> int:
    torch.set_num_threads(1)
    worst = max(
        overhead("report", "clinical-blip", "chest-xray", 300, "report_batch"),
        overhead("zero-shot", "chexzero", "chest-xray", 2000, "score_findings"),
        overhead("regression", "echo-clip", "echocardiogram", 200, "regress"),
    )
    written, references = pairs(count)
    ours = {
        "BLEU": lambda: bleu_of(bleu_counts(written, references)), "METEOR": lambda: meteor(written, references),
        "ROUGE-L": lambda: rouge_l(written, references), "CIDEr": lambda: cider(written, references),
    }  # fmt: skip
    total = [0.0, 0.0]
    for name, call in direct(written, references).items():
        own, theirs = seconds(ours[name]), seconds(call)
        total = [total[0] + own, total[1] + theirs]
        times = f"{own:6.2f} s, the library {theirs:6.2f} s, ratio {own / theirs:.2f}"
        print(f"{name:<8} of {len(written):,} pairs: {times}")
    print(f"all: {total[0] / total[1]:.2f} of the libraries' time (at most 1.0); overhead {worst:.3f} (at most 1.05)")
    return int(worst > 1.05 or total[0] > total[1])


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
