"""Simulated echocardiograms: an apical cine of 32 frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from medvlm_lab.phantoms import echo_scene
from medvlm_lab.phantoms.base import Phantom, check_hospital, check_size, rng_of
from medvlm_lab.phantoms.echo_anatomy import Layout
from medvlm_lab.phantoms.echo_cycle import FPS, FRAMES, volume_ml
from medvlm_lab.phantoms.echo_masks import cine_masks
from medvlm_lab.phantoms.echo_probe import pixel_mm_grid
from medvlm_lab.phantoms.echo_render import cine
from medvlm_lab.phantoms.echo_scene import EchoScene

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor


class Echocardiogram(Phantom):
    """Apical four-chamber (or five-chamber) echocardiogram."""

    name: ClassVar[str] = "echocardiogram"
    modality: ClassVar[str] = "echo"
    anatomy: ClassVar[str] = "heart"
    scene: ClassVar[type[EchoScene]] = EchoScene
    channels: ClassVar[int] = FRAMES
    fps: ClassVar[float] = FPS

    def draw(self, seed: int, hospital: int = 0) -> EchoScene:
        """The patient of that seed."""
        check_hospital(hospital)
        return echo_scene.draw(seed, hospital, rng_of(seed, 1))

    @torch.no_grad()  # not inference_mode: what it makes could not be trained on
    def render(
        self, scenes: Sequence[EchoScene], size: int = 224, device: str | torch.device | None = None
    ) -> Float[Tensor, "n f h w"]:
        """Grey values from 0 to 1 in 256 steps. One cine at a time: its frames are the batch, and fill any device."""
        check_size(size)
        device = torch.device(device or "cpu")
        out = torch.empty(len(scenes), FRAMES, size, size, device=device)
        for i, scene in enumerate(scenes):
            out[i] = cine(scene, size, device)
        return out

    @torch.no_grad()
    def masks(
        self, scenes: Sequence[EchoScene], size: int = 224, device: str | torch.device | None = None
    ) -> dict[str, Bool[Tensor, "n f h w"]]:
        """Chambers, walls, valves and every finding in each frame."""
        check_size(size)
        device = torch.device(device or "cpu")
        each = [cine_masks(scene, size, device) for scene in scenes]
        return {name: torch.stack([masks[name] for masks in each]) for name in each[0]} if each else {}

    def measure(
        self, scenes: Sequence[EchoScene], masks: dict[str, Bool[Tensor, "n f h w"]]
    ) -> dict[str, Float[Tensor, " n"]]:
        """`ventricle_ml`, `systolic_ml`, `ejection_fraction_percent` and `atrium_ml`, by area-length on the masks."""
        ventricle = self._volumes(scenes, masks["left ventricle"])  # (n, f)
        full, empty = ventricle.amax(1), ventricle.amin(1)
        return {
            "ventricle_ml": full, "systolic_ml": empty, "ejection_fraction_percent": 100 * (1 - empty / full),
            "atrium_ml": self._volumes(scenes, masks["left atrium"]).amax(1),
        }

    def _volumes(self, scenes: Sequence[EchoScene], mask: Bool[Tensor, "n f h w"]) -> Float[Tensor, "n f"]:
        """Volume in ml in each frame: the length is the chamber's extent along the heart's long axis."""
        size, out = mask.shape[-1], []
        for scene, chamber in zip(scenes, mask, strict=True):
            layout = Layout(scene)
            x, y = pixel_mm_grid(layout.fov_mm, layout.depth_mm, size, mask.device)
            along, pixel = y * layout.cos - x * layout.sin, layout.fov_mm / size
            far = torch.where(chamber, along, -torch.inf).flatten(1).amax(1)
            length = far - torch.where(chamber, along, torch.inf).flatten(1).amin(1) + pixel
            out.append(volume_ml(chamber.flatten(1).sum(1) * pixel**2, length))
        return torch.stack(out).nan_to_num()

    def facts(self, scene: EchoScene) -> dict[str, str]:
        percent, rate = scene.ejection_fraction_percent, scene.heart_rate_bpm
        systolic = scene.ventricle_ml * (1 - percent / 100)
        return {
            "ef": f"{percent:.0f}%", "rate": f"{rate:.0f}", "edv": f"{scene.ventricle_ml:.0f} ml",
            "esv": f"{systolic:.0f} ml", "view": scene.view, "wall": f"{scene.wall_mm:.0f} mm",
            "la": f"{scene.atrium_ml:.0f} ml",
        }

    def progress(self, scene: EchoScene, rng: np.random.Generator) -> EchoScene:
        return echo_scene.progress(scene, rng)

    def pixel_mm(self, scene: EchoScene, size: int) -> float:
        return Layout(scene).fov_mm / size


PHANTOM = Echocardiogram()
