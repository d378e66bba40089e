"""What a model can do: the capabilities that tasks, explanations and widgets ask for, never a concrete class."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from medvlm_lab.image import MedicalImage
from medvlm_lab.text.questions import closed

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Float32
    from torch import Tensor

    from medvlm_lab.models.trace import Trace


@dataclass(frozen=True)
class Answer:
    """An answer to a question about an image.

    Attributes:
        text: the answer.
        confidence: probability in [0, 1] that the answer is right; calibrated unless the model's class says otherwise.
        alternatives: (text, confidence) pairs, best first, the answer itself included. Of a closed question they are
            yes and no; where the confidence is calibrated, the other one has what the answer leaves. Of an open one,
            the others of a calibrated model keep the odds to the answer that the network gives them.
        token_logprobs: natural-log probability of each generated token.
        tokens: the generated tokens, aligned with `token_logprobs`.
        seconds: wall time that the answer took.
        probabilities: what the network itself gives to each of the alternatives as a whole answer, before calibration;
            empty where the confidences are that already.
        unknown: words of the question that the model's training never held; the confidence is then not to be trusted.
        note: what the model could not read of the question, in a sentence or two, or "".
    """

    text: str
    confidence: float
    alternatives: tuple[tuple[str, float], ...] = ()
    token_logprobs: tuple[float, ...] = ()
    tokens: tuple[str, ...] = ()
    seconds: float = 0.0
    probabilities: tuple[float, ...] = ()
    unknown: tuple[str, ...] = ()
    note: str = ""

    def ranks_with_shares(self, question: str) -> bool:
        """Whether the alternatives' numbers are shares that can be shown: of a calibrated model's answer to an open
        question only their order is."""
        return not self.note and (closed(question) or not self.probabilities)

    def __str__(self) -> str:
        said = f"confidence withheld: {self.note}" if self.note else f"{self.confidence:.0%}"
        return f"{self.text} ({said})"


@dataclass(frozen=True)
class Report:
    """A radiology report that a model wrote.

    Attributes:
        findings: what is seen. impression: the conclusion; empty where the model writes none.
        sentences: (sentence, confidence) pairs in order; confidence in [0, 1], calibrated only where the model says so.
        seconds: wall time that the report took.
    """

    findings: str
    impression: str = ""
    sentences: tuple[tuple[str, float], ...] = ()
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"Findings: {self.findings}" + (f"\nImpression: {self.impression}" if self.impression else "")


@dataclass(frozen=True, eq=False)
class Mask:
    """Where something is in one picture.

    Attributes:
        pixels: of the image's own size, True inside.
        probability: that a pixel belongs to it, in [0, 1].
        phrase: what was asked for.
        note: why nothing could be outlined, where the model never learned what the phrase names; else empty.
    """

    pixels: Bool[np.ndarray, "h w"]
    probability: Float32[np.ndarray, "h w"]
    phrase: str
    note: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing was found."""
        return not self.pixels.any()

    def area_mm2(self, spacing_mm: tuple[float, float]) -> float:
        """Area in mm², given the (row, column) distance between pixel centres."""
        return float(self.pixels.sum()) * spacing_mm[0] * spacing_mm[1]


@runtime_checkable
class ImageTextEncoder(Protocol):
    """Puts images and texts into one space, in which the cosine says how well they belong together."""

    name: str

    def encode_images(self, images: Sequence[MedicalImage]) -> Float[Tensor, "n d"]:
        """Unit rows, float32. Raises ModalityError for a modality that the model never saw."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Unit rows, float32. Raises QuestionError for an empty text."""
        ...


@runtime_checkable
class Answerer(Protocol):
    """Answers a question about an image."""

    name: str

    def answer(self, image: MedicalImage, question: str) -> Answer:
        """The answer, with calibrated confidence and ranked alternatives.

        Raises:
            QuestionError: the question is empty or longer than 1,000 characters.
        """
        ...

    def answer_batch(self, images: list[MedicalImage], questions: list[str]) -> list[Answer]:
        """One answer per (image, question) pair, computed in batches."""
        ...

    def stream(self, image: MedicalImage, question: str) -> Iterator[str | Answer]:
        """Yields the answer's text as it grows, word by word, then the finished `Answer`."""
        ...


@runtime_checkable
class Reporter(Protocol):
    """Writes a report about an image."""

    name: str

    def report(self, image: MedicalImage, indication: str | None = None) -> Report:
        """The report; `indication` is why the image was taken."""
        ...


@runtime_checkable
class Segmenter(Protocol):
    """Outlines in an image what a phrase names."""

    name: str

    def segment(self, image: MedicalImage, phrase: str) -> Mask:
        """A mask in the image's own pixels, empty where it finds no such thing.

        Raises:
            QuestionError: the phrase is empty.
            ModalityError: a modality that the model never saw.
        """
        ...


@runtime_checkable
class Explainable(Protocol):
    """Shows the inside of one prediction, with gradients and with the place of every cell in the image."""

    name: str

    def trace(self, image: MedicalImage, text: str) -> Trace:
        """Activations, attentions and a differentiable score of `text` (a prompt, a phrase or a question)."""
        ...
