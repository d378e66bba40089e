"""The counterfactual widget's shell: the studio's sliders, and what a model makes of the patient that they describe."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import ipywidgets as w

from medvlm_lab.errors import MedVLMError
from medvlm_lab.phantoms.scene import Scene
from medvlm_lab.tasks.result import model_name
from medvlm_lab.tasks.studies import needs
from medvlm_lab.widgets import counterfactual_state as logic
from medvlm_lab.widgets import studio_state as studio
from medvlm_lab.widgets.channel import Request
from medvlm_lab.widgets.explain_state import SLOW, ExplainState, able, first_methods, kind, look
from medvlm_lab.widgets.pictured import Pictured
from medvlm_lab.widgets.readout import READOUT_CSS, render_values, render_words
from medvlm_lab.widgets.request_box import RequestBox
from medvlm_lab.widgets.studio_controls import PANEL_CSS, SceneControls

NO_MAP = "no map"
CSS = PANEL_CSS + READOUT_CSS + """
.mv-counter { color: var(--jp-ui-font-color1, #1b1f24); max-width: 1180px; }
.mv-counter .mv-body { display: flex; flex-flow: row wrap; gap: 18px; overflow: hidden; }
.mv-counter .mv-left { flex: 1 1 480px; min-width: min(300px, 100%); }
.mv-counter .mv-right { flex: 1 1 400px; min-width: min(320px, 100%); }
.mv-counter .mv-pictures .widget-html-content { display: flex; flex-flow: row wrap; gap: 12px; font-size: 13px; }
.mv-counter figure { flex: 1 1 200px; min-width: min(180px, 100%); margin: 0; }
.mv-counter figure ~ .mv-captions { flex-basis: 100%; }
.mv-counter .mv-screen { position: relative; background: #000; border-radius: 6px; overflow: hidden; }
.mv-counter .mv-screen img { width: 100%; display: block; margin: 0; }
.mv-counter .mv-badge { position: absolute; top: 8px; left: 8px; background: #e69f00; color: #000; padding: 0 8px;
  border-radius: 10px; font-weight: 600; font-size: 12px; line-height: 20px; }
.mv-counter .mv-captions { font-size: 12px; line-height: 1.4; color: var(--jp-ui-font-color2, #5c6670); }
.mv-counter svg { width: 300px; max-width: 100%; height: 300px; display: block; }
"""


class CounterfactualWidget(Pictured, w.VBox):
    """Change a simulated patient and see what a model says; `.before` and `.now` hold both readings."""

    def __init__(
        self, model: Any, phantom: str, text: str | None, seed: int, patients: int,
        change: str | Mapping[str, Any] | None = None, encoder: Any = None,
    ):  # fmt: skip
        if encoder is not None:
            needs(encoder, "encode_images", "embed images")
        self._model, self._encoder, self.studio = model, encoder, studio.start(phantom, seed)
        image = self.studio.phantom.image(self.studio.scene, 64)
        text = logic.first_text(model, self.studio.phantom, self.studio.scene, image) if text is None else text
        self.atlas = self.before = self.now = None
        self.method, self._base = self._methods(image, text), self.studio.scene
        if change is not None:
            self.studio = logic.changed(self.studio, change)
        method = "" if self.method.value == NO_MAP else self.method.value
        self.before, self.now = self._readings(self._base, self.studio.scene, text, method)
        if problem := self.before.error or self.now.error:
            raise MedVLMError(problem)
        space = model if encoder is None else encoder
        if patients and callable(getattr(space, "encode_images", None)):
            self.atlas = logic.atlas(space, phantom, patients)
        self._build(text, seed)
        super().__init__([self._style, self._head, self.status, self._body, self._footer])
        self.add_class("mv-counter")
        self.add_class("mv-says")
        self.add_class("mv-asks")
        self.controls.fill()
        self._refresh()

    def _methods(self, image, text: str) -> w.Dropdown:
        """The quick methods that suit the model, on a small picture."""
        names, first = [], NO_MAP
        if callable(getattr(self._model, "trace", None)):
            tried = look(ExplainState(image, text, layers=()), self._model, ())
            names = [name for name in able(tried) if name not in SLOW] if not tried.error else []
            first = (first_methods(tried) if names else [NO_MAP])[0]
        return w.Dropdown(
            options=[*names, NO_MAP], value=first, description="Map", style={"description_width": "40px"},
            layout=w.Layout(width="240px"), tooltip="Method of explanation",
        )  # fmt: skip

    def _build(self, text: str, seed: int) -> None:
        slim, model = {"description_width": "70px"}, self._model
        self._style = w.HTML(f"<style>{CSS}</style>", layout=w.Layout(display="none"))
        self.text = RequestBox(
            lambda _, number: self._follow(number), value=text, label=kind(model), action="Ask",
            tip="What the model is asked; press Enter",
        )  # fmt: skip
        self.seed = w.BoundedIntText(
            value=seed, min=0, max=2**31, description="Seed", style=slim, layout=w.Layout(width="160px"),
            tooltip="Which patient",
        )  # fmt: skip
        self.next = w.Button(description="Next patient", icon="random", tooltip="The patient of the next seed")
        self.keep = w.Button(description="Now is before", icon="thumb-tack", tooltip="Compare with this patient")
        controls = w.HBox([self.method, self.seed, self.next, self.keep], layout=w.Layout(flex_flow="row wrap"))
        self._head = w.VBox([self.text, controls])
        self.status, self.pictures, self.words, self.values, self.places = (w.HTML() for _ in range(5))
        self.pictures.add_class("mv-pictures")
        self.controls = SceneControls(lambda: self.studio, self._set)
        tabs = w.Tab([self.controls.findings, self.controls.numbers], titles=("Findings", "Anatomy"))
        left, right = w.VBox([self.pictures, self.words, self.values]), w.VBox([tabs, self.places])
        left.add_class("mv-left")
        right.add_class("mv-right")
        self._body = w.Box([left, right])
        self._body.add_class("mv-body")
        also = "" if self._encoder is None else f"; place and further scores: {model_name(self._encoder)}"
        note = f"{escape(model_name(model) + also)}. {studio.DISCLAIMER}"
        self._footer = w.HTML(f'<div class="mv-footer" role="note">{note}</div>')
        self.text.observe(lambda _: None if self.text.sending else self._follow(), "value")
        self.method.observe(lambda _: self._follow(), "value")
        self.seed.observe(lambda c: self._restart(c["new"]), "value")
        self.next.on_click(lambda _: setattr(self.seed, "value", self.seed.value + 1))
        self.keep.on_click(lambda _: self._keep())

    def _set(self, state: studio.StudioState) -> None:
        self.studio = state
        self._follow()

    def _restart(self, seed: int) -> None:
        try:
            self.studio = studio.start(self.studio.name, seed)
        except MedVLMError as error:  # a seed out of range
            return self._fail(str(error))
        self._base = self.studio.scene
        self.controls.fill()
        self._follow()

    def _keep(self) -> None:
        self._base = self.studio.scene
        self._follow()

    def _follow(self, number: int = 0) -> None:
        """Reads both patients; of several changes only the newest is read and drawn."""
        method = "" if self.method.value == NO_MAP else self.method.value
        wanted = self._base, self.studio.scene, self.text.value, method
        request = Request(wanted, lambda: iter([self._readings(*wanted)]), self._draw, self._fail)
        self.text.channel.submit(request, number)

    def _readings(self, base: Scene, scene: Scene, text: str, method: str) -> tuple[logic.Reading, logic.Reading]:
        """What is read already is not read again."""
        asked = lambda r: (r.scene, r.seen.text, r.method)  # noqa: E731
        known = {asked(r): r for r in (self.before, self.now)} if self.before else {}
        for each in (base, scene):
            if (each, text, method) not in known:
                made = logic.read(self._model, self.studio.name, each, text, method, self._encoder)
                known[each, text, method] = made
        return known[base, text, method], known[scene, text, method]

    def _draw(self, readings: tuple[logic.Reading, logic.Reading]) -> None:
        self.before, self.now = readings
        self._refresh()

    def _fail(self, why: str) -> None:
        shown = escape(f"{why} What is shown is of an earlier state.")
        self.status.value = f'<div class="mv-error" role="alert">{shown}</div>'

    def _refresh(self) -> None:
        before, now, method = self.before, self.now, self.method.value
        problem = self.studio.error or now.error
        self.status.value = f'<div class="mv-error" role="alert">{escape(problem)}</div>' if problem else ""
        self.pictures.value = logic.pictures_html(before, now, method)
        self.words.value, self.values.value = render_words(now.says, before.says), render_values(now.says, before.says)
        self.places.value = logic.places_svg(self.atlas, before, now) if self.atlas else ""

    def png(self) -> bytes:
        """Both readings, and the way between them."""
        method = "" if self.method.value == NO_MAP else self.method.value
        return logic.card_png(model_name(self._model), self.before, self.now, method, self.atlas)

    def alt(self) -> str:
        """Both in words."""
        return logic.describe(model_name(self._model), self.before, self.now)
