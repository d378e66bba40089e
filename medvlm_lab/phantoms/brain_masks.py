"""Masks of anatomy and findings, cut out of the depths that the renderer paints."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms import brain_findings as where
from medvlm_lab.phantoms.brain_cortex import Cortex
from medvlm_lab.phantoms.brain_deep import SHEATH_MM, Deep
from medvlm_lab.phantoms.brain_geometry import SIGN, Head
from medvlm_lab.phantoms.brain_scene import ROUND
from medvlm_lab.phantoms.scene import Finding

if TYPE_CHECKING:
    from jaxtyping import Bool
    from torch import Tensor


def mask_fields(head: Head) -> dict[str, Bool[Tensor, "n h w"]]:
    """Every mask by name; all-False where a scene lacks what it shows."""
    cortex = Cortex(head)
    deep = Deep(head, cortex)
    nothing = torch.zeros_like(head.u, dtype=torch.bool)
    vault = head.vault > 0
    ventricles = (deep.ventricles > 0) & vault
    hind, stem = (deep.cerebellum > 0) & vault, (deep.stem > 0) & vault
    sheath = deep.lateral + SHEATH_MM > 0
    cerebrum = ((cortex.surface > 0) | sheath) & vault & ~hind & ~stem
    nuclei = torch.maximum(torch.maximum(deep.caudate, deep.putamen), torch.maximum(deep.thalamus, deep.pallidum)) > 0
    white = (cerebrum & ((cortex.white > 0) | (deep.callosum > 0) | sheath) & ~nuclei) & ~ventricles
    masks = {
        "head": head.skin > 0, "brain": (cerebrum | hind | stem | ventricles), "white matter": white,
        "grey matter": cerebrum & ~white & ~ventricles, "ventricles": ventricles, "cerebellum": hind & ~ventricles,
        "right hemisphere": cerebrum & (deep.x < 0), "left hemisphere": cerebrum & (deep.x >= 0),
    }

    def put(kind: str, depth_of: Callable[[Tensor, list[Finding]], Tensor], side: str = "") -> None:
        rows, found = head.rows(kind, side)
        drawn = nothing[:0]
        if found:
            depth = depth_of(rows, found)
            # what is smaller than a pixel still has one: that in which it lies deepest
            drawn = depth > depth.amax((1, 2), keepdim=True).clamp(max=1e-3) - 1e-3
        masks[f"{side} {kind}".strip()] = nothing.index_copy(0, rows, drawn)

    atrophied = head.column([s.find("cerebral atrophy") is not None for s in head.scenes]) > 0
    masks["cerebral atrophy"] = masks["brain"] & atrophied
    moved = head.column([s.midline_mm for s in head.scenes])
    masks["midline shift"] = (moved != 0) & vault & ((head.u > 0) != (deep.x > 0)) & (head.u * moved > 0)
    dilated = head.column([s.find("hydrocephalus") is not None for s in head.scenes]) > 0
    masks["hydrocephalus"] = ventricles & dilated
    put("white matter hyperintensities", lambda r, f: where.spots(head, deep, r, f))
    for side in SIGN:
        for kind in ROUND:
            put(kind, lambda r, f: where.ball(head, r, f), side)
        put("subdural haematoma", lambda r, f, s=side: where.subdural(head, r, f, s), side)
        put("cerebral infarct", lambda r, f, s=side: where.infarct(head, deep, r, f, s), side)
        put("vasogenic oedema", lambda r, f, s=side: where.oedema(head, deep, r, f, s), side)
    return masks
