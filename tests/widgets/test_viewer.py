"""The image viewer without a browser: what is sent is exact, bounded and free of identifiers."""

import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError
from medvlm_lab.grey import Voi
from medvlm_lab.image import MedicalImage
from medvlm_lab.widgets import viewer_state as logic

TYPES = st.sampled_from([np.uint8, np.int16, np.uint16, np.int32, np.float32])


@given(TYPES.flatmap(lambda t: arrays(t, array_shapes(min_dims=3, max_dims=3, max_side=6))), st.data())
def test_a_frame_arrives_as_it_is(pixels, data):
    if pixels.dtype.kind == "f":
        pixels = np.nan_to_num(pixels, posinf=1, neginf=-1)
    image = MedicalImage(pixels)
    frame = data.draw(st.integers(0, image.frames - 1))
    about, raw = logic.frame_buffer(image, frame)
    got = np.frombuffer(raw, np.dtype(about["type"]).newbyteorder("<")).reshape(about["rows"], about["columns"])
    np.testing.assert_array_equal(got, pixels[frame])
    assert about["step"] == 1


def test_a_large_frame_is_thinned_not_averaged():
    pixels = np.arange(3000 * 4000, dtype=np.int32).reshape(1, 3000, 4000)
    about, raw = logic.frame_buffer(MedicalImage(pixels), 0)
    assert about["rows"] * about["columns"] <= logic.MOST_PIXELS and about["step"] == 2
    np.testing.assert_array_equal(np.frombuffer(raw, np.int32).reshape(1500, 2000), pixels[0, ::2, ::2])


def test_colour_travels_as_rgb_and_has_no_window():
    image = MedicalImage(np.arange(2 * 3 * 3, dtype=np.uint8).reshape(1, 2, 3, 3))
    assert logic.presets(image) == {} and logic.facts(image)["bounds"] is None
    assert logic.frame_buffer(image, 0)[1] == image.pixels.tobytes()


def test_presets_open_with_the_files_own():
    image = MedicalImage(np.zeros((1, 4, 4), np.int16), "CT", window=(30.0, 300.0), units="HU")
    names = list(logic.presets(image))
    assert names[0] == "from the file" and {"lung", "bone", "brain", "abdomen"} <= set(names)
    assert logic.facts(image)["presets"]["from the file"] == [30.0, 300.0]


def test_tags_are_escaped():
    image = MedicalImage(np.zeros((1, 4, 4)), tags={"Modality": "<script>"}, source="a&b")
    html = logic.render_tags(image)
    assert "<script>" not in html and "&lt;script&gt;" in html and "a&amp;b" in html
    assert "nothing" in logic.render_tags(MedicalImage(np.zeros((1, 2, 2))))


def test_shell_answers_requests_and_keeps_its_frame_in_range(image):
    widget, sent = lab.widgets.viewer("head-ct"), []
    widget.send = lambda about, buffers: sent.append((about, buffers))
    assert widget.frame == 4  # the middle slice
    widget._on_request(None, {"frame": 7}, [])
    assert sent[0][0]["frame"] == 7
    for nonsense in ({"frame": 99}, {"frame": -1}, {"frame": "x"}, {}):
        widget._on_request(None, nonsense, [])
    assert len(sent) == 1
    widget.frame = 400
    assert widget.frame == 8
    assert "pixels" not in widget.get_state()["facts"]


def test_saved_notebook_keeps_a_picture(image):
    widget = lab.widgets.viewer(image)
    found = widget._repr_mimebundle_()
    bundle = found[0] if isinstance(found, tuple) else found
    with Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))) as picture:
        assert picture.format == "PNG" and np.asarray(picture).max() > 100


def test_what_is_no_image_is_refused():
    with pytest.raises(MedVLMError, match="from_array"):
        lab.widgets.viewer(np.zeros((3, 3)))


def test_what_the_browser_draws_with_is_what_python_draws_with():
    pixels = np.array([[[-2000, 0], [10, 20]]] * 2, np.int16)
    voi = Voi("SIGMOID", windows=((5.0, 10.0), (15.0, 10.0)))
    image = MedicalImage(pixels, "MR", spacing_mm=(1, 2), voi=voi, padding=(-2000, -2000), orientation=("L", "P"))
    facts = logic.facts(image)
    assert facts["stretch"] == [2.0, 1.0] and facts["bounds"] == [0.0, 20.0]  # padding leaves the sliders alone
    assert facts["edges"] == {"left": "R", "right": "L", "top": "A", "bottom": "P"}
    assert facts["frame_windows"] == [[5.0, 10.0], [15.0, 10.0]] and facts["function"] == "SIGMOID"
    shown = lab.widgets.viewer(image)
    assert shown.frame == 1 and shown.window == [15.0, 10.0]
    labels = MedicalImage(np.array([[[2**40 + 7, 0]]]))
    about, raw = logic.frame_buffer(labels, 0)
    assert about["type"] == "float64" and np.frombuffer(raw, "<f8")[0] == 2**40 + 7
