"""A sign that a widget computes, with a button that stops it, for widgets without a line of text to send."""

from __future__ import annotations

import anywidget

from medvlm_lab.widgets.browser import HERE, module
from medvlm_lab.widgets.channel import Channel

RENDER = """
function render({ model, el }) {
  const requests = channel(model);
  const root = element("div", { class: "mv-request" }, requests.node);
  const deaf = ownKeys(root);
  el.append(root);
  return () => { requests.end(); deaf(); };
}

export default { render };
"""


class BusySign(anywidget.AnyWidget):
    """`channel` takes the requests of its widget."""

    _esm = module("elements.js", "channel.js") + RENDER
    _css = HERE / "channel.css"

    def __init__(self):
        super().__init__()
        self.channel = Channel(self.send)
        self.on_msg(lambda _, message, __: self.channel.stop() if message.get("do") == "stop" else None)
