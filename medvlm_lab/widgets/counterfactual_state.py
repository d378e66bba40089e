"""A simulated patient before and after a change, and what a model makes of both: pure functions, no ipywidgets."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from medvlm_lab import phantoms, style
from medvlm_lab.errors import MedVLMError, UnknownNameError
from medvlm_lab.explain.prompts import prompts
from medvlm_lab.widgets import studio_state as studio
from medvlm_lab.widgets.explain_card import SIGNS, beside, pane, told
from medvlm_lab.widgets.explain_state import ExplainState, asked_place, kind, look, true_places
from medvlm_lab.widgets.readout import Readout, readout

if TYPE_CHECKING:
    from jaxtyping import Float
    from PIL.Image import Image

    from medvlm_lab.embed import Embeddings, Projection
    from medvlm_lab.image import MedicalImage
    from medvlm_lab.phantoms.base import Phantom
    from medvlm_lab.phantoms.scene import Scene

SIZE, CINE_SIZE = 256, 128  # pixels per side, more than any teaching model looks at; a cine has 32 frames to draw
PLACES = 300  # pixels per side of the picture of places
ONE_SCALE = "Both maps share one scale."


@dataclass(frozen=True, eq=False)
class Reading:
    """One patient as the model reads it: `says` what it can, `seen` holds the map of `method`, if one was asked for."""

    scene: Scene
    seen: ExplainState
    says: Readout
    method: str = ""

    @property
    def error(self) -> str:
        return self.seen.error or self.says.error


@dataclass(frozen=True, eq=False)
class Atlas:
    """Other simulated patients in the model's space of images, laid out by PCA, on which a new one has its place."""

    embeddings: Embeddings
    projection: Projection


def size_of(phantom: str) -> int:
    return CINE_SIZE if phantoms.phantom(phantom).fps else SIZE


def changed(state: studio.StudioState, change: str | Mapping[str, Any]) -> studio.StudioState:
    """The patient without a finding that they have, or with one that they lack; or with other numbers of the scene.

    Raises UnknownNameError for no such finding or number, MedVLMError where the scene refuses the change.
    """
    if isinstance(change, Mapping):
        numbers = [control.field for control in studio.controls(state.scene)]
        if unknown := next((name for name in change if name not in numbers), None):
            raise UnknownNameError("number", unknown, numbers)
        made = studio.change(state, **change)
    else:
        made = _toggled(state, change)
    if made.error:
        raise MedVLMError(made.error)
    return made


def _toggled(state: studio.StudioState, finding: str) -> studio.StudioState:
    """Every side's finding goes where there is one; without any the first side gets one."""
    kinds, every = state.scene.kinds, studio.places(state.scene)
    if finding in kinds and kinds[finding].derived:
        raise MedVLMError(f"{finding} follows from the scene's numbers; change one of those: change={{name: value}}.")
    places = [place for place in every if finding in (place.kind, place.label)]
    if not places:
        raise UnknownNameError("finding", finding, {name for place in every for name in (place.kind, place.label)})
    named = {place.label for place in places}
    rest = tuple(f for f in state.scene.findings if f.mask_name not in named)
    if len(rest) < len(state.scene.findings):
        return studio.change(state, findings=rest)
    place = places[0]
    return studio.put(state, place, True, (place.regions or ("",))[0], measured=place.middle)


def first_text(model: Any, phantom: Phantom, scene: Scene, image: MedicalImage) -> str:
    """What a new widget asks: of a finding that this phantom can be given, in words that the model takes."""
    kinds = [name for name, about in scene.kinds.items() if not about.derived]
    kinds.sort(key=lambda name: (scene.kinds[name].device, scene.find(name) is None))  # what the patient has first
    if kind(model) == "Question":
        asked = [q.question for q in phantom.questions(scene) if q.closed and q.question_type == "PRES"]
        named = (q for name in kinds for q in asked if name.lower() in q.lower())
        return next(named, asked[0] if asked else f"Is there {kinds[0]}?")
    if kind(model) == "Phrase":
        masks = studio.places_in(phantom.name, scene, 64)
        learned = getattr(model, "structures", {}).get(image.modality, tuple(masks))
        area = {name: mask.sum() for name, mask in masks.items() if name in learned and name not in kinds}
        return f"the {max(area, key=lambda name: (name == 'heart', area[name]), default=kinds[0])}"
    return next((name for name in kinds if prompts(model, name)[0]), f"There is {kinds[0]}.")


def read(model: Any, phantom: str, scene: Scene, text: str, method: str, encoder: Any = None) -> Reading:
    """The scene drawn, and all that the model says of it; a failure is a sentence in `error`.

    encoder: another model, whose space shows the place, and whose scores stand below the model's own values.
    """
    simulator = phantoms.phantom(phantom)
    image = simulator.image(scene, size_of(phantom))
    masks = true_places(image, simulator.masks([scene], image.height))
    seen = ExplainState(image, text, masks, layers=())
    if method:
        seen = look(seen, model, [method])
    says = readout(model, image, text)
    if encoder is not None:
        other = readout(encoder, image, text)
        values = {**says.values, **other.values, **says.values}  # the model's own first, and not overwritten
        says = replace(says, values=values, row=other.row, error=says.error or other.error)
    return Reading(scene, seen, says, method)


def atlas(model: Any, phantom: str, patients: int) -> Atlas:
    """Test patients of the phantom, embedded and laid out."""
    from medvlm_lab import dataset
    from medvlm_lab.embed import embed, project

    data = dataset(f"phantom:{phantom}", "test", n=patients, size=size_of(phantom))
    found = embed(model, data)
    return Atlas(found, project(found, "pca", n_neighbors=min(15, patients - 1)))


def pictures_html(before: Reading, now: Reading, method: str) -> str:
    """Both pictures with their maps on one scale, side by side."""
    full = scale(before, now, method)
    figures = (_figure(reading, title, method, full) for title, reading in (("before", before), ("now", now)))
    return "".join(figures) + (f'<div class="mv-captions">{ONE_SCALE}</div>' if full else "")


def scale(before: Reading, now: Reading, method: str) -> float | None:
    """The largest value of both maps: on a scale of its own a map that is gone would look as strong as before."""
    maps = [reading.seen.found[method].values for reading in (before, now) if method in reading.seen.found]
    return max((float(np.abs(values).max()) for values in maps), default=None)


def _figure(reading: Reading, title: str, method: str, full: float | None) -> str:
    seen, place, buffer = reading.seen, asked_place(reading.seen), io.BytesIO()
    shown = pane(seen, method, outlined=place, full=full)
    shown.save(buffer, "PNG", compress_level=1)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    found = ", ".join(f.mask_name for f in reading.scene.all_findings) or "no finding"
    captions = "".join(f"<div>{escape(line)}</div>" for line in told(seen, method, outlined=place))
    return (
        f'<figure><figcaption><b>{title}</b>: {escape(found)}</figcaption><div class="mv-screen">'
        f'<img src="data:image/png;base64,{data}" alt="{escape(f"{title}: {found}")}">'
        f'<span class="mv-badge">simulated</span></div><div class="mv-captions">{captions}</div></figure>'
    )


def spots(atlas: Atlas, before: Reading, now: Reading) -> tuple[Float[np.ndarray, "n 2"], list[str]] | None:
    """Places of the others in the picture, then those before and now; and the others' colours. None without a place."""
    rows = [reading.says.row for reading in (before, now)]
    if any(row is None for row in rows):
        return None
    points = np.concatenate([atlas.projection.coordinates, atlas.projection.transform(np.stack(rows))])
    low, high = points.min(0), points.max(0)
    points = 12 + (points - low) / max(float((high - low).max()), 1e-6) * (PLACES - 24)
    points[:, 1] = PLACES - points[:, 1]
    text = now.seen.text.lower()
    asked = [any(name.lower() in text for name in names) for names in atlas.embeddings.table["findings"].to_pylist()]
    return points, [style.VERMILION if one else style.SKY for one in asked]


def places_svg(atlas: Atlas, before: Reading, now: Reading) -> str:
    """The other patients as dots, those with the finding asked for in another colour, and the way of this one."""
    if (found := spots(atlas, before, now)) is None:
        return ""
    points, colours = found
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}" opacity=".7"/>'
        for (x, y), colour in zip(points, colours, strict=False)
    )
    (x0, y0), (x1, y1) = points[-2:]
    alt = f"Where this patient lies among others in the space of {atlas.embeddings.model}: hollow before, filled now"
    return (
        f'<svg viewBox="0 0 {PLACES} {PLACES}" role="img" aria-label="{escape(alt)}">{dots}'
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="currentColor" stroke-width="2"/>'
        f'<circle cx="{x0:.1f}" cy="{y0:.1f}" r="7" fill="none" stroke="currentColor" stroke-width="2"/>'
        f'<circle cx="{x1:.1f}" cy="{y1:.1f}" r="7" fill="currentColor"/></svg>'
        f'<div class="mv-captions">PCA of {len(colours)} other patients: '
        f'<span style="color:{style.VERMILION}">●</span> with, <span style="color:{style.SKY}">●</span> without '
        "what the text names; ○ before, ⬤ now</div>"
    )


def places_picture(atlas: Atlas, before: Reading, now: Reading) -> Image | None:
    """Pillow image of the same; twice as large, to be smooth once the card has made it smaller."""
    from PIL import Image, ImageDraw

    if (found := spots(atlas, before, now)) is None:
        return None
    points, colours = found[0] * 2, found[1]
    picture = Image.new("RGB", (2 * PLACES, 2 * PLACES), "black")
    draw = ImageDraw.Draw(picture)
    for place, colour in zip(points.tolist(), colours, strict=False):
        draw.circle(place, 7, colour)
    start, end = points[-2:].tolist()
    draw.line([*start, *end], "white", 4)
    draw.circle(start, 14, "black", "white", 4)
    draw.circle(end, 14, "white")
    return picture


def describe(model: str, before: Reading, now: Reading) -> str:
    """The card in words."""
    said = []
    for title, reading in (("before", before), ("now", now)):
        found = ", ".join(f.mask_name for f in reading.scene.all_findings) or "no finding"
        said.append(f"{title}, {found}{f': {reading.says.answer}' if reading.says.answer else ''}")
    return f"Simulated patient read by {model}, {now.seen.text} {'; '.join(said)}. {studio.DISCLAIMER}"


def card_png(model: str, before: Reading, now: Reading, method: str, atlas: Atlas | None = None) -> bytes:
    """PNG of both pictures with what the model says, and the way between them, for pages on which no kernel runs."""
    panes, full, old, new = [], scale(before, now, method), before.says.values, now.says.values
    moved = sorted(new, key=lambda name: (-abs(new[name] - old.get(name, 0)), -new[name]))[:4]
    for title, reading in (("before", before), ("now", now)):
        found = ", ".join(f.mask_name for f in reading.scene.all_findings) or "no finding"
        place, says = asked_place(reading.seen), reading.says
        values = ", ".join(f"{name} {says.values.get(name, 0):.3g}" for name in moved)
        lines = [found, *told(reading.seen, method, outlined=place)[:1], says.answer, values, says.report]
        panes.append((pane(reading.seen, method, outlined=place, full=full), title, lines))
    if atlas and (places := places_picture(atlas, before, now)):
        said = f"In the space of {atlas.embeddings.model}: hollow before, filled now. Orange: with what the text names."
        panes.append((places, f"among {len(atlas.embeddings)} others", [said]))
    note = f"{SIGNS} {ONE_SCALE} {studio.DISCLAIMER}" if full else f"{SIGNS} {studio.DISCLAIMER}"
    return beside(f"{model}: {now.seen.text} ({method or 'no map'})", panes, note)
