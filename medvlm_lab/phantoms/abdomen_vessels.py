"""Vessels of an abdominal slice, as bright as the contrast phase makes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms.abdomen_geometry import SIGN
from medvlm_lab.phantoms.abdomen_organs import Organs
from medvlm_lab.phantoms.canvas import Canvas
from medvlm_lab.phantoms.plane_shapes import capsule, circle, cover, ellipse, meet, window

if TYPE_CHECKING:
    from torch import Tensor

ARTERY, VEIN, PORTAL, HEPATIC = (42, 330, 160), (40, 85, 148), (42, 95, 178), (40, 68, 172)


def paint_liver_vessels(canvas: Canvas, organs: Organs) -> None:
    """Hepatic veins towards the vena cava above, portal branches from the hilum below; dots where they cross."""
    body, z = canvas.abdomen, canvas.abdomen.z
    x, y, ca, cb = body.wx, body.wy, body.ca, body.cb
    inside = cover(organs.liver - 3.0, canvas.pixel_mm)
    portal, hepatic = body.by_phase(*PORTAL), body.by_phase(*HEPATIC)
    points, more = organs.scatter(181, 9), organs.scatter(182, 22)
    high = window(-z, -0.30, 1.0, 0.10)
    hub = (-0.16 * ca, 0.16 * cb)
    for k, (tx, ty) in enumerate(((-0.80, 0.12), (-0.52, -0.55), (-0.12, -0.62))):
        px, py = points[k, ..., 0], points[k, ..., 1]
        tip = (ca * (tx + 0.08 * px), cb * (ty + 0.08 * py))
        canvas.blend(inside * cover(capsule(x, y, *hub, *tip, 4.6, 1.0), canvas.pixel_mm), hepatic, high)
    at_hilum = window(z, 0.14, 0.62, 0.08)
    gate = (-0.24 * ca, -0.13 * cb)
    for k, (tx, ty, r) in enumerate(
        ((-0.52, -0.02, 5.2), (-0.76, -0.28, 3.2), (-0.72, 0.34, 3.0), (-0.10, -0.46, 3.6))
    ):
        px, py = points[k + 3, ..., 0], points[k + 3, ..., 1]
        start = gate if k in (0, 3) else (-0.50 * ca, -0.02 * cb)
        tip = (ca * (tx + 0.06 * px), cb * (ty + 0.07 * py))
        canvas.blend(inside * cover(capsule(x, y, *start, *tip, r, 1.2), canvas.pixel_mm), portal, at_hilum)
    for k in range(22):
        px, py, qx = more[k, ..., 0], more[k, ..., 1], more[(k + 7) % 22, ..., 0]
        cx, cy = -0.46 * ca + 0.46 * ca * px, -0.06 * cb + 0.72 * cb * py
        part = canvas.patch(cx, cy, 7.0)
        long, short = 2.4 + 1.4 * qx.abs() + 3 * (qx > 0.5), 2.0 + 0.6 * qx
        spot = ellipse(part.wx, part.wy, cx, cy, long, short, qx, (1 - qx * qx).sqrt())
        part.blend(part.of(inside) * cover(spot, canvas.pixel_mm + 0.4), portal if k % 2 else hepatic, 0.9)
        part.finish()


def paint_vessels(canvas: Canvas, organs: Organs) -> None:
    """Vena cava, portal and splenic vein, renal vessels, mesenteric vessels; the aorta comes with its own findings."""
    body, z, y0 = canvas.abdomen, canvas.abdomen.z, canvas.abdomen.spine_y
    x, y, ca, cb = body.wx, body.wy, body.ca, body.cb
    artery, vein, portal = (body.by_phase(*v) for v in (ARTERY, VEIN, PORTAL))
    ax, ay, ar = organs.aorta
    put = lambda d, v, o=1.0: canvas.put(d, v, o, soft_mm=0.3)  # noqa: E731
    hilum = {side: organs.kidneys[side] for side in SIGN}
    for side, sign in SIGN.items():
        k = hilum[side]
        gate = (k.cx + k.direction[0] * 0.75 * k.radius, k.cy + k.direction[1] * 0.75 * k.radius)
        inflow = -21.0 if side == "right" else ax + 3
        target = body.spine_y - 24.0 if side == "right" else ay - 0.2 * ar
        shown = window(z, 0.40, 0.74, 0.08) if side == "left" else window(z, 0.46, 0.82, 0.08)
        put(capsule(x, y, *gate, inflow + 8.0 * sign, target, 3.8, 5.0), vein + 12, shown)
        put(
            capsule(x, y, gate[0], gate[1] + 5, ax + 6 * sign, ay + 0.4 * ar, 1.9, 2.6),
            artery,
            window(z, 0.5, 0.72, 0.05),
        )
    put(organs.cava, vein)
    # left renal vein in front of the aorta, under the mesenteric artery
    front = ay - ar - 3.0
    cross = window(z, 0.46, 0.66, 0.05)
    put(capsule(x, y, ax + ar + 5, ay - 0.3 * ar, ax, front, 4.4, 3.6), vein + 12, cross)
    put(capsule(x, y, ax, front, -16.0, y0 - 28.0, 3.6, 5.0), vein + 12, cross)
    low = window(z, 0.30, 2.0, 0.05)
    put(circle(x, y, 5.0 + body.drift(185, 2.0), ay - ar - 13.0, 3.6), artery, low)
    put(circle(x, y, -9.0 + body.drift(186, 2.0), ay - ar - 15.0, 6.2), portal, window(z, 0.50, 2.0, 0.05))
    # portal vein obliquely to the hilum, splenic vein behind the pancreas
    put(capsule(x, y, -6.0, ay - ar - 15.0, -0.24 * ca, -0.14 * cb, 6.4, 5.6), portal, window(z, 0.14, 0.56, 0.06))
    splenic = window(z, 0.24, 0.44, 0.05)
    winding = y + 3.5 * body.noise(13, 193)
    put(capsule(x, winding, -6.0, ay - ar - 15.0, 0.28 * ca, -0.13 * cb, 4.6, 3.6), portal, splenic)
    put(capsule(x, winding, 0.28 * ca, -0.13 * cb, 0.58 * ca, 0.14 * cb, 3.6, 2.4), portal, splenic)
    # coeliac trunk with its two branches, like a gull
    coeliac = window(z, 0.16, 0.30, 0.03)
    put(capsule(x, y, ax, ay - ar + 2, ax - 1, ay - ar - 13, 3.4), artery, coeliac)
    put(capsule(x, y, ax - 1, ay - ar - 13, ax - 26, ay - ar - 16, 2.4, 1.8), artery, coeliac)
    put(capsule(x, y, ax - 1, ay - ar - 13, ax + 32, ay - ar - 9, 2.6, 1.8), artery, coeliac)
    mesentery(canvas, organs, artery, portal)


def mesentery(canvas: Canvas, organs: Organs, artery: Tensor, portal: Tensor) -> None:
    """Small vessels in the fat, cut across, and the thin lines of those lying in the slice."""
    body, z = canvas.abdomen, canvas.abdomen.z
    fat = cover(canvas.abdomen.cavity - 4.0, canvas.pixel_mm) * ((-60 - canvas.hu) * (1 / 20)).clamp(0, 1)
    points = organs.scatter(187, 26)
    for k in range(26):
        px, py = points[k, ..., 0], points[k, ..., 1]
        cx, cy = body.ca * (0.16 + 0.62 * px), body.cb * (-0.34 + 0.50 * py)
        r = 1.3 + 1.2 * points[(k + 5) % 26, ..., 0].abs()
        part = canvas.patch(cx, cy, 3.0)
        dot = part.of(fat) * cover(circle(part.wx, part.wy, cx, cy, r), canvas.pixel_mm)
        part.blend(dot, artery if k % 3 == 0 else portal, 0.8)
        part.finish()
    ridge = (1 - body.noise(26, 188).abs() * 14).clamp(0, 1) * ((body.noise(15, 189) + 0.1) * 3).clamp(0, 1)
    canvas.blend(fat * ridge, 30.0, 0.5 * ((z + 0.3) * 2).clamp(0, 1))


def paint_aorta(canvas: Canvas, organs: Organs) -> None:
    """The aorta; where it is an aneurysm, blood flows only in part of it and the rest is clot."""
    body, depth = canvas.abdomen, organs.aorta_depth
    ax, ay, r = organs.aorta
    blood = body.by_phase(*ARTERY)
    wide = ((body.p["aorta_mm"] - 30) * (1 / 12)).clamp(0, 1)
    canvas.put(depth, 48.0)
    lumen = r - 1.2 - wide * (0.36 * r)
    direction = 1.5 + 1.2 * body.drift(191)
    shift = wide * 0.24 * r
    flow = circle(body.x, body.y, ax + shift * direction.cos(), ay + shift * direction.sin(), lumen)
    canvas.put(flow, blood, soft_mm=0.3)


def calcified(organs: Organs, rows: Tensor, amounts: Tensor) -> Tensor:
    """Depth inside the plaques on the aorta's wall: (m, h, w)."""
    body = organs.body
    ax, ay, r = (v[rows] for v in organs.aorta)
    dx, dy = body.x[rows] - ax, body.y[rows] - ay
    far = (dx * dx + dy * dy).sqrt() + 1e-3
    shell = 1.1 + 0.9 * amounts - (far - r + 0.9).abs()
    points = organs.scatter(192, 7)[:, rows]
    best = torch.full_like(dx, -99.0)
    for k in range(7):
        angle = 3.14 * points[k, ..., 0]
        along = (dx * angle.cos() + dy * angle.sin()) / far  # cosine of the angle to the plaque's middle
        size = 0.04 + 0.11 * amounts + 0.10 * points[k, ..., 1].abs() * amounts
        plaque = (along - 1 + size) * 24
        best = torch.maximum(best, plaque - 99.0 * (amounts < (k - 1.5) / 6))
    return meet(shell, best)
