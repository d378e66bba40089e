"""Simulated MR slices of the head: T1, T2, FLAIR and T1 after contrast, in three planes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from medvlm_lab.phantoms import brain_draw
from medvlm_lab.phantoms.base import Phantom, Question, check_count, check_hospital, check_size, rng_of
from medvlm_lab.phantoms.brain_geometry import Head
from medvlm_lab.phantoms.brain_masks import mask_fields
from medvlm_lab.phantoms.brain_places import TRAVEL_MM
from medvlm_lab.phantoms.brain_render import signal
from medvlm_lab.phantoms.brain_scanner import scan
from medvlm_lab.phantoms.brain_scene import CONTRAST, PLANES, ROUND, SEQUENCES, BrainScene
from medvlm_lab.phantoms.language import Grammar

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

CHUNK = 4  # slices of 256 pixels that are in work together
USUAL_FOV_MM = 220.0  # for which a scene's lines of k-space are counted


class BrainMR(Phantom):
    """One MR slice of the head."""

    name: ClassVar[str] = "brain-mr"
    modality: ClassVar[str] = "MR"
    anatomy: ClassVar[str] = "brain"
    orientation: ClassVar[tuple[str, str]] = ("L", "P")
    scene: ClassVar[type[BrainScene]] = BrainScene
    window: ClassVar[tuple[float, float]] = (0.48, 0.96)

    def draw(self, seed: int, hospital: int = 0) -> BrainScene:
        """The patient of that seed, in one sequence and plane."""
        check_hospital(hospital)
        return brain_draw.draw(seed, hospital, rng_of(seed, 4))

    def volume(self, scene: BrainScene, slices: int = 5, spread_mm: float = 40.0) -> list[BrainScene]:
        """The same patient in `slices` slices around the scene's own, along the plane's normal; render them as a batch.

        Lesions keep their place: a slice beside one shows less of it, or nothing.
        """
        check_count(slices, "slices")
        low, high = TRAVEL_MM[scene.plane]
        steps = np.linspace(-0.5, 0.5, slices) * spread_mm / (high - low)
        return [brain_draw.beside(scene, min(1.0, max(0.0, scene.position + float(step)))) for step in steps]

    def sequences(self, scene: BrainScene) -> list[BrainScene]:
        """The same slice in every sequence that can show its findings."""
        return brain_draw.in_every_sequence(scene)

    def planes(self, scene: BrainScene) -> list[BrainScene]:
        """Axial, coronal and sagittal slices of the patient through the scene's first finding."""
        return brain_draw.in_every_plane(scene)

    @torch.no_grad()  # not inference_mode: what it makes could not be trained on
    def render(
        self, scenes: Sequence[BrainScene], size: int = 224, device: str | torch.device | None = None
    ) -> Float[Tensor, "n 1 h w"]:
        """Magnitude of the reconstructed signal; 1 is about the brightest tissue in each sequence."""
        check_size(size)
        device = torch.device(device or "cpu")
        out = torch.empty(len(scenes), 1, size, size, device=device)
        for i, head in self._chunks(scenes, size, device):
            p, made = head.p, signal(head)
            noise = head.signal("white") / p["snr"]
            lines = head.column([float(s.matrix) for s in head.scenes]) * (p["fov_mm"] / USUAL_FOV_MM)
            out[i : i + len(made), 0] = scan(made, noise, lines, p["coil"], p["motion"], head.seeds)
        return out

    @torch.no_grad()
    def truth(
        self, scenes: Sequence[BrainScene], size: int = 224, device: str | torch.device | None = None
    ) -> Float[Tensor, "n h w"]:
        """Signal before any scanner: no noise, no ringing."""
        check_size(size)
        device = torch.device(device or "cpu")
        return torch.cat([signal(head) for _, head in self._chunks(scenes, size, device)])

    @torch.no_grad()
    def masks(
        self, scenes: Sequence[BrainScene], size: int = 224, device: str | torch.device | None = None
    ) -> dict[str, Bool[Tensor, "n h w"]]:
        """Anatomy ("head", "brain", "white matter", "grey matter", "ventricles", ...) and every finding."""
        check_size(size)
        device = torch.device(device or "cpu")
        parts = [mask_fields(head) for _, head in self._chunks(scenes, size, device)]
        return {name: torch.cat([part[name] for part in parts]) for name in parts[0]} if parts else {}

    def measure(
        self, scenes: Sequence[BrainScene], masks: dict[str, Bool[Tensor, "n h w"]]
    ) -> dict[str, Float[Tensor, " n"]]:
        """Diameters of circles of equal area (`left_brain_tumour_mm`), widths along rows, shares of the brain.

        `midline_shift_mm` and `left_subdural_haematoma_mm` are widths; `ventricles_percent` is of the brain's area.
        """
        brain = masks["brain"]
        pixel = torch.tensor([s.fov_mm for s in scenes], device=brain.device) / brain.shape[-1]
        # rows of the picture are turned against the head
        turn = torch.tensor([s.turn_degrees for s in scenes], device=brain.device) * (torch.pi / 180)
        out = {}
        for name, mask in masks.items():
            key, area = f"{name.replace(' ', '_')}_mm", mask.flatten(1).sum(1)
            kind = name.removeprefix("right ").removeprefix("left ")
            if kind in ROUND:
                out[key] = torch.where(area > 0, 2 * (area * pixel**2 / torch.pi).sqrt(), torch.nan)
            elif kind == "subdural haematoma":
                out[key] = widest(mask, 9) * pixel
            elif kind == "midline shift":
                out[key] = widest(mask, 11) * pixel * turn.cos()
        out["ventricles_percent"] = 100 * masks["ventricles"].flatten(1).sum(1) / brain.flatten(1).sum(1)
        return out

    def questions(
        self, scene: BrainScene, rng: np.random.Generator | int | None = None, wording: str = "usual"
    ) -> list[Question]:
        """As for every modality, and which weighting this is and whether contrast was given."""
        asked = super().questions(scene, rng, wording)
        own = rng_of(scene.seed, 13) if rng is None or isinstance(rng, int) else rng
        grammar = Grammar.of(self.name)
        given = "yes" if scene.sequence == CONTRAST else "no"
        asked.append(Question(grammar.say(("ask", "contrast"), {}, own, wording), given, True, "ATTRIB"))
        text = grammar.say(("ask", "sequence"), {}, own, wording)
        asked.append(Question(text, SEQUENCES[scene.sequence].lower(), False, "ATTRIB"))
        return [asked[i] for i in own.permutation(len(asked))]

    def adjust(self, scene: BrainScene, **changes: Any) -> BrainScene:
        """Lesions keep their place when the slice moves, and stay in view when it is turned into another plane."""
        if set(changes) == {"position"}:
            return brain_draw.beside(scene, position=changes["position"])
        if set(changes) == {"plane"}:
            return next((s for s in self.planes(scene) if s.plane == changes["plane"]), None) or scene.with_(**changes)
        return scene.with_(**changes)

    def facts(self, scene: BrainScene) -> dict[str, str]:
        return {
            "sequence": SEQUENCES[scene.sequence], "plane": PLANES[scene.plane],
            "towards": "leftward" if scene.midline_mm > 0 else "rightward",
            "bright": "hyperintense" if scene.sequence in (1, 2) else "hypointense",
            "enhancing": "enhancing " if scene.sequence == CONTRAST else "",
        }

    def progress(self, scene: BrainScene, rng: np.random.Generator) -> BrainScene:
        return brain_draw.progress(scene, rng)

    def pixel_mm(self, scene: BrainScene, size: int) -> float:
        return scene.fov_mm / size

    def _chunks(
        self, scenes: Sequence[BrainScene], size: int, device: torch.device
    ) -> Iterator[tuple[int, Head]]:
        """Batches small enough for memory, whatever the number of scenes."""
        step = max(1, min(4 * CHUNK, CHUNK * 256 * 256 // size**2))
        for i in range(0, len(scenes), step):
            yield i, Head(scenes[i : i + step], size, device)


def widest(mask: Bool[Tensor, "n h w"], rows: int) -> Float[Tensor, " n"]:
    """Mean width of the `rows` neighbouring rows in which a mask is widest, in pixels; NaN where it is empty."""
    width = mask.sum(2).float()  # (n, h)
    rows = max(1, min(rows * mask.shape[1] // 256, int(width.shape[1])))
    best = width.unfold(1, rows, 1).mean(2).amax(1)
    return torch.where(width.amax(1) > 0, best, torch.nan)


PHANTOM = BrainMR()
