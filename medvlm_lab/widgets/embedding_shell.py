"""The embedding map's shell: places and colours go to the browser once (`embedding.js`), pictures when asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import anywidget
import traitlets

from medvlm_lab.embed import Embeddings, Projection
from medvlm_lab.errors import UnknownNameError
from medvlm_lab.image import MedicalImage
from medvlm_lab.widgets import embedding_colours as paint
from medvlm_lab.widgets import embedding_state as logic
from medvlm_lab.widgets.browser import module, styles
from medvlm_lab.widgets.channel import Channel, Request
from medvlm_lab.widgets.embedding_card import card_png, describe
from medvlm_lab.widgets.pictured import Pictured
from medvlm_lab.widgets.upload import read_upload


class EmbeddingMapWidget(Pictured, anywidget.AnyWidget):
    """A map of images and texts.

    `selection`, the numbers of the rows that are clicked or encircled, and `color_by` follow the reader's hand, and may
    be set or observed from Python.
    """

    _esm = module("elements.js", "channel.js", "embedding_parts.js", "embedding.js")
    _css = styles("channel.css", "embedding.css")
    selection = traitlets.List(traitlets.Int()).tag(sync=True)
    color_by = traitlets.Unicode().tag(sync=True)
    choices = traitlets.List(traitlets.Unicode()).tag(sync=True)
    legend = traitlets.Dict().tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)

    def __init__(self, embeddings: Embeddings, projection: Projection | None = None, color_by: str | None = None):
        self.state, choices = logic.start(embeddings, projection), paint.choices(embeddings)
        first = color_by or choices[0]
        if first not in choices:
            raise UnknownNameError("colour", first, choices)
        self.colours = paint.colours(embeddings, first)
        super().__init__(color_by=first, choices=choices, legend=self.colours.view(), facts=logic.facts(self.state))
        self._channel = Channel(self.send)
        self.on_msg(self._on_message)
        self.observe(self._paint, "color_by")
        self.observe(lambda change: self.send(logic.chosen(self.state, change["new"])), "selection")

    @property
    def ids(self) -> list[str]:
        """Names of the selected rows."""
        names = self.state.embeddings.table["id"]
        return [names[row].as_py() for row in self.selection]

    def on_select(self, callback: Callable[[list[int]], None]) -> None:
        """Calls `callback` with the rows whenever others are selected."""
        self.observe(lambda change: callback(change["new"]), "selection")

    def search(self, query: str | Path | MedicalImage) -> list[str]:
        """Marks a text or an image on the map; the names of the images nearest to it. Raises MedVLMError."""
        found = logic.search(self.state, query)
        self.send(found)
        return [near["title"] for near in found["nearest"]]

    @traitlets.validate("selection")
    def _existing(self, proposal):
        return [row for row in proposal["value"] if 0 <= row < len(self.state.embeddings)]

    @traitlets.validate("color_by")
    def _known(self, proposal):
        if self.choices and proposal["value"] not in self.choices:
            raise UnknownNameError("colour", proposal["value"], self.choices)
        return proposal["value"]

    def _paint(self, change) -> None:
        self.colours = paint.colours(self.state.embeddings, change["new"])
        self.legend = self.colours.view()
        self.send({"reply": "colours"}, [self.colours.codes.tobytes()])

    def _on_message(self, _, message, buffers) -> None:
        """The browser asks; big things travel beside the widget's state, so that no notebook saves them."""
        do = message.get("do")
        if do == "start":
            self.send({"reply": "points"}, [*logic.points(self.state), self.colours.codes.tobytes()])
            self.send(logic.chosen(self.state, self.selection))
        elif do == "hover" and message.get("row") in range(len(self.state.embeddings)):
            self.send({"reply": "hover", **logic.card(self.state, message["row"])})
        elif do == "search":
            sent = bytes(buffers[0]) if buffers else b""
            self._ask(message.get("name", ""), str(message.get("text", "")), sent, message.get("seq", 0))
        elif do == "stop":
            self._channel.stop()

    def _ask(self, name: str, text: str, sent: bytes, number: int) -> None:
        """A search of the browser, by a text or by the content of an image file."""

        def job():
            try:
                yield logic.search(self.state, read_upload(name, sent) if sent else text)
            except Exception as error:  # else the page would wait for an answer for ever
                yield {"reply": "found", "problem": logic.sentence(error, "The search failed")}

        def failed(why: str) -> None:
            self.send({"reply": "found", "problem": why})

        # the same once more is a search, too: what it found may have been put away meanwhile
        self._channel.submit(Request(object(), job, self.send, failed), number)

    def png(self) -> bytes:
        """A picture of the map as it is."""
        return card_png(self.state, self.colours, self.color_by, self.selection)

    def alt(self) -> str:
        """The map in words."""
        return describe(self.state, self.color_by, self.ids)
