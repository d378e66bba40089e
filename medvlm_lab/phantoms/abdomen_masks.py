"""Masks of anatomy and findings, cut out of the depths that the renderer paints."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms import abdomen_findings as where
from medvlm_lab.phantoms.abdomen_geometry import SIGN, Abdomen
from medvlm_lab.phantoms.abdomen_organs import Organs
from medvlm_lab.phantoms.abdomen_vessels import calcified

if TYPE_CHECKING:
    from jaxtyping import Bool
    from torch import Tensor


def mask_fields(body: Abdomen) -> dict[str, Bool[Tensor, "n h w"]]:
    """Every mask by name; all-False where a scene lacks what it shows."""
    organs = Organs(body)
    nothing = torch.zeros_like(body.x, dtype=torch.bool)
    inside = body.skin > 0
    aorta, spleen = organs.aorta_depth > 0, organs.spleen > 0
    kidneys = {side: (k.depth > 0) & ~spleen for side, k in organs.kidneys.items()}
    gallbladder = organs.gallbladder > 0
    liver = (organs.liver > 0) & ~kidneys["right"] & ~gallbladder & ~aorta & ~spleen
    masks = {
        "body": inside, "liver": liver, "spleen": spleen, "aorta": aorta, "gallbladder": gallbladder,
        "right kidney": kidneys["right"], "left kidney": kidneys["left"],
    }

    def put(kind: str, depth_of, side: str = "", within: Tensor | None = None) -> None:
        rows, found = body.rows(kind, side)
        drawn = nothing[:0]
        if found:
            depth = depth_of(rows, found)
            if within is not None:
                depth = torch.where(within[rows], depth, -1e6)
            # what is smaller than a pixel still has one: that in which it lies deepest
            drawn = depth > depth.amax((1, 2), keepdim=True).clamp(max=1e-3) - 1e-3
        masks[f"{side} {kind}".strip()] = nothing.index_copy(0, rows, drawn)

    for kind, whole in (
        ("cirrhosis", liver), ("hepatic steatosis", liver), ("splenomegaly", spleen), ("aortic aneurysm", aorta),
    ):
        rows, _ = body.rows(kind)
        masks[kind] = nothing.index_copy(0, rows, whole[rows])
    put("liver cyst", lambda r, f: where.liver_lesion(organs, r, f, 0.04, 341))
    put("hypervascular liver lesion", lambda r, f: where.liver_lesion(organs, r, f, 0.08, 342))
    put("liver metastases", lambda r, f: where.metastases(organs, r, f)[0])
    put("gallstones", lambda r, f: where.gallstones(organs, r, f))
    put("aortic calcification", lambda r, f: calcified(organs, r, body.column([g.amount for g in f])))
    put("lymphadenopathy", lambda r, f: where.nodes(organs, r, f), within=~aorta)
    organ = liver | spleen | kidneys["right"] | kidneys["left"] | gallbladder
    put("ascites", lambda r, f: where.ascites(organs, r, f), within=~organ)
    put("free air", lambda r, f: where.free_air(organs, r, f))
    for side in SIGN:
        put("hydronephrosis", lambda r, f, s=side: where.collecting_system(organs, r, f, s), side)
        put("kidney stone", lambda r, f, s=side: where.kidney_stone(organs, r, f, s), side)
        for kind in ("renal cyst", "renal mass"):
            put(kind, lambda r, f, s=side, k=kind: where.kidney_lesion(organs, r, f, s, k), side)
    return masks
