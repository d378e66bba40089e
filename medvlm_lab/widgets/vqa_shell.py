"""The VQA widget's shell: core ipywidgets wired to `vqa_state`; what is shown is decided there.

The module is not called `vqa`, since importing it would then hide the function `lab.widgets.vqa`.
"""

from __future__ import annotations

from dataclasses import replace

import ipywidgets as w

from medvlm_lab.errors import MedVLMError
from medvlm_lab.widgets import vqa_state as logic
from medvlm_lab.widgets.channel import Request
from medvlm_lab.widgets.pictured import Pictured
from medvlm_lab.widgets.request_box import RequestBox
from medvlm_lab.widgets.sliders import RangeSlider, WholeSlider
from medvlm_lab.widgets.upload import read_upload
from medvlm_lab.widgets.vqa_card import card_png, describe
from medvlm_lab.widgets.vqa_css import CSS


def _device_words(model) -> str:
    """Where the model runs; a model without a device is assumed to run on the CPU."""
    kind = str(getattr(model, "device", None) or "cpu")
    return kind.upper() if kind in ("cpu", "mps") else kind.replace("cuda", "CUDA ").strip()


class VQAWidget(Pictured, w.VBox):
    """Ask a model questions about an image; `.state` holds everything that is shown."""

    def __init__(self, model, image, question: str | None = None):
        logic.require_answerer(model)
        image = logic.resolve_image(image)
        self._model = model
        self._images = {image.name: image}
        self._busy = False
        name = str(getattr(model, "name", None) or type(model).__name__)
        self.state = logic.show(logic.VQAState(image, name, _device_words(model)), image)
        self._build()
        super().__init__([self._style, self._title, self._body, self._footer])
        self.add_class("mv-vqa")
        self.add_class("mv-asks")
        self._show_image()
        self._refresh()
        if question is not None:
            self.question_box.value = question
            self.ask()

    @property
    def image(self):
        """The `MedicalImage` in view; another one, a sample's name or a path may be put in its place."""
        return self.state.image

    @image.setter
    def image(self, image) -> None:
        self._put(logic.resolve_image(image))

    def _build(self) -> None:
        label = {"description_width": "62px"}

        def wide() -> w.Layout:  # one each: hiding a control must not hide the others
            return w.Layout(width="98%")

        self._style = w.HTML(f"<style>{CSS}</style>", layout=w.Layout(display="none"))
        self._title = w.HTML(logic.render_title(self.state))
        self.image_view = w.HTML()  # not w.Image, which has no alternative text
        self.image_view.add_class("mv-picture")
        self.picker = w.Dropdown(description="Image", layout=wide(), style=label, tooltip="Choose an image")
        self.window = w.Dropdown(description="Window", layout=wide(), style=label, tooltip="Range of grey values shown")
        self.levels = RangeSlider(
            (0, 1), 0, 1, description="Grey", layout=wide(), style=label,
            tooltip="Range of values shown, from black to white",
        )
        self.frame = WholeSlider(0, 0, 0, description="Frame", layout=wide(), style=label)
        self.upload = w.FileUpload(description="Upload", multiple=False, tooltip="DICOM, NIfTI, PNG or JPEG")
        self.question_box = RequestBox(
            self._submit, placeholder="Type a question, then press Enter", tip="Question about the image"
        )
        self.suggestions = w.Box()
        self.suggestions.add_class("mv-suggestions")
        self.answer_view, self.history_view = w.HTML(), w.HTML()
        self.transcript = w.Textarea(disabled=False, rows=6, layout=wide(), tooltip="Transcript, to copy")
        self.transcript.add_class("mv-transcript")
        records = w.Accordion([self.history_view, self.transcript], titles=("History", "Transcript to copy"))
        records.selected_index = 0
        left = w.VBox([self.image_view, self.picker, self.window, self.levels, self.frame, self.upload])
        left.add_class("mv-left")
        self._left = left
        right = w.VBox([self.question_box, self.suggestions, self.answer_view, records])
        right.add_class("mv-right")
        self._body = w.Box([left, right])
        self._body.add_class("mv-body")
        self._footer = w.HTML()

        self.picker.observe(self._on_pick, "value")
        self.window.observe(self._on_view, "value")
        self.levels.on_move(self._on_levels)
        self.frame.on_move(self._on_view)
        self.upload.observe(self._on_upload, "value")

    def ask(self, question: str | None = None) -> None:
        """Asks the question given, else the last one sent, and returns when the answer is shown."""
        if question is not None:
            self.question_box.value = question
        self.question_box.channel.run(self._request(self.question_box.value))

    def _submit(self, question: str, number: int = 0) -> None:
        """A question of the browser, answered while the kernel hears the next one."""
        self.question_box.value = question
        self.question_box.channel.submit(self._request(question), number)

    def _request(self, question: str) -> Request:
        state = self.state
        key = (question.strip(), state.image.name, state.frame, state.window)
        return Request(key, lambda: logic.ask(state, self._model, question), self._draw, self._unanswered)

    def _draw(self, state: logic.VQAState) -> None:
        """The answer so far; picture and window are as the reader has set them meanwhile."""
        self.state = logic.answered(self.state, state)
        self.answer_view.value = logic.render_html(self.state)
        if not self.state.question:
            self._refresh()

    def _unanswered(self, why: str) -> None:
        question = self.state.question
        self.state = replace(self.state, question="", partial="")
        self.fail(f"{why} “{question}” has no answer; ask again." if question else why)

    def _refresh(self) -> None:
        self.answer_view.value = logic.render_html(self.state)
        self.history_view.value = logic.render_history(self.state)
        self.transcript.value = logic.transcript(self.state)

    def _show_image(self) -> None:
        """Sets every control to the image in view, without their callbacks answering back."""
        image, self._busy = self.state.image, True
        try:
            self.picker.options = logic.choices(self._images)
            self.picker.value = image.name
            self.window.options = logic.windows(image)
            self.window.value = logic.DEFAULT_WINDOW
            self.window.layout.display = None if len(self.window.options) > 2 else "none"
            self._show_levels()
            word = "Frame" if image.fps else "Slice"
            self.frame = self.frame.anew(self._left, self.state.frame, 0, image.frames - 1, description=word)
            self.frame.layout.display = None if image.frames > 1 else "none"
            self.image_view.value = logic.render_picture(self.state)
            self._footer.value = logic.render_footer(self.state)
            buttons = []
            for question in image.questions[:6]:
                button = w.Button(description=question, tooltip=f"Ask: {question}", layout=w.Layout(width="auto"))
                button.on_click(lambda _, question=question: self._submit(question))
                buttons.append(button)
            self.suggestions.children = buttons
        finally:
            self._busy = False

    def _show_levels(self) -> None:
        """Sets the grey-range slider to the window in view; colour has none."""
        self.levels.layout.display = "none" if self.state.image.color else None
        if not self.state.image.color:
            least, most, black, white = logic.grey_range(self.state)
            self.levels = self.levels.anew(self._left, (black, white), least, most)

    def fail(self, message: str) -> None:
        """Shows a sentence in place of an answer."""
        self.state = replace(self.state, error=message)
        self._refresh()

    def _put(self, image) -> None:
        self.question_box.channel.stop()  # the answer would be about another image
        self._images[image.name] = image
        self.state = logic.show(self.state, image)
        self._show_image()
        self._refresh()

    def _on_pick(self, change) -> None:
        if self._busy or change["new"] is None:
            return
        name = change["new"]
        try:
            self._put(self._images[name] if name in self._images else logic.resolve_image(name))
        except MedVLMError as error:
            self._show_image()
            self.fail(error.kept)

    def _on_view(self, change=None) -> None:
        if self._busy:
            return
        window = self.state.window
        if change and self.window.value != logic.OWN_WINDOW:
            window = None if self.window.value == logic.DEFAULT_WINDOW else self.window.value
        self._look(replace(self.state, frame=self.frame.value, window=window))
        self._busy = True
        self._show_levels()
        self._busy = False

    def _on_levels(self) -> None:
        if self._busy:
            return
        black, white = self.levels.numbers
        self._look(replace(self.state, window=((black + white) / 2, max(white - black, self.levels.step))))
        self._busy = True
        self.window.value = logic.OWN_WINDOW
        self._busy = False

    def _look(self, state) -> None:
        try:
            self.image_view.value = logic.render_picture(state)
            self.state = state
        except MedVLMError as error:
            self.fail(error.kept)

    def _on_upload(self, change) -> None:
        if self._busy or not change["new"]:
            return
        file = change["new"][0]
        try:
            self._put(read_upload(file["name"], bytes(file["content"])))
        except MedVLMError as error:
            self.fail(error.kept)
        finally:
            self._busy = True
            self.upload.value = ()  # so that the same file can be uploaded again
            self._busy = False

    def png(self) -> bytes:
        """The image, the question and what the model answered."""
        return card_png(self.state)

    def alt(self) -> str:
        """The same in words."""
        return describe(self.state)
