"""The embedding map as a reader uses it: hover, click, lasso, search, a patient's path, keys; with no network."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from medvlm_lab.io.private import neutral_name

pytestmark = pytest.mark.browser
CODE = """
from dataclasses import replace
import numpy as np, pyarrow as pa
import medvlm_lab as lab

class Encoder:
    name = "grey-cells"
    def encode_images(self, images):
        return self.unit([[p.mean() for r in np.array_split(i.display()[..., 0], 6) for p in np.array_split(r, 6, 1)]
                          for i in images])
    def encode_texts(self, texts):
        return self.unit([np.random.default_rng(len(t)).random(36) for t in texts])
    def unit(self, rows):
        rows = np.asarray(rows, np.float32) + 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

data = lab.dataset("phantom:chest-xray", n=60, size=96)
patients = [str(i % 50) for i in range(60)]
made = lab.embed.embed(Encoder(), data, patients=patients, progress=False).texts()
picked = []
atlas = lab.widgets.embedding_map(made, lab.embed.project(made, "pca"))
atlas.on_select(picked.append)
atlas
"""


def blue(stage):
    """Which pixels of the map are in the blue of images, below the legend, on the screen."""
    picture = np.asarray(Image.open(io.BytesIO(stage.screenshot())).convert("RGB")).astype(int)
    found = np.abs(picture - (0, 114, 178)).sum(-1) < 60
    found[:120] = False
    return found


def test_the_map(run_cell, shoot, tmp_path):
    from playwright.sync_api import expect

    import medvlm_lab as lab

    page = run_cell(CODE)
    widget = page.locator(".mv-map")
    hand = widget.locator("canvas.mv-hand")
    expect(hand).to_have_attribute("data-points", "120", timeout=180_000)
    expect(widget.locator(".mv-title")).to_have_text("60 images and 60 texts as grey-cells sees them")
    expect(widget.locator(".mv-foot")).to_contain_text("PCA: trustworthiness")
    shoot(widget, "embedding_map")
    drawn = blue(widget.locator(".mv-stage"))
    assert drawn.sum() > 1000

    # a point shows its picture and its report
    row, column = np.argwhere(drawn)[-1].tolist()  # the lowest edge of the lowest one
    box, tip = widget.locator(".mv-stage").bounding_box(), widget.locator(".mv-tip")
    page.mouse.move(box["x"] + column, box["y"] + row - 2)
    expect(tip.get_by_role("img", name=re.compile("X-ray: chest-xray-train-0-"))).to_be_visible(timeout=30_000)
    expect(tip.locator("p")).to_have_text(re.compile(r"\w+.*\."))
    shoot(widget, "embedding_map_hover")

    # Enter takes the point nearest to the middle; its neighbours are buttons
    hand.focus()
    hand.press("Enter")
    panel = widget.locator(".mv-panel")
    expect(panel.get_by_text("Nearest", exact=True)).to_be_visible(timeout=30_000)
    image = panel.locator("li button", has_text="●")
    (image if image.count() else panel.locator("li button")).first.click()
    hand.press("Escape")
    expect(panel).to_contain_text("Hover over a point")

    # words and an image file are searched for; the nearest image is its own picture
    widget.get_by_label("Search by words").fill("pleural effusion")
    widget.get_by_label("Search by words").press("Enter")
    expect(panel).to_contain_text("Nearest to “pleural effusion”", timeout=30_000)
    lab.dataset("phantom:chest-xray", n=60, size=96).study(10).image().pil().save(tmp_path / "new.png")
    name = neutral_name(tmp_path / "new.png")
    widget.get_by_label("Image file").set_input_files(tmp_path / "new.png")
    expect(panel).to_contain_text(f"Nearest to “{name}”", timeout=30_000)
    first = panel.locator("li").first
    expect(first).to_contain_text("chest-xray-train-0-000010")
    expect(first.locator("small")).to_have_text(re.compile(r"1\.000|0\.99\d"))
    shoot(widget, "embedding_map_search")

    # a click keeps the card, and a patient with several images has a path
    first.get_by_role("button").click()
    expect(widget.get_by_role("status")).to_have_text("Selected: chest-xray-train-0-000010")
    expect(panel.get_by_role("img", name="X-ray: chest-xray-train-0-000010")).to_be_visible()
    expect(panel.locator(".mv-badge")).to_have_text("simulated")
    hand.press("Escape")
    widget.get_by_label("Image file").set_input_files(tmp_path / "new.png")
    box = hand.bounding_box()
    expect(panel).to_contain_text(f"Nearest to “{name}”")

    # the lasso
    widget.get_by_role("button", name="Lasso").click()
    corners = [(0.02, 0.02), (0.98, 0.02), (0.98, 0.98), (0.02, 0.98)]
    page.mouse.move(box["x"] + corners[0][0] * box["width"], box["y"] + corners[0][1] * box["height"])
    page.mouse.down()
    for x, y in corners[1:]:
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=4)
    page.mouse.up()
    expect(widget.get_by_role("status")).to_have_text("120 selected")
    expect(panel.locator(".mv-sheet button")).to_have_count(24, timeout=30_000)
    shoot(widget, "embedding_map_sheet")
    panel.locator(".mv-sheet button").first.click()
    expect(widget.get_by_role("status")).to_have_text("2 images of this patient, joined in their order")
    widget.get_by_role("button", name="Lasso").click()

    # colours, the dark theme
    pick = widget.get_by_label("Colour by")
    pick.select_option("number: cardiothoracic_ratio")
    expect(widget.locator(".mv-legend b")).to_have_text("number: cardiothoracic_ratio")
    expect(widget.locator(".mv-ramp")).to_be_visible()
    for item in ("Settings", "Theme", "JupyterLab Dark"):
        page.get_by_text(item, exact=True).click()
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)
    shoot(widget, "embedding_map_dark")
    expect(widget.get_by_text("Not for clinical use.")).to_be_visible()
