"""A simulated patient before and after a change, and what a model makes of both: pure functions, no ipywidgets."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from medvlm_lab import phantoms, style
from medvlm_lab.widgets.explain_card import SIGNS, pane, told, two_panes
from medvlm_lab.widgets.explain_state import ExplainState, asked_place, look, true_places
from medvlm_lab.widgets.readout import Readout, readout
from medvlm_lab.widgets.studio_state import DISCLAIMER

if TYPE_CHECKING:
    from medvlm_lab.embed import Embeddings, Projection
    from medvlm_lab.phantoms.scene import Scene

SIZE, CINE_SIZE = 256, 128  # pixels per side, more than any teaching model looks at; a cine has 32 frames to draw


@dataclass(frozen=True, eq=False)
class Reading:
    """One patient as the model reads it: `says` what it can, `seen` holds the map."""

    scene: Scene
    seen: ExplainState
    says: Readout

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


def read(model: Any, phantom: str, scene: Scene, text: str, method: str) -> Reading:
    """The scene drawn, and all that the model says of it; a failure is a sentence in `error`."""
    simulator = phantoms.phantom(phantom)
    image = simulator.image(scene, size_of(phantom))
    masks = true_places(image, simulator.masks([scene], image.height))
    seen = ExplainState(image, text, masks, layers=())
    if method:
        seen = look(seen, model, [method])
    return Reading(scene, seen, readout(model, image, text))


def atlas(model: Any, phantom: str, patients: int) -> Atlas:
    """Test patients of the phantom, embedded and laid out."""
    from medvlm_lab import dataset
    from medvlm_lab.embed import embed, project

    data = dataset(f"phantom:{phantom}", "test", n=patients, size=size_of(phantom))
    found = embed(model, data)
    return Atlas(found, project(found, "pca", n_neighbors=min(15, patients - 1)))


def pictures_html(before: Reading, now: Reading, method: str) -> str:
    """Both pictures with their maps, side by side."""
    return "".join(_figure(reading, title, method) for title, reading in (("before", before), ("now", now)))


def _figure(reading: Reading, title: str, method: str) -> str:
    seen, place, buffer = reading.seen, asked_place(reading.seen), io.BytesIO()
    shown = pane(seen, method, outlined=place)
    shown.save(buffer, "PNG", compress_level=1)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    found = ", ".join(f.mask_name for f in reading.scene.all_findings) or "no finding"
    captions = "".join(f"<div>{escape(line)}</div>" for line in told(seen, method, outlined=place))
    return (
        f'<figure><figcaption><b>{title}</b>: {escape(found)}</figcaption><div class="mv-screen">'
        f'<img src="data:image/png;base64,{data}" alt="{escape(f"{title}: {found}")}">'
        f'<span class="mv-badge">simulated</span></div><div class="mv-captions">{captions}</div></figure>'
    )


def places_svg(atlas: Atlas, before: Reading, now: Reading) -> str:
    """The other patients as dots, those with the finding asked for in another colour, and the way of this one."""
    rows = [reading.says.row for reading in (before, now)]
    if any(row is None for row in rows):
        return ""
    points = np.concatenate([atlas.projection.coordinates, atlas.projection.transform(np.stack(rows))])
    low, high = points.min(0), points.max(0)
    points = 12 + (points - low) / max(float((high - low).max()), 1e-6) * 276  # within 300 x 300
    points[:, 1] = 300 - points[:, 1]
    text = now.seen.text.lower()
    asked = [any(name.lower() in text for name in names) for names in atlas.embeddings.table["findings"].to_pylist()]
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{style.VERMILION if one else style.SKY}" opacity=".7"/>'
        for (x, y), one in zip(points, asked, strict=False)
    )
    (x0, y0), (x1, y1) = points[-2:]
    alt = "Where this patient lies among others in the model's space of images: hollow before, filled now"
    return (
        f'<svg viewBox="0 0 300 300" role="img" aria-label="{alt}">{dots}'
        f'<line x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}" stroke="currentColor" stroke-width="2"/>'
        f'<circle cx="{x0:.1f}" cy="{y0:.1f}" r="7" fill="none" stroke="currentColor" stroke-width="2"/>'
        f'<circle cx="{x1:.1f}" cy="{y1:.1f}" r="7" fill="currentColor"/></svg>'
        f'<div class="mv-captions">PCA of {len(asked)} other patients: <span style="color:{style.VERMILION}">●</span> '
        f'with, <span style="color:{style.SKY}">●</span> without what the text names; ○ before, ⬤ now</div>'
    )


def card_png(model: str, before: Reading, now: Reading, method: str) -> bytes:
    """PNG of both pictures with what the model says, for pages on which no kernel runs."""
    panes = []
    for title, reading in (("before", before), ("now", now)):
        found = ", ".join(f.mask_name for f in reading.scene.all_findings) or "no finding"
        place, says = asked_place(reading.seen), reading.says
        most = sorted(says.values.items(), key=lambda item: -item[1])[:4]
        lines = [*told(reading.seen, method, outlined=place)[:1], says.answer, says.report,
                 ", ".join(f"{name} {value:.3g}" for name, value in most)]  # fmt: skip
        panes.append((pane(reading.seen, method, outlined=place), f"{title}: {found}", lines))
    return two_panes(f"{model}: {now.seen.text} ({method or 'no map'})", panes, f"{SIGNS} {DISCLAIMER}")
