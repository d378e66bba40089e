"""Spin-echo signal of each tissue: what makes T1, T2 and FLAIR pictures differ.

    S = PD (1 - exp(-TR / T1)) exp(-TE / T2)                        spin echo
    S = PD |1 - 2 exp(-TI / T1) + exp(-TR / T1)| exp(-TE / T2)      FLAIR: inverted, read while water crosses zero

(Haacke et al., Magnetic Resonance Imaging, 1999, ch. 8.) Times in ms at 1.5 T, rounded, close to those of Bottomley et
al., Med Phys 1984, and Stanisz et al., Magn Reson Med 2005; of lesions, such that they look as they do in practice.
Fat has the longer T2 that trains of echoes give it (Henkelman et al., Magn Reson Med 1992).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from medvlm_lab.phantoms.brain_scene import CONTRAST, FLAIR, T1, T2

if TYPE_CHECKING:
    from medvlm_lab.phantoms.brain_scene import BrainScene

#: proton density, T1, T2; then T1 where gadolinium gets in, which a whole blood-brain barrier prevents, and the
#: density that a vein seems to have once its blood outshines the loss by flow
TISSUES: dict[str, tuple[float, ...]] = {
    "white": (0.72, 570, 78), "grey": (0.83, 1060, 95), "deep grey": (0.80, 980, 88), "pallidum": (0.72, 720, 66),
    "callosum": (0.72, 545, 75), "fluid": (1.00, 4200, 1800), "fat": (0.92, 270, 105), "muscle": (0.74, 950, 44),
    "skin": (0.66, 560, 48), "bone": (0.05, 600, 12), "marrow": (0.66, 400, 62), "dura": (0.42, 900, 46, 360),
    "mucosa": (0.88, 1150, 130, 420), "vitreous": (1.00, 3900, 1200), "lens": (0.55, 900, 35), "air": (0.0, 1000, 50),
    "flow": (0.06, 1200, 40), "vein": (0.08, 1200, 60, 300, 0.8), "choroid": (0.9, 1500, 160, 330),
    "gland": (0.80, 850, 80, 330),
    "tumour": (0.87, 1350, 150), "tumour rim": (0.86, 1250, 135, 360), "necrosis": (0.96, 2700, 420),
    "meningioma": (0.84, 1120, 104, 430), "oedema": (0.87, 1380, 185), "infarct": (0.88, 1480, 190),
    "clot": (0.82, 300, 150), "haemosiderin": (0.35, 800, 24), "subdural": (0.92, 640, 135),
    "gliosis": (0.86, 1250, 170), "cavity": (1.00, 3200, 700),
}
#: receiver gain per sequence: the brightest tissue that is looked at comes close to 1
GAIN = {T1: 1.28, T2: 1.36, FLAIR: 2.5, CONTRAST: 1.28}
WATER_T1 = TISSUES["fluid"][1]


def echo(pd: float, t1: float, t2: float, tr: float, te: float, ti: float = 0.0) -> float:
    """Signal of a spin echo, after an inversion where `ti` is given; all times in one unit."""
    recovered = 1 - math.exp(-tr / t1)
    if ti:
        recovered = abs(1 - 2 * math.exp(-ti / t1) + math.exp(-tr / t1))
    return pd * recovered * math.exp(-te / t2)


def null_ms(tr: float, t1: float = WATER_T1) -> float:
    """The inversion time at which a tissue gives no signal."""
    return t1 * math.log(2 / (1 + math.exp(-tr / t1)))


def signal(tissue: str, scene: BrainScene) -> float:
    """What a tissue gives in the scene's sequence, gain included."""
    pd, t1, t2, *enhanced = TISSUES[tissue]
    field = (scene.field_tesla / 1.5) ** 0.28  # T1 grows with the field, most of all that of solid tissue
    t1 = t1 * (field if t1 < 2500 else 1.0)
    if scene.sequence == CONTRAST and enhanced:
        t1, pd = enhanced[0], enhanced[-1] if len(enhanced) > 1 else pd
    ti = null_ms(scene.tr_ms) if scene.sequence == FLAIR else 0.0
    return GAIN[scene.sequence] * echo(pd, t1, t2, scene.tr_ms, scene.te_ms, ti)


def signals(tissue: str, scenes: Sequence[BrainScene]) -> list[float]:
    """`signal` of each scene."""
    return [signal(tissue, scene) for scene in scenes]
