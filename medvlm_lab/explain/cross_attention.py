"""Which word of the answer or report looked where: attention weights of the words, through whatever stands between."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from medvlm_lab.explain.base import method
from medvlm_lab.models.trace import Trace


@method()
def cross_attention(trace: Trace) -> Float[Tensor, "words h w"]:
    """A map for each word, in `Explanation.looks`; `values` is their mean.

    Through a Q-Former, a resampler or (BLIP) the question, the word's weights on what stands between times its weights
    on the patches. Where a model looked is not why it said so: compare with the other methods.
    """
    return trace.looks.unflatten(1, trace.grid)
