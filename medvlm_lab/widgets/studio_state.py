"""What the phantom studio knows and how it looks: pure functions from a scene to picture, report and questions."""

from __future__ import annotations

import base64
import dataclasses
import io
from dataclasses import dataclass, replace
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab import phantoms, style
from medvlm_lab.errors import MedVLMError
from medvlm_lab.phantoms.scene import Finding, Scene

if TYPE_CHECKING:
    from jaxtyping import Bool

    from medvlm_lab.image import MedicalImage
from medvlm_lab.widgets.captioned import captioned

DISCLAIMER = "Simulated. Not for clinical use."
HIDDEN = ("seed", "patient", "visit", "hospital", "findings")  # the studio has its own controls for these
MASK_COLORS = (style.ORANGE, style.SKY, style.GREEN, style.PURPLE, style.YELLOW, style.VERMILION, style.BLUE)
SIZE = 384  # pixels per side: detail enough, and fast enough to follow a slider


@dataclass(frozen=True)
class StudioState:
    """One simulated patient under the reader's hand.

    Attributes:
        name: of the phantom.
        scene: the patient.
        shown: names of the masks drawn as outlines.
        frame: of a cine or a volume.
        error: one sentence to show the reader, or "".
    """

    name: str
    scene: Scene
    shown: tuple[str, ...] = ()
    frame: int = 0
    error: str = ""

    @property
    def phantom(self):
        return phantoms.phantom(self.name)


@dataclass(frozen=True)
class Control:
    """A slider: the scene's field, its range, and what it means."""

    field: str
    low: float
    high: float
    whole: bool
    label: str
    about: str


@dataclass(frozen=True)
class Place:
    """Where a kind of finding can be set: one per side."""

    kind: str
    side: str
    regions: tuple[str, ...]
    graded: bool
    unit: str
    low: float
    high: float

    @property
    def label(self) -> str:
        return f"{self.side} {self.kind}".strip()

    @property
    def middle(self) -> float:
        """The measurement to begin with."""
        return (self.low + min(self.high, 1e6)) / 2


def start(name: str, seed: int = 0) -> StudioState:
    """The patient of that seed. Raises UnknownNameError for another phantom, SceneError for a seed out of range."""
    return StudioState(name, phantoms.phantom(name).draw(seed))


def controls(scene: Scene) -> list[Control]:
    """Sliders for every number of the scene."""
    found = []
    for spec in dataclasses.fields(scene):
        if spec.name in HIDDEN or "low" not in spec.metadata:
            continue
        m, whole = spec.metadata, isinstance(getattr(scene, spec.name), int)
        label = spec.name.removesuffix(f"_{m['unit']}").replace("_", " ")
        about = m["about"] + (f" ({m['unit']})" if m["unit"] else "")
        found.append(Control(spec.name, m["low"], m["high"], whole, label, about))
    return found


def places(scene: Scene) -> list[Place]:
    """Every finding that can be put in by hand; those that follow from the numbers are left to the sliders."""
    found = []
    for kind, k in scene.kinds.items():
        if not k.derived:
            for side in k.sides or ("",):
                regions = _regions(scene, kind, side, k.regions)
                found.append(Place(kind, side, regions, k.graded, k.unit, k.low, k.high))
    return found


def _regions(scene: Scene, kind: str, side: str, regions: tuple[str, ...]) -> tuple[str, ...]:
    """The regions that this side has: a scene refuses the others."""
    allowed = []
    for region in regions:
        k = scene.kinds[kind]
        trial = Finding(kind, side, region, 0.5 if k.graded else None, (k.low + k.high) / 2 if k.unit else None)
        usual = type(scene)()
        try:
            usual.with_(**usual.showing(trial), findings=(trial,))
        except MedVLMError:
            continue
        allowed.append(region)
    return tuple(allowed) or regions  # refused in all of them: that is not for the region


def put(state: StudioState, place: Place, present: bool, region: str = "", amount: float = 0.5, measured: float = 0.0):
    """The state with that finding set, changed or taken away; with a sentence in `error` where the scene refuses it."""
    others = tuple(f for f in state.scene.findings if (f.kind, f.side) != (place.kind, place.side))
    if not present:
        return change(state, findings=others)
    old = next((f for f in state.scene.findings if (f.kind, f.side) == (place.kind, place.side)), None)
    made = Finding(
        place.kind, place.side, region if place.regions else "", amount if place.graded else None,
        measured if place.unit else None, old.at if old else (0.5, 0.5),
    )  # fmt: skip
    changed = change(state, findings=(*others, made))
    if changed.error and (moved := state.scene.showing(made)):  # perhaps in another slice
        elsewhere = change(state, findings=(*others, made), **moved)
        return changed if elsewhere.error else elsewhere
    return changed


def change(state: StudioState, **values) -> StudioState:
    """The state with other numbers or findings in its scene; outlines of findings that are gone go with them."""
    try:
        scene = state.phantom.adjust(state.scene, **values)
    except MedVLMError as error:
        return replace(state, error=str(error))
    gone = {f.mask_name for f in state.scene.all_findings} - {f.mask_name for f in scene.all_findings}
    return replace(state, scene=scene, shown=tuple(name for name in state.shown if name not in gone), error="")


@lru_cache(maxsize=4)
def drawn(name: str, scene: Scene) -> MedicalImage:
    """The picture of a scene; other outlines, frames and the saved picture need no other one."""
    return phantoms.phantom(name).image(scene, SIZE)


@lru_cache(maxsize=4)
def places_in(name: str, scene: Scene, size: int) -> dict[str, Bool[np.ndarray, "*frames h w"]]:
    """The scene's masks."""
    return {key: mask[0].cpu().numpy() for key, mask in phantoms.phantom(name).masks([scene], size).items()}


def mask_names(state: StudioState) -> list[str]:
    """What can be outlined in this picture: its findings first, then the anatomy."""
    masks = places_in(state.name, state.scene, 64)
    own = [f.mask_name for f in state.scene.all_findings]
    every = {mask for kind in state.scene.kinds for mask in (kind, f"right {kind}", f"left {kind}")}
    return own + [name for name in masks if name not in every]


def picture(state: StudioState):
    """Pillow image of the frame in view, with the chosen masks as outlines."""
    from PIL import Image

    image = drawn(state.name, state.scene)
    rgb = image.display(min(state.frame, image.frames - 1)).copy()  # (h, w, 3)
    if state.shown:
        masks = places_in(state.name, state.scene, SIZE)
        for number, name in enumerate(state.shown):
            if name in masks:
                mask = masks[name]
                mask = mask[min(state.frame, len(mask) - 1)] if mask.ndim == 3 else mask
                color = MASK_COLORS[number % len(MASK_COLORS)]
                rgb[outline(mask)] = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return Image.fromarray(rgb)


def card_png(state: StudioState) -> bytes:
    """PNG of the picture and what it shows, for pages on which no kernel runs."""
    outlined = [f"Outlined: {', '.join(state.shown)}"] if state.shown else []
    return captioned(picture(state), [describe(state), *outlined], DISCLAIMER)


def outline(mask: np.ndarray) -> np.ndarray:
    """The mask's inner border, two pixels wide."""
    inner = np.pad(mask, 2)
    for axis in (0, 1):
        for shift in (-2, -1, 1, 2):
            inner = inner & np.roll(np.pad(mask, 2), shift, axis)
    return mask & ~inner[2:-2, 2:-2]


def describe(state: StudioState) -> str:
    """The picture in words."""
    found = ", ".join(f.mask_name for f in state.scene.all_findings) or "no finding"
    return f"Simulated {state.name.replace('-', ' ')}: {found}"


def picture_html(state: StudioState) -> str:
    """The picture as an <img>, and the outlines' names in their colours."""
    buffer = io.BytesIO()
    picture(state).save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    names = "".join(
        f'<span style="color:{MASK_COLORS[i % len(MASK_COLORS)]}">■</span> {escape(name)} '
        for i, name in enumerate(state.shown)
    )
    error = f'<div class="mv-error" role="alert">{escape(state.error)}</div>' if state.error else ""
    shown = f'<img src="data:image/png;base64,{data}" alt="{escape(describe(state))}">'
    return f'{shown}<div class="mv-key">{names}</div>{error}'


def sound_html(state: StudioState) -> str:
    """A player for what can be heard, "" for what cannot."""
    if state.phantom.sampling_hz is None:
        return ""
    data = base64.b64encode(state.phantom.wav(state.scene)).decode("ascii")
    return f'<audio controls src="data:audio/wav;base64,{data}" aria-label="Simulated {state.name}"></audio>'


def report_html(state: StudioState) -> str:
    """The report; equal scenes are worded alike."""
    report = state.phantom.report(state.scene)
    return f"<b>Findings.</b> {escape(report.findings)}<p><b>Impression.</b> {escape(report.impression)}</p>"


def questions_html(state: StudioState) -> str:
    """Questions with their answers and the mask that justifies each."""
    rows = "".join(
        f"<tr><td>{escape(q.question)}</td><td><b>{escape(q.answer)}</b></td><td>{escape(q.mask_name) or '–'}</td></tr>"
        for q in state.phantom.questions(state.scene)
    )
    return f"<table><tr><th>question</th><th>answer</th><th>seen in</th></tr>{rows}</table>"


@dataclass(frozen=True)
class Shown:
    """All that a page shows of a state; computed away from the widgets."""

    frames: int
    masks: list[str]
    picture: str
    sound: str
    report: str
    questions: str

    @classmethod
    def of(cls, state: StudioState) -> Shown:
        """Everything of that state."""
        frames = drawn(state.name, state.scene).frames
        words = report_html(state), questions_html(state)
        return cls(frames, mask_names(state), picture_html(state), sound_html(state), *words)
