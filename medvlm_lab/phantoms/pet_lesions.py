"""Where findings take up tracer: solids per finding, shared by renderer and masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.phantoms.pet_body import Anatomy, Solid, pelvis, sphere, tube
from medvlm_lab.phantoms.scene import Finding

#: node stations of the average adult, mm: centre and spread
STATIONS = {
    "cervical lymphadenopathy": ((46, -8, 218), (9, 14, 26), 6),
    "axillary lymphadenopathy": ((142, 0, 322), (14, 14, 22), 6),
    "inguinal lymphadenopathy": ((92, -66, 868), (14, 8, 20), 6),
    "mediastinal lymphadenopathy": ((0, 2, 352), (30, 16, 40), 9),
    "retroperitoneal lymphadenopathy": ((0, 24, 660), (22, 8, 66), 10),
}
LUNG = {"upper lobe": (-0.55, 330.0), "lower lobe": (0.62, 418.0)}
LIVER = {"right lobe": (-86.0, 6.0, 530.0), "left lobe": (14.0, -40.0, 506.0)}
BONES = (
    (0, 50, 600),
    (-78, 42, 752),
    (0, 52, 440),
    (84, 20, 862),
    (-112, 60, 372),
    (72, 44, 770),
    (0, 60, 330),
    (118, 50, 430),
    (-150, 4, 290),
    (0, -88, 352),
    (-84, 22, 884),
    (0, 48, 692),
    (98, 62, 340),
    (-120, 40, 470),
    (150, 4, 292),
    (4, 58, 512),
)
COLON = [
    (-104, -10, 712),
    (-112, -8, 640),
    (-104, -18, 588),
    (-60, -52, 606),
    (0, -62, 622),
    (60, -52, 602),
    (104, -10, 566),
    (112, 6, 640),
    (104, 0, 716),
    (70, -10, 752),
    (30, 0, 772),
]


def solids_of(anatomy: Anatomy, finding: Finding) -> list[Solid]:
    """The finding's solids in the patient's millimetres, each named by its mask."""
    return [replace(s, name=finding.mask_name) for s in _RULES[finding.kind](anatomy, finding)]


def _lung(anatomy: Anatomy, f: Finding) -> list[Solid]:
    """A ball; a large one is drawn in from the chest wall."""
    sign = -1 if f.side == "right" else 1
    _, z = LUNG[f.region]
    r = f.measurement / 2
    x = sign * (62 + 34 * f.at[0] - 0.35 * r + (10 if f.side == "left" and f.region == "lower lobe" else 0))
    ball = sphere("", x, 10 + 30 * (f.at[1] - 0.5), z + 34 * (f.at[1] - 0.5), r, anatomy.scene.lesion_suv)
    return [anatomy.scaled(ball, keep_size=True)]


def _liver(anatomy: Anatomy, f: Finding) -> list[Solid]:
    x, y, z = LIVER[f.region]
    spread = 1.0 if f.region == "right lobe" else 0.5
    r = f.measurement / 2
    ball = sphere(
        "", x + 44 * spread * (f.at[0] - 0.5), y, z + 44 * spread * (f.at[1] - 0.5), r, anatomy.scene.lesion_suv + 1.5
    )
    return [anatomy.scaled(ball, keep_size=True)]


def _nodes(anatomy: Anatomy, f: Finding) -> list[Solid]:
    """A cluster, more and larger nodes with its extent."""
    (x, y, z), spread, most = STATIONS[f.kind]
    sign = -1 if f.side == "right" else 1
    rng = rng_of(anatomy.scene.patient, 61, len(f.kind), sign + 1)
    moves, sizes = rng.uniform(-1, 1, (most, 3)), rng.random(most)
    count = 2 + round(f.amount * (most - 2))
    nodes = []
    for k in range(count):
        r = 5.5 + 5.5 * f.amount * (0.4 + 0.6 * sizes[k])
        dx, dy, dz = moves[k] * spread
        if abs(x) < 1:  # beside the midline, where spine and great vessels are
            dx = (10 + abs(dx)) * (1 if k % 2 else -1)
        solid = Solid(
            "", x * sign + dx, y + dy, z + dz, r, r, 1.25 * r, anatomy.scene.lesion_suv * (0.75 + 0.4 * sizes[k])
        )
        nodes.append(anatomy.scaled(solid, keep_size=True))
    return nodes


def _bones(anatomy: Anatomy, f: Finding) -> list[Solid]:
    rng = rng_of(anatomy.scene.patient, 62)
    order, sizes = rng.permutation(len(BONES)), rng.random(len(BONES))
    count = 2 + round(f.amount * (len(BONES) - 2))
    # at least one lies in the trunk's axis, where nothing else is as hot
    order = np.concatenate([[0], order[order != 0]])[:count]
    suv = anatomy.scene.lesion_suv
    found = []
    for k in order:
        r = 7 + 6 * sizes[k] * (0.5 + f.amount)
        flat = 0.8 if abs(BONES[k][0]) < 5 else 1.0
        x, y, z = map(float, BONES[k])
        solid = Solid("", x, y, z, r * 1.1, r, r * flat, suv * (0.7 + 0.5 * sizes[k]))
        beside = replace(
            solid, x=x + 0.8 * r * (sizes[k - 1] - 0.5), z=z + 0.9 * r, rx=0.8 * r, rz=0.6 * r, suv=0.8 * solid.suv
        )
        found += [anatomy.scaled(s, keep_size=True) for s in (solid, beside)]
    return found


def _marrow(anatomy: Anatomy, f: Finding) -> list[Solid]:
    """All red marrow lights up: spine, pelvis, sternum, the upper ends of the long bones."""
    suv = 2.8 + 4.0 * f.amount
    spine = [replace(s, suv=suv) for s in anatomy.organs() if s.name == "spine"]
    rest = [Solid("", 0, -88, 350, 12, 7, 52, 0.8 * suv), *pelvis(suv)]
    for sign in (-1, 1):
        rest.append(Solid("", 150 * sign, 4, 292, 13, 13, 16, 0.7 * suv))
        for k in range(8):
            z, out = 288 + 23 * k, 96 + 26 * np.sin((k + 1) / 8 * np.pi / 2)
            arc = [
                (24 * sign, 60, z),
                (0.75 * out * sign, 66, z + 6),
                (out * sign, 16, z + 26),
                (0.86 * out * sign, -46, z + 48),
            ]
            rest += tube("", arc, 4.5, 0.42 * suv)
    return spine + [anatomy.scaled(s) for s in rest]


def _spleen(anatomy: Anatomy, f: Finding) -> list[Solid]:
    grown = 1 + 0.25 * f.amount
    return [
        replace(
            s, suv=anatomy.scene.liver_suv + 1.5 + 4.5 * f.amount, rx=s.rx * grown, ry=s.ry * grown, rz=s.rz * grown
        )
        for s in anatomy.organs()
        if s.name == "spleen"
    ]


def _thyroid(anatomy: Anatomy, f: Finding) -> list[Solid]:
    suv = 3.5 + 6.5 * f.amount
    lobes = [Solid("", 17 * sign, -30, 246, 9, 9, 20, suv, -0.15 * sign) for sign in (-1, 1)]
    return [anatomy.scaled(s) for s in [*lobes, Solid("", 0, -38, 254, 12, 5, 5, 0.8 * suv)]]


def _bowel(anatomy: Anatomy, f: Finding) -> list[Solid]:
    rng = rng_of(anatomy.scene.patient, 63)
    fine = np.linspace(0, len(COLON) - 1, 6 * len(COLON))
    corners = np.array(COLON, dtype=float) + rng.uniform(-1, 1, (len(COLON), 3)) * (8, 5, 10)
    path = np.stack([np.interp(fine, np.arange(len(COLON)), corners[:, k]) for k in range(3)], 1)
    for _ in range(3):  # no sharp corners
        path[1:-1] = (path[:-2] + path[1:-1] + path[2:]) / 3
    beads = tube("", [tuple(p) for p in path], 12.0, 2.4 + 4.4 * f.amount)
    wave = 1 + 0.28 * np.convolve(rng.uniform(-1, 1, len(beads) + 2), [0.5, 0.7, 0.5], "valid")
    return [
        anatomy.scaled(replace(s, suv=s.suv * (1.6 * w - 0.6), rx=12 * w, rz=12 * w))
        for s, w in zip(beads, wave, strict=True)
    ]


def _brown_fat(anatomy: Anatomy, f: Finding) -> list[Solid]:
    """Both sides alike: neck, above the collar bones, beside the upper spine."""
    rng, suv = rng_of(anatomy.scene.patient, 64), 4.0 + 8.0 * f.amount
    found: list[Solid] = []
    for sign in (-1, 1):
        found += tube(
            "", [(42 * sign, 8, 214), (52 * sign, 4, 240), (80 * sign, -2, 262), (118 * sign, 0, 276)], 7.0, suv
        )
        if f.amount > 0.35:
            found += [
                sphere("", sign * (24 + 3 * a), 58, 296 + 24 * k, 4.5 + 2 * f.amount, suv * (0.6 + 0.3 * a))
                for k, a in enumerate(rng.random(3 + round(4 * f.amount)))
            ]
    return [anatomy.scaled(s) for s in found]


_RULES = {
    "hypermetabolic lung lesion": _lung,
    "hypermetabolic liver lesion": _liver,
    "bone metastases": _bones,
    "diffuse marrow uptake": _marrow,
    "diffuse splenic uptake": _spleen,
    "diffuse thyroid uptake": _thyroid,
    "diffuse bowel uptake": _bowel,
    "brown fat uptake": _brown_fat,
    **dict.fromkeys(STATIONS, _nodes),
}
