"""Where everything is in a simulated micrograph, and what can be counted and measured there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms.histology_scene import HistologyScene
from medvlm_lab.phantoms.tissue_cells import EPITHELIAL, MITOSIS, Cells, joined
from medvlm_lab.phantoms.tissue_paint import labels
from medvlm_lab.phantoms.tissue_render import Section

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

ANATOMY = ("tissue", "nuclei", "epithelial nuclei", "epithelium", "lumen", "stroma", "fat")
MASKS = (*ANATOMY, *HistologyScene.kinds)


def mask_fields(section: Section) -> dict[str, Bool[Tensor, "h w"]]:
    """Masks of one scene; what it lacks is left out."""
    slide, stroma, view, scene = section.slide, section.stroma, section.view, section.scene
    gland, lumen, dead = section.gland > 0.5, section.lumen > 0.5, section.dead > 0.5
    lumen = lumen & ~dead
    every = joined(slide.epithelium, slide.lining, stroma.resident, stroma.lining, stroma.infiltrate)
    owner = labels(view, every)
    epithelial = torch.from_numpy(np.append(np.isin(every.kind, (EPITHELIAL, MITOSIS)), False)).to(view.device)
    out = {
        "nuclei": _separate(owner), "epithelium": gland & ~lumen & ~dead, "lumen": lumen, "fat": section.fat > 0.5,
        "tissue": ~(lumen | (section.fat_inside > 0.5) | (section.vessel > 0.5)),
        "stroma": ~gland & ~(section.fat > 0.5),
    }
    out["epithelial nuclei"] = out["nuclei"] & epithelial[owner]
    if scene.diagnosis:
        out[scene.all_findings[0].kind] = gland
    if scene.find("nuclear pleomorphism"):
        out["nuclear pleomorphism"] = epithelial[owner]
    if scene.mitoses:
        figures = slide.epithelium.of(MITOSIS)
        least = 0.8 * view.pixel_um  # thinner ones would fall apart into several components
        figures.a, figures.b = np.maximum(figures.a, least), np.maximum(figures.b, least)
        out["mitoses"] = labels(view, figures) >= 0
    if scene.necrotic:
        out["necrosis"] = dead
    if scene.desmoplastic:
        out["desmoplastic stroma"] = ~gland
    if len(stroma.infiltrate):
        crowd = stroma.infiltrate
        around = Cells(**{**vars(crowd), "a": crowd.a + 3.5, "b": crowd.b + 3.5})
        out["lymphocytic infiltrate"] = labels(view, around) >= 0
    if len(stroma.calcium):
        out["calcification"] = labels(view, stroma.calcium) >= 0
    return out


def _separate(owner: Tensor) -> Bool[Tensor, "h w"]:
    """Nuclei with a seam of one pixel wherever two touch."""
    mask = owner >= 0
    for axis in (0, 1):
        a, b = owner.narrow(axis, 0, owner.shape[axis] - 1), owner.narrow(axis, 1, owner.shape[axis] - 1)
        touching = (a != b) & (a >= 0) & (b >= 0)
        seam = mask.narrow(axis, 1, owner.shape[axis] - 1)
        seam &= ~touching
    return mask


def measures(
    scenes: Sequence[HistologyScene], masks: dict[str, Bool[Tensor, "n h w"]]
) -> dict[str, Float[Tensor, " n"]]:
    """See `Histology.measure`."""
    from scipy.ndimage import label

    names = ("mitoses", "necrosis_percent", "nuclei_per_mm2", "nuclear_area_um2", "nuclear_area_variation")
    out = {name: torch.full((len(scenes),), torch.nan) for name in names}
    for i, scene in enumerate(scenes):
        mask = {name: m[i].cpu().numpy() for name, m in masks.items()}
        pixel = scene.field_um / mask["nuclei"].shape[-1]
        out["mitoses"][i] = label(mask["mitoses"], np.ones((3, 3)))[1]
        cancer = mask["in situ carcinoma"] | mask["invasive carcinoma"]
        if cancer.any():
            out["necrosis_percent"][i] = 100 * mask["necrosis"].sum() / cancer.sum()
        out["nuclei_per_mm2"][i] = label(mask["nuclei"])[1] / (scene.field_um / 1000) ** 2
        parts, count = label(mask["epithelial nuclei"])
        edge = np.unique(np.concatenate([parts[0], parts[-1], parts[:, 0], parts[:, -1]]))
        area = np.delete(np.bincount(parts.ravel(), minlength=count + 1), np.union1d(edge, [0])) * pixel**2
        if len(area):  # what peeps out from under another is no nucleus
            area = area[area > 0.3 * np.median(area)]
        if len(area) >= 10:
            out["nuclear_area_um2"][i] = float(area.mean())
            out["nuclear_area_variation"][i] = float(area.std() / area.mean())
    return out
