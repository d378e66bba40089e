"""Simulated FDG PET and SPECT: coronal maximum-intensity projections of the whole body."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from torch.nn import functional as F

from medvlm_lab.phantoms import pet_scene
from medvlm_lab.phantoms.base import Phantom, Question, check_hospital, check_size, rng_of
from medvlm_lab.phantoms.language import Grammar
from medvlm_lab.phantoms.pet_body import Anatomy, Solid
from medvlm_lab.phantoms.pet_lesions import solids_of
from medvlm_lab.phantoms.pet_scanner import acquire
from medvlm_lab.phantoms.pet_scene import CAMERAS, PetScene
from medvlm_lab.phantoms.pet_volume import ACROSS, VOXEL_MM

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor


ORGANS = ("brain", "heart", "right lung", "left lung", "liver", "spleen", "right kidney", "left kidney", "bladder")


class Pet(Phantom):
    """FDG PET or SPECT, seen from the front."""

    name: ClassVar[str] = "pet"
    modality: ClassVar[str] = "nuclear medicine"
    anatomy: ClassVar[str] = "whole body"
    orientation: ClassVar[tuple[str, str]] = ("L", "F")
    scene: ClassVar[type[PetScene]] = PetScene
    units: ClassVar[str] = "SUV"
    window: ClassVar[tuple[float, float]] = (3.5, 7.0)
    inverted: ClassVar[bool] = True  # shown dark on white

    def draw(self, seed: int, hospital: int = 0) -> PetScene:
        """The patient of that seed."""
        check_hospital(hospital)
        return pet_scene.draw(seed, hospital, rng_of(seed, 3))

    @torch.no_grad()  # not inference_mode: what it makes could not be trained on
    def render(
        self, scenes: Sequence[PetScene], size: int = 224, device: str | torch.device | None = None
    ) -> Float[Tensor, "n 1 h w"]:
        """The highest SUV along each line from front to back."""
        return self._shown(scenes, size, device, None)

    @torch.no_grad()
    def coronal(
        self, scenes: Sequence[PetScene], y_mm: float = 0.0, size: int = 224, device: str | torch.device | None = None
    ) -> Float[Tensor, "n 1 h w"]:
        """SUV in one coronal slice, `y_mm` behind the middle of the body."""
        return self._shown(scenes, size, device, y_mm)

    def _shown(
        self, scenes: Sequence[PetScene], size: int, device: str | torch.device | None, y_mm: float | None
    ) -> Float[Tensor, "n 1 h w"]:
        check_size(size)
        device = torch.device(device or "cpu")
        out = torch.zeros(len(scenes), 1, size, size, device=device)
        for i, scene in enumerate(scenes):  # one volume in memory at a time
            volume = acquire(scene, device)  # (z, y, x)
            if y_mm is None:
                plane = volume.amax(1)
            else:
                plane = volume[:, min(ACROSS - 1, max(0, round(y_mm / VOXEL_MM + (ACROSS - 1) / 2)))]
            out[i, 0] = _resampled(plane, scene, size)
        return out

    @torch.no_grad()
    def masks(
        self, scenes: Sequence[PetScene], size: int = 224, device: str | torch.device | None = None
    ) -> dict[str, Bool[Tensor, "n h w"]]:
        """Silhouettes of the organs ("brain", "heart", both lungs, "liver", ...) and of every finding."""
        check_size(size)
        device = torch.device(device or "cpu")
        names = [*ORGANS]
        for kind, spec in PetScene.kinds.items():
            names += [f"{side} {kind}".strip() for side in spec.sides or ("",)]
        out = {name: torch.zeros(len(scenes), size, size, dtype=torch.bool, device=device) for name in names}
        for i, scene in enumerate(scenes):
            anatomy = Anatomy(scene)
            x, z = _axes(scene, size, device)
            solids = [s for s in anatomy.organs() if s.name in out]
            for finding in scene.findings:
                solids += solids_of(anatomy, finding)
            for solid in solids:
                _silhouette(out[solid.name][i], solid, x, z)
        return out

    def measure(
        self, scenes: Sequence[PetScene], masks: dict[str, Bool[Tensor, "n h w"]]
    ) -> dict[str, Float[Tensor, " n"]]:
        """Diameters of circles of equal area: `left_hypermetabolic_lung_lesion_mm` and so on."""
        out = {}
        for name, mask in masks.items():
            if name.endswith(" lesion"):
                pixel = torch.tensor([s.fov_mm for s in scenes], device=mask.device) / mask.shape[-1]
                area = mask.flatten(1).sum(1) * pixel**2
                out[f"{name.replace(' ', '_')}_mm"] = torch.where(area > 0, 2 * (area / torch.pi).sqrt(), torch.nan)
        return out

    def questions(
        self, scene: PetScene, rng: np.random.Generator | int | None = None, wording: str = "usual"
    ) -> list[Question]:
        """As for every modality, and whether attenuation was corrected for."""
        asked = super().questions(scene, rng, wording)
        own = rng_of(scene.seed, 13) if rng is None or isinstance(rng, int) else rng
        text = Grammar.of(self.name).say(("ask", "correction"), {}, own, wording)
        asked.append(Question(text, ("no", "yes")[scene.corrected], True, "ATTRIB"))
        return [asked[i] for i in own.permutation(len(asked))]

    def facts(self, scene: PetScene) -> dict[str, str]:
        return {"camera": CAMERAS[scene.camera], "modality": CAMERAS[scene.camera].lower()}

    def progress(self, scene: PetScene, rng: np.random.Generator) -> PetScene:
        return pet_scene.progress(scene, rng)

    def pixel_mm(self, scene: PetScene, size: int) -> float:
        return scene.fov_mm / size


def _axes(scene: PetScene, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """x of each column and z of each row, mm."""
    at = (torch.arange(size, device=device) + 0.5) / size * scene.fov_mm
    return at - scene.fov_mm / 2 - scene.shift_x_mm, at - 12.0 - scene.shift_z_mm


def _resampled(plane: Float[Tensor, "z x"], scene: PetScene, size: int) -> Float[Tensor, "h w"]:
    """The scanner's voxels as a picture; beside them there is nothing."""
    x, z = _axes(scene, size, plane.device)
    column, row = x / VOXEL_MM + (ACROSS - 1) / 2, (z + 12.0 + scene.shift_z_mm) / VOXEL_MM - 0.5
    scale = torch.tensor([2 / (plane.shape[1] - 1), 2 / (plane.shape[0] - 1)], device=plane.device)
    grid = torch.stack(torch.broadcast_tensors(column[None] * scale[0] - 1, row[:, None] * scale[1] - 1), -1)
    return F.grid_sample(plane[None, None], grid[None], mode="bicubic", align_corners=True)[0, 0].clamp(min=0)


def _silhouette(mask: Bool[Tensor, "h w"], solid: Solid, x: Tensor, z: Tensor) -> None:
    """Adds an ellipsoid's outline from the front."""
    c, s = float(np.cos(solid.turn)), float(np.sin(solid.turn))
    dx, dz = x - solid.x, (z - solid.z)[:, None]
    u, v = (dx * c + dz * s) / solid.rx, (dz * c - dx * s) / solid.rz
    q = u * u + v * v
    mask |= q < max(1.0, float(q.min()) + 1e-6)  # what is smaller than a pixel still has one


PHANTOM = Pet()
