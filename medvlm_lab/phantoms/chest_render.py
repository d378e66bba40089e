"""A frontal chest X-ray by Beer-Lambert: thickness of soft tissue, air, bone and metal along each ray, then a detector.

    attenuation = soft * (body - air) + bone + metal;  intensity = exp(-attenuation) + scatter;  picture = -log(intensity)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from medvlm_lab.phantoms import chest_findings as where
from medvlm_lab.phantoms.chest_devices import metal
from medvlm_lab.phantoms.chest_geometry import Chest
from medvlm_lab.phantoms.noise import hashed, smooth, white
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
    gain = p["vessels"].expand_as(air)
    soft = torch.zeros_like(air)
    air, gain, soft = add_findings(chest, air, gain, soft)
    inside = (air * (1 / 45.0)).clamp(max=1)
    path = SOFT * (body(chest) - LUNG_AIR * air - 1.25 * airway - gas(chest) + 1.7 * vessel * inside * gain + soft)
    path = path.clamp(min=0) + BONE * bones(chest)
    devices = metal(chest)
    return path if devices is None else path + METAL * devices


def body(chest: Chest) -> Float[Tensor, "n h w"]:
    """Soft tissue from front to back, mm: trunk, neck, shoulders, breasts."""
    p, ax, y, b = chest.p, chest.ax, chest.y, chest.b
    edge = chest.half * curve("trunk wall", b) * (1 + 0.0 * b) + p["wall_mm"]
    s = (ax / edge) ** 2
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
    bowel = (texture - 0.55).clamp(min=0) * ((chest.y - chest.dome - 22) * (1 / 30)).clamp(0, 1) * (chest.ax * (1 / 90)).clamp(max=1)
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
    which = hashed(chest.patients, 42, 2)
    scale = chest.costal / (chest.half * curve("costal", chest.b))  # as much barrel as the lungs have
    turn = p["rotation_degrees"] * 0.9
    a = chest.x / (chest.half * scale)
    cage = sample("bones", which[:, 0] % VARIANTS["bones"], a, chest.b, chest.size)[:, 0]
    a = (chest.x + turn) / R_MM
    out = p["scapula_mm"] / R_MM
    a = a * (1 - 0.5 * out) * (R_MM / chest.half) - 0.0 * out
    girdle = sample("shoulders", which[:, 1] % VARIANTS["shoulders"], a, chest.y / H_MM, chest.size)[:, 0]
    return (cage + girdle) * p["bone"]


def add_findings(chest: Chest, air: Tensor, gain: Tensor, soft: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Diseases change how much air, how prominent the vessels and how much water each ray meets."""
    rows, found = chest.rows("pulmonary edema")
    if found:
        amount = chest.column([f.amount for f in found])
        haze = where.edema(chest, rows, found)
        air = air.index_copy(0, rows, air[rows] * (1 - (0.14 + 0.34 * amount) * haze))
        upper = ((0.75 - chest.b[rows]) * 1.6).clamp(0, 1)
        gain = gain.clone().index_copy(0, rows, gain[rows] * (1.25 + 0.7 * amount + 0.5 * upper))
    for side in ("right", "left"):
        rows, found = chest.rows("consolidation", side)
        if found:
            field = where.consolidation(chest, rows, found, side)
            density = 0.46 + 0.34 * chest.column([f.amount for f in found])
            patchy = 1 - 0.22 * smooth(chest.seeds[rows.cpu().numpy()], chest.size, 40, chest.device, 27).abs()
            air = air.index_copy(0, rows, air[rows] * (1 - field * density * patchy))
            # inside, vessels drown in water of their own density and the bronchi beside them stay open
            gain = gain.clone().index_copy(0, rows, gain[rows] * (1 - 1.9 * field))
        rows, found = chest.rows("nodule", side)
        if found:
            size = chest.column([f.measurement for f in found])
            ball = where.nodule(chest, rows, found, side)
            soft = soft.index_add(0, rows, ball * (size * 0.9 + 5))
        rows, found = chest.rows("pneumothorax", side)
        if found:
            distance = where.pneumothorax_line(chest, rows, found)
            free = where.pneumothorax(chest, rows, found, side)
            lung = where._on_side(chest, rows, side)
            gain = gain.clone().index_copy(0, rows, gain[rows] * (1 - free))
            air = air.index_copy(0, rows, air[rows] * (1 + free * (1 / LUNG_AIR - 1) - 0.10 * (1 - free) * lung))
            thick = chest.pixel_mm[rows].clamp(min=0.8)
            line = (1 - (distance / thick) ** 2).clamp(min=0) * lung * (air[rows] * (1 / 40.0)).clamp(max=1)
            soft = soft.index_add(0, rows, 9.0 * line)
        rows, found = chest.rows("pleural effusion", side)
        if found:
            fluid = where.effusion(chest, rows, found, side)
            air = air.index_copy(0, rows, air[rows] * (1 - 0.93 * fluid))
    return air, gain, soft


def detect(chest: Chest, path: Tensor) -> Float[Tensor, "n h w"]:
    """Scatter, blur, quantum noise, logarithm, local contrast and grey scale: 0 black, 1 white, 12 bits."""
    p, size = chest.p, chest.size
    primary = torch.exp(-path)
    # scatter comes from everywhere: its picture is the primary beam's, smeared over centimetres
    scattered = _smear(primary, 10) * (0.04 + 0.30 * p["scatter"])
    beam = primary + scattered
    beam = beam + (_near(beam) - beam) * (0.75 * p["blur"] * min(1.0, size / 512 + 0.35))
    grain = white(chest.seeds, size, chest.device)
    spread = (0.004 + 0.030 * p["noise"]) * min(1.0, (size / 512) ** 0.5)
    beam = beam + beam.sqrt() * grain * spread * 0.16
    log = -torch.log(beam.clamp(min=1e-3))
    log = log + (log - _smear(log, 14)) * (0.55 * p["processing"])
    # exposure control: lungs dark, mediastinum light, whatever the patient's size
    dark = SOFT * (p["depth_mm"] - LUNG_AIR * 0.80 * p["depth_mm"]) - 0.25
    light = SOFT * p["depth_mm"] * (1 - 0.05 * p["scatter"]) - 0.45
    t = (log - dark) / (light - dark)  # 0 in the lungs, 1 in the mediastinum
    steep = 1.65 * (1 + 0.3 * p["contrast"])
    grey = 0.50 + 0.50 * torch.tanh(steep * (t - 0.55)) + 0.13 * p["exposure"]
    open_beam = ((log - 0.05) * 2.5).clamp(0, 1)  # beside the patient the film is black
    return (grey.clamp(0, 1) * open_beam * 4095).round() * (1 / 4095)


def _smear(x: Tensor, cells: int) -> Tensor:
    """A broad blur: down to `cells` squares and smoothly back."""
    small = F.interpolate(x[:, None], (cells * 2, cells * 2), mode="area")
    small = F.avg_pool2d(F.pad(small, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return F.interpolate(small, x.shape[-2:], mode="bilinear", align_corners=False)[:, 0]


def _near(x: Tensor) -> Tensor:
    """Mean of each pixel and its neighbours, weights 1 2 1."""
    wide = F.pad(x[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    rows = wide[:, :-2] + 2 * wide[:, 1:-1] + wide[:, 2:]
    return (rows[..., :-2] + 2 * rows[..., 1:-1] + rows[..., 2:]) * (1 / 16)
