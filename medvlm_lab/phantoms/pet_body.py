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
OUTLINE = np.array([
    (195, 58, 62), (235, 60, 64), (252, 78, 70), (268, 130, 80), (285, 172, 90), (310, 186, 98), (345, 174, 106), (400, 166, 112),
    (480, 160, 112), (560, 152, 108), (640, 152, 106), (720, 168, 110), (790, 178, 114), (850, 178, 112), (885, 174, 104),
], dtype=float)
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
            solid, x=solid.x * inside, y=solid.y * self.deep, z=solid.z * self.tall, rx=solid.rx * radii[0],
            ry=solid.ry * radii[1], rz=solid.rz * radii[2],
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
                Solid("brain", 27 * sign, 0, 80, 19, 54, 30, white), Solid("brain", 13 * sign, 0, 92, 8, 14, 11, brain * 1.05),
                Solid("brain", 30 * sign, 48, 138, 28, 26, 18, 0.85 * brain), Solid("", 52 * sign, -5, 178, 9, 12, 20, 1.9),
                Solid("", 26 * sign, -40, 205, 8, 10, 9, 2.2), Solid("", 14 * sign, -20, 192, 6, 7, 8, 2.3),
                Solid("", 32 * sign, -78, 126, 13, 12, 12, 1.2),
            ]
        solids += [Solid("brain", 0, 0, 62, 2.5, 76, 26, 0.6 * brain), Solid("", 0, -72, 150, 14, 16, 22, 1.3)]
        solids += [Solid("", 0, -46, 196, 20, 18, 6, 1.8), Solid("", 0, -40, 228, 6, 6, 8, 1.6)]
        return solids

    def _chest(self) -> list[Solid]:
        s = self.scene
        solids = [
            Solid("right lung", -76, 8, 385, 54, 78, 112, 0.42, 0.08), Solid("left lung", 76, 8, 385, 50, 78, 112, 0.42, -0.08),
            Solid("", 2, 5, 345, 26, 34, 70, 1.5), Solid("", 20, -14, 425, 52, 44, 48, 1.5, -0.3),
            Solid("", 14, 34, 480, 10, 10, 150, 1.5),
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
            Solid("spine", 0, 62 - 26 * np.sin((z - 260) / 500 * np.pi), z, 13 + 0.012 * (z - 260), 14, 9 + 0.012 * (z - 260), marrow)
            for z in np.concatenate([np.arange(215, 270, 15.0), np.arange(276, 560, 24.0), np.arange(562, 735, 32.0)])
        ]
        solids += [Solid("", 62 * sign, 45, 765, 34, 22, 46, 0.95, 0.5 * sign) for sign in (-1, 1)]
        solids.append(Solid("", 0, 68, 775, 36, 14, 44, 1.05))
        return solids

    def _belly(self) -> list[Solid]:
        s, rng = self.scene, self.rng
        liver, jitter = s.liver_suv, rng.uniform(-1, 1, 40)
        solids = [
            Solid("liver", -68, -2, 522, 76, 76, 62, liver, 0.35), Solid("liver", -88, 2, 556, 52, 64, 58, liver, 0.12),
            Solid("liver", 6, -38, 506, 62, 36, 34, liver, -0.22),
            Solid("spleen", 104, 44, 530, 24, 38, 44, 0.85 * liver, -0.25),
            Solid("", 62, -22, 528, 34, 36, 42, 1.3, 0.4), Solid("", 60, -22, 526, 24, 26, 32, 0.9, 0.4),
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
        loops = rng.uniform(-1, 1, (34, 3))
        for k, (a, b, c) in enumerate(loops):
            suv = 0.9 + s.bowel * (1.2 + 2.6 * abs(jitter[k % 40]) ** 2)
            solids.append(Solid("", 82 * a, -28 + 34 * c, 672 + 74 * b, 15, 14, 9 + 4 * c, suv, 1.5 * b))
        return solids

    def _pelvis(self) -> list[Solid]:
        s = self.scene
        r = 22 + 20 * s.bladder_fill
        solids = [Solid("bladder", 0, -22, 838 - 0.35 * r, 1.2 * r, r, 0.85 * r, s.bladder_suv)]
        solids += [Solid("", 76 * sign, 10, 862, 20, 20, 26, 0.85) for sign in (-1, 1)]
        return solids
