"""Published models that answer: what BLIP, InstructBLIP, IDEFICS, LLaVA, PaliGemma and Gemma 3 share."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from PIL.Image import Image, fromarray
from torch import Tensor, nn

from medvlm_lab.errors import QuestionError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import Answer
from medvlm_lab.models.hub_memory import memory_hint
from medvlm_lab.models.hub_read import processor_of, read_transformers
from medvlm_lab.models.known_words import ReadsPieces
from medvlm_lab.models.trace import Reading, Tower, Trace, eager_attention, record_attention
from medvlm_lab.models.view import processor_view
from medvlm_lab.models.vqa_answerer import checked
from medvlm_lab.models.writer import looked
from medvlm_lab.text.questions import closed

Inputs = dict[str, Tensor]  # of one prompt, batch of 1, as the processor makes them


class Written(NamedTuple):
    """What was generated, each token's log-probability, and the probability of yes and of no as the first word."""

    ids: Int[Tensor, " t"]
    logs: Float[Tensor, " t"]
    either: dict[str, float]


class PublishedAnswerer(ReadsPieces):
    """Capabilities `Answerer` and `Explainable`; a family says how a prompt is built and how its logits are had.

    Confidence is the mean probability of the answer's tokens. It is not calibrated: it says how sure the model is of
    its words, not how often they are right. Beside the answer to a closed question stand yes and no, each with the
    probability that the answer begins with it.

    Attributes:
        module, processor: the library's own. name, device: of `lab.load`.
        batch: prompts answered together. max_new_tokens: the longest answer; a report's limit is `hub_report.LONGEST`.
    """

    batch: int = 4
    max_new_tokens: int = 32

    def __init__(self, module: nn.Module, processor, name: str, device: torch.device):
        self.module, self.processor, self.name, self.device = module.eval().to(device), processor, name, device

    @classmethod
    def load(cls, folder: Path, name: str, device: torch.device, dtype: str) -> PublishedAnswerer:
        """Reads a folder that `save_pretrained` wrote; see `hub.load` for what raises."""
        processor = processor_of(folder)
        return cls(read_transformers(folder, processor.tokenizer, dtype), processor, name, device)

    def _encode(self, pictures: list[Image], question: str) -> Inputs: ...
    def _logits(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Float[Tensor, "t v"]: ...
    def _tower(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Tower: ...

    def _reading(self, inputs: Inputs, answer: Int[Tensor, " t"]) -> Reading:
        return Reading()  # the words themselves look at the image

    def _longest(self, text: str) -> int:
        """Tokens that what is said to `text` may have."""
        return self.max_new_tokens

    def answer(self, image: MedicalImage, question: str) -> Answer:
        """The greedy answer about an image, of a cine or volume its middle frame.

        Raises:
            QuestionError: the question is empty or too long. OutOfMemoryError: what to lower.
        """
        return self.answer_batch([image], [question])[0]

    def answer_study(self, images: list[MedicalImage], question: str) -> Answer:
        """One answer about several images; QuestionError where the model takes one, or its context holds fewer."""
        started = time.perf_counter()
        inputs = self._inputs(images, question)
        return self._answer(self._generate([inputs])[0], question, time.perf_counter() - started)

    def answer_batch(self, images: list[MedicalImage], questions: list[str]) -> list[Answer]:
        """One answer per pair. Prompts of equal length run together: nothing is padded, so no answer changes."""
        started = time.perf_counter()
        if len(images) != len(questions):
            raise QuestionError(f"{len(images)} images but {len(questions)} questions; give one question per image.")
        prompts = [self._inputs([image], question) for image, question in zip(images, questions, strict=True)]
        found = self._generate(prompts)
        seconds = (time.perf_counter() - started) / max(len(images), 1)
        return [self._answer(each, question, seconds) for each, question in zip(found, questions, strict=True)]

    def stream(self, image: MedicalImage, question: str) -> Iterator[str | Answer]:
        """The answer's text as it is generated, then the finished `Answer`."""
        from transformers import TextIteratorStreamer

        inputs, started = self._inputs([image], question), time.perf_counter()
        streamer = TextIteratorStreamer(self.processor.tokenizer, skip_prompt=True, skip_special_tokens=True)
        with ThreadPoolExecutor(1) as pool:
            task = pool.submit(self._generate, [inputs], streamer=streamer)
            task.add_done_callback(lambda _: streamer.text_queue.put(streamer.stop_signal))  # also after an error
            yield from (text for text in streamer if text)
            found = task.result()[0]
        yield self._answer(found, question, time.perf_counter() - started)

    @torch.enable_grad()
    def trace(self, image: MedicalImage, text: str, answer: str | None = None, frame: int | None = None) -> Trace:
        """The question `text`, or the request for a report (`report_prompt`), and the log-probability of `answer`, by
        default all that the model says to it.

        Raises:
            QuestionError: the question is empty, or too long together with the answer.
            OutOfMemoryError: what to lower; a part of a report, given as `answer`, takes less, too.
        """
        frame = image.reading_frame if frame is None else range(image.frames)[frame]
        tokenizer, longest = self.processor.tokenizer, self._longest(text)
        if answer is None:
            inputs = self._inputs([image], text, frame, longest)
            ids = self._generate([inputs], max_new_tokens=longest)[0][0].clone()
        else:
            ids = torch.tensor(tokenizer(answer, add_special_tokens=False).input_ids, dtype=torch.long)
            inputs = self._inputs([image], text, frame, len(ids))
        if not len(ids):  # said nothing: the end itself is what is explained
            ids = torch.tensor([self._ends()[0]])
        ids = ids.to(self.device)
        tower, reading = self._tower(inputs, ids), self._reading(inputs, ids)
        inputs = inputs | {"pixel_values": inputs["pixel_values"].clone().requires_grad_()}

        def score(pixels: Tensor) -> Tensor:
            logs = self._logits(inputs | {"pixel_values": pixels}, ids).float().log_softmax(-1)  # (t, v)
            return logs.gather(1, ids[:, None]).sum()

        with (
            memory_hint(self.name, self.device),
            eager_attention(self.module),
            tower.record() as (maps, attentions),
            record_attention(tower.encoder) as encoder,
            record_attention(reading.attended, reading.only) as read,
        ):
            total = score(inputs["pixel_values"])
        return Trace(
            text, total, maps[0],
            processor_view(self.processor.image_processor, image.picture_size).on(image, frame),
            tuple(attentions), tower.places(attentions), tower.reads,
            answer=tokenizer.decode(ids, skip_special_tokens=True).strip(),
            words=tuple(tokenizer.convert_ids_to_tokens(ids)),
            looks=_looks(attentions, tower, [w[:, :, reading.rows][..., reading.columns] for w in read]),
            pixels=inputs["pixel_values"], again=lambda pixels: torch.stack([score(row[None]) for row in pixels]),
            encoder=tuple(encoder),
        )  # fmt: skip

    def _inputs(
        self, images: list[MedicalImage], question: str, frame: int | None = None, longest: int | None = None
    ) -> Inputs:
        """A prompt on the device, known to fit the context together with an answer of `longest` tokens."""
        pictures = [fromarray(image.picture(image.reading_frame if frame is None else frame)) for image in images]
        inputs = self._encode(pictures, checked(question))
        context = getattr(self.module.config.get_text_config(), "max_position_embeddings", math.inf)
        tokens = inputs["input_ids"].shape[1]
        own = self.module.config.model_type == "blip"  # its answer has a context of its own
        room = 0 if own else longest or self.max_new_tokens
        if tokens + room > context:
            raise QuestionError(
                f"{len(images)} image(s) and the question take {tokens:,} tokens, and the answer up to {room:,} more, "
                f"but {self.name} holds {context:,}; give fewer images, a shorter question or a lower max_new_tokens."
            )
        dtype = self.module.dtype
        return {k: v.to(self.device, dtype if v.is_floating_point() else None) for k, v in inputs.items()}

    @torch.inference_mode()
    def _generate(self, prompts: list[Inputs], **options) -> list[Written]:
        """Greedy answers: ids up to the end, the log-probability of each, and what else the first might have been."""
        options = {"max_new_tokens": self.max_new_tokens} | options
        options |= {"do_sample": False, "num_beams": 1, "output_logits": True, "return_dict_in_generate": True}
        found: list = [None] * len(prompts)
        groups: dict[tuple, list[int]] = {}
        for i, prompt in enumerate(prompts):
            groups.setdefault(tuple(tuple(value.shape) for value in prompt.values()), []).append(i)
        for group in groups.values():
            for part in (group[i : i + self.batch] for i in range(0, len(group), self.batch)):
                stacked = {key: torch.cat([prompts[i][key] for i in part]) for key in prompts[part[0]]}
                with memory_hint(self.name, self.device, self.batch):
                    out = self.module.generate(**stacked, **options)
                logs = torch.stack(out.logits, 1).float().log_softmax(-1)  # (n, t, v)
                ids = out.sequences[:, -logs.shape[1] :]  # the prompt comes back only from some families
                chosen, begun = logs.gather(2, ids[..., None])[..., 0].cpu(), logs[:, 0].exp().cpu()
                for i, row, log, first in zip(part, ids.cpu(), chosen, begun, strict=True):
                    ends = torch.isin(row, torch.tensor(self._ends())).nonzero()
                    stop = int(ends[0]) if len(ends) else len(row)
                    either = {word: float(first[tokens].sum()) for word, tokens in self._yes_or_no().items()}
                    found[i] = Written(row[:stop], log[:stop], either)
        return found

    def _ends(self) -> list[int]:
        """Ids that end an answer."""
        end = self.module.generation_config.eos_token_id
        return [self.processor.tokenizer.eos_token_id] if end is None else end if isinstance(end, list) else [end]

    def _yes_or_no(self) -> dict[str, list[int]]:
        """The tokens that are the word yes or no, however written; {} where a vocabulary spells one in pieces."""
        tokenizer, found = self.processor.tokenizer, {}
        for word in ("yes", "no"):
            spelt = [f"{blank}{form}" for blank in ("", " ") for form in (word, word.title(), word.upper())]
            rows = [tokenizer(form, add_special_tokens=False).input_ids for form in spelt]
            own = {row[0] for row in rows if len(row) == 1 and tokenizer.decode(row).strip().lower() == word}
            found[word] = sorted(own)
        return found if all(found.values()) else {}

    def _answer(self, written: Written, question: str, seconds: float) -> Answer:
        tokenizer, (ids, logs, either) = self.processor.tokenizer, written
        text = tokenizer.decode(ids, skip_special_tokens=True).strip()
        confidence = float(logs.exp().mean()) if len(logs) else 0.0
        same = text.lower().rstrip(".! ")
        others = [pair for pair in either.items() if pair[0] != same] if closed(question) else []
        return Answer(
            text, confidence, ((text, confidence), *others), tuple(logs.tolist()),
            tuple(tokenizer.convert_ids_to_tokens(ids)), seconds, unknown=self.unknown_words(question),
            note=self.text_note(question),
        )  # fmt: skip

    def _patches(self, inputs: Inputs, patch: int) -> tuple[int, int]:
        """Rows and columns of patches of an image."""
        return tuple(n // patch for n in inputs["pixel_values"].shape[-2:])


def _looks(attentions: list[Tensor], tower: Tower, read: list[Tensor]) -> Float[Tensor, "t cells"]:
    """Mean over layers and heads of what the answer's words give to each cell, through what they `read`, if anything.

    What stands between counts as it was when it looked; how later layers mix it is left out, as it is of patches.
    """
    places = tower.places(attentions)
    if read:
        return looked(read, attentions)[:, places]
    return torch.stack([w[0, :, tower.reads][..., places].mean(0) for w in attentions]).mean(0).detach()
