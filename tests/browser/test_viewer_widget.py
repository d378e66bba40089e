"""The image viewer as a reader uses it: windowing, slices, cine, value under the pointer, tags; with no network."""

import re

import pytest

pytestmark = pytest.mark.browser
CODE = """
import medvlm_lab as lab
viewer = lab.widgets.viewer({name!r})
viewer
"""


def grey(canvas):
    """Mean of the canvas' red channel: what is on the screen, not what was sent."""
    return canvas.evaluate(
        "c => { const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data; let s = 0;"
        " for (let i = 0; i < d.length; i += 4) s += d[i]; return s / (d.length / 4); }"
    )


def test_window_readout_and_tags(run_cell, shoot):
    from playwright.sync_api import expect

    import medvlm_lab as lab

    image = lab.sample("abdomen-ct")
    page = run_cell(CODE.format(name="abdomen-ct"))
    viewer = page.locator(".mv-viewer")
    canvas = viewer.locator("canvas.mv-image")
    expect(canvas).to_have_attribute("aria-label", "CT: abdomen-ct, R on the left, A at the top", timeout=90_000)
    assert canvas.evaluate("c => [c.height, c.width]") == [image.height, image.width]
    first = grey(canvas)
    assert abs(first - image.display()[..., 0].mean()) < 1  # what Python would show

    box = canvas.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    readout = viewer.locator(".mv-readout")
    expect(readout).to_have_text(re.compile(r"row \d+, column \d+ .*: -?\d+ HU"))
    row, column, value = map(int, re.search(r"row (\d+), column (\d+).*: (-?\d+)", readout.inner_text()).groups())
    assert image.pixels[0, row, column] == value
    shoot(viewer, "viewer_ct")

    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2 - 40, steps=5)
    page.mouse.up()
    preset = viewer.get_by_label("Window preset")
    expect(preset).to_have_value("")  # set by hand
    assert abs(grey(canvas) - first) > 1
    preset.select_option("bone")
    expect(viewer.get_by_label("Width", exact=True)).to_have_value(re.compile(r"2\d{3}"))
    canvas.focus()
    canvas.press("ArrowUp")
    expect(preset).to_have_value("")
    viewer.get_by_text("What the file says").click()
    expect(viewer.locator("details table")).to_contain_text("Modality")
    expect(viewer.get_by_text("Not for clinical use.")).to_be_visible()


def test_slices_and_cine(run_cell, shoot):
    from playwright.sync_api import expect

    page = run_cell(CODE.format(name="echo-cine-short"))
    viewer = page.locator(".mv-viewer")
    canvas = viewer.locator("canvas.mv-image")
    expect(canvas).to_have_attribute("data-frame", "15", timeout=90_000)  # the middle one, which a model reads
    shoot(viewer, "viewer_echo")
    canvas.focus()
    canvas.press("ArrowRight")
    expect(canvas).to_have_attribute("data-frame", "16")
    viewer.get_by_label("Frame", exact=True).fill("20")
    expect(canvas).to_have_attribute("data-frame", "20")
    before = grey(canvas)
    viewer.get_by_label("Cover burned-in text").check()
    page.wait_for_timeout(200)
    assert grey(canvas) < before  # the machine's letters are gone
    viewer.get_by_role("button", name="Play").click()
    expect(canvas).not_to_have_attribute("data-frame", "20", timeout=10_000)
    viewer.get_by_role("button", name="Pause").click()
    expect(viewer.get_by_label("Window preset")).to_have_count(0)  # colour has no window


OWN = """
import numpy as np
import medvlm_lab as lab
from medvlm_lab.grey import Voi
pixels = np.arange(2 * 60 * 30, dtype=np.int16).reshape(2, 60, 30) % 900
pixels[:, :10] = -2000
image = lab.MedicalImage(pixels, "MR", spacing_mm=(1, 2), padding=(-2000, -2000), orientation=("L", "P"),
    voi=Voi({function!r}, windows=((300.0, 200.0), (600.0, 400.0)), **{more}))
lab.widgets.viewer(image)
"""


@pytest.mark.parametrize(
    "function, more", [("LINEAR", "{}"), ("SIGMOID", "{}"), ("LINEAR", "{'table': np.arange(255, -1, -1, np.uint8)}")]
)
def test_the_browser_draws_what_python_draws(run_cell, function, more):
    """Windows of DICOM, one for each frame, a lookup table, padding and pixels that are not square."""
    from playwright.sync_api import expect

    code = OWN.format(function=function, more=more)
    names = {}
    exec(code.replace("lab.widgets.viewer(image)", ""), names)
    image = names["image"]
    page = run_cell(code)
    canvas = page.locator(".mv-viewer canvas.mv-image")
    label = "MR: image, slice 2 of 2, R on the left, A at the top"
    expect(canvas).to_have_attribute("aria-label", label, timeout=90_000)
    assert canvas.evaluate("c => [c.height, c.width]") == [60, 60]
    for frame in (1, 0):
        assert abs(grey(canvas) - image.picture(frame)[..., 0].mean()) < 1
        canvas.focus()
        canvas.press("ArrowLeft")
        expect(canvas).to_have_attribute("data-frame", "0")
