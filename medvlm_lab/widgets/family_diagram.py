"""The families of vision-language models as drawings: where the picture enters, and how many tokens of it are read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from medvlm_lab.style import COLORS

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: family → boxes (words, x, y, part of a model), and arrows from box to box; y 0 is the text's lane, 2 the picture's
FAMILIES = {
    "contrastive": (
        [("image\nencoder", 0, 2, "image"), ("text\nencoder", 0, 0, "text"), ("angle", 1.5, 1, "fusion")],
        [(0, 2), (1, 2)],
    ),
    "encoder–decoder": (
        [("image\nencoder", 0, 2, "image"), ("text\nencoder", 0, 0, "text"), ("joint\nlayers", 1.5, 1, "fusion"),
         ("decoder", 3, 1, "decoder")],
        [(0, 2), (1, 2), (2, 3)],
    ),
    "Q-Former": (
        [("image\nencoder", 0, 2, "image"), ("Q-Former", 1.5, 2, "fusion"), ("question", 0, 0, "text"),
         ("language\nmodel", 3, 1, "decoder")],
        [(0, 1), (2, 1), (1, 3), (2, 3)],
    ),
    "gated cross-attention": (
        [("image\nencoder", 0, 2, "image"), ("resampler", 1.5, 2, "fusion"), ("question", 0, 0, "text"),
         ("language\nmodel\n+ gates", 3, 1, "decoder")],
        [(0, 1), (1, 3), (2, 3)],
    ),
    "projector": (
        [("image\nencoder", 0, 2, "image"), ("two\nlayers", 1.5, 2, "fusion"), ("question", 0, 0, "text"),
         ("language\nmodel", 3, 1, "decoder")],
        [(0, 1), (1, 3), (2, 3)],
    ),
}  # fmt: skip


def family_diagram(tokens: dict[str, int] | None = None) -> Figure:
    """One drawing a family; `tokens` of a picture that its text part reads, by family, stand below."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(FAMILIES), figsize=(3.4 * len(FAMILIES), 2.6))
    for axis, (family, (boxes, arrows)) in zip(axes, FAMILIES.items(), strict=True):
        for words, x, y, part in boxes:
            style = {"boxstyle": "round,pad=0.4", "facecolor": COLORS[part], "edgecolor": "none"}
            axis.text(x, y, words, ha="center", va="center", color="white", fontsize=8, bbox=style)
        for start, end in arrows:
            arrow = {"arrowstyle": "->", "color": "grey", "shrinkA": 22, "shrinkB": 26, "lw": 1.5}
            axis.annotate("", boxes[end][1:3], boxes[start][1:3], arrowprops=arrow)
        axis.set(xlim=(-0.6, 3.6), ylim=(-0.9, 2.5), title=family)
        if tokens and family in tokens:
            axis.text(1.5, -0.75, f"{tokens[family]} tokens of the picture", ha="center", fontsize=9)
        axis.axis("off")
    return figure
