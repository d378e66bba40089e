"""The reader study's shell: the browser draws the view (`reader.js`) and sends what the reader does."""

from __future__ import annotations

from pathlib import Path

import anywidget
import traitlets

from medvlm_lab.errors import MedVLMError
from medvlm_lab.reader.study import Study
from medvlm_lab.widgets import reader_state as logic
from medvlm_lab.widgets.pictured import Pictured
from medvlm_lab.widgets.reader_card import card_png, describe
from medvlm_lab.widgets.reader_results import results_html

_HERE = Path(__file__).parent


class ReaderStudyWidget(Pictured, anywidget.AnyWidget):
    """Take part in a reader study; `.study` holds the answers, `.study.readings()` names the sources."""

    _esm = _HERE / "reader.js"
    _css = _HERE / "reader.css"
    view = traitlets.Dict().tag(sync=True)
    picture = traitlets.Unicode().tag(sync=True)
    results = traitlets.Unicode().tag(sync=True)

    def __init__(self, state: logic.ReaderState):
        self.state = state
        super().__init__(view=logic.view(state), picture=logic.picture(state))
        self.on_msg(self._on_message)

    @property
    def study(self) -> Study:
        """The study as it stands."""
        return self.state.study

    def _on_message(self, _, message, __) -> None:
        if message.get("do") == "export":
            return self._export(message.get("form"))
        before, self.state = self.state, logic.act(self.state, message)
        if self.state.results and not before.results:
            self.results = results_html(self.state)
        if self.state.study.position != before.study.position:
            self.picture = logic.picture(self.state)
        self.view = logic.view(self.state)

    def _export(self, form: str) -> None:
        try:
            name, content = logic.export(self.state, form)
            self.send({"name": name, "content": content})
        except MedVLMError as error:
            self.view = {**self.view, "error": str(error)}

    def png(self) -> bytes:
        """The case in view, or the results."""
        return card_png(self.state)

    def alt(self) -> str:
        """The case in view, in words."""
        return describe(self.state)
