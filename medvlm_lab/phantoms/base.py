"""The contract that every modality follows. One modality is one module, named in `phantoms.MODULES`.

    class MyScene(Scene):               # numbers with ranges (`number`), `kinds`, `all_findings`
    class MyPhantom(Phantom):
        draw(seed, hospital)            # one scene; everything in it follows from the seed
        render(scenes, size, device)    # pixels, batched; a scene's pixels do not depend on its neighbours
        masks(scenes, size, device)     # where everything is, exactly; every name in every call, empty where absent
        measure(scenes, masks)          # numbers read off the masks, as a reader would
        progress(scene, rng)            # the same patient at the next visit
    PHANTOM = MyPhantom()

Reports and questions come from `wording/NAME.toml` through `language.Grammar`; `facts` fills slots
that no finding fills.
Random numbers: `rng_of(seed)` on the CPU for what decides a scene, tiles offset by the seed for noise (`noise.py`), so
that the same scene gives the same pixels in any batch. In renderers use arithmetic, sqrt, exp, log, sin, cos, tanh:
torch rounds these alike wherever an element lies in a batch, `sigmoid`, `pow`, `atan2` and convolutions it does not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from medvlm_lab.errors import SceneError
from medvlm_lab.phantoms.language import WORDINGS
from medvlm_lab.phantoms.scene import HOSPITALS, Finding, Kind, Scene, number, scene_seed

if TYPE_CHECKING:
    import torch
    from jaxtyping import Bool, Float
    from torch import Tensor

    from medvlm_lab.image import MedicalImage

__all__ = [
    "Finding", "Kind", "Phantom", "Question", "Report", "Scene", "WORDINGS", "check_count", "check_hospital",
    "check_size", "number", "rng_of", "scene_seed",
]

SIZES = (32, 2048)  # pixels; smaller shows nothing, larger adds no detail


@dataclass(frozen=True)
class Report:
    """A radiology report in two paragraphs."""

    findings: str
    impression: str

    def __str__(self) -> str:
        return f"FINDINGS: {self.findings}\nIMPRESSION: {self.impression}"


@dataclass(frozen=True)
class Question:
    """A question about one scene.

    Attributes:
        answer: "yes", "no", or a few words.
        closed: the answer is yes or no, or one of the choices that the question names.
        question_type: PRES, POS, SIZE, ATTRIB, MODALITY, PLANE, ORGAN or ABN, as in VQA-RAD.
        mask_name: the mask that justifies the answer; empty where nothing in the picture does.
    """

    question: str
    answer: str
    closed: bool
    question_type: str
    mask_name: str = ""


class Phantom(ABC):
    """Simulator of one modality: description → image, masks, measurements, report, questions."""

    name: ClassVar[str]  # "chest-xray"
    modality: ClassVar[str]  # as in image.MODALITIES
    anatomy: ClassVar[str]
    scene: ClassVar[type[Scene]]
    channels: ClassVar[int] = 1  # of `render`: 1 grey, 3 colour; a cine or a volume: its frames or slices
    units: ClassVar[str] = ""
    window: ClassVar[tuple[float, float]] = (0.5, 1.0)  # (center, width) to display what `render` returns
    inverted: ClassVar[bool] = False  # low values shown bright
    orientation: ClassVar[tuple[str, str] | None] = None  # where the right and bottom edges point in the patient
    sampling_hz: ClassVar[int | None] = None  # of what `audio` returns, where a modality can be heard
    fps: ClassVar[float | None] = None  # of a cine; its masks have the frames as their second axis

    @abstractmethod
    def draw(self, seed: int, hospital: int = 0) -> Scene:
        """The scene of that seed."""

    @abstractmethod
    def render(
        self, scenes: Sequence[Scene], size: int = 224, device: str | torch.device | None = None
    ) -> Float[Tensor, "n c h w"]:
        """Pixels in `units`. Equal scenes give equal pixels on a device, whatever else is in the batch."""

    @abstractmethod
    def masks(
        self, scenes: Sequence[Scene], size: int = 224, device: str | torch.device | None = None
    ) -> dict[str, Bool[Tensor, "n *frames h w"]]:
        """Anatomy by name, and every finding that there is under its `mask_name`; empty where a scene lacks it."""

    @abstractmethod
    def measure(
        self, scenes: Sequence[Scene], masks: dict[str, Bool[Tensor, "n *frames h w"]]
    ) -> dict[str, Float[Tensor, " n"]]:
        """Measurements read off the masks, with the unit in each name; NaN where a scene lacks what is measured."""

    @abstractmethod
    def progress(self, scene: Scene, rng: np.random.Generator) -> Scene:
        """The same patient some time later; seed and visit are set by `timeline`."""

    @abstractmethod
    def pixel_mm(self, scene: Scene, size: int) -> float | None:
        """Distance between pixel centres; None where the picture has no length."""

    def sample(self, seed: int, n: int, *, part: str = "train", hospital: int = 0) -> list[Scene]:
        """`n` scenes of stream `seed`. Parts (train, validation, test) never share a scene. Raises SceneError."""
        check_count(n)
        return [self.draw(scene_seed(part, seed, i), hospital) for i in range(n)]

    def timeline(self, seed: int, visits: int, *, part: str = "train", hospital: int = 0) -> list[Scene]:
        """One patient's studies in order: the anatomy stays, findings grow, shrink, come and go."""
        check_count(visits, "visits")
        studies = [self.draw(scene_seed(part, seed, 0), hospital)]
        for visit in range(1, visits):
            again = self.progress(studies[-1], rng_of(studies[0].seed, visit))
            studies.append(again.with_(seed=scene_seed(part, seed, visit), visit=visit))
        return studies

    def adjust(self, scene: Scene, **changes: Any) -> Scene:
        """The scene after a reader changed a number or the findings; raises SceneError for what it cannot be."""
        return scene.with_(**changes)

    def facts(self, scene: Scene) -> dict[str, str]:
        """Slots of sentences that depend on the scene's numbers, not on one finding."""
        return {}

    def report(
        self, scene: Scene, rng: np.random.Generator | int | None = None, wording: str = "usual",
        prior: Scene | None = None, author: int | None = None,
    ) -> Report:
        """A report that states every finding and denies some absent ones; with `prior`, what has changed.

        rng: decides wording and order; the scene's seed by default. author: a number whose reports are all worded
        alike. Raises UnknownNameError for another wording.
        """
        from medvlm_lab.phantoms.report_writer import write_report

        return write_report(self, scene, _generator(rng, scene, 11), wording, prior, author)

    def questions(
        self, scene: Scene, rng: np.random.Generator | int | None = None, wording: str = "usual"
    ) -> list[Question]:
        """Closed and open questions with their answers, each finding asked for and as many absent ones."""
        from medvlm_lab.phantoms.question_writer import write_questions

        return write_questions(self, scene, _generator(rng, scene, 12), wording)

    def image(self, scene: Scene, size: int = 512) -> MedicalImage:
        """The picture of one scene, marked as simulated."""
        from medvlm_lab.image import MedicalImage

        pixels = self.render([scene], size)[0].cpu().numpy()  # (c, h, w)
        if self.channels == 3:
            pixels = np.rint(pixels.transpose(1, 2, 0)[None] * 255).astype(np.uint8)  # (1, h, w, 3)
        mm = self.pixel_mm(scene, size)
        return MedicalImage(
            pixels, self.modality, spacing_mm=mm and (mm, mm), window=None if self.channels == 3 else self.window,
            units=self.units, fps=self.fps, source=f"simulated by medvlm_lab.phantoms ({self.name}, seed {scene.seed})",
            name=f"{self.name}-{scene.seed:013x}", anatomy=self.anatomy, simulated=True, inverted=self.inverted,
            orientation=self.orientation,
        )


def rng_of(*seeds: int) -> np.random.Generator:
    """A generator of its own for each combination of seeds, equal on every machine."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seeds)))


def check_size(size: int) -> None:
    """Raise SceneError for a picture size that cannot be rendered."""
    if not isinstance(size, int) or isinstance(size, bool) or not SIZES[0] <= size <= SIZES[1]:
        raise SceneError(f"size is {size!r}; it must be a whole number from {SIZES[0]} to {SIZES[1]} pixels.")


def check_hospital(hospital: int) -> None:
    """Raise SceneError for a hospital that does not exist."""
    if not isinstance(hospital, int) or isinstance(hospital, bool) or not 0 <= hospital < HOSPITALS:
        raise SceneError(f"hospital is {hospital!r}; it must be a whole number from 0 to {HOSPITALS - 1}.")


def check_count(n: int, name: str = "n") -> None:
    """Raise SceneError for a number of scenes below 1."""
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise SceneError(f"{name} is {n!r}; it must be a whole number of at least 1.")


def _generator(rng: np.random.Generator | int | None, scene: Scene, purpose: int) -> np.random.Generator:
    if isinstance(rng, np.random.Generator):
        return rng
    return rng_of(scene.seed if rng is None else rng, purpose)
