"""Where findings are: depth in mm per finding, shared by renderer and masks.

Each function takes the rows (scenes) that have the finding on one side and returns fields for these rows alone. Lesions
with a stated size lie in the picture's own straight coordinates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medvlm_lab.phantoms.brain_deep import Deep
from medvlm_lab.phantoms.brain_geometry import SIGN, Head
from medvlm_lab.phantoms.brain_places import NORMAL
from medvlm_lab.phantoms.brain_shapes import ellipsoid, length
from medvlm_lab.phantoms.noise import hashed
from medvlm_lab.phantoms.scene import Finding

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    Depth = Float[Tensor, "m h w"]

LOBED = {"brain tumour": 0.16, "meningioma": 0.03, "intracerebral haemorrhage": 0.12, "lacunar infarct": 0.05}
#: middle and half axes of what an artery feeds, on the left
FED = {
    "anterior cerebral artery": ((6.0, 22.0, 36.0), (15.0, 46.0, 40.0)),
    "middle cerebral artery": ((50.0, -10.0, 16.0), (30.0, 44.0, 36.0)),
    "posterior cerebral artery": ((14.0, -80.0, 6.0), (26.0, 34.0, 24.0)),
}
CRESCENT_MM = 62.0  # half the length of a subdural haematoma


def ball(head: Head, rows: Tensor, found: list[Finding]) -> Depth:
    """A disc with the area of a circle of the stated diameter, as far as the slice is from its middle; wavy outline."""
    cu, cv = head.middles(rows, found)
    off = head.p["offset_mm"][rows]
    r = (head.column([f.measurement for f in found]) * 0.5).square() - off * off
    r = r.clamp(min=0.01).sqrt()
    du, dv = (head.u[rows] - cu) / r, (head.v[rows] - cv) / r
    turn = torch.from_numpy(hashed(head.patients[rows.cpu().numpy()], 411, 1)[:, 0] % 628).to(head.device)
    turn = turn.float()[:, None, None] * 0.01
    far = length(du, dv) + 1e-4
    c, s = du / far, dv / far
    # cos(3 phi) without an angle; the mean of r(phi)^2 = 1 + wave over phi is 1
    wave = (c * c * c - 3 * c * s * s) * turn.cos() + (3 * c * c * s - s * s * s) * turn.sin()
    lobes = head.column([LOBED[f.kind] for f in found])
    return ((1 + lobes * wave).sqrt() - far) * r


def oedema(head: Head, deep: Deep, rows: Tensor, found: list[Finding], side: str) -> Depth:
    """Fingers of water in the white matter, around a tumour where there is one."""
    tumours = dict(zip(*_listed(head.rows("brain tumour", side)), strict=True))
    around = [tumours.get(i, f) for i, f in zip(rows.tolist(), found, strict=True)]
    cu, cv = head.middles(rows, around)
    size = head.column([(t.measurement or 0.0) / 2 for t in around])
    amount = head.column([f.amount for f in found])
    far = length(head.u[rows] - cu, head.v[rows] - cv)
    reach = 0.85 * size + 11.0 + 21.0 * amount
    fingers = reach - far + 6.0 * head.fields[0][rows] + 4.0 * head.coarse[rows] + 2.0 * head.fine[rows]
    return _own_half(head, deep, rows, torch.minimum(fingers, deep.cortex.white[rows] + 0.9), side)


def infarct(head: Head, deep: Deep, rows: Tensor, found: list[Finding], side: str) -> Depth:
    """A wedge of cortex and white matter that one artery feeds."""
    k = 0.48 + 0.52 * head.column([f.amount for f in found])
    scenes = [head.scenes[i] for i in rows.tolist()]
    middles = [list(FED[f.region][0]) for f in found]
    for m, s in zip(middles, scenes, strict=True):
        axis = NORMAL[s.plane]
        # as deep in the territory as the slice allows
        m[axis] = abs(s.slice_mm) if axis == 0 else s.slice_mm
    half = [FED[f.region][1] for f in found]
    center = tuple(head.column([m[i] for m in middles]) for i in range(3))
    halves = tuple(head.column([h[i] for h in half]) * k for i in range(3))
    x, y, z = (c[rows] for c in head.brain)
    fed = ellipsoid(x * SIGN[side], y, z, center, halves) + 2.2 * head.coarse[rows] + 1.2 * head.fields[0][rows]
    inside = torch.minimum(deep.cortex.outside, -deep.ventricles)[rows]
    return _own_half(head, deep, rows, torch.minimum(fed, inside - 0.4), side)


def subdural(head: Head, rows: Tensor, found: list[Finding], side: str) -> Depth:
    """A crescent under the vault: as thick as stated along the picture's rows over its middle, thinner at its ends."""
    sign = SIGN[side]
    inside = head.vault[rows] > 0
    columns = head.pixel_mm[rows] * torch.arange(head.size, device=head.device)  # (m, 1, w), mm
    # where the vault ends in each row, on this side
    wall = torch.where(inside, columns * sign, -1e4).amax(2, keepdim=True) + 0.5 * head.pixel_mm[rows]
    axial = head.plane[rows] == 0
    share = head.column([f.at[1] for f in found])
    middle = torch.where(axial, 10.0 * share, 8.0 * share - 18.0)  # down the picture
    long = torch.where(axial, CRESCENT_MM, 0.62 * CRESCENT_MM)
    along = (head.v[rows] - middle) / long
    off = (1 - (head.p["offset_mm"][rows] * (1 / 40)).square()).clamp(min=0)
    thick = head.column([f.measurement for f in found]) * (1.5 * (1 - along.square())).clamp(max=1) * off
    depth = torch.minimum(wall - columns * sign, thick - (wall - columns * sign))
    return torch.where(inside & (thick > 0), depth, -99.0)


def spots(head: Head, deep: Deep, rows: Tensor, found: list[Finding]) -> Depth:
    """Caps and bands around the lateral ventricles, and spots in the white matter."""
    amount = head.column([f.amount for f in found])
    coarse, fine = head.coarse[rows], head.fine[rows]
    lateral = deep.lateral[rows]
    near = lateral + (1.6 + 6.5 * amount) * (0.75 + 0.35 * coarse) + 0.8 * fine
    scattered = (fine - (2.3 - 1.35 * amount)) * 2.6
    white = torch.minimum(deep.cortex.white[rows] - 1.5, deep.z[rows] - 6.0)
    nuclei = torch.maximum(torch.maximum(deep.thalamus, deep.caudate), torch.maximum(deep.callosum, deep.putamen))[rows]
    best = torch.minimum(torch.maximum(near, scattered), torch.minimum(white, -nuclei))
    return torch.minimum(best, -lateral)


def _own_half(head: Head, deep: Deep, rows: Tensor, depth: Tensor, side: str) -> Depth:
    """What lies on one side of the midline."""
    return torch.minimum(depth, SIGN[side] * deep.x[rows] - 0.8)


def _listed(rows: tuple[Tensor, list[Finding]]) -> tuple[list[int], list[Finding]]:
    return rows[0].tolist(), rows[1]
