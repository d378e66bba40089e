"""Each patch compared with the text, less what any text has in common with it (after CLIP Surgery, Li et al. 2023)."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.explain.base import method
from medvlm_lab.models.trace import Trace

#: What says nothing; such texts agree with the same patches as every other.
AGAINST = ("an image.", "findings.", "there is.", "is seen.", "no abnormality.")


@method(signed=True, against=AGAINST)
@torch.no_grad()
def patch_similarity(trace: Trace) -> Float[Tensor, "h w"]:
    """Cosine of each patch with the text, less the mean cosine with the texts `against`; signed.

    Feature surgery with equal weights: what is redundant is the mean over texts of the product of features. With
    `against=()` the bare cosine.
    """
    return (F.normalize(trace.patches(), dim=-1) @ trace.text_embedding).view(trace.grid)
