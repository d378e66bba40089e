"""A line of text to send, with a busy sign and a stop button: what the reader asks, as it was typed."""

from __future__ import annotations

from collections.abc import Callable

import anywidget
import traitlets

from medvlm_lab.widgets.browser import HERE, module
from medvlm_lab.widgets.channel import Channel


class RequestBox(anywidget.AnyWidget):
    """`value` is the text that was sent last, and may be set from Python; `channel` takes the requests of its widget.

    Args:
        ask: called with the text and the request's number when the reader sends it.
    """

    _esm = module("elements.js", "channel.js", "request_box.js")
    _css = HERE / "channel.css"
    value = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode("Question").tag(sync=True)
    action = traitlets.Unicode("Ask").tag(sync=True)
    placeholder = traitlets.Unicode().tag(sync=True)
    tip = traitlets.Unicode().tag(sync=True)

    def __init__(self, ask: Callable[[str, int], None], **traits: str):
        super().__init__(**traits)
        self._ask, self.sending, self.channel = ask, False, Channel(self.send)
        self.on_msg(self._on_message)

    def _on_message(self, _, message, __) -> None:
        if message.get("do") == "stop":
            self.channel.stop()
        elif message.get("do") == "ask":
            self.sending = True  # the text was sent, not set by Python
            try:
                self.value = str(message.get("text", ""))
                self._ask(self.value, int(message.get("seq", 0)))
            finally:
                self.sending = False
