"""A number read by asking for every number: EchoCLIP's zero-shot regression and its binary score.

Prompts state each possible value ("... is estimated at 62%."); a frame's most similar prompts vote. The paper and its
published code aggregate the votes differently, and both are here under their own names.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

TOP_SHARE = 0.2  # of the prompts that vote


def ranked(similarity: Float[Tensor, "n f p"], values: Float[Tensor, " p"]) -> Float[Tensor, "n f p"]:
    """Each frame's values, those of the most similar prompts first."""
    return values[similarity.argsort(-1, descending=True)]


def by_mean_rank(similarity: Float[Tensor, "n f p"], values: Float[Tensor, " p"]) -> Float[Tensor, " n"]:
    """As EchoCLIP's code does: values averaged over the frames at each rank, then the lower median of the top 20 %."""
    votes = ranked(similarity, values).float().mean(1)  # (n, p)
    return votes[:, : _top(values)].median(1).values


def by_frame_median(similarity: Float[Tensor, "n f p"], values: Float[Tensor, " p"]) -> Float[Tensor, " n"]:
    """As EchoCLIP's paper says: each frame's median of its top 20 %, then the mean over frames."""
    return ranked(similarity, values)[..., : _top(values)].float().median(-1).values.mean(1)


def binary(similarity: Float[Tensor, "n f p"]) -> Float[Tensor, " n"]:
    """EchoCLIP's score of a yes-or-no finding: mean cosine over frames and prompts, without a negative prompt."""
    return similarity.mean((1, 2))


def _top(values: Tensor) -> int:
    return max(1, int(len(values) * TOP_SHARE))


AGGREGATIONS = {"code": by_mean_rank, "paper": by_frame_median}
