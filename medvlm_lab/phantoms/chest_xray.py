"""Simulated frontal chest X-rays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from medvlm_lab.phantoms import chest_scene
from medvlm_lab.phantoms.base import Phantom, check_hospital, check_size, rng_of
from medvlm_lab.phantoms.chest_detector import detect
from medvlm_lab.phantoms.chest_geometry import Chest
from medvlm_lab.phantoms.chest_masks import mask_fields
from medvlm_lab.phantoms.chest_render import attenuation
from medvlm_lab.phantoms.chest_scene import ChestScene

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor


CHUNK = 16  # pictures of 128 pixels at a time: what fits a core's cache


class ChestXray(Phantom):
    """Frontal chest X-ray."""

    name: ClassVar[str] = "chest-xray"
    modality: ClassVar[str] = "X-ray"
    anatomy: ClassVar[str] = "chest"
    orientation: ClassVar[tuple[str, str]] = ("L", "F")
    scene: ClassVar[type[ChestScene]] = ChestScene

    def draw(self, seed: int, hospital: int = 0) -> ChestScene:
        """The patient of that seed."""
        check_hospital(hospital)
        return chest_scene.draw(seed, hospital, rng_of(seed, 1))

    @torch.no_grad()  # not inference_mode: what it makes could not be trained on
    def render(
        self, scenes: Sequence[ChestScene], size: int = 224, device: str | torch.device | None = None
    ) -> Float[Tensor, "n 1 h w"]:
        """Grey values from 0 (black) to 1 (white), in 4,096 steps as a detector gives them."""
        check_size(size)
        device = torch.device(device or "cpu")
        chunk = max(1, CHUNK * 128 * 128 // size**2)
        out = torch.empty(len(scenes), 1, size, size, device=device)
        for i in range(0, len(scenes), chunk):
            chest = Chest(scenes[i : i + chunk], size, device)
            out[i : i + chunk, 0] = detect(chest, attenuation(chest))
        return out

    @torch.no_grad()  # not inference_mode: what it makes could not be trained on
    def masks(
        self, scenes: Sequence[ChestScene], size: int = 224, device: str | torch.device | None = None
    ) -> dict[str, Bool[Tensor, "n h w"]]:
        """Anatomy ("right lung", "left lung", "heart", "thorax") and every finding of every scene."""
        check_size(size)
        device, chunk = torch.device(device or "cpu"), max(1, CHUNK * 128 * 128 // size**2)
        parts = [mask_fields(Chest(scenes[i : i + chunk], size, device)) for i in range(0, len(scenes), chunk)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else {}

    def measure(
        self, scenes: Sequence[ChestScene], masks: dict[str, Bool[Tensor, "n h w"]]
    ) -> dict[str, Float[Tensor, " n"]]:
        """`cardiothoracic_ratio`, and `right_nodule_mm`, `left_nodule_mm`: the diameter of a circle of equal area."""
        heart, thorax = self._width_mm(scenes, masks["heart"]), self._width_mm(scenes, masks["thorax"])
        out = {"cardiothoracic_ratio": heart / thorax}
        for side in chest_scene.SIDES:
            mask = masks[f"{side} nodule"]
            pixel = torch.tensor([s.fov_mm / mask.shape[-1] for s in scenes], device=mask.device)
            area = mask.flatten(1).sum(1) * pixel**2
            out[f"{side}_nodule_mm"] = torch.where(area > 0, 2 * (area / torch.pi).sqrt(), torch.nan)
        return out

    def _width_mm(self, scenes: Sequence[ChestScene], mask: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
        """Widest reach to both sides of the spine, the patient's tilt taken out, as a reader measures it."""
        x = Chest(scenes, mask.shape[-1], mask.device).x
        pixel = torch.tensor([s.fov_mm / mask.shape[-1] for s in scenes], device=mask.device)
        high = torch.where(mask, x, -torch.inf).flatten(1).amax(1)
        return high - torch.where(mask, x, torch.inf).flatten(1).amin(1) + pixel

    def facts(self, scene: ChestScene) -> dict[str, str]:
        return {"ratio": f"{scene.cardiothoracic_ratio:.2f}"}

    def progress(self, scene: ChestScene, rng: np.random.Generator) -> ChestScene:
        return chest_scene.progress(scene, rng)

    def pixel_mm(self, scene: ChestScene, size: int) -> float:
        return scene.fov_mm / size


PHANTOM = ChestXray()
