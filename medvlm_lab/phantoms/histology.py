"""Simulated H&E micrographs of breast and colon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from medvlm_lab.phantoms import histology_scene
from medvlm_lab.phantoms.base import Phantom, Question, check_hospital, check_size, rng_of
from medvlm_lab.phantoms.histology_masks import MASKS, mask_fields, measures
from medvlm_lab.phantoms.histology_scene import DIAGNOSES, ORGANS, HistologyScene
from medvlm_lab.phantoms.language import Grammar
from medvlm_lab.phantoms.tissue_fields import View
from medvlm_lab.phantoms.tissue_render import Section
from medvlm_lab.phantoms.tissue_slide import slide_of
from medvlm_lab.phantoms.tissue_stain import photograph, transmit

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

FINEST_UM = 3.8  # coarser pixels are made of finer ones, or thin structures would flicker


class Histology(Phantom):
    """H&E sections under the microscope."""

    name: ClassVar[str] = "histology"
    modality: ClassVar[str] = "histology"
    anatomy: ClassVar[str] = "breast or colon"
    scene: ClassVar[type[HistologyScene]] = HistologyScene
    channels: ClassVar[int] = 3

    def draw(self, seed: int, hospital: int = 0) -> HistologyScene:
        """The biopsy of that seed."""
        check_hospital(hospital)
        return histology_scene.draw(seed, hospital, rng_of(seed, 4))

    @torch.no_grad()  # not inference_mode: what it makes could not be trained on
    def render(
        self, scenes: Sequence[HistologyScene], size: int = 224, device: str | torch.device | None = None
    ) -> Float[Tensor, "n 3 h w"]:
        """Red, green and blue from 0 to 1, in whole 255ths."""
        out = torch.empty(len(scenes), 3, size, size, device=torch.device(device or "cpu"))
        for i, stain in enumerate(self._sections(scenes, size, device)):
            out[i] = photograph(transmit(stain, scenes[i]), scenes[i], size)
        return out

    @torch.no_grad()
    def stains(
        self, scenes: Sequence[HistologyScene], size: int = 224, device: str | torch.device | None = None
    ) -> Float[Tensor, "n 3 h w"]:
        """Concentrations of haematoxylin, eosin and residual in the section, before any optics."""
        out = torch.empty(len(scenes), 3, size, size, device=torch.device(device or "cpu"))
        for i, stain in enumerate(self._sections(scenes, size, device)):
            k = stain.shape[-1] // size
            out[i] = stain.view(3, size, k, size, k).mean((2, 4))
        return out

    def _sections(self, scenes: Sequence[HistologyScene], size: int, device: str | torch.device | None):
        """Stain maps (3, k size, k size), one slide in memory at a time."""
        check_size(size)
        for scene in scenes:
            k = min(2, max(1, int(np.ceil(scene.field_um / size / FINEST_UM))))
            yield Section(slide_of(scene), View(scene.field_um, k * size, torch.device(device or "cpu"))).stains()

    @torch.no_grad()
    def masks(
        self, scenes: Sequence[HistologyScene], size: int = 224, device: str | torch.device | None = None
    ) -> dict[str, Bool[Tensor, "n h w"]]:
        """Anatomy ("tissue", "nuclei", "epithelium", "lumen", "stroma", "fat") and every finding."""
        check_size(size)
        device = torch.device(device or "cpu")
        out = {name: torch.zeros(len(scenes), size, size, dtype=torch.bool, device=device) for name in MASKS}
        for i, scene in enumerate(scenes):
            for name, mask in mask_fields(Section(slide_of(scene), View(scene.field_um, size, device))).items():
                out[name][i] = mask
        return out

    def measure(
        self, scenes: Sequence[HistologyScene], masks: dict[str, Bool[Tensor, "n h w"]]
    ) -> dict[str, Float[Tensor, " n"]]:
        """`mitoses`, `necrosis_percent` of the carcinoma, `nuclei_per_mm2`, `nuclear_area_um2` and its variation."""
        return measures(scenes, masks)

    def questions(
        self, scene: HistologyScene, rng: np.random.Generator | int | None = None, wording: str = "usual"
    ) -> list[Question]:
        """As for every modality, and what the pathologist decides: class, malignancy, grade, number of mitoses."""
        asked = super().questions(scene, rng, wording)
        own = rng_of(scene.seed, 13) if rng is None or isinstance(rng, int) else rng
        grammar = Grammar.of(self.name)
        found = scene.all_findings[0].mask_name if scene.diagnosis else ""
        say = lambda kind: grammar.say(("ask", kind), {}, own, wording)  # noqa: E731
        asked.append(Question(say("class"), DIAGNOSES[scene.diagnosis], True, "ATTRIB", found))
        nature = "malignant" if scene.diagnosis >= 2 else "benign"
        asked.append(Question(say("malignant"), nature, True, "ATTRIB", found))
        if not scene.mitoses:
            asked.append(Question(say("no mitoses"), "0 per field", False, "ATTRIB"))
        if scene.grade:
            asked.append(Question(say("cancer grade"), scene.grade, True, "ATTRIB"))
        return [asked[i] for i in own.permutation(len(asked))]

    def facts(self, scene: HistologyScene) -> dict[str, str]:
        return {
            "organ": ORGANS[scene.organ], "mammary": ("mammary", "colonic")[scene.organ], "grade": scene.grade,
            "glands": ("ducts and lobules", "crypts")[scene.organ], "objective": scene.objective,
        }

    def progress(self, scene: HistologyScene, rng: np.random.Generator) -> HistologyScene:
        return histology_scene.progress(scene, rng)

    def pixel_mm(self, scene: HistologyScene, size: int) -> float:
        return scene.field_um / 1000 / size


PHANTOM = Histology()
