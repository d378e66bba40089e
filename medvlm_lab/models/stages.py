"""A model taken apart: every stage that an image and a question pass, with the tensor that comes out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from medvlm_lab.image import MedicalImage

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


@dataclass(frozen=True)
class Stage:
    """One stage of one example.

    Attributes:
        name: unique in the model. part: "image", "text", "fusion" or "decoder".
        about: one sentence for a reader who knows no PyTorch.
        tensor: what comes out, without the batch axis. axes: what each of its axes counts.
        parents: names of the stages that it reads. parameters: how many numbers it has learned.
        grid: (rows, columns) of the image tokens, which are the last `rows * columns` of those before the words.
        words: one label for each token that is a word.
        looks: where each word looked: weights over image cells and words, rows sum to 1; None where nothing looks.
        choices: after each word, the most probable next ones with their probabilities.
    """

    name: str
    part: str
    about: str
    tensor: Float[Tensor, ...] = field(repr=False)
    axes: tuple[str, ...]
    parents: tuple[str, ...] = ()
    parameters: int = 0
    grid: tuple[int, int] | None = None
    words: tuple[str, ...] = ()
    looks: Float[Tensor, "t m"] | None = field(default=None, repr=False)
    choices: tuple[tuple[tuple[str, float], ...], ...] = ()

    @property
    def shape(self) -> str:
        """ "49 tokens × 192 features" """
        return " × ".join(f"{n:,} {axis}" for n, axis in zip(self.tensor.shape, self.axes, strict=True))


@runtime_checkable
class Staged(Protocol):
    """Can be followed stage by stage."""

    name: str

    def stages(self, image: MedicalImage, question: str) -> list[Stage]:
        """Every stage in the order in which data flows. Raises QuestionError, ModalityError as `answer` does."""
        ...
