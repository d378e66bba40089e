"""Explain, counterfactual and workbench as a reader uses them, in one notebook, with no network."""

import re

import numpy as np
import pytest

pytestmark = pytest.mark.browser
CODE = """
from pathlib import Path
from IPython.display import display
import medvlm_lab as lab

xray, chexzero, blip = lab.phantom("chest-xray"), lab.load("chexzero"), lab.load("clinical-blip")
scene = xray.draw(3)
image, masks = xray.image(scene, 128), xray.masks([scene], 128)
display(lab.widgets.explain(blip, image, "Is there consolidation?", masks))
display(lab.widgets.explain(chexzero, image, "consolidation", masks))
display(lab.widgets.counterfactual(
    blip, "chest-xray", "Is there pleural effusion?", seed=1, patients=20, change="left pleural effusion",
    encoder=chexzero,
))
folder = Path("images")
folder.mkdir(exist_ok=True)
for seed in range(18):
    xray.image(xray.draw(seed), 64).pil().save(folder / f"p{seed:02d}.png")
made = lab.embed.embed(chexzero, folder, progress=False)
bench = lab.widgets.workbench(chexzero, made, answerer=blip, projection=lab.embed.project(made, "pca"))
display(bench)
"""


def pixels(canvas):
    """What a canvas shows, (rows, columns, 3)."""
    rgba, rows, columns = canvas.evaluate(
        "c => [Array.from(c.getContext('2d').getImageData(0, 0, c.width, c.height).data), c.height, c.width]"
    )
    return np.array(rgba, float).reshape(rows, columns, 4)[..., :3]


def test_explain_counterfactual_workbench(run_cell, shoot):
    from playwright.sync_api import expect

    import medvlm_lab as lab

    page = run_cell(CODE)
    page.set_viewport_size({"width": 1400, "height": 4300})  # JupyterLab draws only what is on the screen
    widget = page.locator(".mv-explain").first
    left, right = widget.locator("canvas").nth(0), widget.locator("canvas").nth(1)
    expect(left).to_have_attribute("aria-label", re.compile("cross-attention"), timeout=180_000)
    page.mouse.move(5, 5)

    # the tint is that of Python's overlay: as bright as the picture was
    xray, model = lab.phantom("chest-xray"), lab.load("clinical-blip", device="cpu")
    scene = xray.draw(3)
    image = xray.image(scene, 128)
    seen = lab.explain.explain("chefer", model, image, "Is there consolidation?")
    widget.get_by_label("True place").select_option("")
    expect(widget.get_by_text("of the map inside")).to_have_count(0, timeout=20_000)
    page.wait_for_timeout(200)
    assert np.abs(pixels(right) - seen.overlay(0.9)).max() <= 2
    widget.get_by_label("Opacity").fill("0")
    page.wait_for_timeout(200)
    np.testing.assert_array_equal(pixels(right), image.display())
    widget.get_by_label("Opacity").fill("1")

    # the value under the pointer, in both maps
    box = right.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    readout = widget.locator(".mv-readout").nth(1)
    expect(readout).to_have_text(re.compile(r"row 6\d, column 6\d: "))
    row, column, value = re.search(r"row (\d+), column (\d+): (.+)", readout.inner_text()).groups()
    assert float(value) == pytest.approx(seen.values[int(row), int(column)], rel=0.01)
    left.focus()
    left.press("ArrowRight")
    expect(readout).not_to_have_text(f"row {row}, column {column}: {value}")

    # the true place, other methods, layers and texts
    place = widget.get_by_label("True place")
    place.select_option(place.locator("option", has_text="consolidation").first.inner_text())
    expect(widget.get_by_text("of the map inside").first).to_be_visible(timeout=20_000)
    shoot(widget, "explain")
    widget.get_by_label("Right method").select_option("prompt-cam")
    expect(widget.get_by_role("alert").filter(has_text="needs an embedding of the image")).to_be_visible(timeout=20_000)
    widget.get_by_label("Right method").select_option("grad-cam")
    expect(right).to_have_attribute("aria-label", re.compile("grad-cam"), timeout=20_000)
    widget.get_by_label("Layer").select_option(index=1)
    expect(widget.get_by_text("the same at every layer")).to_be_visible(timeout=20_000)
    box = widget.get_by_label("Question")
    box.fill(" ")
    box.press("Enter")
    expect(widget.get_by_role("alert").filter(has_text="The question is empty")).to_be_visible(timeout=20_000)
    box.fill("Is there a nodule?")  # what is typed while that is answered is the reader's
    box.press("Enter")
    looks = int(page.locator(".mv-explain").first.get_attribute("data-looks"))
    box.fill("")
    expect(page.locator(".mv-explain").first).to_have_attribute("data-looks", str(looks + 1), timeout=20_000)
    page.keyboard.type("Is there edema?")
    expect(box).to_have_value("Is there edema?")
    widget.get_by_role("button", name="Explain the report").click()
    words = widget.locator(".mv-words button")
    expect(words.nth(10)).to_be_visible(timeout=30_000)
    words.filter(has_text=re.compile("^consolidation$")).first.click()
    expect(widget.get_by_text("of the word “consolidation”")).to_be_visible(timeout=20_000)
    shoot(widget, "explain_report")
    expect(widget.get_by_text("Not for clinical use.")).to_be_visible()

    # finer maps, of a model that does not answer
    expect(widget.get_by_label("Finer")).to_have_count(0)
    encoder = page.locator(".mv-explain").nth(1)
    shown, finer = encoder.locator("canvas").first, encoder.get_by_label("Finer")
    expect(shown).to_have_attribute("aria-label", re.compile("prompt-cam"))
    coarse = pixels(shown)
    finer.check()
    expect(encoder.get_by_text("mean of 16 moved pictures").first).to_be_visible(timeout=20_000)
    page.wait_for_timeout(200)
    assert (pixels(shown) != coarse).any()
    shoot(encoder, "explain_finer")
    finer.uncheck()
    expect(encoder.get_by_text("moved pictures")).to_have_count(0, timeout=20_000)
    page.wait_for_timeout(200)
    np.testing.assert_array_equal(pixels(shown), coarse)

    # counterfactual: answer, report, map and place at once, of two models; all follow a finding
    counter = page.locator(".mv-counter")
    expect(counter.locator("figure img").nth(0)).to_have_attribute("alt", "before: no finding")
    expect(counter.locator("figure img").nth(1)).to_have_attribute("alt", "now: left pleural effusion")
    expect(counter.get_by_label("left pleural effusion", exact=True)).to_be_checked()
    expect(counter.locator(".mv-a")).to_be_visible()
    expect(counter.locator(".mv-report")).to_be_visible()
    expect(counter.get_by_text("Both maps share one scale.")).to_be_visible()
    counter.get_by_label("right pleural effusion", exact=True).check()
    pictures = counter.locator("figure img")
    expect(pictures.nth(1)).to_have_attribute("alt", re.compile("now: .*right pleural effusion"), timeout=20_000)
    expect(counter.locator("tr", has_text="pleural effusion").locator(".mv-up, .mv-down")).to_be_visible()
    counter.get_by_role("tab", name="Anatomy").click()
    line = counter.locator("svg line")
    way = line.get_attribute("x2")
    slider = counter.locator(".widget-slider", has_text="cardiothoracic ratio").get_by_role("slider")
    slider.focus()
    for _ in range(10):
        slider.press("ArrowRight")
    expect(line).not_to_have_attribute("x2", way, timeout=20_000)
    # While the kernel is busy the page holds back a slider's last value, but not the click that follows it.
    while way != (way := line.get_attribute("x2")):
        page.wait_for_timeout(1_000)
    shoot(counter, "counterfactual")
    counter.get_by_role("button", name="Now is before").click()
    expect(counter.locator(".mv-up, .mv-down")).to_have_count(0, timeout=20_000)
    question = counter.get_by_label("Question", exact=True)
    question.fill("")
    question.press("Enter")
    expect(counter.get_by_role("alert")).to_contain_text("empty", timeout=20_000)
    expect(counter.get_by_text("Simulated. Not for clinical use.")).to_be_visible()

    # workbench: a click on the map opens the image in both widgets
    bench = page.locator(".mv-workbench")
    hand, shown = bench.locator("canvas.mv-hand"), bench.locator(".mv-explain canvas").first
    expect(hand).to_have_attribute("data-points", "18", timeout=30_000)
    first = re.compile("unknown: image-[0-9a-f]{12}; cross-attention")
    expect(shown).to_have_attribute("aria-label", first, timeout=30_000)
    before = shown.get_attribute("aria-label").split("; ")[0].removeprefix("unknown: ")
    hand.focus()
    hand.press("Enter")
    title = bench.locator(".mv-panel section b").first
    expect(title).not_to_have_text(before, timeout=20_000)
    name = title.inner_text()
    expect(shown).to_have_attribute("aria-label", f"unknown: {name}; cross-attention", timeout=20_000)
    shoot(bench, "workbench")
    bench.get_by_role("tab", name="Ask").click()
    expect(bench.locator(".mv-vqa .mv-picture img")).to_have_attribute("alt", f"unknown: {name}", timeout=20_000)
