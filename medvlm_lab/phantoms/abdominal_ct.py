"""Simulated axial CT slices of the upper abdomen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from medvlm_lab.phantoms import abdomen_draw
from medvlm_lab.phantoms.abdomen_geometry import Abdomen
from medvlm_lab.phantoms.abdomen_masks import mask_fields
from medvlm_lab.phantoms.abdomen_render import hounsfield
from medvlm_lab.phantoms.abdomen_scene import PHASES, AbdomenScene
from medvlm_lab.phantoms.base import Phantom, Question, check_count, check_hospital, check_size, rng_of
from medvlm_lab.phantoms.ct_scanner import scan
from medvlm_lab.phantoms.language import Grammar

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

CHUNK = 16  # slices scanned together
ROUND = ("liver cyst", "hypervascular liver lesion", "kidney stone", "renal cyst", "renal mass", "aorta")


class AbdominalCT(Phantom):
    """Axial CT of the upper abdomen."""

    name: ClassVar[str] = "abdominal-ct"
    modality: ClassVar[str] = "CT"
    anatomy: ClassVar[str] = "abdomen"
    orientation: ClassVar[tuple[str, str]] = ("L", "P")
    scene: ClassVar[type[AbdomenScene]] = AbdomenScene
    units: ClassVar[str] = "HU"
    window: ClassVar[tuple[float, float]] = (50.0, 400.0)

    def draw(self, seed: int, hospital: int = 0) -> AbdomenScene:
        """The patient of that seed, at one level and in one contrast phase."""
        check_hospital(hospital)
        return abdomen_draw.draw(seed, hospital, rng_of(seed, 2))

    def volume(self, scene: AbdomenScene, slices: int = 5, spread: float = 0.3) -> list[AbdomenScene]:
        """The same patient at `slices` levels around the scene's own, from above to below; render them as a batch.

        Findings whose organ leaves the slice are left out of it.
        """
        check_count(slices, "slices")
        levels = np.linspace(max(0.0, scene.level - spread / 2), min(1.0, scene.level + spread / 2), slices)
        return [abdomen_draw.at_level(scene, float(level)) for level in levels]

    @torch.no_grad()  # not inference_mode: what it makes could not be trained on
    def render(
        self, scenes: Sequence[AbdomenScene], size: int = 224, device: str | torch.device | None = None
    ) -> Float[Tensor, "n 1 h w"]:
        """Whole Hounsfield units, as the scanner reconstructs them."""
        check_size(size)
        device = torch.device(device or "cpu")
        out = torch.empty(len(scenes), 1, size, size, device=device)
        for i, body in self._chunks(scenes, size, device):
            truth = hounsfield(body)
            p = body.p
            out[i : i + len(truth), 0] = scan(truth, body.pixel_mm, p["dose_mgy"], p["kernel"], body.seeds)
        return out

    @torch.no_grad()
    def truth(
        self, scenes: Sequence[AbdomenScene], size: int = 224, device: str | torch.device | None = None
    ) -> Float[Tensor, "n h w"]:
        """Hounsfield units before any scanner: no noise, no blur."""
        check_size(size)
        device = torch.device(device or "cpu")
        return torch.cat([hounsfield(body) for _, body in self._chunks(scenes, size, device)])

    @torch.no_grad()
    def masks(
        self, scenes: Sequence[AbdomenScene], size: int = 224, device: str | torch.device | None = None
    ) -> dict[str, Bool[Tensor, "n h w"]]:
        """Anatomy ("body", "liver", "spleen", "aorta", "gallbladder", both kidneys) and every finding."""
        check_size(size)
        device = torch.device(device or "cpu")
        parts = [mask_fields(body) for _, body in self._chunks(scenes, size, device)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else {}

    def measure(
        self, scenes: Sequence[AbdomenScene], masks: dict[str, Bool[Tensor, "n h w"]]
    ) -> dict[str, Float[Tensor, " n"]]:
        """Diameters of circles of equal area, such as `aorta_mm` and `left_renal_cyst_mm`; `spleen_mm` tip to tip."""
        pixel = torch.tensor([s.fov_mm for s in scenes], device=masks["aorta"].device) / masks["aorta"].shape[-1]
        out = {}
        for name, mask in masks.items():
            if name.removeprefix("right ").removeprefix("left ") in ROUND:
                area = mask.flatten(1).sum(1) * pixel**2
                wide = torch.where(area > 0, 2 * (area / torch.pi).sqrt(), torch.nan)
                out[f"{name.replace(' ', '_')}_mm"] = wide
        out["spleen_mm"] = longest(masks["spleen"]) * pixel
        return out

    def questions(
        self, scene: AbdomenScene, rng: np.random.Generator | int | None = None, wording: str = "usual"
    ) -> list[Question]:
        """As for every modality, and which contrast phase this is."""
        asked = super().questions(scene, rng, wording)
        own = rng_of(scene.seed, 13) if rng is None or isinstance(rng, int) else rng
        grammar, phase = Grammar.of(self.name), PHASES[scene.phase]
        given = "no" if phase == "plain" else "yes"
        asked.append(Question(grammar.say(("ask", "contrast"), {}, own, wording), given, True, "ATTRIB"))
        asked.append(Question(grammar.say(("ask", "phase"), {}, own, wording), phase, False, "ATTRIB"))
        return [asked[i] for i in own.permutation(len(asked))]

    def facts(self, scene: AbdomenScene) -> dict[str, str]:
        return {
            "phase": PHASES[scene.phase], "aorta": f"{round(scene.aorta_mm)} mm",
            "spleen length": f"{round(scene.spleen_mm)} mm",
            "contrast": "without intravenous contrast" if scene.phase == 0 else f"in the {PHASES[scene.phase]} phase",
        }

    def progress(self, scene: AbdomenScene, rng: np.random.Generator) -> AbdomenScene:
        return abdomen_draw.progress(scene, rng)

    def pixel_mm(self, scene: AbdomenScene, size: int) -> float:
        return scene.fov_mm / size

    def _chunks(self, scenes: Sequence[AbdomenScene], size: int, device: torch.device):
        """Batches small enough for memory, whatever the number of scenes."""
        step = max(1, min(CHUNK, CHUNK * 256 * 256 // size**2))
        for i in range(0, len(scenes), step):
            yield i, Abdomen(scenes[i : i + step], size, device)


def longest(mask: Bool[Tensor, "n h w"]) -> Float[Tensor, " n"]:
    """Largest distance between two points of each mask (Feret diameter), in pixels; NaN where it is empty."""
    columns = torch.arange(mask.shape[-1], device=mask.device)
    first, last = torch.where(mask, columns, 10**6).amin(2), torch.where(mask, columns, -1).amax(2)  # (n, h)
    out = torch.full((len(mask),), torch.nan, device=mask.device)
    for i in range(len(mask)):
        rows = mask[i].any(1).nonzero()[:, 0]
        if len(rows):
            ends = torch.cat([torch.stack([c[i][rows], rows], 1) for c in (first, last)]).float()  # (2 rows, 2)
            out[i] = torch.cdist(ends, ends).amax() + 1
    return out


PHANTOM = AbdominalCT()
