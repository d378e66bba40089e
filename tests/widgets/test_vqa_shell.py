"""The ipywidgets shell, without a browser."""

import base64
import io
from datetime import UTC, datetime

import numpy as np
import pytest
from fakes import FakeAnswerer
from PIL import Image

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError
from medvlm_lab.widgets.vqa_state import view


@pytest.fixture
def widget(image):
    return lab.widgets.vqa(FakeAnswerer(), image)


def upload(widget, name, content):
    file = {"name": name, "type": "", "size": len(content), "content": memoryview(content)}
    widget.upload.value = (file | {"last_modified": datetime.now(UTC)},)


def png(mode: str = "L") -> bytes:
    buffer = io.BytesIO()
    picture = Image.fromarray(np.arange(48 * 64, dtype=np.uint16).reshape(48, 64).astype(np.uint8))
    picture.convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


def test_enter_and_button_send(widget):
    widget.question_box._handle_custom_msg({"do": "ask", "text": "Is it round?", "seq": 1}, [])
    assert len(widget.state.history) == 1 and "yes" in widget.answer_view.value
    assert widget.question_box.value == widget.state.last.question == "Is it round?"  # as it was sent
    widget.ask()
    assert len(widget.state.history) == 2 and not widget.question_box.channel.busy


def test_suggested_question(widget):
    widget.suggestions.children[1].click()
    assert widget.question_box.value == "Where is it?" == widget.state.last.question
    assert "right upper lobe" in widget.transcript.value and "CPU" in widget.history_view.value


def test_picker_window_and_slice(widget):
    widget.picker.value = "head-ct"
    assert widget.state.image.frames == 9 and widget.frame.value == 4 and widget.frame.layout.display is None
    before = widget.image_view.value
    widget.window.value = "lung"
    widget.frame.value = 7
    assert (widget.state.window, widget.state.frame) == ("lung", 7) and widget.image_view.value != before
    widget.picker.value = "chest"
    assert widget.frame.layout.display == "none" and widget.window.layout.display == "none"


def test_grey_range_changes_the_picture_and_what_the_model_gets(widget):
    before = widget.image_view.value
    low, high = widget.levels.min, widget.levels.max
    widget.levels.value = (low + 0.4 * (high - low), low + 0.6 * (high - low))
    assert widget.image_view.value != before and widget.window.value == "as set below"
    center, width = widget.state.window
    assert center == pytest.approx((low + high) / 2) and width == pytest.approx(0.2 * (high - low))
    assert view(widget.state).window == widget.state.window
    upload(widget, "colour.png", png("RGB"))  # nothing to set
    assert widget.levels.layout.display == "none" and widget.state.window is None
    widget.picker.value = "head-ct"
    widget.window.value = "brain"
    assert widget.levels.value == pytest.approx((0, 80))
    widget.levels.value = (0, 40)
    assert widget.state.window == (20, 40) and widget.window.value == "as set below"


def test_upload_and_back(widget):
    upload(widget, "mine.png", png())
    name = widget.state.image.name
    assert name.startswith("image-") and widget.picker.value == name
    assert widget.upload.value == () and widget.state.error == ""
    widget.picker.value = "chest"
    widget.picker.value = name
    assert widget.state.image.width == 64


def test_damaged_upload_is_said_in_the_widget(widget):
    upload(widget, "../mine.dcm", b"no image at all")
    assert "copy it again" in widget.answer_view.value and "alert" in widget.answer_view.value
    assert "mine" not in widget.answer_view.value
    assert "tmp" not in widget.answer_view.value
    assert widget.state.image.name == "chest"


def test_saved_notebook_keeps_a_picture(image):
    widget = lab.widgets.vqa(FakeAnswerer(), image, question="Is it round?")
    bundle = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert base64.b64decode(bundle["image/png"]).startswith(b"\x89PNG")
    assert widget.state.last.answer.text == "yes"


def test_not_an_answerer(image):
    with pytest.raises(MedVLMError, match="Answerer"):
        lab.widgets.vqa(object(), image)
    assert callable(lab.widgets.vqa)  # still the function, not a module


def test_disclaimer(widget):
    assert "Not for clinical use." in widget._footer.value
