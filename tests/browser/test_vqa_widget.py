"""The VQA widget as a reader uses it, in JupyterLab and with no network."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medvlm_lab.io.private import neutral_name

pytestmark = pytest.mark.browser
TESTS = Path(__file__).parents[1]
CODE = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from fakes import FakeAnswerer
import medvlm_lab as lab
lab.widgets.vqa(FakeAnswerer(pause=0.05), "chest-xray-nodules")
"""


def test_ask_change_image_upload(run_cell, shoot, tmp_path):
    from playwright.sync_api import expect
    from pydicom.data import get_testdata_file

    page = run_cell(CODE)
    widget = page.locator(".mv-vqa")
    expect(widget).to_be_visible(timeout=90_000)
    rows = widget.locator(".mv-history td:first-child")

    box = widget.get_by_label("Question", exact=True)
    box.fill("Where is the lesion?")
    box.press("Enter")
    expect(widget.locator(".mv-a")).to_have_text("right upper lobe", timeout=20_000)
    expect(widget.get_by_role("img", name="confidence: 80 percent")).to_be_visible()
    expect(rows).to_have_count(1)

    shoot(widget, "vqa_widget")

    picture = widget.locator(".mv-picture img")
    before = picture.get_attribute("alt")
    grey = widget.get_by_role("slider").first
    shown = picture.get_attribute("src")
    grey.focus()
    grey.press("ArrowRight")
    expect(picture).not_to_have_attribute("src", shown, timeout=20_000)

    picker = widget.get_by_label("Image", exact=True)
    picker.select_option(label=picker.locator("option", has_text="fundus").first.inner_text())
    expect(picture).not_to_have_attribute("alt", before, timeout=20_000)
    box.fill("Is it normal?")
    widget.get_by_role("button", name="Ask", exact=True).click()
    expect(rows).to_have_count(2)

    def upload(path):
        with page.expect_file_chooser() as chooser:
            widget.locator("button.widget-upload").click()
        chooser.value.set_files(path)

    png = tmp_path / "mine.png"
    Image.fromarray((np.indices((64, 64)).sum(0) * 2).astype(np.uint8)).save(png)
    for count, path in enumerate((png, Path(get_testdata_file("CT_small.dcm"))), start=3):
        upload(path)
        expect(picker.locator("option:checked")).to_have_text(neutral_name(path), timeout=20_000)
        box.fill("Is this mine?")
        box.press("Enter")
        expect(rows).to_have_count(count)
        expect(rows.first).to_have_text(neutral_name(path))

    shoot(widget, "vqa_widget_upload")

    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"not an image")
    upload(broken)
    expect(widget.get_by_role("alert")).to_contain_text("copy it again", timeout=20_000)
    box.fill("")
    box.press("Enter")
    expect(widget.get_by_role("alert")).to_contain_text("empty")
    expect(widget.get_by_text("Not for clinical use.").first).to_be_visible()
