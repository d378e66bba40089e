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
from medvlm_lab.phantoms.thorax_atlas import VARIANTS, sample
from medvlm_lab.phantoms.thorax_shape import H_MM, R_MM, curve

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

# per mm, effective for a 120 kV beam behind a patient; lung holds a quarter of its volume as blood and tissue
SOFT, BONE, METAL = 0.0170, 0.040, 0.22
LUNG_AIR = 0.76


def attenuation(chest: Chest) -> Float[Tensor, "n h w"]:
    """Everything along each ray; pure anatomy and findings, no detector."""
    p, b = chest.p, chest.b
    u = chest.ax / chest.costal
    breadth = (1 - u * u).clamp(min=0).sqrt()
    lung_depth = (0.80 * p["depth_mm"] - 12) * curve("depth", b)
    # air: between the ribs, above the diaphragm; the sulcus behind the dome holds some more below its edge
    below = ((chest.y - chest.dome) * (1 / 62.0)).clamp(0, 1)
    sulcus = 1 - (below * (2 - below)).sqrt() * 0.93 - 0.07 * below
    sulcus = sulcus * (1 - (below * 9).clamp(max=1) * (1 - ((chest.ax - 35) * (1 / 45)).clamp(0, 1)))
    air = lung_depth * breadth * sulcus
    air = air * ((chest.ax - chest.apex) * (1 / 9.0)).clamp(0, 1)
    right, left = chest.silhouette
    across = ((chest.x + right) * (2 / (left + right)) - 1)
    middle = (1 - across * across).clamp(min=0).sqrt()
    thick = curve("thick", b) * p["depth_mm"] * middle
    air = (air - thick).clamp(min=0)
    vessel, airway = vessel_layers(chest)
    gain = p["vessels"].expand_as(air).clone()
    soft = torch.zeros_like(air)
    add_findings(chest, air, gain, soft)
    inside = (air * (1 / 45.0)).clamp(max=1)
    # outlines of skin and bowel gas are soft: half the resolution shows all of them
    coarse = Chest(chest.scenes, (chest.size + 1) // 2, chest.device)
    broad = F.interpolate((body(coarse) - gas(coarse))[:, None], air.shape[-2:], mode="bilinear")[:, 0]
    blood = vessel / (1 + vessel * (1 / 22.0))  # vessels that cross lie behind each other only in part
    path = SOFT * (broad - LUNG_AIR * air - 1.5 * airway + 2.4 * blood * inside * gain + soft)
    path = path.clamp(min=0) + BONE * bones(chest)
    devices = metal(chest)
    return path if devices is None else path + METAL * devices


def body(chest: Chest) -> Float[Tensor, "n h w"]:
    """Soft tissue from front to back, mm: trunk, neck, shoulders, breasts."""
    p, ax, y, b = chest.p, chest.ax, chest.y, chest.b
    edge = chest.half * curve("trunk wall", b) + p["wall_mm"]
    s = ax / edge
    s = s * s
    rise = ((b + 0.30) * (1 / 0.42)).clamp(0, 1)
    trunk = p["depth_mm"] * (0.50 + 0.50 * rise * rise * (3 - 2 * rise)) * (1 - s * s).clamp(min=0).sqrt()
    # the upper outline: neck, the slope of the trapezius, the shoulder's end
    slope = 0.36 + 0.10 * (p["scapula_mm"] * (1 / 30))
    top = -46 + slope * (ax - 62) - 5.5 * (62 - ax).clamp(min=0) + 0.010 * (ax - 165).clamp(min=0) ** 2
    over = ((y - top) * (1 / 70)).clamp(0, 1)
    cover = (over * (2 - over)).sqrt()
    under = ((95 + 0.9 * (ax - edge) - y) * (1 / 40)).clamp(0, 1)
    shoulder = 105 * (under * (2 - under)).sqrt()
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


def vessel_layers(chest: Chest) -> tuple[Float[Tensor, "n h w"], Float[Tensor, "n h w"]]:
    """Pulmonary vessels and airway, mm, bent onto each chest."""
    variant = hashed(chest.patients, 41, 1)[:, 0] % VARIANTS["vessels"]
    a = chest.x / chest.half
    layers = sample("vessels", variant, a, chest.b, chest.size)
    return layers[:, 0], layers[:, 1]


def bones(chest: Chest) -> Float[Tensor, "n h w"]:
    """Ribs, spine, clavicles and scapulae, mm of bone."""
    p = chest.p
    scale = chest.costal / (chest.half * curve("costal", chest.b))  # as much barrel as the lungs have
    a, b, gap = chest.x / (chest.half * scale), chest.b, None
    for side in ("right", "left"):
        rows, found = chest.rows("rib fracture", side)
        if found:
            b, gap = b.expand_as(a).clone() if gap is None else b, torch.ones_like(a) if gap is None else gap
            disc = where.fracture(chest, rows, found, side)
            x, _ = where.fracture_place(chest, rows, found, side)
            dx = chest.x[rows] - x
            # the fragments stand a rib's thickness apart, with a dark gap between them
            step = 6.5 * (dx * (1 / 1.5)).clamp(-1, 1) * (3 * disc).clamp(max=1)
            b.index_add_(0, rows, step / p["lung_mm"][rows])
            between = line(chest, rows, dx.abs(), 1.2) * (3 * disc).clamp(max=1)
            gap.index_copy_(0, rows, gap[rows] * (1 - 0.85 * between))
    cage = sample("bones", where.bone_variants(chest), a, b, chest.size)[:, 0]
    cage = cage if gap is None else cage * gap
    which = hashed(chest.patients, 43, 1)[:, 0] % VARIANTS["shoulders"]
    a = (chest.x + 0.9 * p["rotation_degrees"]) * (1 / chest.half) * (1 - 0.5 * p["scapula_mm"] / R_MM)
    girdle = sample("shoulders", which, a, chest.y / H_MM, chest.size)[:, 0]
    return (cage + girdle) * p["bone"]


def add_findings(chest: Chest, air: Tensor, gain: Tensor, soft: Tensor) -> None:
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
            soft.index_add_(0, rows, ball * (size * 0.9 + 5))
        rows, found = chest.rows("pneumothorax", side)
        if found:
            distance = where.pneumothorax_line(chest, rows, found)
            free = where.pneumothorax(chest, rows, found, side)
            lung = where._on_side(chest, rows, side)
            gain.index_copy_(0, rows, gain[rows] * (1 - free))
            air.index_copy_(0, rows, air[rows] * (1 + free * (1 / LUNG_AIR - 1) - 0.10 * (1 - free) * lung))
            thick = (1.25 * chest.pixel_mm[rows]).clamp(min=0.8)
            line = (1 - (distance / thick) ** 2).clamp(min=0) * lung * (air[rows] * (1 / 40.0)).clamp(max=1)
            soft.index_add_(0, rows, 9.0 * line)
        rows, found = chest.rows("pleural effusion", side)
        if found:
            fluid = where.effusion(chest, rows, found, side)
            air.index_copy_(0, rows, air[rows] * (1 - 0.93 * fluid))
