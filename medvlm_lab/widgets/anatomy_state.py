"""What the anatomy widget shows: the model as a diagram, and the tensor behind the chosen stage as a picture."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from html import escape

import numpy as np

from medvlm_lab.errors import MedVLMError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import Answer
from medvlm_lab.models.stages import Stage, Staged
from medvlm_lab.style import COLORS
from medvlm_lab.widgets.captioned import captioned

DISCLAIMER = "Not for clinical use."


@dataclass(frozen=True)
class AnatomyState:
    """One example on its way through a model.

    Attributes:
        stages: in the order in which data flows. chosen: the name of the stage in view.
        error: one sentence to show the reader, or "".
        answer: what the model answers, with its confidence; None of a model that only shows its stages.
    """

    model: str
    image: MedicalImage
    question: str
    stages: tuple[Stage, ...] = field(default=(), repr=False)
    chosen: str = ""
    error: str = ""
    answer: Answer | None = None

    @property
    def stage(self) -> Stage | None:
        """The stage in view."""
        return next((s for s in self.stages if s.name == self.chosen), None)


def require_staged(model) -> None:
    """MedVLMError where the model cannot be followed stage by stage."""
    if not isinstance(model, Staged):
        raise MedVLMError(
            f"{getattr(model, 'name', type(model).__name__)} cannot be followed stage by stage; choose a model that "
            "`medvlm-lab models` lists with the capability Staged."
        )


def follow(state: AnatomyState, model) -> AnatomyState:
    """The state with every stage computed; with a sentence in `error` where the model refuses the question."""
    try:
        stages = tuple(model.stages(state.image, state.question))
        answer = model.answer(state.image, state.question) if callable(getattr(model, "answer", None)) else None
    except MedVLMError as error:
        return AnatomyState(state.model, state.image, state.question, state.stages, state.chosen, error.kept)
    names = [s.name for s in stages]
    chosen = state.chosen if state.chosen in names else names[0]
    return AnatomyState(state.model, state.image, state.question, stages, chosen, answer=answer)


def answered(state: AnatomyState) -> str:
    """The model's answer with its confidence, as everywhere else, and what the bars of the last stage are instead."""
    if state.answer is None:
        return ""
    bars = " The bars are next-word probabilities before calibration." if state.stage and state.stage.choices else ""
    return f"Answer: {state.answer}.{bars}"


def summary(stage: Stage) -> str:
    """The stage in a sentence and its tensor in numbers, as HTML."""
    t = stage.tensor
    numbers = ", ".join(f"{v:.2f}" for v in t.flatten()[:6].tolist())
    return (
        f'<b style="color:{COLORS[stage.part]}">{escape(stage.name)}</b> · {escape(stage.about)}<br>'
        f"{escape(stage.shape)} · from {t.min():.2f} to {t.max():.2f}, mean {t.mean():.2f} · begins {numbers} …"
    )


def picture(state: AnatomyState) -> bytes:
    """PNG of the chosen stage: what its numbers look like, beside the picture or the words that they stand for."""
    import matplotlib.pyplot as plt

    from medvlm_lab import style

    stage = state.stage
    with plt.rc_context(style.rc()):
        figure = plt.figure(figsize=(9.2, 3.1))
        if stage.choices:
            _choices(figure, stage)
        elif stage.looks is not None:
            _looks(figure, state)
        elif stage.words and stage.grid:
            _similar_cells(figure, state)
        elif stage.words:
            _similar_words(figure, stage)
        elif stage.grid:
            _cells(figure, state)
        else:
            _panel(figure, 1, 1, pixels_of(state), "as the model gets it")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=100)
        plt.close(figure)
    return buffer.getvalue()


def card_png(state: AnatomyState) -> bytes:
    """PNG of the picture, with the question and the stage below it, for pages on which no kernel runs."""
    from PIL import Image

    if state.stage is None:
        return captioned(Image.new("RGB", (1, 1)), [state.error], said(state))
    lines = [f"{state.model} · {state.question}", f"{state.stage.name}: {state.stage.about} ({state.stage.shape})"]
    return captioned(Image.open(io.BytesIO(picture(state))), lines, said(state), (920, 400))


def said(state: AnatomyState) -> str:
    """The line below everything: whether the image is simulated, and what it is not for."""
    return f"{'Simulated. ' if state.image.simulated else ''}{DISCLAIMER}"


def alt(state: AnatomyState) -> str:
    """The card in words."""
    shown = state.error if state.stage is None else describe(state)
    return f"{state.model} followed on {state.image.name}, {state.question} {shown}. {said(state)}"


def describe(state: AnatomyState) -> str:
    """What the picture shows, in words."""
    stage = state.stage
    if stage.choices:
        return "Next-word probability before calibration: " + "; ".join(
            f"after {word}: " + ", ".join(f"{w} {p:.0%}" for w, p in row[:3])
            for word, row in zip(stage.words, stage.choices, strict=True)
        )
    if stage.looks is not None:
        return f"Where each word of the answer looked: {', '.join(stage.words)}"
    kind = "cells by similarity to each word" if stage.words and stage.grid else "words" if stage.words else "cells"
    return f"{stage.name}: {kind if stage.grid or stage.words else 'the picture as the model gets it'}"


def pixels_of(state: AnatomyState) -> np.ndarray:
    """The first stage's picture, (h, w, 3) from 0 to 1."""
    return state.stages[0].tensor.permute(1, 2, 0).numpy()


def cells_of(stage: Stage) -> np.ndarray:
    """The image cells' features, (rows, columns, d)."""
    rows, cols = stage.grid
    end = len(stage.tensor) - (len(stage.words) if stage.looks is None else 0)
    return stage.tensor[end - rows * cols : end].reshape(rows, cols, -1).numpy()


def colours(cells: np.ndarray) -> np.ndarray:
    """Three principal components as red, green and blue, (rows, columns, 3): equal colours, alike features."""
    flat = cells.reshape(-1, cells.shape[-1])
    centred = flat - flat.mean(0)
    u, s, _ = np.linalg.svd(centred, full_matrices=False)
    three = u[:, :3] * s[:3]
    low, high = np.percentile(three, 2, axis=0), np.percentile(three, 98, axis=0)
    return np.clip((three - low) / np.maximum(high - low, 1e-9), 0, 1).reshape(*cells.shape[:2], 3)


def similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Cosine of every row of `a` with every row of `b`, after the mean of both together is taken off."""
    middle = np.concatenate([a, b]).mean(0)
    a, b = a - middle, b - middle
    unit = lambda x: x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-9)  # noqa: E731
    return unit(a) @ unit(b).T


def _panel(figure, columns: int, number: int, image: np.ndarray, title: str, **options) -> None:
    axis = figure.add_subplot(1, columns, number)
    axis.imshow(image, **options)
    axis.set_title(title, fontsize=9)
    axis.axis("off")


def _cells(figure, state: AnatomyState) -> None:
    cells = cells_of(state.stage)
    _panel(figure, 3, 1, pixels_of(state), "picture")
    _panel(figure, 3, 2, colours(cells), "cells: equal colours, alike features")
    _panel(figure, 3, 3, np.linalg.norm(cells, axis=-1), "length of each cell's vector", cmap="cividis")


def _similar_words(figure, stage: Stage) -> None:
    axis = figure.add_subplot(1, 1, 1)
    features = stage.tensor.numpy()
    shown = axis.imshow(similarity(features, features), cmap="RdBu_r", vmin=-1, vmax=1)
    axis.set_xticks(range(len(stage.words)), stage.words, rotation=45, ha="right")
    axis.set_yticks(range(len(stage.words)), stage.words)
    axis.grid(False)
    figure.colorbar(shown, ax=axis, label="cosine")


def _similar_cells(figure, state: AnatomyState) -> None:
    stage = state.stage
    cells, words = cells_of(stage), stage.tensor[len(stage.tensor) - len(stage.words) :].numpy()
    maps = similarity(words, cells.reshape(-1, cells.shape[-1])).reshape(len(words), *stage.grid)
    inner, top = list(range(1, len(words) - 1))[:6] or [0], float(np.abs(maps).max())
    _panel(figure, 1 + len(inner), 1, pixels_of(state), "picture")
    for k, i in enumerate(inner, 2):
        _panel(figure, 1 + len(inner), k, maps[i], stage.words[i], cmap="RdBu_r", vmin=-top, vmax=top)


def _looks(figure, state: AnatomyState) -> None:
    """Each written word's share of attention on the picture's cells, and what it paid to the question."""
    stage, (rows, cols) = state.stage, state.stage.grid
    asked = next(s.words for s in state.stages if s.part == "text")
    first = stage.looks.shape[1] - len(asked) - rows * cols
    steps = list(range(len(stage.words)))[:5]
    _panel(figure, 1 + len(steps), 1, pixels_of(state), "picture")
    for k, i in enumerate(steps, 2):
        share = stage.looks[i, first : first + rows * cols].reshape(rows, cols).numpy()
        title = f"to write after\n{stage.words[i]}: {share.sum():.0%} on the picture"
        _panel(figure, 1 + len(steps), k, share, title, cmap="cividis", vmin=0)


def _choices(figure, stage: Stage) -> None:
    steps = range(min(3, len(stage.choices)))
    for k in steps:
        axis = figure.add_subplot(1, len(steps), k + 1)
        names, shares = zip(*stage.choices[k], strict=True)
        axis.barh(range(len(names)), [100 * p for p in shares], color=COLORS["decoder"])
        axis.set_yticks(range(len(names)), names)
        axis.invert_yaxis()
        axis.set(xlim=(0, 100), xlabel="next-word probability before calibration, %", title=f"after {stage.words[k]}")
    figure.tight_layout()
