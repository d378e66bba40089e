"""A scene under the reader's hand: a check box for every finding, a slider for every number."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets as w
from ipywidgets.widgets.widget_bool import CheckboxStyle
from ipywidgets.widgets.widget_description import DescriptionStyle

from medvlm_lab.widgets import studio_state as logic
from medvlm_lab.widgets.sliders import NumberSlider, WholeSlider

PANEL_CSS = """
.mv-scene { height: 430px; overflow-y: auto; padding-right: 6px; }
.mv-scene > * { flex: none; }
.mv-scene .widget-hbox { flex-flow: row wrap; }
.mv-left .jupyter-widgets, .mv-right .jupyter-widgets, .mv-scene .jupyter-widgets { max-width: 100%; }
"""


class SceneControls:
    """`findings` and `numbers`, two boxes of controls.

    A page makes each widget, layout and style one by one, so they are few: layouts and styles are shared, and a finding
    that is not there is only a check box.

    Args:
        state: gives the state in view. apply: takes the one that the reader's hand makes of it.
    """

    def __init__(self, state: Callable[[], logic.StudioState], apply: Callable[[logic.StudioState], None]):
        self._state, self._apply = state, apply
        self.findings, self.numbers = w.VBox(), w.VBox()
        for panel in (self.findings, self.numbers):
            panel.add_class("mv-scene")
        self._row_layout = w.Layout()
        self._number = {"style": w.SliderStyle(description_width="130px"), "layout": w.Layout(width="96%")}
        self._check = {"style": CheckboxStyle(), "layout": w.Layout(width="250px"), "indent": False}
        self._region = {"style": DescriptionStyle(), "layout": w.Layout(width="120px")}
        self._amount = {"style": w.SliderStyle(), "layout": w.Layout(width="200px")}

    def fill(self) -> None:
        """New controls for the scene in view; a hand's late message reaches the old ones."""
        old = [*self.numbers.children, *self.findings.children]
        old += [control for row in self.findings.children for control in row.children]
        scene = self._state().scene
        self.numbers.children = [self._slider(control) for control in logic.controls(scene)]
        self.findings.children = [self._row(place) for place in logic.places(scene)]
        for control in old:
            control.close()

    def _slider(self, c: logic.Control) -> WholeSlider | NumberSlider:
        kind, value = WholeSlider if c.whole else NumberSlider, getattr(self._state().scene, c.field)
        slider = kind(value, c.low, c.high, description=c.label, tooltip=c.about, **self._number)
        slider.on_move(lambda: self._apply(logic.change(self._state(), **{c.field: slider.number})))
        return slider

    def _row(self, place: logic.Place) -> w.HBox:
        """A check box for one finding; with what it has, once it is there: region, amount or measurement."""
        findings = self._state().scene.findings
        found = next((f for f in findings if (f.kind, f.side) == (place.kind, place.side)), None)
        box = w.Checkbox(found is not None, description=place.label, **self._check)
        row = w.HBox([box], layout=self._row_layout)
        parts: dict[str, w.DOMWidget] = {}

        def add(region: str | None, amount: float | None, measured: float | None) -> None:
            if place.regions:
                about = f"Region of {place.label}"
                parts["region"] = w.Dropdown(options=place.regions, value=region, tooltip=about, **self._region)
                parts["region"].observe(apply, "value")
            if place.graded:
                about = f"Amount of {place.label}"
                parts["amount"] = NumberSlider(amount, 0.01, 1, tooltip=about, **self._amount)
            if place.unit:
                about, high = f"Size of {place.label} in {place.unit}", min(place.high, 1e6)
                parts["measured"] = NumberSlider(measured, place.low, high, tooltip=about, **self._amount)
            for name in parts.keys() & {"amount", "measured"}:
                parts[name].on_move(apply)
            row.children = [box, *parts.values()]

        def apply(_=None) -> None:
            if box.value and not parts:
                add(next(iter(place.regions), None), 0.5, place.middle)
            values = {name: part.value if name == "region" else part.number for name, part in parts.items()}
            self._apply(logic.put(self._state(), place, box.value, **values))

        if found:
            add(found.region, found.amount, found.measurement)
        box.observe(apply, "value")
        return row
