"""What every widget leaves in a saved notebook: the picture of its last state, with a text for those who cannot see it.

A notebook that names a live widget shows an error where no kernel runs, whatever pictures lie beside it. So a kernel
writes the picture, and the page puts the live widget in its place (`pictured.js`).
"""

from __future__ import annotations

import base64
import os
import sys
from html import escape
from typing import Any

import anywidget
import traitlets

from medvlm_lab.widgets.browser import module
from medvlm_lab.widgets.channel import computing

VIEW = "application/vnd.jupyter.widget-view+json"


class Keeper(anywidget.AnyWidget):
    """Draws no widget of its own: it puts a live one in the place of its picture, and keeps the picture up to date."""

    _esm = module("elements.js", "pictured.js")
    of = traitlets.Unicode().tag(sync=True)  # the live widget's model

    def __init__(self, widget: Pictured):
        self._widget, self._old = widget, False
        super().__init__(of=widget.model_id)
        self.on_msg(self._on_message)

    def touch(self) -> None:
        """Tells the page that the picture is out of date; it asks for another when the hand rests."""
        if not self._old:
            self._old = True
            self.send({"reply": "old"})

    def _on_message(self, _, message, __) -> None:
        if message.get("do") != "picture":
            return
        if computing():  # the last state is yet to come, and who interrupts now means the computation
            return self.send({"reply": "old"})
        self._old = False
        data, metadata = self._widget.saved()
        self.send({"reply": "picture", "data": data, "metadata": metadata})


class Pictured:
    """Stands before ipywidgets' or anywidget's class; `png()` says what it looks like now, `alt()` says it in words."""

    _keeper: Keeper | None = None
    whole: Pictured | None = None  # the widget in whose picture this one is

    def saved(self) -> tuple[dict[str, str], dict[str, Any]]:
        """(data, metadata) of a notebook's output in which no widget lives."""
        png, alt = base64.b64encode(self.png()).decode("ascii"), self.alt()
        html = (
            f'<div class="mv-saved mv-saved-{self.model_id}"><img src="data:image/png;base64,{png}" '
            f'alt="{escape(alt)}" style="max-width: 100%"></div>'
        )
        return {"text/html": html, "image/png": png, "text/plain": alt}, {"image/png": {"alt": alt}}

    def alt(self) -> str:
        """The picture in words."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs: Any):
        data, metadata = self.saved()
        if _page_can_swap():
            if self._keeper is None:
                self._keeper = Keeper(self)
            return data, metadata
        found = super()._repr_mimebundle_(**kwargs)
        if isinstance(found, tuple):  # anywidget's has metadata
            return {**data, **found[0]}, metadata
        return {**data, **(found or {})}

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in ("state", "now"):
            self._touch()

    def notify_change(self, change) -> None:
        """A trait that the reader or Python has set may be part of the picture."""
        super().notify_change(change)
        if not change["name"].startswith("_"):
            self._touch()

    def _touch(self) -> None:
        if self._keeper is not None:
            self._keeper.touch()
        if self.whole is not None:
            self.whole._touch()


def _page_can_swap() -> bool:
    """Whether the output goes to a page that makes widgets before it shows them, as Jupyter's own pages do."""
    from IPython import get_ipython

    kernel = getattr(get_ipython(), "kernel", None)
    return kernel is not None and "google.colab" not in sys.modules and "VSCODE_PID" not in os.environ
