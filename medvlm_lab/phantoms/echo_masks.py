"""Masks of chambers, walls, valves and findings in each frame, out of the surfaces that the renderer draws."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms.echo_anatomy import Heart, Layout
from medvlm_lab.phantoms.echo_cycle import FRAMES
from medvlm_lab.phantoms.echo_lines import Lines, distance
from medvlm_lab.phantoms.echo_probe import pixel_mm_grid, sector
from medvlm_lab.phantoms.echo_render import CLIP_MM, LEAD_MM, LEAFLET_MM, STENT_MM

if TYPE_CHECKING:
    from jaxtyping import Bool
    from torch import Tensor

    from medvlm_lab.phantoms.echo_scene import EchoScene

CELLS = 1 << 19  # points at a time
ANATOMY = (
    "left ventricle", "right ventricle", "left atrium", "right atrium", "left ventricular wall", "aortic root",
    "mitral valve", "tricuspid valve",
)
DERIVED = {
    "reduced ejection fraction": "left ventricle", "dilated left ventricle": "left ventricle",
    "left ventricular hypertrophy": "left ventricular wall", "dilated left atrium": "left atrium",
}


def cine_masks(scene: EchoScene, size: int, device: torch.device) -> dict[str, Bool[Tensor, "f h w"]]:
    """Every mask by name; all-False where the scene lacks what it shows."""
    layout = Layout(scene)
    x, y = pixel_mm_grid(layout.fov_mm, layout.depth_mm, size, device)
    seen = sector(x, y, layout.depth_mm, math.radians(scene.sector_degrees) / 2)
    points = x[seen][None], y[seen][None]  # (1, p): nothing lies outside the sector
    step = max(1, CELLS // points[0].numel())
    parts = [_chambers(Heart(layout, *points, slice(i, i + step))) for i in range(0, FRAMES, step)]
    masks = {}
    for name in parts[0]:
        masks[name] = torch.zeros(FRAMES, size, size, dtype=torch.bool, device=device)
        masks[name][:, seen] = torch.cat([part[name] for part in parts])[:, 0]  # (f, p)
    lines, pixel = Lines(layout), layout.fov_mm / size
    nothing = torch.zeros(FRAMES, size, size, dtype=torch.bool, device=device)

    def drawn(polylines, half_mm: float) -> Tensor:
        found = nothing.clone()
        for points in polylines:
            rows, columns, mm = distance(lines.place(points), x, y)
            found[:, rows, columns] |= mm < max(half_mm, 0.75 * pixel)  # at least as wide as a pixel
        return found & seen

    masks["mitral valve"] = drawn(lines.mitral().values(), LEAFLET_MM)
    masks["tricuspid valve"] = drawn(lines.tricuspid().values(), LEAFLET_MM)
    has = lambda kind: scene.find(kind) is not None  # noqa: E731
    masks["pacemaker lead"] = drawn([lines.lead()], LEAD_MM) if has("pacemaker lead") else nothing
    masks["MitraClip"] = drawn([lines.clip()], CLIP_MM) if has("MitraClip") else nothing
    masks["TAVR valve"] = drawn(lines.stent(), STENT_MM) if has("TAVR valve") else nothing
    for kind, place in DERIVED.items():
        masks[kind] = masks[place] if has(kind) else nothing
    return masks


def _chambers(heart: Heart) -> dict[str, Bool[Tensor, "f h w"]]:
    return {
        "left ventricle": heart.lv(), "right ventricle": heart.rv(), "left atrium": heart.la(),
        "right atrium": heart.ra(), "left ventricular wall": heart.lv_wall(), "aortic root": heart.root(),
        "pericardial effusion": heart.effusion(),
    }
