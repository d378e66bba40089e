"""The picture that a saved notebook shows in place of the live embedding map."""

from __future__ import annotations

import io

import numpy as np

from medvlm_lab import style
from medvlm_lab.widgets.embedding_colours import Colours
from medvlm_lab.widgets.embedding_state import MapState, facts


def describe(state: MapState, choice: str, selected: list[str]) -> str:
    """The map in words."""
    about = facts(state)
    names = f"; selected: {', '.join(selected[:5])}{' …' if len(selected) > 5 else ''}" if selected else ""
    return f"Map of {about['title']}, coloured by {choice}{names}. {about['disclaimer']}"


def card_png(state: MapState, colours: Colours, choice: str, selection: list[int]) -> bytes:
    """PNG of the points in their colours, images round and texts as diamonds, what is not selected faded."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    with matplotlib.rc_context(style.rc()):
        figure = Figure(figsize=(9, 5.6), layout="constrained")
        axes = figure.add_subplot()
        places, about = state.place(state.projection.coordinates), facts(state)
        alpha = np.full(len(places), 0.9)
        if selection:
            alpha[:] = 0.15
            alpha[selection] = 1
        paint = np.array(colours.palette)[colours.codes]
        texts, size = state.embeddings.of_kind("text"), float(np.clip(30_000 / len(places), 3, 60))
        for rows, marker in ((np.flatnonzero(~texts), "o"), (np.flatnonzero(texts), "D")):
            if not len(rows):  # nothing has no transparency
                continue
            scale = 0.7 if marker == "D" else 1
            axes.scatter(*places[rows].T, size * scale, paint[rows], marker=marker, alpha=alpha[rows], linewidths=0)
        if colours.bounds is not None:
            ramp = matplotlib.colors.ListedColormap(colours.palette[:-1])
            scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(*colours.bounds), ramp)
            figure.colorbar(scale, ax=axes, label=choice, shrink=0.7)
        else:
            marks = [Line2D([], [], color=paint, marker="o", ls="") for _, paint, _ in colours.legend]
            names = [f"{label} ({count:,})" for label, _, count in colours.legend]
            if texts.any():
                marks += [Line2D([], [], color=style.GREY, marker=m, ls="", mfc="none") for m in "oD"]
                names += ["image", "text"]
            axes.legend(marks, names, title=choice, loc="center left", bbox_to_anchor=(1, 0.5))
        axes.set(title=about["title"], aspect="equal", xticks=[], yticks=[])
        axes.set_xlabel(f"{about['quality']}\nRun this cell to explore. {about['disclaimer']}", fontsize=9)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
