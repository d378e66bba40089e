"""A frontal chest by Beer-Lambert: thickness of soft tissue, air, bone and metal along each ray.

    attenuation = soft * (body - air) + bone + metal
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from medvlm_lab.phantoms import chest_findings as where
from medvlm_lab.phantoms.chest_devices import line, metal
from medvlm_lab.phantoms.chest_geometry import Chest
from medvlm_lab.phantoms.noise import hashed, smooth
from medvlm_lab.phantoms.thorax_atlas import VARIANTS, place, sample
from medvlm_lab.phantoms.thorax_shape import H_MM, R_MM, curve

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

# per mm, effective for a 120 kV beam behind a patient; lung holds a quarter of its volume as blood and tissue
SOFT, BONE, METAL = 0.0170, 0.040, 0.22
LUNG_AIR = 0.76


def attenuation(chest: Chest) -> Float[Tensor, "n h w"]:
    """Everything along each ray; pure anatomy and findings, no detector."""
    air = lung_air(chest)
    # outlines of skin and bowel gas are soft: half the resolution shows all of them
    coarse = Chest(chest.scenes, (chest.size + 1) // 2, chest.device)
    broad = (body(coarse) - gas(coarse)) * SOFT
    path = F.interpolate(broad[:, None], air.shape[-2:], mode="bilinear")[:, 0]
    gain = (chest.p["vessels"] * (2.7 * SOFT)).expand_as(air).clone()
    add_findings(chest, air, gain, path)
    bone, vessel, airway = patterns(chest)
    inside = (air * (1 / 75.0)).clamp_(max=1)
    path -= air.mul_(LUNG_AIR * SOFT)
    path -= airway * (1.5 * SOFT)
    path += gain.mul_(vessel).mul_(inside)
    path = path.clamp_(min=0).add_(bone)
    devices = metal(chest)
    return path if devices is None else path.add_(devices, alpha=METAL)


def lung_air(chest: Chest) -> Float[Tensor, "n h w"]:
    """Lung from front to back, mm: between the ribs, above the diaphragm, beside heart and great vessels."""
    p, b = chest.p, chest.b
    u = chest.ax * (1 / chest.costal)
    depth = u.mul_(u).neg_().add_(1).clamp_(min=0).sqrt_()
    depth.mul_((0.80 * p["depth_mm"] - 12) * curve("depth", b))
    # the sulcus behind the dome holds some more below its edge, none of it near the spine
    below = (chest.y * (1 / 62.0) - chest.dome * (1 / 62.0)).clamp_(0, 1)
    spared = ((chest.straight.abs() - 35) * (1 / 45)).clamp(0, 1)  # (n, 1, w)
    hidden = (below * 9).clamp_(max=1).mul_(1 - spared).neg_().add_(1)
    depth.mul_(hidden)
    depth.mul_((2 - below).mul_(below).sqrt_().mul_(-0.98).add_(1))
    depth.mul_((chest.ax * (1 / 9.0) - chest.apex * (1 / 9.0)).clamp_(0, 1))
    right, left = chest.silhouette
    scale = 2 / (left + right)
    across = chest.x * scale + (right * scale - 1)
    middle = across.mul_(across).neg_().add_(1).clamp_(min=0).sqrt_()
    depth.sub_(middle.mul_(curve("thick", b) * p["depth_mm"]))
    spine = (1 - (chest.straight * (1 / 34.0)) ** 2).clamp(min=0)  # no lung before and behind it  # (n, 1, w)
    return depth.sub_(0.36 * p["depth_mm"] * spine * spine).clamp_(min=0)


def body(chest: Chest) -> Float[Tensor, "n h w"]:
    """Soft tissue from front to back, mm: trunk, neck, shoulders, breasts."""
    p, ax, y, b = chest.p, chest.ax, chest.y, chest.b
    # above the armpit the chest widens into pectoral muscle and shoulder
    edge = chest.half * curve("trunk wall", b) + p["wall_mm"] + 26 * ((0.55 - b) * (1 / 0.5)).clamp(0, 1)
    s = ax * (1 / edge)
    s = s * s
    rise = ((b + 0.20) * (1 / 0.52)).clamp(0, 1)
    trunk = p["depth_mm"] * (0.50 + 0.50 * rise * rise * (3 - 2 * rise)) * (1 - s * s).clamp(min=0).sqrt()
    # the upper outline: the neck flares into the slope of the trapezius, which ends at the shoulder
    slope = 0.36 + 0.10 * (p["scapula_mm"] * (1 / 30))
    end = (ax - 165).clamp(min=0)
    over = ((y + 50 - slope * (ax - 62) - 0.010 * end * end) * (1 / 34)).clamp(0, 1)
    down = (y + 95).clamp(min=0)
    neck = ax * (1 / (54 + 0.16 * down + 0.012 * down * down))
    neck = neck * neck
    beside = ((ax - 35) * (1 / 65)).clamp(0, 1)
    beside = beside * beside * (3 - 2 * beside)
    cover = torch.maximum((over * (2 - over)).sqrt() * beside, (1 - neck * neck).clamp(min=0).sqrt())
    under = ((95 + 0.9 * (ax - edge) - y) * (1 / 40)).clamp(0, 1)
    shoulder = 108 * (under * (2 - under)).sqrt()
    tissue = torch.maximum(trunk, shoulder) * cover
    # the breast thickens down to its fold, which is a line; upwards it fades into the chest
    dx = (ax - 0.56 * chest.half) / (0.44 * chest.half + 8)
    arc = (1 - dx * dx).clamp(min=0).sqrt()
    fold = (0.80 + 0.08 * p["breast"]) * p["lung_mm"] + 40 * arc - 12
    full = ((y - fold + 105) * (1 / 105)).clamp(0, 1)
    full = full * full * ((fold - y) * (1 / 13) + 1).clamp(0, 1)
    return tissue + 40 * p["breast"] * full * arc


def gas(chest: Chest) -> Float[Tensor, "n h w"]:
    """Stomach bubble and colon under the left dome, mm of air."""
    size = chest.p["stomach_gas"]
    dx = (chest.x - 0.44 * chest.half) / (16 + 26 * size)
    # flat below, where fluid stands, round above, where the dome presses
    dy = (chest.y - chest.dome - 17 - 9 * size) / (9 + 12 * size)
    q = (1 - dx * dx - dy * dy).clamp(min=0)
    texture = smooth(chest.patients, chest.size, 20, chest.device, 3)
    low = ((chest.y - chest.dome - 22) * (1 / 30)).clamp(0, 1)
    bowel = (texture - 0.55).clamp(min=0) * low * (chest.ax * (1 / 90)).clamp(max=1)
    return 62 * size * q.sqrt() + 55 * bowel * (chest.x > -0.12 * chest.half)


def patterns(chest: Chest) -> tuple[Float[Tensor, "n h w"], Float[Tensor, "n h w"], Float[Tensor, "n h w"]]:
    """Attenuation of bones, then mm of vessels and of airway, all bent onto each chest."""
    p, size = chest.p, chest.size
    # as much barrel shape as the lungs have
    a, b = chest.x * (curve("costal", chest.b) / chest.costal), chest.b
    which = hashed(chest.patients, 41, 1)[:, 0] % VARIANTS["vessels"]
    at = place(a, b)
    vessel, airway = sample("vessels", which, at, size).unbind(1)
    b, gap = fractured(chest, a)
    cage = sample("bones", where.bone_variants(chest), at if gap is None else place(a, b), size)[:, 0]
    cage = cage if gap is None else cage * gap
    which = hashed(chest.patients, 43, 1)[:, 0] % VARIANTS["shoulders"]
    scale = (1 - (0.5 / R_MM) * p["scapula_mm"]) / chest.half
    at = place((chest.x + 0.9 * p["rotation_degrees"]) * scale, chest.y * (1 / H_MM))
    return cage.add_(sample("shoulders", which, at, size)[:, 0]).mul_(p["bone"] * BONE), vessel, airway


def fractured(chest: Chest, a: Tensor) -> tuple[Tensor, Tensor | None]:
    """Where each pixel looks for its rib, and how much of it is there: fragments stand apart, a dark gap between."""
    b, gap = chest.b, None
    for side in ("right", "left"):
        rows, found = chest.rows("rib fracture", side)
        if found:
            b, gap = (b.expand_as(a).clone(), torch.ones_like(a)) if gap is None else (b, gap)
            disc = (3 * where.fracture(chest, rows, found, side)).clamp(max=1)
            dx = chest.x[rows] - where.fracture_place(chest, rows, found, side)[0]
            b.index_add_(0, rows, 6.5 * (dx * (1 / 1.5)).clamp(-1, 1) * disc / chest.p["lung_mm"][rows])
            gap.index_copy_(0, rows, gap[rows] * (1 - 0.85 * disc * line(chest, rows, dx.abs(), 1.2)))
    return b, gap


def add_findings(chest: Chest, air: Tensor, gain: Tensor, path: Tensor) -> None:
    """Diseases change, in place, how much air, how prominent the vessels and how much water each ray meets."""
    rows, found = chest.rows("pulmonary edema")
    if found:
        amount = chest.column([f.amount for f in found])
        haze = where.edema(chest, rows, found)
        air.index_copy_(0, rows, air[rows] * (1 - (0.18 + 0.38 * amount) * haze))
        upper = ((0.75 - chest.b[rows]) * 1.6).clamp(0, 1)
        gain.index_copy_(0, rows, gain[rows] * (1.10 + 0.30 * amount + 0.3 * upper))
    for side in ("right", "left"):
        rows, found = chest.rows("consolidation", side)
        if found:
            field = where.consolidation(chest, rows, found, side)
            density = 0.46 + 0.34 * chest.column([f.amount for f in found])
            patchy = 1 - 0.13 * smooth(chest.patients[rows.cpu().numpy()], chest.size, 30, chest.device, 27)
            air.index_copy_(0, rows, air[rows] * (1 - field * density * patchy))
            # inside, vessels drown in water of their own density and the bronchi beside them stay open
            gain.index_copy_(0, rows, gain[rows] * (1 - 1.35 * field))
        rows, found = chest.rows("nodule", side)
        if found:
            size = chest.column([f.measurement for f in found])
            ball = where.nodule(chest, rows, found, side)
            path.index_add_(0, rows, ball * ((size + 8) * SOFT))
        rows, found = chest.rows("pneumothorax", side)
        if found:
            distance = where.pneumothorax_line(chest, rows, found)
            free = where.pneumothorax(chest, rows, found, side)
            lung = where._on_side(chest, rows, side)
            gain.index_copy_(0, rows, gain[rows] * (1 - free))
            air.index_copy_(0, rows, air[rows] * (1 + free * (1 / LUNG_AIR - 1) - 0.10 * (1 - free) * lung))
            thick = (1.25 * chest.pixel_mm[rows]).clamp(min=0.8)
            pleura = (1 - (distance / thick) ** 2).clamp(min=0) * lung * (air[rows] * (1 / 40.0)).clamp(max=1)
            path.index_add_(0, rows, 9.0 * SOFT * pleura)
        rows, found = chest.rows("pleural effusion", side)
        if found:
            fluid = where.effusion(chest, rows, found, side)
            air.index_copy_(0, rows, air[rows] * (1 - 0.93 * fluid))
