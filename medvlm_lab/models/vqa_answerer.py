"""`vit-bert-vqa` as a reader meets it: pictures and questions in, `Answer` out."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor

from medvlm_lab.errors import ModalityError, QuestionError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import Answer
from medvlm_lab.models.beam import beam_search
from medvlm_lab.models.known_words import ReadsWords
from medvlm_lab.models.memory import Roomy
from medvlm_lab.models.preprocess import square_of
from medvlm_lab.models.stages import Stage
from medvlm_lab.models.store import opened, restored
from medvlm_lab.models.vit_bert_vqa import Config, ViTBertVQA
from medvlm_lab.text.questions import closed
from medvlm_lab.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from medvlm_lab.models.trace import Trace

LONGEST_QUESTION = 1000  # characters
LEARNED = ("X-ray", "CT", "MR", "histology")  # what VQA-RAD and PathVQA hold; "unknown" is let through
BEAMS = 5
GIVEN = ("image_encoder.stem.", "question_encoder.")  # ImageNet's and MiniLM's, frozen


def checked(question: str) -> str:
    """The question, stripped.

    Raises:
        QuestionError: it is empty or longer than 1,000 characters.
    """
    question = question.strip()
    if not question:
        raise QuestionError("The question is empty; type one, such as 'Is there cardiomegaly?'.")
    if len(question) > LONGEST_QUESTION:
        raise QuestionError(
            f"The question has {len(question):,} characters; shorten it to {LONGEST_QUESTION:,} or fewer."
        )
    return question


def familiar(image: MedicalImage) -> MedicalImage:
    """The image itself.

    Raises:
        ModalityError: it is of a modality that no training image had, so that every answer would be a guess.
    """
    if image.modality not in (*LEARNED, "unknown"):
        raise ModalityError(
            f"{image.name or 'The image'} is {image.modality}, which vit-bert-vqa has never seen: it learned from "
            f"{', '.join(LEARNED)}. Choose another image, or guess all the same with "
            "image.with_(modality='unknown')."
        )
    return image


class VQAAnswerer(ReadsWords, Roomy):
    """Capability `Answerer` over a `ViTBertVQA` module.

    Attributes:
        module: the network.
        tokenizer: its vocabulary.
        calibration: (a, b) of confidence = sigmoid(a · log p + b), fitted on held-out questions (Platt 1999).
    """

    name = "vit-bert-vqa"

    def __init__(self, module: ViTBertVQA, tokenizer: Tokenizer, calibration: tuple[float, float], device="cpu"):
        self.device = torch.device(device)
        self.module, self.tokenizer, self.calibration = module.eval().to(self.device), tokenizer, calibration
        # an image's pixels are read-only, so its square stays true and the next question about it is answered faster
        self._squares: WeakKeyDictionary[MedicalImage, Tensor] = WeakKeyDictionary()

    @classmethod
    def load(cls, folder: Path, device="cpu", untrained: bool = False) -> VQAAnswerer:
        """Reads a checkpoint folder: `config.json`, `model.safetensors`, `vocabulary.txt`.

        Raises:
            MissingDataError: a file is missing.
            CheckpointError: a file is damaged or of another architecture.
        """
        settings, config, tokenizer = opened(folder, cls.name, Config, "calibration")
        module = restored(folder, cls.name, lambda: ViTBertVQA(config, tokenizer.pad), untrained, GIVEN)
        return cls(module, tokenizer, tuple(settings["calibration"]), device)

    @property
    def text_limit(self) -> int:
        return self.module.config.question_context

    def pixels(self, images: list[MedicalImage]) -> Float[Tensor, "n 3 s s"]:
        """The model's view of each image: the middle frame, as displayed, fitted into a square."""
        size = self.module.config.image_size
        for image in images:
            if image not in self._squares:
                self._squares[image] = square_of(image, size)
        return torch.stack([self._squares[image] for image in images])

    def answer(self, image: MedicalImage, question: str) -> Answer:
        """The answer with calibrated confidence, ranked alternatives and per-token log-probabilities.

        Raises:
            QuestionError: the question is empty or longer than 1,000 characters.
            ModalityError: no training image was of this modality.
        """
        return self.answer_batch([image], [question])[0]

    @torch.inference_mode()
    def answer_batch(self, images: list[MedicalImage], questions: list[str]) -> list[Answer]:
        """One answer per pair. Each image is encoded once, however many questions are asked about it."""
        started = time.perf_counter()
        questions = [checked(q) for q in questions]
        if len(images) != len(questions):
            raise QuestionError(f"{len(images)} images but {len(questions)} questions; give one question per image.")
        if not images:
            return []
        model = self.module
        unique = [familiar(image) for image in dict.fromkeys(images)]
        place = {image: i for i, image in enumerate(unique)}
        seen = model.image_encoder(self.pixels(unique).to(self.device))[[place[image] for image in images]]  # (n, i, d)
        ids = self.tokenizer.batch(questions, model.config.question_context).to(self.device)
        memory, keep = model.fuse(seen, *model.encode_question(ids))
        found, logs = beam_search(
            model.decode, memory, keep, self.tokenizer.start, self.tokenizer.end, BEAMS, model.config.answer_context
        )
        either = self._yes_or_no(memory, keep)
        seconds = (time.perf_counter() - started) / len(images)
        return [self._answer(*row, seconds) for row in zip(found.cpu(), logs.cpu(), questions, either, strict=True)]

    def _yes_or_no(self, memory: Float[Tensor, "n m d"], keep: Tensor) -> list[dict[str, float]]:
        """The probability of each of the two as the whole answer to each question."""
        said = self.tokenizer.batch(["yes", "no"], self.module.config.answer_context).to(memory.device)  # (2, a)
        n, rows = len(memory), torch.arange(len(memory), device=memory.device).repeat_interleave(2)
        target = said.repeat(n, 1)  # (2n, a)
        logits = self.module.decode(target[:, :-1], memory[rows], keep[rows]).float()
        each = logits.log_softmax(-1).gather(2, target[:, 1:, None])[..., 0]
        total = each.masked_fill(target[:, 1:] == self.tokenizer.pad, 0).sum(1).exp().view(n, 2)
        return [dict(zip(("yes", "no"), pair, strict=True)) for pair in total.tolist()]

    def _answer(self, ids: Tensor, logs: Tensor, question: str, either: dict[str, float], seconds: float) -> Answer:
        """Beams of one question → an `Answer`; beams that spell the same text are counted once."""
        ranked: dict[str, float] = {}
        for row, total in zip(ids.tolist(), logs.sum(1).tolist(), strict=True):
            text = self.tokenizer.decode(row)
            if text and math.isfinite(total):
                ranked[text] = ranked.get(text, 0.0) + math.exp(total)
        ranked = dict(sorted(ranked.items(), key=lambda pair: -pair[1])) or {"": 1e-9}
        (text, best), *others = ranked.items()
        a, b = self.calibration
        confidence = 1 / (1 + math.exp(-(a * math.log(max(best, 1e-12)) + b)))
        others = either.items() if closed(question) else others
        others = sorted(((t, p) for t, p in others if t != text), key=lambda pair: -pair[1])
        if closed(question) and text in either:  # the other one is right where this one is wrong
            shares = [min(1 - confidence, confidence)]
        else:  # the network's odds to the answer, together no more than the answer leaves
            shares = [confidence * min(p / best, 1.0) for _, p in others]
            scale = min(1.0, (1 - confidence) / max(sum(shares), 1e-12))
            shares = [scale * share for share in shares]
        alternatives = [(text, confidence), *((t, share) for (t, _), share in zip(others, shares, strict=True))]
        tokens = [t for t in ids[0].tolist()[1:] if t not in (self.tokenizer.pad, self.tokenizer.end)]
        return Answer(
            text=text,
            confidence=confidence,
            alternatives=tuple(alternatives),
            token_logprobs=tuple(logs[0, 1 : 1 + len(tokens)].tolist()),
            tokens=tuple(self.tokenizer.vocabulary[t] for t in tokens),
            seconds=seconds,
            probabilities=(min(best, 1.0), *(p for _, p in others)),
            unknown=self.unknown_words(question),
            note=self.text_note(question),
        )

    def trace(self, image: MedicalImage, text: str, answer: str | None = None) -> Trace:
        """A question and `answer`, by default the model's own: score log p(answer), A the stem's cells, attentions
        those of the answer's words.

        Raises as `answer`.
        """
        from medvlm_lab.models.vqa_trace import trace

        return trace(self, familiar(image), checked(text), answer)

    def stages(self, image: MedicalImage, question: str) -> list[Stage]:
        """Every stage of one example with its tensor; the answer is decoded greedily, not by beams."""
        from medvlm_lab.models.vqa_stages import stages

        return stages(self, familiar(image), checked(question))

    def stream(self, image: MedicalImage, question: str) -> Iterator[str | Answer]:
        """The answer's words one by one, then the `Answer`. All are known at once: a beam settles as a whole."""
        answer = self.answer(image, question)
        for i, word in enumerate(answer.text.split()):
            yield word if i == 0 else f" {word}"
        yield answer
