"""Stand-ins for slow parts, so that tests of widgets and tasks need no weights."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from medvlm_lab.errors import QuestionError
from medvlm_lab.models.base import Answer, Report


class FakeAnswerer:
    """Answers at once, and always the same: the question decides whether the answer is closed or open."""

    def __init__(self, name: str = "fake", pause: float = 0.0):
        self.name = name
        self.pause = pause

    def answer(self, image, question: str) -> Answer:
        if not question.strip():
            raise QuestionError("The question is empty; type one, such as 'Is there cardiomegaly?'.")
        closed = question.lower().startswith(("is", "are", "does", "was"))
        text, other = ("yes", "no") if closed else ("right upper lobe", "left lower lobe")
        return Answer(
            text=text,
            confidence=0.8,
            alternatives=((text, 0.8), (other, 0.15), ("not seen", 0.05)),
            token_logprobs=tuple(-0.1 for _ in text.split()),
            tokens=tuple(text.split()),
            seconds=0.01,
        )

    def answer_batch(self, images: list, questions: list[str]) -> list[Answer]:
        return [self.answer(image, question) for image, question in zip(images, questions, strict=True)]

    def stream(self, image, question: str) -> Iterator[str | Answer]:
        answer = self.answer(image, question)
        for position, word in enumerate(answer.text.split()):
            time.sleep(self.pause)
            yield word if position == 0 else f" {word}"
        yield answer


class FakeReporter:
    """Writes the report that it was given for a picture's name, or always the same one; no `report_batch`."""

    def __init__(self, reports: dict[str, Report] | Report, name: str = "fake"):
        self.reports, self.name = reports, name

    def report(self, image, indication: str | None = None) -> Report:
        return self.reports if isinstance(self.reports, Report) else self.reports[image.name]


class FakeEncoder:
    """Puts a picture where its 4 x 4 mean grey values point, and a text where its letters do; counts what it sees."""

    name = "fake-encoder"

    def __init__(self):
        self.seen: list[str] = []

    def encode_images(self, images):
        self.seen += [image.name for image in images]
        return self._unit([self._cells(image.display()[..., 0]) for image in images])

    def encode_texts(self, texts):
        return self._unit([[text.count(letter) + 0.1 for letter in "abcdefghilmnorst"] for text in texts])

    @staticmethod
    def _cells(grey):
        return [part.mean() + 1 for row in np.array_split(grey, 4) for part in np.array_split(row, 4, axis=1)]

    @staticmethod
    def _unit(rows):
        rows = np.asarray(rows, np.float32).reshape(-1, 16)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)
