"""The anatomy widget's shell: a diagram, one button a stage, a question box; what is shown is `anatomy_state`'s."""

from __future__ import annotations

import base64
from dataclasses import replace
from html import escape

import ipywidgets as w

from medvlm_lab.widgets import anatomy_state as logic
from medvlm_lab.widgets.anatomy_diagram import diagram
from medvlm_lab.widgets.channel import Request
from medvlm_lab.widgets.pictured import Pictured
from medvlm_lab.widgets.request_box import RequestBox
from medvlm_lab.widgets.vqa_state import resolve_image

CSS = """
.mv-anatomy { max-width: 1080px; color: var(--jp-ui-font-color1, #1b1f24); }
.mv-anatomy img { max-width: 100%; }
.mv-anatomy .mv-about { font-size: 13px; line-height: 1.5; }
.mv-anatomy .mv-error { border-left: 4px solid #d55e00; padding: 6px 10px; }
.mv-anatomy .mv-footer { font-size: 12px; color: var(--jp-ui-font-color2, #5c6670); }
"""


class AnatomyWidget(Pictured, w.VBox):
    """Follow one image and one question through a model; `.state` holds everything that is shown."""

    def __init__(self, model, image, question: str):
        logic.require_staged(model)
        self._model = model
        image = resolve_image(image)
        self.state = logic.follow(logic.AnatomyState(model.name, image, question), model)
        style = w.HTML(f"<style>{CSS}</style>", layout=w.Layout(display="none"))
        self.diagram, self.about, self.view = w.HTML(), w.HTML(), w.HTML()
        self.about.add_class("mv-about")
        self.question = RequestBox(
            self._ask, value=question, action="Follow", tip="Press Enter to follow another question"
        )
        self.stage = w.ToggleButtons(
            options=[s.name for s in self.state.stages], value=self.state.chosen or None, tooltips=[
                s.about for s in self.state.stages
            ], style={"button_width": "auto"}, description="",
        )  # fmt: skip
        footer = w.HTML(f'<div class="mv-footer" role="note">{logic.said(self.state)}</div>')
        super().__init__([style, self.question, self.diagram, self.stage, self.about, self.view, footer])
        self.add_class("mv-anatomy")
        self.add_class("mv-asks")
        self.question.observe(lambda change: self.question.sending or self._ask(change["new"]), "value")
        self.stage.observe(lambda change: self._choose(change["new"]), "value")
        self._refresh()

    def _ask(self, question: str, number: int = 0) -> None:
        asked = replace(self.state, question=question)
        request = Request(question, lambda: [logic.follow(asked, self._model)], self._draw, self._unanswered)
        self.question.channel.submit(request, number)

    def _draw(self, state: logic.AnatomyState) -> None:
        """The stages of another question; the one in view stays in view."""
        names = [s.name for s in state.stages]
        chosen = self.state.chosen if self.state.chosen in names else state.chosen
        self.state = replace(state, chosen=chosen)
        self._refresh()

    def _unanswered(self, why: str) -> None:
        self.state = replace(self.state, error=f"{why} The stages are those of the question before.")
        self._refresh()

    def _choose(self, name: str) -> None:
        self.state = replace(self.state, chosen=name)
        self._refresh()

    def _refresh(self) -> None:
        state = self.state
        error = f'<div class="mv-error" role="alert">{escape(state.error)}</div>' if state.error else ""
        if state.stage is None:
            self.about.value = error
            return
        self.diagram.value = diagram(state.model, state.stages, state.chosen)
        self.about.value = f"{error}{logic.summary(state.stage)}<br>{escape(logic.answered(state))}"
        data = base64.b64encode(logic.picture(state)).decode("ascii")
        self.view.value = f'<img src="data:image/png;base64,{data}" alt="{escape(logic.describe(state))}">'

    def png(self) -> bytes:
        """The model's stages, and the chosen one's picture."""
        return logic.card_png(self.state)

    def alt(self) -> str:
        """The chosen stage in words."""
        return logic.alt(self.state)
