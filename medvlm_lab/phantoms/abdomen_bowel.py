"""Stomach, colon and small bowel: wall, and contents that settle in the lying patient, gas in front."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms.abdomen_organs import Organs
from medvlm_lab.phantoms.canvas import Canvas, Patch
from medvlm_lab.phantoms.noise import hashed
from medvlm_lab.phantoms.plane_shapes import cover, ellipse, join

if TYPE_CHECKING:
    from torch import Tensor

GAS = -985.0
#: centre (of the cavity's half axes), radius mm, levels, share filled with stool
COLON = (
    ((0.74, -0.40), 21.0, (0.0, 0.75), 0.3),
    ((0.60, -0.56), 19.0, (0.25, 0.8), 0.3),
    ((0.86, -0.02), 14.0, (0.62, 1.2), 0.6),
    ((-0.52, -0.66), 22.0, (0.72, 1.2), 0.7),
    ((-0.74, -0.38), 20.0, (0.86, 1.2), 0.9),
    ((-0.26, -0.82), 17.0, (0.66, 1.2), 0.3),
    ((0.02, -0.84), 16.0, (0.60, 1.2), 0.2),
    ((0.30, -0.82), 17.0, (0.55, 1.2), 0.3),
)


def paint_gut(canvas: Canvas, organs: Organs) -> None:
    """Small bowel behind, colon, then the stomach in front."""
    small_bowel(canvas, organs)
    colon(canvas, organs)
    stomach(canvas, organs)


def fill(canvas: Canvas | Patch, inside: Tensor, y: Tensor, level: Tensor, fluid: Tensor, shown: Tensor) -> None:
    """Fluid, and gas above the line y = level."""
    canvas.put(inside, fluid, shown)
    canvas.put(torch.minimum(inside, level - y), GAS, shown)


def stomach(canvas: Canvas, organs: Organs) -> None:
    """A bag at the left front, further right and flatter in lower slices."""
    body, z = canvas.abdomen, canvas.abdomen.z
    ca, cb, p = body.ca, body.cb, body.p
    full = 0.62 + 0.38 * p["stomach"]
    low = ((z - 0.1) * (1 / 0.5)).clamp(0, 1)
    cx, cy = ca * (0.40 - 0.30 * low), cb * (-0.38 - 0.16 * low)
    rx, ry = ca * (0.27 + 0.10 * low) * full, cb * (0.36 - 0.16 * low) * full
    body_part = ellipse(body.wx, body.wy, cx, cy, rx, ry, 0.93, 0.36)
    antrum = ellipse(body.wx, body.wy, ca * -0.02, cb * -0.48, ca * 0.22, cb * 0.15 * full, 0.98, -0.2)
    outside = join(body_part, antrum - 40 * (0.35 - z).clamp(min=0), 14.0) - 60 * (z - 0.66).clamp(min=0)
    folds = 1.6 * body.noise(42, 161)
    wall = 3.6 + 2.0 * (1 - p["stomach"]) + folds
    shown = ((0.86 - z) * 12).clamp(0, 1)
    canvas.put(outside, body.by_phase(42, 78, 92), shown, soft_mm=0.5)
    food = 28 + 18 * body.noise(40, 162) * (body.drift(163) > 0)
    fluid = food + (310.0 - food) * p["oral_contrast"]
    line = cy - ry + 2 * ry * (0.10 + 0.75 * p["stomach_gas"])
    fill(canvas, outside - wall, body.y, line, fluid, shown)


def colon(canvas: Canvas, organs: Organs) -> None:
    """Round sections with a thin wall: gas, or stool full of small bubbles."""
    body, z, p = canvas.abdomen, canvas.abdomen.z, canvas.abdomen.p
    mottle = body.noise(64, 165)
    own = torch.from_numpy(hashed(body.patients, 166, 2 * len(COLON)) % 1001).to(body.device) * 0.001
    for k, ((u, v), r, (low, high), stool) in enumerate(COLON):
        a, b = own[:, 2 * k, None, None], own[:, 2 * k + 1, None, None]
        shown = (torch.minimum(z - low + 0.05 * a, high - z) * 14).clamp(0, 1)
        wide = r * (0.66 + 0.42 * p["bowel_gas"]) * (0.85 + 0.3 * b)
        cx, cy = body.ca * (u + 0.05 * (a - 0.5)), body.cb * (v + 0.06 * (b - 0.5))
        part = canvas.patch(cx, cy, 30.0)
        pouch = ellipse(part.wx, part.wy, cx, cy, wide * 1.12, wide * 0.92) + 2.6 * part.of(body.noise(30, 167))
        part.put(pouch, body.by_phase(40, 62, 78), shown, soft_mm=0.4)
        full = (b < stool).float()
        # stool and contrast: speckled; otherwise gas with a little fluid
        speckled = (part.of(mottle) * 2.2 + 0.1).clamp(0, 1)
        content = 40 - 700 * speckled
        content = content + (260.0 - content) * p["oral_contrast"] * (1 - speckled) * (a > 0.4)
        inside = pouch - 2.0
        part.put(inside, content, shown * full)
        gas = shown * (1 - full)
        level = cy + wide * (1.5 * a - 0.3)
        fill(part, inside, part.y, level, 22.0 + 260.0 * p["oral_contrast"] * (a > 0.4), gas)
        part.finish()


def small_bowel(canvas: Canvas, organs: Organs) -> None:
    """Loops of jejunum at the left front and middle, packed but not overlapping much."""
    body, z, p = canvas.abdomen, canvas.abdomen.z, canvas.abdomen.p
    count = 18
    points = organs.scatter(171, count)
    more = organs.scatter(172, count)
    for k in range(count):
        px, py = points[k, ..., 0], points[k, ..., 1]
        qx, qy = more[k, ..., 0], more[k, ..., 1]
        # a loose grid, shaken
        column, line = k % 5, k // 5
        cx = body.ca * (-0.22 + 0.225 * column + 0.055 * px + 0.10 * (line % 2))
        cy = body.cb * (-0.66 + 0.24 * line + 0.07 * py)
        shown = ((z - 0.22 - 0.44 * (column < 2) - 0.02 * k * (column > 1)) * 12).clamp(0, 1)
        long, short = 16.0 + 5 * qx, 10.0 + 2 * qy
        cos = torch.cos(1.6 * px)
        sin = torch.sin(1.6 * px)
        part = canvas.patch(cx, cy, 23.0)
        loop = ellipse(part.wx, part.wy, cx, cy, long, short, cos, sin) + 1.8 * part.of(body.noise(40, 173))
        feathery = body.by_phase(38, 85, 100) - 8
        part.put(loop, feathery, shown, soft_mm=0.5)
        content = 20 + (330.0 - 20) * p["oral_contrast"] * (qx > -0.3)
        inside = loop - 2.6 - 1.4 * part.of(body.noise(70, 174)).clamp(min=0)
        part.put(inside, content, shown, soft_mm=0.6)
        gassy = (py > 1.15 - 0.9 * p["bowel_gas"]).float()
        part.put(torch.minimum(inside, cy - 1.0 - part.y), GAS, shown * gassy)
        part.finish()


def duodenum(canvas: Canvas, organs: Organs) -> None:
    """Beside the pancreatic head."""
    body, z = canvas.abdomen, canvas.abdomen.z
    shown = torch.minimum((z - 0.30) * 10, (0.97 - z) * 12).clamp(0, 1)
    ring = ellipse(body.wx, body.wy, -0.34 * body.ca, -0.12 * body.cb, 12.0, 14.0)
    canvas.put(ring, body.by_phase(40, 75, 92), shown, soft_mm=0.5)
    bright = body.p["oral_contrast"] * (body.drift(175) > 0)
    canvas.blend(cover(ring - 3.2, canvas.pixel_mm + 0.6), 18 + 280 * bright, shown)
