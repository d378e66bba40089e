"""Sliders' grids against the arithmetic of the browser's slider; no browser."""

import dataclasses
import json
import shutil
import subprocess

import ipywidgets as w
import numpy as np
import pytest

from medvlm_lab import phantoms
from medvlm_lab.widgets import sliders
from medvlm_lab.widgets.sliders import NumberSlider, RangeSlider, WholeSlider, covering, decimals, round_step


def ranges(n, seed=0):
    """Awkward bounds: any sign, twelve orders of magnitude."""
    rng = np.random.default_rng(seed)
    for _ in range(n):
        low = float(rng.normal() * 10 ** rng.uniform(-6, 6))
        yield low, low + float(10 ** rng.uniform(-5, 6)), rng


def test_round_steps_cover_and_divide():
    assert round_step(0.35, 0.65, inside=True) == 0.002 and round_step(0, 1, inside=True) == 0.01
    assert round_step(18, 95, inside=True) == 0.5 and round_step(-1000, 3071) == 20
    assert covering(0, 30000, 250) == (0, 30000, 100) and covering(-5.7, 88.2, 250) == (-5.8, 88.2, 0.2)
    assert covering(7, 7)[0] <= 7 <= covering(7, 7)[1] and covering(0, 0)[1] > 0
    assert [decimals(step) for step in (20, 1, 0.5, 0.002, 5e-7, 1 / 3)] == [0, 0, 1, 3, 7, 2]
    for low, high, _ in ranges(300):
        least, most, step = covering(low, high, 250)
        assert least <= low + 1e-9 * step and high <= most + 1e-9 * step and low - least < step and most - high < step
        assert abs((most - least) / step - round((most - least) / step)) < 1e-6
        if high - low > 1e-5 * max(abs(low), abs(high)):
            assert 250 * (1 - 1e-6) <= (most - least) / step <= 630


@pytest.mark.parametrize("name", phantoms.names())
def test_every_number_of_a_scene_lies_within_a_step_of_its_slider(name):
    scene = phantoms.phantom(name).draw(3)
    for spec in dataclasses.fields(scene):
        if "low" in spec.metadata and isinstance(spec.default, float):
            low, high, value = spec.metadata["low"], spec.metadata["high"], getattr(scene, spec.name)
            slider = NumberSlider(value, low, high)
            assert slider.number == value and abs(slider.value - value) <= slider.step / 2 * (1 + 1e-9)
            assert (slider.min, slider.max) == (low, high)
            for end in (low, high):
                slider.value = end
                assert slider.number == end


def test_what_the_browser_sends_back_is_no_move():
    for low, high, rng in ranges(100, seed=1):
        exact, moves = float(rng.uniform(low, high)), []
        slider = NumberSlider(exact, low, high)
        slider.on_move(lambda moves=moves, slider=slider: moves.append(slider.number))
        assert sliders.browser_value(slider.value, slider.min, slider.max, slider.step) == slider.value
        for echo in (slider.value, slider.value * (1 + 1e-15), slider.value + 0.3 * slider.step):
            slider.set_state({"value": echo})
            assert slider.number == exact and not moves
        up = slider.value + slider.step * (1 if slider.value < (low + high) / 2 else -1)
        slider.set_state({"value": up})
        assert len(moves) == 1 and abs(moves[0] - up) < 1e-3 * slider.step
        slider.set_state({"value": slider._shown})
        assert moves[1] == exact  # moved back by hand: the very patient again


def test_a_range_keeps_the_handle_that_was_not_moved():
    slider, moves = RangeSlider((3.33, 71.17), -5.7, 88.2), []
    slider.on_move(lambda: moves.append(slider.numbers))
    assert slider.numbers == (3.33, 71.17) and (slider.min, slider.max, slider.step) == (-5.8, 88.2, 0.2)
    slider.set_state({"value": list(slider.value)})
    assert not moves
    slider.set_state({"value": [slider.value[0], 50.0]})
    assert moves == [(3.33, 50.0)]
    outside = RangeSlider((-50, 400), 0, 245)
    assert outside.value == (0, 245) and outside.numbers == (-50, 400)


def test_another_range_is_another_slider_that_calls_the_same():
    moves, old = [], RangeSlider((0, 30000), 0, 30000, description="Grey")
    old.on_move(lambda: moves.append(box.children[0].numbers))
    box = w.VBox([old])
    assert old.anew(box, (0, 30000), 0, 30000) is old
    new = old.anew(box, (-6.0, 88.0), -6.0, 88.0)
    assert box.children == (new,) and new.description == "Grey" and not moves and old.comm is None
    new.value = (0, 50)
    assert moves == [(0, 50)] and new.anew(box, (-6.0, 88.0), -6.0, 88.0).numbers == (-6, 88)
    assert WholeSlider(0, 0, 0).max == 1 and WholeSlider(3, 0, 8).number == 3


NOUISLIDER = """
const h = (t, e) => 100 * e / (t[1] - t[0]);
function settle(v, min, max, step) {  // toStepping, getStep, limit, fromStepping of noUiSlider 15 with one range
  const to = v >= max ? 100 : h([min, max], min < 0 ? v + Math.abs(min) : v - min);
  const n = h([min, max], step);
  let p = to === 100 ? to : Math.round(to / n) * n;
  p = Math.max(Math.min(p, 100), 0);
  return p >= 100 ? max : p * (max - min) / 100 + min;
}
const rows = JSON.parse(require("fs").readFileSync(0));
console.log(JSON.stringify(rows.filter(([v, min, max, step]) => settle(v, min, max, step) !== v)));
"""


@pytest.mark.skipif(not shutil.which("node"), reason="node runs the browser's arithmetic")
def test_no_value_differs_by_a_bit_in_javascript():
    rows = []
    for low, high, rng in ranges(500, seed=2):
        for slider in (NumberSlider(float(rng.uniform(low, high)), low, high), RangeSlider((low, high), low, high)):
            values = slider.value if isinstance(slider.value, tuple) else [slider.value]
            rows += [[value, slider.min, slider.max, slider.step] for value in values]
    command = ["node", "-e", NOUISLIDER]
    assert json.loads(subprocess.check_output(command, input=json.dumps(rows), text=True)) == []
