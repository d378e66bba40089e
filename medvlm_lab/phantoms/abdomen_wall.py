"""The wall around the organs: skin, fat, muscles, ribs, spine, and the couch beneath."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms.abdomen_geometry import SIGN, Abdomen
from medvlm_lab.phantoms.canvas import Canvas
from medvlm_lab.phantoms.noise import hashed
from medvlm_lab.phantoms.plane_shapes import capsule, circle, cover, ellipse, join, line, meet, window

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

FAT, VISCERAL_FAT = -104.0, -98.0
CORTEX, MARROW = 620.0, 175.0
#: along the wall from the back (0) to the front (1): where a slice cuts ribs, and how much of each
RIBS = ((0.10, 15.0), (0.23, 17.0), (0.37, 15.0), (0.51, 13.0), (0.65, 11.0), (0.78, 9.0))


def paint_wall(canvas: Canvas) -> None:
    """Couch, skin, fat, muscles and the fat that fills the cavity."""
    body, p = canvas.abdomen, canvas.abdomen.p
    couch(canvas)
    stranding = body.noise(60, 111)
    canvas.put(body.skin, 25.0)
    canvas.put(body.skin - 1.8, FAT + 7 * stranding)
    muscle = body.by_phase(52, 56, 62)
    marbled = (body.noise(50, 112) - 0.25 - 0.5 * p["muscle"]).clamp(min=0)
    flesh = muscle - 90 * marbled
    canvas.put(body.trunk, flesh, soft_mm=0.6)
    lateral = ((body.x.abs() / body.a - 0.45) * 4).clamp(0, 1) * ((body.z - 0.1) * 2).clamp(0, 1)
    for share in (0.36, 0.70):  # three sheets of muscle with fat between
        sheet = body.trunk - share * body.wall_mm + 0.8 * body.noise(24, 113)
        canvas.blend(line(sheet, 0.9, canvas.pixel_mm) * lateral, -50.0, 0.7)
    # the straight muscles stand out in front, a thin seam between them
    front = (-body.y / body.b - 0.55).clamp(0, 1)
    seam = line(body.wx, 3.0, canvas.pixel_mm) * (front * 4).clamp(max=1) * cover(body.trunk, canvas.pixel_mm)
    canvas.blend(seam, -40.0, 0.6)
    canvas.put(body.cavity, VISCERAL_FAT + 5 * stranding, soft_mm=0.6)
    back_muscles(canvas, flesh)


def back_muscles(canvas: Canvas, flesh: Tensor) -> None:
    """Erector spinae with its fat plane, quadratus lumborum, psoas, and the crura of the diaphragm."""
    body, p, y0 = canvas.abdomen, canvas.abdomen.p, canvas.abdomen.spine_y
    x = body.wx * 0.4 + body.x * 0.6
    for sign in SIGN.values():
        column = ellipse(sign * x, body.y, 33.0, y0 + 42.0, 29.0 + 3 * p["muscle"], 21.0 + 4 * p["muscle"])
        edge = line(column, 1.6, canvas.pixel_mm) * cover(body.trunk, canvas.pixel_mm)
        canvas.blend(edge, -70.0, 0.75)
        inner = line(ellipse(sign * x, body.y, 22.0, y0 + 43.0, 13.0, 17.0), 1.0, canvas.pixel_mm)
        canvas.blend(inner, -50.0, 0.5)
        low = window(body.z, 0.15, 2.0, 0.4)
        square = ellipse(sign * x, body.y, 57.0, y0 + 21.0, 15.0, 7.0 + 2 * p["muscle"], 0.94, 0.34)
        canvas.put(square, flesh, low, soft_mm=0.6)
        size = (0.45 + 0.75 * body.z) * (0.8 + 0.4 * p["muscle"])
        psoas = ellipse(sign * body.wx, body.wy, 29.0, y0 + 6.0, 10.0 * size + 3, 15.0 * size + 3, 0.9, -0.44)
        canvas.put(psoas, flesh, ((body.z - 0.05) * 5).clamp(0, 1), soft_mm=0.6)
        crus = capsule(sign * body.wx, body.wy, 22.0, y0 - 4.0, 5.0 + 3 * sign, y0 - 30.0, 5.0, 3.0)
        canvas.put(crus, flesh, window(-body.z, -0.62, 2.0, 0.25), soft_mm=0.6)


def paint_bones(canvas: Canvas) -> None:
    """Vertebra and ribs."""
    body, p = canvas.abdomen, canvas.abdomen.p
    bone = vertebra(body)
    canal = ellipse(body.x, body.y, 0.0, body.spine_y + 25.5, 10.5, 8.5)
    texture = 40 * body.noise(80, 121)
    canvas.put(bone, (CORTEX - 60) * p["bone"], soft_mm=0.5)
    # discs between vertebrae are softer than bone
    disc = ((body.drift(122) - 0.45) * 8).clamp(0, 1)
    marrow = (MARROW * p["bone"] + texture) * (1 - disc) + 95 * disc
    arch = ((body.y - body.spine_y - 22) * (1 / 8)).clamp(0, 1)
    canvas.put(bone - 1.7 - 0.8 * disc, marrow + arch * 150 * p["bone"], soft_mm=0.8)
    canvas.put(canal, 18.0)
    canvas.put(ellipse(body.x, body.y, 0.0, body.spine_y + 25.5, 7.5, 6.0), 38.0, soft_mm=1.0)
    ribs(canvas)


def vertebra(body: Abdomen) -> Float[Tensor, "n h w"]:
    """Depth inside the bone, the canal counted as part."""
    x, y, y0 = body.x, body.y, body.spine_y
    ax = x.abs()
    oval = ellipse(x, y, 0.0, y0, 23.5, 17.5)
    oval = meet(oval, -ellipse(x, y, 0.0, y0 + 27.0, 13.0, 12.5), 5.0)  # hollow behind
    pedicle = capsule(ax, y, 13.5, y0 + 10.0, 15.0, y0 + 24.0, 4.6)
    lamina = capsule(ax, y, 15.0, y0 + 27.0, 1.0, y0 + 37.0, 4.6, 3.6)
    spinous = capsule(x, y, 0.0, y0 + 37.0, 0.0, y0 + 56.0, 3.2, 3.9)
    wing = ((body.drift(123) + 0.4) * 4).clamp(0, 1)  # not every slice cuts the transverse processes
    transverse = capsule(ax, y, 18.0, y0 + 23.0, 18.0 + 20.0 * wing, y0 + 25.0 + 3 * wing, 4.2, 3.2)
    facet = circle(ax, y, 17.5, y0 + 29.5, 5.8)
    bone = join(join(oval, pedicle, 5.0), join(lamina, spinous, 4.0), 3.0)
    bone = join(join(bone, transverse, 4.0), facet, 3.0)
    return join(bone, ellipse(x, y, 0.0, y0 + 25.0, 9.5, 8.0), 0.0)


def ribs(canvas: Canvas) -> None:
    """Ribs cut obliquely, each an oval lying along the wall; lower slices meet fewer, and cartilage in front."""
    body, p = canvas.abdomen, canvas.abdomen.p
    jitter = torch.from_numpy(hashed(body.patients, 124, 24) % 1001).to(body.device) * 0.001 - 0.5  # (n, 24)
    middle_a, middle_b = body.a - 4.6, body.b - 4.6
    for k, (along, length) in enumerate(RIBS):
        for side, sign in SIGN.items():
            j = jitter[:, 2 * k + (side == "left"), None, None]
            angle = (along + 0.06 * j) * 2.95 - 1.20  # radians from the side, + to the front
            cos, sin = angle.cos(), angle.sin()
            # the same squarish oval as the wall
            u, v = cos.square(), sin.square()
            keep = 1 / (u * u + v * v + 1.6 * u * v).sqrt().sqrt()
            cx, cy = sign * middle_a * cos * keep, -middle_b * sin * keep
            tx, ty = -sign * middle_a * sin, -middle_b * cos
            norm = (tx * tx + ty * ty).sqrt()
            # lower slices lie below the front ends of the ribs
            there = ((0.80 - 0.9 * body.z - (along - 0.25)) * 8).clamp(0, 1)
            long = (length * (0.8 + 0.9 * (j + 0.5)) * 0.5).clamp(min=5.5)
            part = canvas.patch(cx, cy, 20.0)
            rib = ellipse(part.x, part.y, cx, cy, long, 4.1, tx / norm, ty / norm)
            cartilage = along > 0.7
            part.put(rib, 120.0 if cartilage else CORTEX * p["bone"] * 0.95, there, soft_mm=0.4)
            if not cartilage:
                part.put(rib - 1.5, 230.0 * p["bone"], there, soft_mm=0.6)
            part.finish()


def couch(canvas: Canvas) -> None:
    """The couch: a thin bent shell under the patient."""
    body = canvas.abdomen
    row, column = body.straight_row, body.x
    below = 0.97 * body.b + 0.95 * body.p["fat_mm"] + 14.0
    sag = below - 0.00095 * column.square()
    shell = (1 - ((column * (1 / 190)).square())).clamp(0, 1)
    canvas.blend(line(row - sag, 3.4, canvas.pixel_mm) * (shell * 20).clamp(max=1), 120.0)
    under = below + 26.0 - 0.0016 * column.square()
    canvas.blend(line(row - under, 1.6, canvas.pixel_mm) * (shell * 3 - 1).clamp(0, 1), -350.0)
