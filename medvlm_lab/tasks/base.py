"""What a task is: what it asks of a model, item by item, and how it scores what was said. `run` does the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from operator import itemgetter
from typing import Any, ClassVar

import numpy as np

from medvlm_lab.errors import MedVLMError
from medvlm_lab.tasks.result import Score
from medvlm_lab.tasks.sheet import Tile


class Task(ABC):
    """One way to score a model. Options of a task are the arguments of its constructor.

    Attributes:
        unit: what an item is, in the plural. row: the dataclass of one scored item. resamples: of the bootstrap.
    """

    unit: ClassVar[str] = "studies"
    row: ClassVar[type]
    resamples: ClassVar[int] = 1000

    @abstractmethod
    def check(self, model: Any, data: Any) -> None:
        """Raises MedVLMError where the model lacks the capability, or the data what is needed to score it."""

    def numbers(self, data: Any, n: int | None, seed: int) -> list[int]:
        """The items to ask about, in the order of asking: all, or `n` drawn with `seed`."""
        return draw(data.studies, n, seed)

    @abstractmethod
    def ask(self, model: Any, data: Any, numbers: list[int]) -> list[dict[str, Any]]:
        """What the model says about these items, one JSON object an item: what `rows.jsonl` keeps."""

    def rows(self, said: Sequence[dict[str, Any]]) -> list[tuple[int, Any]]:
        """Each row with the number of its item, in the data set's order; of objects as `ask` gives them."""
        rows = []
        for line in sorted(said, key=itemgetter("item")):
            fields = {k: tuple(v) if isinstance(v, list) else v for k, v in line.items() if k != "item"}
            rows.append((line["item"], self.row(**fields)))
        return rows

    @abstractmethod
    def score(self, rows: Sequence[Any], resamples: int, seed: int) -> dict[str, Score]:
        """The scores by their plain names."""

    @abstractmethod
    def titles(self, rows: Sequence[Any], scores: dict[str, Score]) -> dict[str, str]:
        """The scores' names as a reader sees them, with units."""

    @abstractmethod
    def errors(self, rows: Sequence[Any]) -> Sequence[float]:
        """How wrong each row is, 0 where it is right; only the order counts."""

    @abstractmethod
    def tile(self, model: Any, data: Any, number: int, row: Any) -> Tile:
        """What a contact sheet shows of a row."""


def draw(count: int, n: int | None, seed: int) -> list[int]:
    """The numbers below `count`, or `n` of them drawn at random, in order. Raises MedVLMError for n below 1."""
    if n is not None and n < 1:
        raise MedVLMError(f"Nothing to score with n={n}; it must be at least 1.")
    if n is None or n >= count:
        return list(range(count))
    return sorted(np.random.default_rng(seed).choice(count, n, replace=False).tolist())
