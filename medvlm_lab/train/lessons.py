"""Texts of simulated studies as a language model learns them: requests, and what is to be written after them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int
from torch import Tensor

from medvlm_lab.models.generative import padded
from medvlm_lab.models.writer import QUESTION, REPORT
from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.language import TAUGHT, Grammar, forms
from medvlm_lab.text.report_vocabulary import report_vocabulary
from medvlm_lab.text.tokenizer import Tokenizer
from medvlm_lab.train.contrastive import Studies

SENTENCES_END = re.compile(r"(?<=\.)\s+(?=[A-Z])")


@dataclass(frozen=True)
class Lessons:
    """Writes requests and texts, and turns them into tokens.

    A patient's questions with "no" for an answer are many more than those with "yes": from these alone a model learns
    to say no. `balanced` from 0 to 1 leaves that as it is, or has both asked equally often; in between, at that power.
    """

    tokenizer: Tokenizer
    balanced: float = 0.0

    def report(self, studies: Studies, row: int, rng: np.random.Generator, author: int | None = None) -> str:
        """A study's report under its two headings, in new words each time."""
        report = studies.simulator.report(studies.scenes[row], rng, author=author)
        return f"findings: {report.findings} impression: {report.impression}"

    def excerpt(self, studies: Studies, row: int, rng: np.random.Generator) -> str:
        """The impression, or one to three sentences of the findings."""
        report = studies.simulator.report(studies.scenes[row], rng)
        if rng.random() < 0.5:
            return report.impression
        sentences = SENTENCES_END.split(report.findings)
        return " ".join(sentences[i] for i in rng.permutation(len(sentences))[: int(rng.integers(1, 4))])

    def pair(
        self, studies: Studies, row: int, rng: np.random.Generator, asks: bool, author: int | None = None
    ) -> tuple[str, str]:
        """A request and what is to be written: a question and its answer if it `asks`, else a report."""
        if not asks:
            return REPORT, self.report(studies, row, rng, author)
        asked = studies.simulator.questions(studies.scenes[row], rng, TAUGHT)
        if self.balanced:
            answers = [question.answer for question in asked]
            share = (max(1, answers.count("yes")) / max(1, answers.count("no"))) ** self.balanced
            weights = np.array([share if answer == "no" else 1.0 for answer in answers])
            one = asked[int(rng.choice(len(asked), p=weights / weights.sum()))]
        else:
            one = asked[int(rng.integers(len(asked)))]
        return QUESTION.format(one.question), one.answer

    def blurred(self, question: str, rng: np.random.Generator, share: float) -> str:
        """A question with a share of its words unknown, as those of other people are."""
        words = question.split()
        return " ".join("☐" if 0 < i < len(words) - 1 and rng.random() < share else w for i, w in enumerate(words))

    def prompt(self, text: str) -> list[int]:
        return [self.tokenizer.start, *self.tokenizer.words(text)]

    def target(self, text: str) -> list[int]:
        return [*self.tokenizer.words(text), self.tokenizer.end]

    def padded(self, texts: Sequence[str], limit: int) -> tuple[Int[Tensor, "n t"], Bool[Tensor, "n t"]]:
        """Whole texts between start and end, cut at `limit` tokens."""
        return padded([self.tokenizer.encode(text, limit) for text in texts], self.tokenizer.pad)


def instruction_vocabulary(name: str, extra: str) -> list[str]:
    """A phantom's report vocabulary, with the words of its questions and answers and of `extra`.

    Words that only the wording "taught" has are left out: "state" and "tell me" are to be unknown words, as "name" is.
    """
    simulator, grammar = phantom(name), Grammar.of(name)
    texts = [form for p in grammar.all_patterns("usual", "ask") for form in forms(re.sub(r"<[^>]+>", " ", p))]
    for scene in simulator.sample(0, 400):
        texts += [f"{q.question} {q.answer}" for q in simulator.questions(scene)]
    texts += [QUESTION, REPORT, extra]
    known = report_vocabulary(name)
    words = {w for text in texts for w in re.findall(r"\w+|[^\w\s]", text.lower()) if not w.isdigit()}
    return [*known, *sorted(words - set(known))]


def reworded(request: str, rng: np.random.Generator, others: Sequence[str] = (), strays: float = 0.0) -> str:
    """The question begun at another of its words, some left out, a share `strays` of others put in between.

    What it asks must hang neither on its form nor on words that do not matter.
    """
    first, *words, last = request.split()
    start = int(rng.integers(len(words)))
    kept = [word for word in words[start:] + words[:start] if rng.random() < 0.9]
    for word in others:
        if rng.random() < strays:
            kept.insert(int(rng.integers(len(kept) + 1)), word)
    return " ".join([first, *kept, last])
