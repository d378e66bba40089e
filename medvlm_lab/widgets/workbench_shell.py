"""The workbench: a map of images; the one clicked is explained and asked about below it."""

from __future__ import annotations

import io
from html import escape
from typing import Any

import ipywidgets as w

from medvlm_lab.embed import Embeddings, Projection, embed
from medvlm_lab.tasks.result import model_name
from medvlm_lab.widgets.embedding_shell import EmbeddingMapWidget
from medvlm_lab.widgets.embedding_state import sentence
from medvlm_lab.widgets.explain_shell import ExplainWidget
from medvlm_lab.widgets.pictured import Pictured
from medvlm_lab.widgets.readout import READOUT_CSS, readout, render_values
from medvlm_lab.widgets.vqa_shell import VQAWidget
from medvlm_lab.widgets.vqa_state import DISCLAIMER


class ScoresWidget(w.VBox):
    """The zero-shot scores of the image in view, of a model that answers no questions."""

    def __init__(self, model: Any, image: Any):
        self._model, self.view = model, w.HTML()
        style = w.HTML(f"<style>{READOUT_CSS}</style>", layout=w.Layout(display="none"))
        footer = w.HTML(f'<div class="mv-footer" role="note">{escape(model_name(model))}. {DISCLAIMER}</div>')
        super().__init__([style, self.view, footer])
        self.add_class("mv-says")
        self.image = image

    @property
    def image(self):
        """The `MedicalImage` in view; another one may be put in its place."""
        return self._image

    @image.setter
    def image(self, image: Any) -> None:
        self._image, says = image, readout(self._model, image, "")
        if says.error:
            return self.fail(says.error)
        table = render_values(says) or "This model has no scores of its own; explain a prompt."
        self.view.value = f"<b>{escape(image.name)}</b>{table}"

    def fail(self, message: str) -> None:
        """Shows a sentence in place of the scores."""
        self.view.value = f'<div class="mv-error" role="alert">{escape(message)}</div>'


class WorkbenchWidget(Pictured, w.VBox):
    """`map`, and what is clicked there in `explain` and in `ask`: the VQA widget, or scores of a model without answers.

    On a map with texts, a click on a text puts it in the place of the prompt.
    """

    def __init__(
        self, model: Any, images: Any, answerer: Any = None, text: str | None = None,
        projection: Projection | None = None,
    ):  # fmt: skip
        made = images if isinstance(images, Embeddings) else embed(model, images)
        self.map, self._masks = EmbeddingMapWidget(made, projection), getattr(images, "masks", None)
        first = made.table["kind"].to_pylist().index("image")
        image = made.image(first)
        answers = answerer or (model if callable(getattr(model, "answer", None)) else None)
        traced = next((m for m in (answers, model) if callable(getattr(m, "trace", None))), model)
        self.explain = ExplainWidget(traced, image, text)
        self.ask = VQAWidget(answers, image) if answers else ScoresWidget(model, image)
        self._below = w.Tab([self.explain, self.ask], titles=("Explain", "Ask" if answers else "Scores"))
        super().__init__([self.map, self._below])
        self.add_class("mv-workbench")
        self.map.whole = self.explain.whole = self.ask.whole = self
        self._below.observe(lambda _: self._touch(), "selected_index")
        self.map.on_select(self._open)
        self.map.selection = [first]

    def _open(self, rows: list[int]) -> None:
        """One point was clicked: its image in both widgets, or the sentence that says why there is none."""
        if len(rows) != 1:
            return
        made = self.map.state.embeddings
        if made.table["kind"][rows[0]].as_py() == "text":
            if self.explain.facts["kind"] == "Prompt":
                self.explain.text = made.table["report"][rows[0]].as_py()
            return
        try:
            image = made.image(rows[0])
            self.explain.show(image, self._masks(rows[0]) if self._masks else None)
            self.ask.image = image
        except Exception as error:  # a widget that dies in a callback says nothing: show it instead
            for widget in (self.explain, self.ask):
                widget.fail(sentence(error, "The image cannot be opened"))

    @property
    def _shown(self) -> Pictured:
        asked = self._below.selected_index == 1 and isinstance(self.ask, Pictured)
        return self.ask if asked else self.explain

    def png(self) -> bytes:
        """The map over what is below it: the two explanations or the answer."""
        return stacked([self.map.png(), self._shown.png()])

    def alt(self) -> str:
        """Both in words."""
        return f"{self.map.alt()} {self._shown.alt()}"


def stacked(pictures: list[bytes]) -> bytes:
    """One PNG of several, one below the other."""
    from PIL import Image

    opened, buffer = [Image.open(io.BytesIO(png)).convert("RGBA") for png in pictures], io.BytesIO()
    whole = Image.new("RGBA", (max(each.width for each in opened), sum(each.height for each in opened)))
    top = 0
    for each in opened:
        whole.paste(each, (0, top))
        top += each.height
    whole.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
