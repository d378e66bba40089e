"""Sliders that speak only when a hand moves them.

ipywidgets' slider in the browser (noUiSlider) rounds every value that it is given to its grid, in its own arithmetic,
and sends back what differs by a single bit. The kernel cannot tell that from the reader's hand. So the values here are
the very numbers that noUiSlider computes: it finds nothing to correct. `number` is what the slider stands for: the
exact number that it was made with until a hand moves it by a step, and again when the hand moves it back.

A hand's last message can still be on its way when the kernel shows something else, such as the next patient. It goes
to the slider that it was meant for: make new ones then (`anew`), instead of setting those in view.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ipywidgets as w
from traitlets import TraitError, validate


def round_step(low: float, high: float, steps: int = 100, inside: bool = False) -> float:
    """1, 2 or 5 times a power of ten, of which at least `steps` lie between `low` and `high`.

    inside: both ends lie on the grid; where no round step does that, a `steps`th of the range.
    """
    span = high - low
    exponent = math.floor(math.log10(span / steps))
    for power in range(exponent, exponent - 3, -1):
        for digit in (5, 2, 1):
            count = span * 10.0**-power / digit
            if count >= steps * (1 - 1e-9) and (not inside or abs(count - round(count)) < 1e-6):
                return float(f"{digit}e{power}")
    return span / steps


def covering(least: float, most: float, steps: int = 100) -> tuple[float, float, float]:
    """(low, high, step) of a round grid that holds `least` and `most`."""
    scale = max(abs(least), abs(most), 1e-6)
    step = round_step(least, max(most, least + 1e-6 * scale), steps)
    low = math.floor(least / step + 1e-9)
    high = max(math.ceil(most / step - 1e-9), low + 1)
    return _tidy(low * step, step), _tidy(high * step, step), step


def browser_value(value: float, low: float, high: float, step: float) -> float:
    """The grid value nearest to `value`, to the last bit as noUiSlider 15 computes it."""
    each = 100 * step / (high - low)
    for _ in range(2):  # the last step may end a bit below `high`, and is rounded to it when it comes by again
        place = 100 * (max(value, low) - low) / (high - low)
        place = math.floor(place / each + 0.5) * each if place < 100 else 100
        value = high if place >= 100 else place * (high - low) / 100 + low
    return value


def decimals(step: float) -> int:
    """Digits after the point that tell neighbours on the grid apart; exact for a round step."""
    exact = (n for n in range(12) if round(step, n) == step)
    return next(exact, max(0, 1 - math.floor(math.log10(step))))


def _tidy(value: float, step: float) -> float:
    """Without the last bits of the arithmetic: 0.62 for 0.6200000000000001."""
    return round(value, decimals(step) + 3)


class _OnGrid:
    """For a slider of ipywidgets with `min`, `max` and `step`; `value` is a number or a pair."""

    def __init__(self, made: tuple[Any, float, float], **look: Any):
        self._calls: list[Callable[[], None]] = []
        super().__init__(**look)
        self._made, self._shown = made, self.value

    def _snap(self, value: float) -> float:
        return browser_value(value, self.min, self.max, self.step)

    def on_move(self, callback: Callable[[], None]) -> None:
        """Calls back when a hand, or code that sets `value`, has moved the slider by a step or more."""
        self._calls.append(callback)
        alive = lambda change: change["new"] != change["old"] and self.comm is not None  # noqa: E731
        self.observe(lambda change: callback() if alive(change) else None, "value")

    def anew(self, box: w.Box, *made: Any, **look: Any) -> Any:
        """A slider made of other numbers in this one's place in `box`; this one, where it shows them already."""
        if made == self._made and self.value == self._shown:
            return self
        kept = {name: getattr(self, name) for name in ("description", "tooltip", "layout", "style")}
        new = type(self)(*made, **{**kept, **look})
        for callback in self._calls:
            new.on_move(callback)
        box.children = [new if child is self else child for child in box.children]
        self.close()
        return new


class WholeSlider(_OnGrid, w.IntSlider):
    """A whole number from `low` to `high`; every one is on the grid."""

    def __init__(self, number: int, low: int, high: int, **look: Any):
        bounds = {"min": low, "max": max(high, low + 1)}  # a slider of no length is for hiding
        super().__init__((number, low, high), value=number, **bounds, **look)

    @property
    def number(self) -> int:
        return self.value


class NumberSlider(_OnGrid, w.FloatSlider):
    """One number between `low` and `high`, which are never left."""

    def __init__(self, number: float, low: float, high: float, **look: Any):
        step = round_step(low, high, inside=True)
        form = {"readout_format": f".{decimals(step)}f"}
        grid = {"min": float(low), "max": float(high), "step": step}
        super().__init__((number, low, high), value=number, **{**form, **grid, **look})

    @validate("value")
    def _validate_value(self, proposal: dict[str, Any]) -> float:
        return self._snap(proposal["value"])

    @property
    def number(self) -> float:
        return self._made[0] if self.value == self._shown else _tidy(self.value, self.step)


class RangeSlider(_OnGrid, w.FloatRangeSlider):
    """Two numbers on a round grid that covers `least` to `most`."""

    def __init__(self, numbers: tuple[float, float], least: float, most: float, **look: Any):
        low, high, step = covering(least, most, 250)
        form = {"readout_format": f".{decimals(step)}f"}
        grid = {"min": low, "max": high, "step": step}
        super().__init__((numbers, least, most), value=numbers, **{**form, **grid, **look})

    @validate("value")
    def _validate_value(self, proposal: dict[str, Any]) -> tuple[float, float]:
        lower, upper = map(self._snap, proposal["value"])
        if lower > upper:
            raise TraitError("The lower value of a range must not exceed the upper one.")
        return lower, upper

    @property
    def numbers(self) -> tuple[float, float]:
        """The handle that was not moved keeps its exact number."""
        lower, upper = (
            exact if now == shown else _tidy(now, self.step)
            for now, shown, exact in zip(self.value, self._shown, self._made[0], strict=True)
        )
        return lower, upper
