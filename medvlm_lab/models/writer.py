"""Reports and answers out of a `SeeingLanguageModel`: prompts in, texts with their probabilities out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from medvlm_lab.errors import ModalityError, QuestionError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import Answer, Report
from medvlm_lab.models.generative import SeeingLanguageModel, Seen, lesson, padded
from medvlm_lab.models.known_words import ReadsWords
from medvlm_lab.models.memory import Roomy
from medvlm_lab.models.preprocess import square_of
from medvlm_lab.models.store import VOCABULARY as VOCABULARY  # as training imports it
from medvlm_lab.models.store import opened, restored
from medvlm_lab.models.trace import Trace, record_attention
from medvlm_lab.models.view import fitted
from medvlm_lab.models.vqa_answerer import checked
from medvlm_lab.text.prose import SENTENCE, sections, tidy
from medvlm_lab.text.questions import closed
from medvlm_lab.text.tokenizer import Tokenizer

QUESTION, REPORT = "question: {} answer:", "report:"
LONGEST_ANSWER, LONGEST_REPORT = 24, 192  # tokens
ALTERNATIVES = 4
BATCH = 32  # texts written together


class Writer(ReadsWords, Roomy):
    """Capabilities `Reporter` and `Answerer`. Probabilities are those of the words, not calibrated.

    Attributes:
        module: the network. tokenizer: its vocabulary. device: where it computes.
    """

    name: ClassVar[str]
    modality: ClassVar[str]
    network: ClassVar[type[SeeingLanguageModel]]
    config: ClassVar[type]
    given: ClassVar[tuple[str, ...]] = ()  # names of parts that were taken over trained and stay as they are

    def __init__(self, module: SeeingLanguageModel, tokenizer: Tokenizer, device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self.module, self.tokenizer = module.eval().requires_grad_(False).to(self.device), tokenizer

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu", untrained: bool = False) -> Writer:
        """Reads a checkpoint folder: `config.json`, `model.safetensors`, `vocabulary.txt`.

        Raises:
            MissingDataError: a file is missing.
            CheckpointError: a file is damaged or of another architecture.
        """
        _, config, tokenizer = opened(folder, cls.name, cls.config)
        module = restored(folder, cls.name, lambda: cls.network(config), untrained, cls.given)
        return cls(module, tokenizer, device)

    def pixels(self, images: Sequence[MedicalImage]) -> Float[Tensor, "n s s"]:
        """Grey values from 0 to 1 as displayed, fitted into a square; the middle frame of a video.

        Raises ModalityError for a modality that the model never saw.
        """
        self.refuse_unseen(images)
        size = self.module.config.image_size
        return torch.stack([square_of(image, size).mean(0) for image in images])

    def refuse_unseen(self, images: Sequence[MedicalImage]) -> None:
        """ModalityError for a modality that the model never saw."""
        for image in images:
            if image.modality not in (self.modality, "unknown"):
                raise ModalityError(
                    f"{image.name or 'The image'} is {image.modality}, but {self.name} has seen {self.modality} only; "
                    "choose another image, or try all the same with image.with_(modality='unknown')."
                )

    def prompts(self, images: Sequence[MedicalImage], requests: Sequence[str]) -> list[str]:
        """What stands before the text that is to be written; a model may add to it what it knows."""
        return list(requests)

    def ids(self, prompt: str) -> list[int]:
        """The prompt as tokens; a model may put marks for images among them."""
        return [self.tokenizer.start, *self.tokenizer.words(prompt)]

    @torch.inference_mode()
    def seen(self, images: Sequence[MedicalImage], prompts: Sequence[str]) -> tuple[Seen, Tensor, Tensor]:
        """What the language model is given: of the images, and the prompts' tokens, padded on their left."""
        ids, keep = padded([self.ids(prompt) for prompt in prompts], self.tokenizer.pad, left=True)
        ids, keep = ids.to(self.device), keep.to(self.device)
        return self.module.see(self.pixels(images).to(self.device), ids, keep), ids, keep

    # reports

    def report(self, image: MedicalImage, indication: str | None = None) -> Report:
        """Findings and impression. The model never learned to read an indication: it is left aside.

        Raises ModalityError for a modality that the model never saw.
        """
        return self.report_batch([image])[0]

    @torch.inference_mode()
    def report_batch(
        self, images: Sequence[MedicalImage], indications: Sequence[str | None] | None = None
    ) -> list[Report]:
        """One report for each image."""
        reports: list[Report] = []
        for i in range(0, len(images), BATCH):
            started, part = time.perf_counter(), images[i : i + BATCH]
            seen, ids, keep = self.seen(part, self.prompts(part, [REPORT] * len(part)))
            written, logs = self.module.write(seen, ids, keep, self.tokenizer.end, LONGEST_REPORT)
            seconds = (time.perf_counter() - started) / len(part)
            reports += [self._report(*row, seconds) for row in zip(written.tolist(), logs, strict=True)]
        return reports

    def _report(self, ids: list[int], logs: Float[Tensor, " t"], seconds: float) -> Report:
        text, sentences = self.sentences(ids, logs)
        return Report(**sections(text), sentences=sentences, seconds=seconds)

    def sentences(self, ids: list[int], logs: Float[Tensor, " t"]) -> tuple[str, tuple[tuple[str, float], ...]]:
        """The text, and each sentence without its heading with the probability of its least certain token."""
        ids = until(ids, self.tokenizer.end)
        text = tidy(self.tokenizer.decode(ids))
        ends = [len(tidy(self.tokenizer.decode(ids[: i + 1]))) for i in range(len(ids))]
        rows = []
        for match in SENTENCE.finditer(text):
            inside = [float(p) for p, end in zip(logs.exp(), ends, strict=False) if match.start() < end <= match.end()]
            said = "".join(sections(match.group()).values())
            if said:
                rows.append((said, min(inside, default=0.0)))
        return text, tuple(rows)

    # answers

    def answer(self, image: MedicalImage, question: str) -> Answer:
        """The answer with its probability, ranked alternatives and per-token log-probabilities.

        Raises:
            QuestionError: the question is empty or longer than 1,000 characters.
            ModalityError: a modality that the model never saw.
        """
        return self.answer_batch([image], [question])[0]

    @torch.inference_mode()
    def answer_batch(self, images: Sequence[MedicalImage], questions: Sequence[str]) -> list[Answer]:
        """One answer per pair: each likely first word is continued to its end, the likeliest whole text wins."""
        if len(images) != len(questions):
            raise QuestionError(f"{len(images)} images but {len(questions)} questions; give one question per image.")
        requests, answers = [QUESTION.format(checked(question)) for question in questions], []
        for i in range(0, len(images), BATCH):
            started, part = time.perf_counter(), images[i : i + BATCH]
            seen, ids, keep = self.seen(part, self.prompts(part, requests[i : i + BATCH]))
            begun, first = self.module.first(seen, ids, keep, ALTERNATIVES)  # (n, c)
            rows = torch.arange(len(part), device=self.device).repeat_interleave(ALTERNATIVES)
            longer = torch.cat([ids[rows], first.flatten()[:, None]], 1)
            real = torch.cat([keep[rows], keep.new_ones(len(rows), 1)], 1)
            rest, logs = self.module.write(seen.rows(rows).longer(), longer, real, self.tokenizer.end, LONGEST_ANSWER)
            ended = first.flatten() == self.tokenizer.end  # an empty answer has no rest
            logs = torch.cat([begun.flatten()[:, None], logs.masked_fill(ended[:, None], 0.0)], 1)
            written = torch.cat([first.flatten()[:, None], rest], 1)
            either = self._yes_or_no(seen, ids, keep)
            seconds = (time.perf_counter() - started) / len(part)
            for k in range(len(part)):
                mine = slice(k * ALTERNATIVES, (k + 1) * ALTERNATIVES)
                beams = written[mine].cpu(), logs[mine].cpu()
                answers.append(self._answer(*beams, questions[i + k], either[k], seconds))
        return answers

    def _yes_or_no(self, seen: Seen, ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"]) -> list[dict[str, float]]:
        """The probability of each of the two as the whole answer to each prompt; {} where it lacks the words."""
        vocabulary, n = self.tokenizer.vocabulary, len(ids)
        if not {"yes", "no"} <= set(vocabulary):
            return [{}] * n
        words = torch.tensor([vocabulary.index("yes"), vocabulary.index("no")], device=ids.device)
        begun = self._next(seen, ids, keep)[:, words]  # (n, 2)
        rows = torch.arange(n, device=ids.device).repeat_interleave(2)
        longer = torch.cat([ids[rows], words.repeat(n)[:, None]], 1)
        real = torch.cat([keep[rows], keep.new_ones(2 * n, 1)], 1)
        ended = self._next(seen.rows(rows).longer(), longer, real)[:, self.tokenizer.end].view(n, 2)
        return [{"yes": yes, "no": no} for yes, no in (begun + ended).exp().tolist()]

    def _next(self, seen: Seen, ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"]) -> Float[Tensor, "n v"]:
        """Log-probability of each token of the vocabulary as the next one."""
        logs, order = self.module.first(seen, ids, keep, len(self.tokenizer))
        return torch.empty_like(logs).scatter_(1, order, logs)

    def _answer(
        self, ids: Int[Tensor, "c t"], logs: Float[Tensor, "c t"], question: str, either: dict[str, float],
        seconds: float,
    ) -> Answer:  # fmt: skip
        order = logs.sum(1).argsort(descending=True).tolist()
        ranked: dict[str, float] = {}
        for k in order:
            text = self.tokenizer.decode(until(ids[k].tolist(), self.tokenizer.end)).strip()
            ranked[text] = ranked.get(text, 0.0) + math.exp(float(logs[k].sum()))
        best = until(ids[order[0]].tolist(), self.tokenizer.end)
        (text, confidence), *_ = ranked.items()
        confidence = min(confidence, 1.0)
        others = either if closed(question) and either else ranked
        others = sorted(others.items(), key=lambda pair: -pair[1])
        # to say nothing is no alternative; an untrained model writes long texts that are less likely than either word
        others = [pair for pair in others if pair[0] and pair[0] != text and pair[1] <= confidence]
        return Answer(
            text, confidence, ((text, confidence), *others), tuple(logs[order[0], : len(best)].tolist()),
            tuple(self.tokenizer.vocabulary[t] for t in best), seconds, unknown=self.unknown_words(question),
            note=self.text_note(question),
        )  # fmt: skip

    @torch.enable_grad()
    def trace(self, image: MedicalImage, text: str, answer: str | None = None) -> Trace:
        """A question (or the request for a report, "report:") and `answer`, by default the model's own: score
        log p(answer), A the patches.

        Raises as `answer`.
        """
        request = text if text == REPORT else QUESTION.format(checked(text))
        (prompt,), limit = self.prompts([image], [request]), LONGEST_REPORT if text == REPORT else LONGEST_ANSWER
        seen, ids, keep = self.seen([image], [prompt])
        said = self.said(seen, ids, keep, limit, answer)
        pixels = self.pixels([image]).to(self.device).requires_grad_()  # so that each of the encoder's layers has a map
        with record_attention(self.module.vision) as encoder:
            patches = self.module.patches(pixels)  # (1, *1, p, d)
        side = math.isqrt(patches.shape[-2])
        activations = patches.flatten(0, -3)[0].T.unflatten(1, (side, side))[None]  # (1, d, h, w)
        ids, keep = ids.clone(), keep.clone()  # no longer inference tensors
        batch = lesson([ids[0].tolist()], [said], self.tokenizer.pad, ids.shape[1] + len(said))  # all, as it answers
        whole, real, target = (part.to(self.device) for part in batch)
        attentions: list[Tensor] = []
        reading: list[Tensor] = []

        def score(patches: Tensor, maps: list[Tensor] | None = None, read: list[Tensor] | None = None) -> Tensor:
            rows = torch.zeros(len(patches), dtype=torch.long, device=self.device)  # one prompt for all
            seen = self.module.look(patches, ids[rows], keep[rows], maps).longer(len(said))
            return self.module.log_probability(seen, whole[rows], real[rows], target[rows], read)

        again = activations.flatten(2).transpose(1, 2).reshape(patches.shape)
        total = score(again, attentions, reading)[0]
        view = fitted(image.picture_size, self.module.config.image_size).on(image, image.reading_frame)
        return Trace(
            text, total, activations, view, tuple(attentions), torch.arange(side * side),
            answer=tidy(self.tokenizer.decode(said)), words=tuple(self.tokenizer.vocabulary[i] for i in said),
            looks=looked(reading, attentions)[target[0, 1:], : side * side], pixels=pixels,
            again=lambda pixels: score(self.module.patches(pixels)), encoder=tuple(encoder),
        )  # fmt: skip

    @torch.inference_mode()
    def said(
        self, seen: Seen, ids: Int[Tensor, "1 t"], keep: Bool[Tensor, "1 t"], limit: int, answer: str | None
    ) -> list[int]:
        """Tokens of `answer`, or of what the model writes without one, and the end."""
        if answer is not None:
            return [*self.tokenizer.words(answer)[:limit], self.tokenizer.end]
        written, _ = self.module.write(seen, ids, keep, self.tokenizer.end, limit)
        return [*until(written[0].tolist(), self.tokenizer.end), self.tokenizer.end]

    def stream(self, image: MedicalImage, question: str) -> Iterator[str | Answer]:
        """The answer's words one by one, then the `Answer`; all are known once the alternatives are compared."""
        answer = self.answer(image, question)
        for i, word in enumerate(answer.text.split()):
            yield word if i == 0 else f" {word}"
        yield answer


def looked(reading: Sequence[Tensor], looking: Sequence[Tensor]) -> Float[Tensor, "t columns"]:
    """How much each word looked at each patch: its weights on what stands between, times theirs on the patches."""
    words, between = (torch.stack([w.mean(1)[0] for w in maps]).mean(0).detach() for maps in (reading, looking))
    return words @ between


def until(ids: list[int], end: int) -> list[int]:
    """What stands before the end token."""
    return ids[: ids.index(end)] if end in ids else ids
