"""All nine widgets: plain keys stay in them, and a notebook that is opened without a kernel shows their last state."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
TESTS = Path(__file__).parents[1]
CELLS = (
    f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from fakes import FakeAnswerer
import medvlm_lab as lab
chest, chexzero = lab.phantom("chest-xray"), lab.load("chexzero")
scene = chest.draw(3)
image, masks = chest.image(scene, 128), chest.masks([scene], 128)
lab.widgets.viewer("abdomen-ct")""",
    "lab.widgets.vqa(FakeAnswerer(), image)",
    'lab.widgets.phantom_studio("chest-xray", seed=3)',
    'lab.widgets.anatomy(lab.load("vit-bert-vqa"), image)',
    """
study = lab.reader.Case("c1", {"first": "Findings: One.", "second": "Findings: Two."}, image)
lab.widgets.reader_study([study])""",
    'lab.widgets.explain(chexzero, image, "consolidation", masks)',
    'lab.widgets.counterfactual(chexzero, text="consolidation", patients=0)',
    """
made = lab.embed.embed(chexzero, lab.dataset("phantom:chest-xray", "test", n=18, size=64), progress=False)
lab.widgets.embedding_map(made, lab.embed.project(made, "pca"))""",
    'lab.widgets.workbench(chexzero, made, answerer=FakeAnswerer(), projection=lab.embed.project(made, "pca"))',
)
KEYS = ("m", "x", "d", "d", "a", "y")  # JupyterLab merges, cuts, deletes, inserts and converts cells with these


def test_a_reopened_notebook_shows_the_last_state(run_cell, jupyter, page, shoot):
    from playwright.sync_api import expect

    page.set_viewport_size({"width": 1400, "height": 9000})  # JupyterLab draws only what is on the screen
    run_cell(*CELLS)
    live = page.locator(".mv-live")
    expect(live).to_have_count(9, timeout=180_000)
    expect(page.get_by_role("button", name="| Idle")).to_be_visible(timeout=180_000)

    def typed(place):
        place.focus()
        for key in KEYS:
            page.keyboard.press(key)
        expect(page.locator(".jp-CodeCell")).to_have_count(9)
        expect(live).to_have_count(9)

    # the last state of each is another than the first
    canvas = live.nth(0).locator("canvas.mv-image")
    expect(canvas).to_have_attribute("aria-label", re.compile("^CT: abdomen-ct"), timeout=60_000)
    typed(canvas)
    canvas.press("ArrowUp")
    box = live.nth(1).get_by_label("Question", exact=True)
    box.fill("Is it round?")
    box.press("Enter")
    expect(live.nth(1).locator(".mv-a")).to_have_text("yes", timeout=30_000)
    expect(live.nth(1).locator(".mv-badge")).to_have_text("simulated")
    typed(live.nth(1).get_by_role("slider").first)
    box = live.nth(3).get_by_label("Question", exact=True)
    box.fill("Which organ system is imaged?")
    box.press("Enter")
    expect(live.nth(3).locator(".mv-request input")).to_have_value("Which organ system is imaged?")
    typed(live.nth(3).get_by_role("button", name="memory"))
    live.nth(3).get_by_role("button", name="memory").click()
    typed(live.nth(4).get_by_role("radio").first)
    live.nth(4).get_by_role("radio", name="equal").check()
    typed(live.nth(5).locator("canvas").first)
    live.nth(5).get_by_label("Left method").select_option("grad-cam-plus-plus")
    box = live.nth(6).get_by_label("Prompt", exact=True)
    box.fill("pneumothorax")
    box.press("Enter")
    typed(live.nth(7).locator("canvas.mv-hand"))
    live.nth(7).locator("canvas.mv-hand").press("Enter")
    expect(live.nth(7).locator(".mv-panel section").first).to_be_visible(timeout=30_000)
    live.nth(8).get_by_role("tab", name="Ask").click()
    box = live.nth(8).get_by_label("Question", exact=True).filter(visible=True)
    box.fill("Is it large?")
    box.press("Enter")
    expect(live.nth(8).locator(".mv-a")).to_have_text("yes", timeout=60_000)
    shown = live.nth(5).locator("canvas").first
    expect(shown).to_have_attribute("aria-label", _ends("grad-cam-plus-plus"), timeout=60_000)
    expect(live.nth(3).locator("img")).to_have_attribute("alt", _ends("each word"), timeout=60_000)

    live.nth(0).locator("canvas.mv-image").focus()
    page.keyboard.press("Control+s")  # keys with Ctrl are the notebook's
    wanted = ("window 3", "Is it round? yes", "Simulated chest xray", "memory", "1 answered", "grad-cam-plus-plus",
              "pneumothorax before", "selected", "Is it large? yes")  # fmt: skip
    file = jupyter[0] / "cell.ipynb"

    def saved():
        cells = json.loads(file.read_text())["cells"]
        return [data["text/plain"][0] for cell in cells for data in [o["data"] for o in cell["outputs"] if "data" in o]]

    page.wait_for_function("document.title && !document.querySelector('.jp-mod-dirty')", timeout=30_000)
    for _ in range(40):
        if len(saved()) == 9 and all(word in text for word, text in zip(wanted, saved(), strict=True)):
            break
        page.wait_for_timeout(500)
    assert [word for word, text in zip(wanted, saved(), strict=True) if word not in text] == [], saved()
    assert sum("imulated" in text for text in saved()) >= 7  # not the real CT, nor the words of a report

    # no kernel, no widget state: the pictures, each with its text
    for item in ("Kernel", "Shut Down Kernel"):
        page.get_by_role("menuitem", name=item, exact=True).click()
    page.get_by_text("The kernel was stopped or restarted").first.wait_for(timeout=30_000)
    expect(live.nth(2).get_by_role("button", name="Next patient")).to_be_disabled()
    live.nth(4).get_by_role("tab", name="Results").click()  # says nothing to nobody
    live.nth(8).locator("canvas.mv-hand").hover()
    page.goto(jupyter[1]("cell.ipynb"))
    pictures = page.locator(".mv-saved img")
    expect(pictures).to_have_count(9, timeout=60_000)
    for number, word in enumerate(wanted):
        assert word in pictures.nth(number).get_attribute("alt")
        assert pictures.nth(number).evaluate("i => i.complete && i.naturalWidth > 100")
    expect(page.get_by_text("Error displaying widget")).to_have_count(0)
    shoot(page.locator(".jp-Notebook"), "reopened")

    subprocess.run([sys.executable, "-m", "nbconvert", "--to", "html", str(file)], check=True, capture_output=True)
    html = file.with_suffix(".html").read_text()
    assert html.count('class="mv-saved') == 9 and "Is it round? yes" in html


def _ends(words):
    return re.compile(f"{re.escape(words)}$")
