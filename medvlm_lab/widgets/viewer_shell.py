"""The image viewer's shell: raw frames go to the browser, where windowing costs no round trip (`viewer.js`)."""

from __future__ import annotations

import anywidget
import traitlets

from medvlm_lab.widgets import viewer_state as logic
from medvlm_lab.widgets.browser import HERE, module
from medvlm_lab.widgets.pictured import Pictured
from medvlm_lab.widgets.vqa_state import resolve_image


class ViewerWidget(Pictured, anywidget.AnyWidget):
    """Look at an image: window by drag or preset, slices, cine, histogram, value under the pointer, tags.

    `frame` and `window` (center, width) follow the reader's hand, and may be set or observed from Python.
    """

    _esm = module("elements.js", "viewer.js")
    _css = HERE / "viewer.css"
    frame = traitlets.Int(0).tag(sync=True)
    window = traitlets.List(traitlets.Float()).tag(sync=True)  # empty for colour
    facts = traitlets.Dict().tag(sync=True)
    tags = traitlets.Unicode().tag(sync=True)

    def __init__(self, image):
        self.image = resolve_image(image)
        first = self.image.reading_frame
        own = [] if self.image.color else list(self.image.resolve_window(frame=first))
        super().__init__(
            frame=first, window=own, facts=logic.facts(self.image), tags=logic.render_tags(self.image)
        )
        self.on_msg(self._on_request)

    @traitlets.validate("frame")
    def _in_range(self, proposal):
        return min(max(proposal["value"], 0), self.image.frames - 1)

    def _on_request(self, _, content, __) -> None:
        """The browser asks for frames; they travel beside the widget's state, so that no notebook saves them."""
        wanted = content.get("frame")
        if isinstance(wanted, int) and 0 <= wanted < self.image.frames:
            about, data = logic.frame_buffer(self.image, wanted)
            self.send(about, [data])

    def png(self) -> bytes:
        """The frame in view, in its window."""
        return logic.card_png(self.image, self.frame, tuple(self.window) or None)

    def alt(self) -> str:
        """The line below the picture."""
        return logic.describe(self.image, self.frame, tuple(self.window) or None)
