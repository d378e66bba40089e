"""An encoder–decoder's parts as a drawing, and whether its confidences keep their word."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medvlm_lab.metrics import bootstrap_interval
from medvlm_lab.style import BLUE, COLORS, GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import nn

PLACES = {"image": (0, 1), "text": (0, 0), "fusion": (1.5, 0.5), "decoder": (3, 0.5)}  # column, row
ARROWS = (("image", "fusion"), ("text", "fusion"), ("fusion", "decoder"))
BINS = 10


def answerer_diagram(parts: Mapping[str, tuple[str, nn.Module, str]]) -> Figure:
    """Of `image`, `text`, `fusion` and `decoder`: name, layers and numbers learned, what goes through it."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 2.6))
    for part, (name, block, passing) in parts.items():
        layers = len(getattr(block, "layers", block))
        words = f"{name}\n{layers} layers, {sum(p.numel() for p in block.parameters()) / 1e6:.1f} M\n{passing}"
        box = {"boxstyle": "round,pad=0.6", "facecolor": COLORS[part], "edgecolor": "none"}
        axes.text(*PLACES[part], words, ha="center", va="center", color="white", bbox=box)
    for start, end in ARROWS:
        arrow = {"arrowstyle": "->", "color": "grey", "shrinkA": 45, "shrinkB": 48, "lw": 2}
        axes.annotate("", PLACES[end], PLACES[start], arrowprops=arrow)
    axes.set(xlim=(-0.7, 3.7), ylim=(-0.5, 1.5), title="Image and question, joined, become an answer")
    axes.axis("off")
    return figure


def reliability(axes: Axes, says: Sequence[float], right: Sequence[bool]) -> None:
    """Percent of answers that are right against the confidence, in ten bins, with 95 % intervals and counts."""
    says, right = 100 * np.asarray(says, float), 100 * np.asarray(right, float)
    axes.plot([0, 100], [0, 100], ":", color=GREY)
    number = np.ceil(says / (100 / BINS))
    for one in np.unique(number):
        here = number == one
        share, low, high = bootstrap_interval(right[here])
        axes.errorbar(says[here].mean(), share, [[share - low], [high - share]], fmt="o", color=BLUE)
        axes.annotate(here.sum(), (says[here].mean() - 1, share + 2), color=GREY, ha="right")
    axes.set(xlabel="confidence, %", ylabel="right, %", title="Reliability", xlim=(-6, 100), ylim=(-2, 105))
