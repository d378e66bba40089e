"""An abdominal slice in Hounsfield units as it truly is, painted from the back to the front: no scanner yet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms import abdomen_findings as where
from medvlm_lab.phantoms.abdomen_bowel import duodenum, paint_gut
from medvlm_lab.phantoms.abdomen_geometry import SIGN
from medvlm_lab.phantoms.abdomen_organs import Organs
from medvlm_lab.phantoms.abdomen_vessels import calcified, paint_aorta, paint_liver_vessels, paint_vessels
from medvlm_lab.phantoms.abdomen_wall import paint_bones, paint_wall
from medvlm_lab.phantoms.canvas import Canvas
from medvlm_lab.phantoms.plane_shapes import ellipse

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from medvlm_lab.phantoms.abdomen_geometry import Abdomen


def hounsfield(body: Abdomen) -> Float[Tensor, "n h w"]:
    """The whole slice."""
    canvas, organs = Canvas(body), Organs(body)
    paint_wall(canvas)
    rows, found = body.rows("ascites")
    if found:
        canvas.on(rows, where.ascites(organs, rows, found), 9.0)
    paint_gut(canvas, organs)
    _liver(canvas, organs)
    duodenum(canvas, organs)
    canvas.put(organs.pancreas, body.by_phase(40, 105, 96) - 10 * body.p["visceral_fat"], soft_mm=0.8)
    canvas.put(organs.adrenals, body.by_phase(32, 75, 68))
    _spleen(canvas, organs)
    for side in SIGN:
        _kidney(canvas, organs, side)
    paint_vessels(canvas, organs)
    _gallbladder(canvas, organs)
    rows, found = body.rows("lymphadenopathy")
    if found:
        canvas.on(rows, where.nodes(organs, rows, found), body.by_phase(40, 62, 80)[rows])
    paint_bones(canvas)
    paint_aorta(canvas, organs)
    _lesions(canvas, organs)
    return canvas.hu


def _liver(canvas: Canvas, organs: Organs) -> None:
    body = canvas.abdomen
    sick, fatty = body.amount("cirrhosis"), body.amount("hepatic steatosis")
    value = body.by_phase(57, 76, 112) - (16 + 50 * fatty) * (fatty > 0) - 8 * sick
    grain = 2.5 * body.noise(70, 301) + sick * (13 * body.noise(60, 302) + 9 * body.noise(38, 303))
    canvas.put(organs.liver, value + grain, soft_mm=0.4)
    paint_liver_vessels(canvas, organs)
    rows, found = body.rows("liver metastases")
    if found:
        tumours, cores = where.metastases(organs, rows, found)
        canvas.on(rows, tumours, body.by_phase(34, 62, 62)[rows], soft_mm=1.2)
        canvas.on(rows, torch.minimum(tumours, cores), body.by_phase(27, 38, 40)[rows], soft_mm=2.5)


def _spleen(canvas: Canvas, organs: Organs) -> None:
    """Homogeneous, except in the arterial phase, when it is striped like a zebra."""
    body = canvas.abdomen
    stripes = body.by_phase(0, 34, 0) * body.noise(32, 311)
    canvas.put(organs.spleen, body.by_phase(47, 128, 120) + stripes, soft_mm=0.4)


def _kidney(canvas: Canvas, organs: Organs, side: str) -> None:
    """Cortex, pyramids, fatty sinus with the collecting system."""
    body, kidney = canvas.abdomen, organs.kidneys[side]
    cortex, medulla = body.by_phase(33, 190, 182), body.by_phase(29, 78, 166)
    canvas.put(kidney.depth, cortex, soft_mm=0.3)
    r, part = kidney.radius, canvas.patch(kidney.cx, kidney.cy, 36.0)
    u, v, deep = part.of(kidney.u), part.of(kidney.v), part.of(kidney.depth) - 5.0
    for k in range(7):
        angle = torch.as_tensor(1.05 + 0.70 * k, device=body.device) + 0.08 * body.drift(321 + k)
        c, s = angle.cos(), angle.sin()
        pyramid = ellipse(u, v, 0.10 * r + 0.52 * r * c, 0.52 * r * s, 0.27 * r, 0.20 * r, c, s)
        part.put(torch.minimum(pyramid, deep), medulla, soft_mm=1.0)
    part.finish()
    u, v = kidney.u, kidney.v
    fat = torch.minimum(kidney.sinus, kidney.depth + 8.0) + 1.8 * body.noise(52, 331)
    canvas.put(fat - 0.5, -60.0, soft_mm=1.2)
    pelvis = ellipse(u, v, 0.42 * r, 0.0, 0.30 * r, 0.10 * r) - 12 * (1 - kidney.open)
    canvas.put(pelvis, 12.0, soft_mm=1.0)
    rows, found = body.rows("hydronephrosis", side)
    if found:
        canvas.on(rows, where.collecting_system(organs, rows, found, side), 7.0)


def _gallbladder(canvas: Canvas, organs: Organs) -> None:
    body = canvas.abdomen
    canvas.put(organs.gallbladder + 1.6, body.by_phase(38, 70, 85), soft_mm=0.6)
    canvas.put(organs.gallbladder, 9.0, soft_mm=0.4)
    rows, found = body.rows("gallstones")
    if found:
        stones = where.gallstones(organs, rows, found)
        canvas.on(rows, stones, 420.0)
        canvas.on(rows, stones - 1.6, 150.0)


def _lesions(canvas: Canvas, organs: Organs) -> None:
    """What has an exact size, and what lies on everything else."""
    body = canvas.abdomen
    rows, found = body.rows("liver cyst")
    if found:
        canvas.on(rows, where.liver_lesion(organs, rows, found, 0.04, 341), 5.0)
    rows, found = body.rows("hypervascular liver lesion")
    if found:
        lesion = where.liver_lesion(organs, rows, found, 0.08, 342)
        patchy = 20 * body.noise(44, 343)[rows]
        canvas.on(rows, lesion, 165.0 + patchy, soft_mm=0.8)
        big = body.column([f.measurement for f in found])
        canvas.on(rows, lesion - (0.36 * big).clamp(min=6), 80.0, soft_mm=2.0)  # a scar inside large ones
    for side in SIGN:
        rows, found = body.rows("renal mass", side)
        if found:
            mass = where.kidney_lesion(organs, rows, found, side, "renal mass")
            texture = 24 * body.noise(36, 344)[rows] + 14 * body.noise(70, 345)[rows]
            canvas.on(rows, mass, body.by_phase(36, 112, 92)[rows] + texture * body.by_phase(0.2, 1.3, 1)[rows])
            big = body.column([f.measurement for f in found])
            dead = mass - 0.24 * big + 3 * body.noise(30, 346)[rows]
            canvas.on(rows, dead, body.by_phase(24, 42, 45)[rows], soft_mm=3)
        rows, found = body.rows("renal cyst", side)
        if found:
            canvas.on(rows, where.kidney_lesion(organs, rows, found, side, "renal cyst"), 4.0)
        rows, found = body.rows("kidney stone", side)
        if found:
            canvas.on(rows, where.kidney_stone(organs, rows, found, side), 780.0)
    rows, found = body.rows("aortic calcification")
    if found:
        amounts = body.column([f.amount for f in found])
        canvas.on(rows, calcified(organs, rows, amounts), 780.0)
    rows, found = body.rows("free air")
    if found:
        canvas.on(rows, where.free_air(organs, rows, found), -990.0)
