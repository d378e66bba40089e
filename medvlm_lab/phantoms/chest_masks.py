"""Masks of anatomy and findings, cut out of the fields that the renderer draws."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms import chest_findings as where
from medvlm_lab.phantoms.chest_devices import DEVICES
from medvlm_lab.phantoms.chest_geometry import Chest

if TYPE_CHECKING:
    from jaxtyping import Bool
    from torch import Tensor

SIDED = {
    "pleural effusion": where.effusion,
    "pneumothorax": where.pneumothorax,
    "consolidation": where.consolidation,
    "nodule": where.nodule,
    "rib fracture": where.fracture,
}
DRAWN = 0.4  # share of a pixel from which a device counts as seen there


def mask_fields(chest: Chest) -> dict[str, Bool[Tensor, "n h w"]]:
    """Every mask by name; all-False where a scene lacks what it shows."""
    right, left = chest.heart_widths
    beating = (right > 0) & (left > 0)  # (n, h, 1)
    heart = (chest.x < left) & (chest.x > -right) & beating
    masks = {
        "right lung": chest.lung & ~chest.left,
        "left lung": chest.lung & chest.left,
        "heart": heart,
        "thorax": chest.inside_chest,
    }
    lungs = {"right": masks["right lung"], "left": masks["left lung"], "": chest.lung}
    nothing = torch.zeros_like(heart)
    rows, _ = chest.rows("cardiomegaly")
    masks["cardiomegaly"] = nothing.index_copy(0, rows, heart[rows])
    rows, _ = chest.rows("hyperinflation")
    masks["hyperinflation"] = nothing.index_copy(0, rows, chest.lung[rows])
    rows, found = chest.rows("pulmonary edema")
    hazy = where.edema(chest, rows, found) > where.EDGE if found else nothing[:0]
    masks["pulmonary edema"] = nothing.index_copy(0, rows, hazy & chest.lung[rows])
    for kind, field in SIDED.items():
        for side in ("right", "left"):
            rows, found = chest.rows(kind, side)
            inside = nothing[:0]
            if found:
                # a ball counts to its very edge, a fracture lies in the chest wall
                edge = 0.0 if kind in ("nodule", "rib fracture") else where.EDGE
                inside = field(chest, rows, found, side) > edge
                if kind != "rib fracture":
                    inside = inside & (chest.inside_chest if kind == "nodule" else lungs[side])[rows]
            masks[f"{side} {kind}"] = nothing.index_copy(0, rows, inside)
    for kind, (field, _) in DEVICES.items():
        for side in chest.scenes[0].kinds[kind].sides or ("",):
            rows, found = chest.rows(kind, side)
            drawn = field(chest, rows, found, side) > DRAWN if found else nothing[:0]
            masks[f"{side} {kind}".strip()] = nothing.index_copy(0, rows, drawn)
    return masks
