"""One look for every plot and picture: Okabe and Ito's colour-blind-safe palette, one colour per part of a model.

>>> from medvlm_lab import style
>>> style.apply()
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL.ImageFont import FreeTypeFont

# Okabe & Ito (2008), "Color Universal Design": told apart with every common kind of colour blindness.
BLUE, ORANGE, GREEN, VERMILION = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PURPLE, YELLOW, GREY = "#56B4E9", "#CC79A7", "#F0E442", "#7F7F7F"

# The same colour for the same part in every diagram, plot and widget.
COLORS = {"image": BLUE, "text": ORANGE, "fusion": PURPLE, "decoder": GREEN}
CYCLE = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, GREY)

# Where the letters of a picture's edges stand in its axes.
_EDGES = {
    "left": ((0.02, 0.5), {"ha": "left", "va": "center"}), "right": ((0.98, 0.5), {"ha": "right", "va": "center"}),
    "top": ((0.5, 0.98), {"ha": "center", "va": "top"}), "bottom": ((0.5, 0.02), {"ha": "center", "va": "bottom"}),
}  # fmt: skip


def rc() -> dict:
    """matplotlib settings; the mid-grey ink on a transparent ground reads on light and on dark pages."""
    from cycler import cycler

    ink = GREY
    return {
        "axes.prop_cycle": cycler(color=CYCLE),
        "axes.edgecolor": ink,
        "axes.labelcolor": ink,
        "axes.titlecolor": ink,
        "axes.titlesize": 11,
        "axes.titleweight": "bold",
        "axes.labelsize": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": ink,
        "grid.alpha": 0.25,
        "grid.linewidth": 0.6,
        "text.color": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        **{f"boxplot.{part}props.color": ink for part in ("box", "whisker", "cap")},
        "boxplot.flierprops.markeredgecolor": ink,
        "boxplot.medianprops.color": ORANGE,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "lines.linewidth": 1.8,
        "figure.figsize": (7.0, 3.6),
        "figure.dpi": 110,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "savefig.bbox": "tight",
        "font.family": "sans-serif",
        "image.cmap": "gray",
        # Smoothing would invent grey values that were never measured.
        "image.interpolation": "nearest",
    }


def font(size: int) -> FreeTypeFont:
    """DejaVu Sans, `size` pixels high, for pictures with words: Pillow's own font draws a box for é, ×, – and •."""
    from pathlib import Path

    import matplotlib
    from PIL import ImageFont

    wide = 0.9  # of Pillow's own font's width at this size, so that as many words fit on a line
    return ImageFont.truetype(Path(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), wide * size)


def apply() -> None:
    """Makes this style matplotlib's default for the rest of the session; in a notebook figures say what they show."""
    import matplotlib
    from IPython import get_ipython
    from matplotlib import pyplot as plt
    from matplotlib.figure import Figure

    matplotlib.rcParams.update(rc())
    if shell := get_ipython():
        plt.switch_backend(matplotlib.get_backend())  # which, as it loads, takes away all formatters of figures
        plain = shell.display_formatter.formatters["text/plain"]
        plain.for_type(Figure, lambda figure, printer, cycle: printer.text(words(figure)))


def words(figure: Figure) -> str:
    """What a figure shows, for who does not see it: titles, axes and legends."""
    pictures, plots = [], []
    for axis in figure.axes:
        title, legend = axis.get_title(), axis.get_legend()
        against = " against ".join(filter(None, (axis.get_ylabel(), axis.get_xlabel())))
        series = ", ".join(text.get_text() for text in legend.get_texts()) if legend else ""
        if said := ": ".join(filter(None, (title, against, series))):
            (pictures if axis.images and not against else plots).append(said)
    told = [f"Pictures: {', '.join(pictures)}"] * bool(pictures) + [f"Plot of {plot}" for plot in plots]
    return ". ".join(told) or "Figure"


def show(pictures: dict, columns: int = 6, side: float = 2.6, vmax: float | None = None) -> None:
    """Pictures in rows of `columns` under their titles, each `side` inches wide, the patient's directions at the edges.

    Args:
        pictures: title → `MedicalImage`, or array `(h, w)` or `(h, w, 3)`.
        vmax: the grey value shown white; by default, of each picture the value that 0.5 % of its pixels exceed.
    """
    import matplotlib.pyplot as plt
    import numpy as np
    from matplotlib.patheffects import withStroke

    from medvlm_lab.orientation import edges

    columns = min(columns, len(pictures))
    rows = -(-len(pictures) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(side * columns, (side + 0.3) * rows), squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for axis, (title, picture) in zip(axes.flat, pictures.items(), strict=False):
        image = picture if hasattr(picture, "reading_frame") else None
        array = np.asarray(image.pil(image.reading_frame) if image else picture)
        axis.imshow(array, vmin=None if vmax is None else 0, vmax=vmax or np.percentile(array, 99.5))
        axis.set_title(title)
        for edge, letter in edges(image.orientation).items() if image and image.orientation else ():
            place, align = _EDGES[edge]
            text = axis.text(*place, letter, **align, transform=axis.transAxes, color="white", fontsize=8)
            text.set_path_effects([withStroke(linewidth=2, foreground="black")])
    plt.tight_layout()
    plt.show()
