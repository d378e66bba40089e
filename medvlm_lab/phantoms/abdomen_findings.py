"""Where findings are: depth in mm per finding, shared by renderer and masks.

Each function takes the rows (scenes) that have the finding on one side and returns fields for these rows alone. Lesions
with a stated size lie in straight coordinates, and no later paint or organ border cuts them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms.abdomen_geometry import SIGN
from medvlm_lab.phantoms.abdomen_organs import Organs
from medvlm_lab.phantoms.noise import hashed
from medvlm_lab.phantoms.plane_shapes import circle, ellipse, join, meet
from medvlm_lab.phantoms.scene import Finding

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    Depth = Float[Tensor, "m h w"]

#: (x, y) in half axes of the cavity; how far `at` moves a lesion
LOBE_CENTERS = {"right lobe": (-0.56, -0.02, 0.30, 0.60), "left lobe": (0.0, -0.62, 0.24, 0.08)}
NODES = (
    (-0.5, -1.0),
    (24.0, 2.0),
    (-44.0, 4.0),
    (28.0, -14.0),
    (-12.0, -34.0),
    (20.0, -30.0),
    (-34.0, -22.0),
    (36.0, -36.0),
)


def ball(organs: Organs, rows: Tensor, x: Tensor, y: Tensor, mm: Tensor, purpose: int, lobes: float) -> Depth:
    """A disc with the area of a circle of that diameter; `lobes` makes its outline wavy without changing the area."""
    body = organs.body
    r = mm * 0.5
    dx, dy = (body.x[rows] - x) / r, (body.y[rows] - y) / r
    turn = torch.from_numpy(hashed(body.patients[rows.cpu().numpy()], purpose, 1)[:, 0] % 628).to(body.device)
    turn = turn.float()[:, None, None] * 0.01
    far = (dx * dx + dy * dy).sqrt() + 1e-4
    c, s = dx / far, dy / far
    # cos(3 phi) without an angle; r(phi)^2 = 1 + w + ..., whose mean over phi is 1
    wave = lobes * ((c * c * c - 3 * c * s * s) * turn.cos() + (3 * c * c * s - s * s * s) * turn.sin())
    return ((1 + wave).sqrt() - far) * r


def liver_lesion(organs: Organs, rows: Tensor, found: list[Finding], lobes: float, purpose: int) -> Depth:
    """Cyst or tumour inside the region that the finding names."""
    body = organs.body
    places = [LOBE_CENTERS[f.region] for f in found]
    mm = body.column([f.measurement for f in found])
    z = body.z[rows]
    right = body.column([f.region == "right lobe" for f in found])
    x = body.column([p[0] + p[2] * (f.at[0] - 0.5) for p, f in zip(places, found, strict=True)])
    y = body.column([p[1] + p[3] * (f.at[1] - 0.5) for p, f in zip(places, found, strict=True)])
    # the right lobe draws back to the wall in lower slices, the left to the middle
    x = x + right * (-0.14 * z * z + 0.05 * z) - (1 - right) * 0.30 * z
    y = (y - right * 0.10 * z) * (1 - 0.25 * right * (mm / 70))
    x, y = body.inside(x * body.ca[rows], y * body.cb[rows], rows, mm / 2 + 4 + organs.fluid_gap[rows])
    return ball(organs, rows, x, y, mm, purpose, lobes)


def metastases(organs: Organs, rows: Tensor, found: list[Finding]) -> tuple[Depth, Depth]:
    """Depth inside the nearest of several round tumours, and inside their dead cores; only within the liver."""
    body = organs.body
    amount = body.column([f.amount for f in found])
    points, more = organs.scatter(211, 12)[:, rows], organs.scatter(212, 12)[:, rows]
    z, all_of, cores = body.z[rows], torch.full_like(body.x[rows], -99.0), None
    cores = all_of
    for k in range(12):
        px, py = points[k, ..., 0], points[k, ..., 1]
        if k < 3:  # the first few surely lie in the right lobe
            px, py = 0.35 * px + (0.0, 0.12, -0.2)[k], 0.3 * py + (-0.4, 0.1, 0.45)[k]
        x = body.ca[rows] * (-0.54 - 0.12 * z * z + 0.34 * px)
        y = body.cb[rows] * (-0.04 - 0.08 * z + 0.66 * py)
        r = 5.0 + 3.5 * more[k, ..., 0].abs() + 9.0 * amount * more[k, ..., 1].abs()
        there = (amount >= (k - 2) / 11).float()
        one = circle(body.wx[rows], body.wy[rows], x, y, r) - 99 * (1 - there)
        all_of, cores = torch.maximum(all_of, one), torch.maximum(cores, one - 0.45 * r)
    return meet(all_of, organs.liver[rows] - 1.0), cores


def gallstones(organs: Organs, rows: Tensor, found: list[Finding]) -> Depth:
    """Stones settled in the back of the gallbladder."""
    body = organs.body
    amount = body.column([f.amount for f in found])
    points = organs.scatter(221, 6)[:, rows]
    cx, cy = -0.37 * body.ca[rows] + 3 * body.drift(145)[rows], -0.34 * body.cb[rows] + 3 * body.drift(146)[rows]
    stones = torch.full_like(body.x[rows], -99.0)
    for k in range(6):
        px, py = points[k, ..., 0], points[k, ..., 1]
        r = 2.8 + 3.4 * amount * (1 - 0.1 * k) + 0.6 * py
        x = cx + (-1.0, 4.0, -5.0, 1.5, -3.0, 5.0)[k] * 0.9 + 1.2 * px
        y = cy + (11.0, 6.5, 4.5, 2.0, -3.0, -2.0)[k] + 1.0 * py
        there = (amount >= (k - 0.5) / 6).float() if k else 1.0
        stones = torch.maximum(stones, circle(body.wx[rows], body.wy[rows], x, y, r) - 99 * (1 - there))
    return meet(stones, organs.gallbladder[rows] - 0.6)


def collecting_system(organs: Organs, rows: Tensor, found: list[Finding], side: str) -> Depth:
    """Renal pelvis and calyces, filled with urine and blown up."""
    kidney, body = organs.kidneys[side], organs.body
    amount = body.column([f.amount for f in found])
    u, v, r = kidney.u[rows], kidney.v[rows], kidney.radius[rows]
    pelvis = ellipse(u, v, 0.55 * r, 0.0, r * (0.42 + 0.30 * amount), r * (0.20 + 0.26 * amount))
    calyces = pelvis
    for k in range(5):
        angle = body.column([2.0 + 0.57 * k]) + 0.1 * body.drift(231 + k)[rows]
        reach = 0.50 + 0.05 * amount
        c, s = angle.cos(), angle.sin()
        cup = circle(u, v, reach * r * c + 0.05 * r, reach * r * s, r * (0.10 + 0.15 * amount))
        calyces = join(calyces, cup, 4.0)
    return calyces


def kidney_stone(organs: Organs, rows: Tensor, found: list[Finding], side: str) -> Depth:
    """A stone in the collecting system."""
    kidney, body = organs.kidneys[side], organs.body
    mm = body.column([f.measurement for f in found])
    r = kidney.radius[rows]
    u = body.column([0.30 - 0.35 * f.at[0] for f in found]) * r
    v = body.column([0.5 * (f.at[1] - 0.5) for f in found]) * r
    x, y = _out_of_kidney(organs, rows, side, u, v)
    return ball(organs, rows, x, y, mm, 241, 0.05)


def kidney_lesion(organs: Organs, rows: Tensor, found: list[Finding], side: str, kind: str) -> Depth:
    """Cyst towards the front and mass towards the back, half inside the kidney, half bulging out of it."""
    kidney, body = organs.kidneys[side], organs.body
    mm = body.column([f.measurement for f in found])
    front = kind == "renal cyst"
    # angle from the hilum's opposite: the lateral border
    angle = body.column([(0.15 + 0.75 * f.at[0]) * (1 if front else -1) * SIGN[side] for f in found])
    r, big = kidney.radius[rows], (mm / 70).clamp(max=1)
    reach = r * (0.95 - 0.25 * big) if front else r * (0.80 - 0.25 * big)
    x, y = _out_of_kidney(organs, rows, side, -reach * angle.cos(), -reach * angle.sin() * SIGN[side] * SIGN[side])
    x, y = body.inside(x, y, rows, mm / 2 + 2)
    return ball(organs, rows, x, y, mm, 251, 0.0 if front else 0.12)


def _out_of_kidney(organs: Organs, rows: Tensor, side: str, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """From a kidney's own coordinates to the slice's."""
    kidney = organs.kidneys[side]
    c, s = (d[rows] for d in kidney.direction)
    return kidney.cx[rows] + u * c - v * s, kidney.cy[rows] + u * s + v * c


def nodes(organs: Organs, rows: Tensor, found: list[Finding]) -> Depth:
    """Swollen lymph nodes beside aorta and vena cava and in the root of the mesentery."""
    body = organs.body
    amount = body.column([f.amount for f in found])
    points = organs.scatter(261, len(NODES))[:, rows]
    ax, ay, r = (v[rows] for v in organs.aorta)
    best = torch.full_like(body.x[rows], -99.0)
    for k, (dx, dy) in enumerate(NODES):
        px, py = points[k, ..., 0], points[k, ..., 1]
        push = (r - 10) * (1 if dx > 0 else -1) if k else 0.0
        x, y = ax + dx + push + 3 * px, ay + dy - (r + 12 if k == 0 else 0.0) + 3 * py
        long = 5.5 + 8.0 * amount + 2 * py
        there = (amount >= (k - 2) / 8).float()
        node = ellipse(body.wx[rows], body.wy[rows], x, y, long, long * 0.78, px, (1 - px * px).sqrt())
        best = join(best, node - 99 * (1 - there), 2.0)
    return best


def ascites(organs: Organs, rows: Tensor, found: list[Finding]) -> Depth:
    """Free fluid along the wall, deepest at the flanks and behind, and between the organs."""
    body = organs.body
    amount = body.column([f.amount for f in found])
    x, y = body.x[rows], body.y[rows]
    sideways = x.abs() / body.ca[rows]
    behind = (y / body.cb[rows]).clamp(-1, 1)
    inside = body.cavity[rows]
    # from the wall inwards; it sinks to the back, but the retroperitoneum stays dry
    depth = (5.0 + 38.0 * amount) * (0.08 + 0.92 * amount * 0.45 + 0.75 * sideways.square()) * (
        1 + 0.35 * behind
    ) - inside
    dry = ellipse(x, y, 0.0, body.spine_y[rows] + 8.0, 0.80 * body.ca[rows], 44.0)
    edge = 2.5 * body.noise(18, 271)[rows]
    return meet(meet(depth + edge, inside - 0.3), -dry, 10.0)


def free_air(organs: Organs, rows: Tensor, found: list[Finding]) -> Depth:
    """Gas under the front wall of the patient who lies on the back."""
    body = organs.body
    amount = body.column([f.amount for f in found])
    u = (body.x[rows] - 0.08 * body.ca[rows]) / (body.ca[rows] * (0.34 + 0.34 * amount))
    thick = (3.0 + 19.0 * amount) * (1 - u * u)
    front = (-body.y[rows] / body.cb[rows] - 0.3) * 60
    inside = body.cavity[rows] - 0.5
    return meet(meet(inside, thick - inside + 1.2 * body.noise(20, 281)[rows]), front)
