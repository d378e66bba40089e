"""A scene under the reader's hand: a check box for every finding, a slider for every number."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as w

from medvlm_lab.widgets import studio_state as logic

PANEL_CSS = """
.mv-scene { height: 430px; overflow-y: auto; padding-right: 6px; }
.mv-scene > * { flex: none; }
"""


class SceneControls:
    """`findings` and `numbers`, two boxes of controls.

    Args:
        state: gives the state in view. apply: takes the one that the reader's hand makes of it.
    """

    def __init__(self, state: Callable[[], logic.StudioState], apply: Callable[[logic.StudioState], None]):
        self._state, self._apply, self._busy = state, apply, False
        self.findings, self.numbers = w.VBox(), w.VBox()
        for panel in (self.findings, self.numbers):
            panel.add_class("mv-scene")

    def fill(self) -> None:
        """Controls for the scene in view, set to its values, without their callbacks answering back."""
        scene, self._busy = self._state().scene, True
        self.numbers.children = [self._slider(control) for control in logic.controls(scene)]
        self.findings.children = [self._row(place) for place in logic.places(scene)]
        self._busy = False

    def _slider(self, c: logic.Control) -> w.IntSlider | w.FloatSlider:
        kind = w.IntSlider if c.whole else w.FloatSlider
        step = {} if c.whole else {"step": (c.high - c.low) / 200}
        slider = kind(
            value=getattr(self._state().scene, c.field), min=c.low, max=c.high, description=c.label, tooltip=c.about,
            style={"description_width": "130px"}, layout=w.Layout(width="96%"), **step,
        )  # fmt: skip
        slider.observe(lambda change: self._set(logic.change(self._state(), **{c.field: change["new"]})), "value")
        return slider

    def _row(self, place: logic.Place) -> w.HBox:
        """A check box for one finding, with what it has: region, amount or measurement."""
        findings = self._state().scene.findings
        found = next((f for f in findings if (f.kind, f.side) == (place.kind, place.side)), None)
        box = w.Checkbox(found is not None, description=place.label, indent=False, layout=w.Layout(width="190px"))
        region = w.Dropdown(options=place.regions, layout=w.Layout(width="120px"), tooltip=f"Region of {place.label}")
        amount = w.FloatSlider(
            0.5, min=0.01, max=1, step=0.01, layout=w.Layout(width="200px"), tooltip=f"Amount of {place.label}"
        )
        measured = w.FloatSlider(
            place.middle, min=place.low, max=min(place.high, 1e6), step=0.5,
            layout=w.Layout(width="200px"), tooltip=f"Size of {place.label} in {place.unit}",
        )  # fmt: skip
        if found:
            if place.regions:
                region.value = found.region
            if place.graded:
                amount.value = found.amount
            if place.unit:
                measured.value = found.measurement
        own = [c for c, has in ((region, place.regions), (amount, place.graded), (measured, place.unit)) if has]

        def apply(_) -> None:
            if not self._busy:
                put = logic.put(self._state(), place, box.value, region.value or "", amount.value, measured.value)
                self._set(put)

        for control in (box, *own):
            control.observe(apply, "value")
        return w.HBox([box, *own])

    def _set(self, state: logic.StudioState) -> None:
        if not self._busy:
            self._apply(state)
