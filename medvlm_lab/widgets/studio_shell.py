"""The phantom studio's shell: sliders wired to `studio_state`; what is shown is decided there."""

from __future__ import annotations

from dataclasses import replace
from html import escape

import ipywidgets as w

from medvlm_lab import phantoms
from medvlm_lab.errors import MedVLMError
from medvlm_lab.phantoms.base import HOSPITALS
from medvlm_lab.widgets import studio_state as logic
from medvlm_lab.widgets.busy_sign import BusySign
from medvlm_lab.widgets.channel import Request
from medvlm_lab.widgets.pictured import Pictured
from medvlm_lab.widgets.sliders import WholeSlider
from medvlm_lab.widgets.studio_controls import PANEL_CSS, SceneControls

CSS = PANEL_CSS + """
.mv-studio { color: var(--jp-ui-font-color1, #1b1f24); max-width: 1080px; }
.mv-studio .mv-body { display: flex; flex-flow: row wrap; gap: 18px; overflow: hidden; }
.mv-studio .mv-left { flex: 0 1 400px; min-width: min(280px, 100%); }
.mv-studio .mv-right { flex: 1 1 460px; min-width: min(320px, 100%); }
.mv-studio audio { width: 100%; }
.mv-studio img { width: 100%; background: #000; border-radius: 6px; }
.mv-studio .mv-text, .mv-studio .mv-key { font-size: 13px; line-height: 1.45; }
.mv-studio .mv-text th { text-align: left; font-weight: 400; color: var(--jp-ui-font-color2, #5c6670); }
.mv-studio .mv-text td, .mv-studio .mv-text th { padding: 2px 10px 2px 0; vertical-align: top; }
.mv-studio .mv-error { border-left: 4px solid #d55e00; padding: 6px 10px; }
.mv-studio .mv-footer { font-size: 12px; color: var(--jp-ui-font-color2, #5c6670); }
"""


class StudioWidget(Pictured, w.VBox):
    """Build a simulated patient; `.state.scene` is what the sliders say."""

    def __init__(self, name: str = "chest-xray", seed: int = 0):
        self.state, self._busy = logic.start(name, seed), False
        self._build()
        super().__init__([self._style, self._head, self._sign, self._body, self._footer])
        self.add_class("mv-studio")
        self.controls.fill()
        self._follow()

    def _build(self) -> None:
        slim = {"description_width": "70px"}
        self._style = w.HTML(f"<style>{CSS}</style>", layout=w.Layout(display="none"))
        self.phantom = w.Dropdown(
            options=phantoms.names(), value=self.state.name, description="Phantom", style=slim, tooltip="What is imaged"
        )
        self.seed = w.BoundedIntText(min=0, max=2**31, description="Seed", style=slim, tooltip="Which patient")
        self.new = w.Button(description="Next patient", icon="random", tooltip="The patient of the next seed")
        self.hospital = w.Dropdown(
            options=[(str(h), h) for h in range(HOSPITALS)], description="Hospital", style=slim,
            tooltip="Where the image was taken: exposure, noise and markers differ",
        )  # fmt: skip
        self._sign = BusySign()
        self._head = w.HBox([self.phantom, self.hospital, self.seed, self.new], layout=w.Layout(flex_flow="row wrap"))
        self.view, self.sound, self.report, self.questions = w.HTML(), w.HTML(), w.HTML(), w.HTML()
        self.report.add_class("mv-text")
        self.questions.add_class("mv-text")
        self.frame = WholeSlider(0, 0, 0, description="Frame", style=slim, layout=w.Layout(width="98%"))
        self.masks = w.SelectMultiple(rows=6, description="Outline", style=slim, layout=w.Layout(width="98%"))
        self.folder = w.Text(
            value="phantom-study", description="Folder", style=slim, layout=w.Layout(width="auto", flex="1 1 0"),
            tooltip="Where to export to",
        )  # fmt: skip
        self.export = w.Button(
            description="Export", icon="download", layout=w.Layout(width="auto"),
            tooltip="Write image, masks, report, questions",
        )  # fmt: skip
        self.exported = w.HTML()
        out = w.HBox([self.folder, self.export])
        left = self._left = w.VBox([self.view, self.sound, self.frame, self.masks, out, self.exported])
        left.add_class("mv-left")
        self.controls = SceneControls(lambda: self.state, self._set)
        self.tabs = w.Tab(
            [self.controls.findings, self.controls.numbers, self.report, self.questions],
            titles=("Findings", "Anatomy", "Report", "Questions"),
        )
        right = w.VBox([self.tabs])
        right.add_class("mv-right")
        self._body = w.Box([left, right])
        self._body.add_class("mv-body")
        self._footer = w.HTML(f'<div class="mv-footer" role="note">{logic.DISCLAIMER}</div>')
        self.seed.value = self.state.scene.seed
        self.phantom.observe(lambda c: self._restart(c["new"], self.seed.value), "value")
        self.seed.observe(lambda c: self._restart(self.phantom.value, c["new"]), "value")
        self.new.on_click(lambda _: setattr(self.seed, "value", self.seed.value + 1))
        self.hospital.observe(lambda c: self._set(logic.change(self.state, hospital=c["new"])), "value")
        self.frame.on_move(self._on_view)
        self.masks.observe(self._on_view, "value")
        self.export.on_click(self._on_export)

    def _restart(self, name: str, seed: int) -> None:
        other, hospital = name != self.state.name, self.hospital.value
        try:
            self.state = logic.change(logic.start(name, seed), hospital=hospital)
        except MedVLMError as error:  # such as a seed out of range
            return self._fail(str(error))
        if other:
            self.tabs.selected_index = 0
        self.controls.fill()
        self._follow()

    def _set(self, state: logic.StudioState) -> None:
        new = {f.mask_name for f in state.scene.all_findings} - {f.mask_name for f in self.state.scene.all_findings}
        self.state = replace(state, shown=(*state.shown, *sorted(new)))  # what was just put in is pointed at
        self._follow()

    def _follow(self) -> None:
        """Draws the state in view; of several changes only the newest is drawn."""
        state = self.state
        self._sign.channel.submit(Request(state, lambda: iter([logic.Shown.of(state)]), self._draw, self._fail))

    def _draw(self, shown: logic.Shown) -> None:
        self._busy = True
        self.masks.options = shown.masks
        self.masks.value = [name for name in self.state.shown if name in self.masks.options]
        word = "Frame" if self.state.phantom.fps else "Slice"
        self.frame = self.frame.anew(self._left, self.state.frame, 0, shown.frames - 1, description=word)
        self.frame.layout.display = None if shown.frames > 1 else "none"
        self._busy = False
        self.view.value, self.sound.value = shown.picture, shown.sound
        self.report.value, self.questions.value = shown.report, shown.questions

    def _fail(self, why: str) -> None:
        shown = f'<div class="mv-error" role="alert">{escape(why)} The picture is of an earlier state.</div>'
        self.view.value = self.view.value.removesuffix(shown) + shown

    def _on_view(self, _=None) -> None:
        if not self._busy:
            self.state = replace(self.state, frame=self.frame.value, shown=tuple(self.masks.value))
            self._follow()

    def _on_export(self, _) -> None:
        from medvlm_lab.phantoms.export import export_scene

        try:
            where = export_scene(self.state.phantom, self.state.scene, self.folder.value)
            self.exported.value = f'<div role="status">Written to {where}</div>'
        except MedVLMError as error:
            self.exported.value = f'<div class="mv-error" role="alert">{error}</div>'

    def png(self) -> bytes:
        """The patient as drawn."""
        return logic.card_png(self.state)

    def alt(self) -> str:
        """Who is drawn, in words."""
        return logic.describe(self.state)
