"""Simulated frontal chest X-rays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from medvlm_lab.phantoms import chest_findings as where
from medvlm_lab.phantoms import chest_scene
from medvlm_lab.phantoms.base import Phantom, check_size, rng_of
from medvlm_lab.phantoms.chest_geometry import Chest
from medvlm_lab.phantoms.chest_render import attenuation, detect
from medvlm_lab.phantoms.chest_scene import ChestScene

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor


CHUNK = 16


class ChestXray(Phantom):
    """Frontal chest X-ray."""

    name: ClassVar[str] = "chest-xray"
    modality: ClassVar[str] = "X-ray"
    anatomy: ClassVar[str] = "chest"
    scene: ClassVar[type[ChestScene]] = ChestScene

    def draw(self, seed: int, hospital: int = 0) -> ChestScene:
        """The patient of that seed."""
        return chest_scene.draw(seed, hospital, rng_of(seed, 1))

    @torch.inference_mode()
    def render(self, scenes, size=224, device=None):
        check_size(size)
        device = torch.device(device or "cpu")
        chunk = max(1, min(CHUNK, 16 * 128 * 128 // size**2))
        out = torch.empty(len(scenes), 1, size, size, device=device)
        for i in range(0, len(scenes), chunk):
            chest = Chest(scenes[i : i + chunk], size, device)
            out[i : i + chunk, 0] = detect(chest, attenuation(chest))
        return out

    def masks(self, scenes, size=224, device=None):
        raise NotImplementedError

    def measure(self, scenes, masks):
        raise NotImplementedError

    def progress(self, scene, rng):
        return chest_scene.progress(scene, rng)

    def pixel_mm(self, scene, size):
        return scene.fov_mm / size


PHANTOM = ChestXray()
