"""A body full of tracer: ellipsoids and tubes with an uptake each, from the crown to the thighs.

x runs to the patient's left, y to the back, z from the crown downwards, mm of an average adult; the patient's size
stretches all three. A solid's silhouette from the front is an ellipse, so masks are exact.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.phantoms.pet_scene import PetScene

#: z → half width and half depth of neck, trunk and hips
OUTLINE = np.array(
    [
        (195, 58, 62),
        (235, 60, 64),
        (252, 78, 70),
        (268, 130, 80),
        (285, 172, 90),
        (310, 186, 98),
        (345, 174, 106),
        (400, 166, 112),
        (480, 160, 112),
        (560, 152, 108),
        (640, 152, 106),
        (720, 168, 110),
        (790, 178, 114),
        (850, 178, 112),
        (885, 174, 104),
    ],
    dtype=float,
)
CROTCH = 868.0
CHEST = 335.0  # width of the chest for which the numbers here hold


@dataclass(frozen=True)
class Solid:
    """An ellipsoid: centre, half axes, uptake; `turn` leans it in the frontal plane, radians."""

    name: str
    x: float
    y: float
    z: float
    rx: float
    ry: float
    rz: float
    suv: float
    turn: float = 0.0


def sphere(name: str, x: float, y: float, z: float, r: float, suv: float) -> Solid:
    return Solid(name, x, y, z, r, r, r, suv)


def tube(name: str, points: list[tuple[float, float, float]], r: float, suv: float) -> list[Solid]:
    """A chain of spheres along a line through the points."""
    path = np.array(points)
    steps = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    at = np.linspace(0, steps[-1], max(2, int(steps[-1] / (0.7 * r)) + 1))
    xyz = np.stack([np.interp(at, steps, path[:, k]) for k in range(3)], 1)
    return [sphere(name, *map(float, p), r, suv) for p in xyz]


def pelvis(suv: float) -> list[Solid]:
    """Marrow of sacrum, iliac wings, sockets and the upper thigh bones."""
    solids = [Solid("", 0, 68, 764, 30, 13, 24, suv), Solid("", 0, 74, 796, 17, 11, 24, 0.9 * suv)]
    for sign in (-1, 1):
        solids += [
            Solid("", 74 * sign, 34, 744, 40, 14, 17, 0.9 * suv, -0.75 * sign),
            Solid("", 52 * sign, 52, 764, 22, 15, 30, suv, 0.25 * sign),
            Solid("", 72 * sign, 24, 800, 17, 15, 26, 0.85 * suv, -0.5 * sign),
            Solid("", 82 * sign, 12, 838, 18, 18, 18, 0.75 * suv),
            Solid("", 96 * sign, 14, 876, 13, 13, 28, 0.65 * suv, -0.1 * sign),
            Solid("", 50 * sign, 30, 862, 11, 12, 18, 0.7 * suv, 0.4 * sign),
        ]
    return solids


class Anatomy:
    """One patient's solids, in drawing order, in true millimetres."""

    def __init__(self, scene: PetScene):
        self.scene = scene
        self.wide = scene.width_mm / CHEST
        self.deep = 0.4 + 0.6 * self.wide
        self.tall = scene.stature
        self.rng = rng_of(scene.patient, 51)

    def scaled(self, solid: Solid, keep_size: bool = False) -> Solid:
        """From the average adult's millimetres to the patient's; `keep_size` leaves a lesion as large as stated."""
        inside = 0.5 + 0.5 * self.wide  # organs grow less than the body's width
        radii = (1.0, 1.0, 1.0) if keep_size else (inside, inside, self.tall)
        return replace(
            solid,
            x=solid.x * inside,
            y=solid.y * self.deep,
            z=solid.z * self.tall,
            rx=solid.rx * radii[0],
            ry=solid.ry * radii[1],
            rz=solid.rz * radii[2],
        )

    def organs(self) -> list[Solid]:
        """Everything that takes up tracer in health."""
        return [self.scaled(s) for part in (self._head(), self._chest(), self._belly(), self._pelvis()) for s in part]

    def _head(self) -> list[Solid]:
        s = self.scene
        brain, white = s.brain_suv, 0.42 * s.brain_suv
        solids = [Solid("brain", 0, 0, 84, 65, 82, 58, brain)]
        for sign in (-1, 1):
            solids += [
                Solid("brain", 27 * sign, 0, 80, 19, 54, 30, white),
                Solid("brain", 13 * sign, 0, 92, 8, 14, 11, brain * 1.05),
                Solid("brain", 23 * sign, 48, 134, 26, 26, 17, 0.75 * brain),
                Solid("", 52 * sign, -5, 176, 9, 12, 20, 1.7),
                Solid("", 24 * sign, -40, 206, 9, 10, 8, 1.7),
                Solid("", 12 * sign, -20, 190, 7, 7, 9, 1.9),
                Solid("", 32 * sign, -78, 126, 13, 12, 12, 1.1),
            ]
        solids += [Solid("brain", 0, 0, 62, 2.5, 76, 26, 0.6 * brain), Solid("", 0, -72, 150, 14, 16, 22, 1.3)]
        solids += [Solid("", 0, -46, 194, 18, 18, 7, 1.3), Solid("", 0, -40, 228, 6, 6, 8, 1.6)]
        return solids

    def _chest(self) -> list[Solid]:
        s = self.scene
        solids = [
            Solid("right lung", -76, 8, 385, 54, 78, 112, 0.42, 0.08),
            Solid("left lung", 76, 8, 385, 50, 78, 112, 0.42, -0.08),
            Solid("", 2, 5, 345, 26, 34, 70, 1.5),
            Solid("", 20, -14, 425, 52, 44, 48, 1.5, -0.3),
            Solid("", 14, 34, 480, 10, 10, 150, 1.5),
            Solid("", 18, 4, 322, 22, 34, 15, 1.5),
            Solid("", -20, -12, 352, 11, 14, 44, 1.5),
        ]
        # the left ventricle: a cup that opens to the upper right
        for r, suv in ((1.0, s.heart_suv), (0.64, 1.6)):
            solids.append(Solid("heart", 46 - (1 - r) * 10, -24, 440 - (1 - r) * 6, 36 * r, 33 * r, 42 * r, suv, -0.75))
        solids.append(Solid("heart", 22, -20, 417, 15, 20, 22, 1.6, -0.75))
        solids += [Solid("", 38 * sign, -98, 365, 42, 12, 34, 0.65) for sign in (-1, 1)]
        return solids + self._spine()

    def _spine(self) -> list[Solid]:
        """Marrow of the vertebrae, a little warmer than muscle."""
        marrow = 1.35
        solids = [
            Solid(
                "spine", 0, 62 - 26 * np.sin((z - 260) / 500 * np.pi), z, 13 + 0.012 * (z - 260), 14, 0.44 * gap, marrow
            )
            for first, last, gap in ((215, 270, 15.0), (276, 560, 24.0), (562, 735, 32.0))
            for z in np.arange(first, last, gap)
        ]
        solids += [replace(s, suv=0.9) for s in pelvis(1.0)]
        return solids

    def _belly(self) -> list[Solid]:
        s, rng = self.scene, self.rng
        liver, jitter = s.liver_suv, rng.uniform(-1, 1, 40)
        solids = [
            Solid("liver", -68, -2, 522, 76, 76, 62, liver, 0.35),
            Solid("liver", -88, 2, 556, 52, 64, 58, liver, 0.12),
            Solid("liver", 6, -38, 506, 62, 36, 34, liver, -0.22),
            Solid("liver", -62, -4, 552, 58, 56, 44, liver, 0.5),
            Solid("spleen", 104, 44, 530, 24, 38, 44, 0.85 * liver, -0.25),
            Solid("", 62, -22, 528, 34, 36, 42, 1.3, 0.4),
            Solid("", 60, -22, 526, 24, 26, 32, 0.9, 0.4),
        ]
        for sign, low in ((-1, 8.0), (1, -6.0)):
            name = "right kidney" if sign < 0 else "left kidney"
            z = 604 + low + 4 * jitter[0]
            solids += [
                Solid(name, 62 * sign, 46, z, 26, 24, 54, 2.6, 0.16 * sign),
                Solid(name, 55 * sign, 42, z, 9, 10, 25, s.kidney_suv, 0.1 * sign),
                Solid(name, 60 * sign, 44, z - 24, 8, 9, 8, 0.9 * s.kidney_suv),
                Solid(name, 62 * sign, 44, z + 24, 8, 9, 8, 0.8 * s.kidney_suv),
            ]
            for k in range(3):  # urine on its way
                if jitter[5 + k + 4 * (sign > 0)] > 0.1:
                    at = 660 + 50 * k + 14 * jitter[15 + k]
                    solids.append(Solid("", (32 - 0.02 * at + 10) * sign, 34, at, 4, 4, 11, 0.55 * s.kidney_suv))
        for k, (a, b, c, d, e) in enumerate(rng.uniform(-1, 1, (16, 5))):
            suv = 0.85 + s.bowel * (1.0 + 3.0 * jitter[k] ** 2)
            x, y, z = 84 * a, -28 + 30 * c, 676 + 72 * b
            bent = [(x - 20 * d, y, z - 16 * e), (x, y, z), (x + 16 * e, y, z + 20 * d)]
            solids += tube("", bent, 9 + 2.5 * c, suv)
        return solids

    def _pelvis(self) -> list[Solid]:
        s = self.scene
        r = 22 + 20 * s.bladder_fill
        solids = [Solid("bladder", 0, -22, 838 - 0.35 * r, 1.2 * r, r, 0.85 * r, s.bladder_suv)]
        solids += [Solid("", 76 * sign, 10, 862, 20, 20, 26, 0.85) for sign in (-1, 1)]
        return solids
