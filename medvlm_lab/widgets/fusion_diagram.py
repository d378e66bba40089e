"""Fusions as a drawing, made from the modules themselves: what reads what, and with how many layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from medvlm_lab.style import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import nn

#: name → column, row, part of a model that it belongs to
PLACES = {
    "picture": (0, 2, "image"), "note": (0, 0, "text"), "see": (1, 2, "image"), "joint": (1, 1, "fusion"),
    "read": (1, 0, "text"), "logits": (2, 1, "decoder"),
}  # fmt: skip
HALF = 0.36  # of a box, in columns
SOURCES = {"see": ("picture",), "joint": ("picture", "note"), "read": ("note",)}


def fusion_diagram(models: Sequence[nn.Module]) -> Figure:
    """One drawing a fusion, side by side; parts other than `see`, `joint` and `read` are left out."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(models), figsize=(3.7 * len(models), 2.8), squeeze=False)
    for axis, model in zip(axes[0], models, strict=True):
        parts = [name for name in SOURCES if hasattr(model, name)]
        for name in ("picture", "note", *parts, "logits"):
            x, y, part = PLACES[name]
            words = f"{name}\n{len(getattr(model, name).layers)} layers" if name in parts else name
            box = {"boxstyle": "round,pad=0.4", "facecolor": COLORS[part], "edgecolor": "none"}
            look = {"ha": "center", "va": "center", "color": "white", "fontsize": 9, "bbox": box}
            axis.text(x, y, words.replace("1 layers", "1 layer"), **look)
            for source in parts if name == "logits" else SOURCES.get(name, ()):
                start = PLACES[source]
                arrow = {"arrowstyle": "->", "color": "grey", "lw": 1.5}
                axis.annotate("", (x - HALF, y), (start[0] + HALF, start[1]), arrowprops=arrow)
        axis.set(xlim=(-0.4, 2.4), ylim=(-0.5, 2.5), title=type(model).__name__)
        axis.axis("off")
    return figure
