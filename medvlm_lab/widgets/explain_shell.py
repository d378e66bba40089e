"""The explain widget's shell: maps go to the browser, where opacity, colour and read-out cost no round trip."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anywidget
import traitlets

from medvlm_lab.tasks.result import model_name
from medvlm_lab.tasks.studies import needs
from medvlm_lab.widgets import explain_state as logic
from medvlm_lab.widgets.browser import module, styles
from medvlm_lab.widgets.channel import Channel, Request
from medvlm_lab.widgets.explain_card import card_png, describe
from medvlm_lab.widgets.pictured import Pictured
from medvlm_lab.widgets.vqa_state import resolve_image

HAND = {"text", "methods", "layer", "shifts", "word", "outline"}  # what the browser sets


class ExplainWidget(Pictured, anywidget.AnyWidget):
    """See which part of an image gave a text its score, by two methods side by side.

    `text`, `methods`, `layer` ("" for the model's own), `shifts` (4: finer maps, of 4 x 4 moved pictures), `word` (-1
    for all), `outline` and `opacity` follow the reader's hand, and may be set or observed from Python; so may `image`.
    """

    _esm = module("elements.js", "channel.js", "explain.js")
    _css = styles("channel.css", "explain.css")
    text = traitlets.Unicode().tag(sync=True)
    methods = traitlets.List(traitlets.Unicode(), minlen=2, maxlen=2).tag(sync=True)
    layer = traitlets.Unicode().tag(sync=True)
    shifts = traitlets.Int(1).tag(sync=True)
    word = traitlets.Int(-1).tag(sync=True)
    outline = traitlets.Unicode().tag(sync=True)
    opacity = traitlets.Float(0.9, min=0.0, max=1.0).tag(sync=True)
    facts = traitlets.Dict().tag(sync=True)

    def __init__(self, model: Any, image: Any, text: str | None = None, masks: Mapping[str, Any] | None = None):
        needs(model, "trace", "show its inside")
        image = resolve_image(image)
        text = logic.first_text(model, image) if text is None else text
        self._model = model
        state = logic.ExplainState(image, text, logic.true_places(image, masks))
        state = logic.look(state, model, ())
        methods = logic.first_methods(state)
        self.state = logic.look(state, model, methods)
        super().__init__(text=text, methods=methods, outline=logic.asked_place(state),
                         facts=logic.facts(model, model_name(model)))  # fmt: skip
        self._channel, self._hand = Channel(self.send), False
        self.on_msg(self._on_message)
        self.observe(self._changed, ["text", "layer"])
        self.observe(self._shifted, ["shifts"])
        self.observe(lambda _: self._show(), ["methods", "word", "outline"])

    @property
    def image(self):
        """The `MedicalImage` in view; another one, a sample's name or a path may be put in its place."""
        return self.state.image

    @image.setter
    def image(self, image: Any) -> None:
        self.show(image)

    def show(self, image: Any, masks: Mapping[str, Any] | None = None) -> None:
        """Another image under the same text, perhaps with its masks. Raises MedVLMError where it cannot be read."""
        image = resolve_image(image)
        chosen = self.outline if self.outline != logic.asked_place(self.state) else None  # by the reader's own hand
        self.state = logic.change(self.state, image=image, masks=logic.true_places(image, masks))
        keep = chosen is not None and (chosen == "" or chosen in self.state.masks)
        self.word, self.outline = -1, chosen if keep else logic.asked_place(self.state)
        self._show()

    def fail(self, sentence: str) -> None:
        """Shows a sentence in place of the maps."""
        self.state = logic.replace(logic.change(self.state), error=sentence)
        self._show()

    def _changed(self, change) -> None:
        self.state = logic.change(self.state, **{change["name"]: change["new"]})
        if change["name"] == "text":
            self.word, self.outline = -1, logic.asked_place(self.state)
        self._show()

    def _shifted(self, change) -> None:
        self.state = logic.shift(self.state, change["new"])
        self._show()

    def _on_message(self, _, message, __) -> None:
        """The browser asks for the view, sends what the reader has set, all at once, or stops the computation."""
        do = message.get("do")
        if do == "start" and not self._channel.busy:
            self._tell(self.state)
        elif do == "stop":
            self._channel.stop()
        elif do == "ask":
            self._hand = True
            try:
                for name in HAND & message.get("values", {}).keys():
                    setattr(self, name, message["values"][name])
            finally:
                self._hand = False
            self._show(message.get("seq", 0))

    def _show(self, number: int = 0) -> None:
        """Computes what is missing, and shows it."""
        if self._hand:  # more follows
            return
        state, methods = self.state, list(self.methods)
        request = Request(
            object(), lambda: [logic.look(state, self._model, methods)], self._draw,
            lambda why: self._tell(logic.replace(self.state, error=why)),
        )  # fmt: skip
        self._channel.submit(request, number)

    def _draw(self, state: logic.ExplainState) -> None:
        self.state = state
        self._tell(state)

    def _tell(self, state: logic.ExplainState) -> None:
        about, buffers = logic.view(state, self.methods, self.word, self.outline)
        self.send({"reply": "look", **about}, buffers)

    def png(self) -> bytes:
        """A picture of both maps as they are."""
        return card_png(self.state, self.methods, self.word, self.outline, self.facts["model"])

    def alt(self) -> str:
        """The maps' captions."""
        return describe(self.state, self.methods, self.word, self.outline, self.facts["model"])
