"""The anatomy widget as a reader uses it: choose a stage, ask another question."""

import re

import pytest

pytestmark = pytest.mark.browser
CODE = """
import medvlm_lab as lab
lab.widgets.anatomy(lab.load("vit-bert-vqa"), question="Which organ system is imaged?")
"""


def test_stages_and_another_question(run_cell, shoot):
    from playwright.sync_api import expect

    page = run_cell(CODE)
    widget = page.locator(".mv-anatomy")
    picture = widget.locator("img")
    expect(picture).to_have_attribute("alt", re.compile("picture as the model gets it"), timeout=90_000)
    expect(widget.locator("svg rect")).to_have_count(8)
    widget.get_by_role("button", name="memory").click()
    expect(picture).to_have_attribute("alt", re.compile("similarity to each word"), timeout=20_000)
    shoot(widget, "anatomy_memory")
    widget.get_by_role("button", name="answer states").click()
    expect(picture).to_have_attribute("alt", re.compile("looked: .*chest"), timeout=20_000)
    shoot(widget, "anatomy_looks")
    box = widget.get_by_label("Question", exact=True)
    box.fill("Is there cardiomegaly?")
    box.press("Enter")
    expect(picture).not_to_have_attribute("alt", re.compile("chest"), timeout=20_000)
    widget.get_by_role("button", name="next word").click()
    expect(picture).to_have_attribute("alt", re.compile("after .start.: (yes|no) "), timeout=20_000)
    shoot(widget, "anatomy_next")
    box.fill(" ")
    box.press("Enter")
    expect(widget.get_by_role("alert")).to_contain_text("question is empty", timeout=20_000)
    expect(widget.get_by_text("Not for clinical use.")).to_be_visible()
