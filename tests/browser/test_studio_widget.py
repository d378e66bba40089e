"""The phantom studio as a reader uses it: put in a finding, see it, read about it, take the next patient."""

import re

import pytest

pytestmark = pytest.mark.browser
CODE = """
import medvlm_lab as lab
lab.widgets.phantom_studio("chest-xray", seed=5)
"""


def test_findings_sliders_and_report(run_cell, shoot):
    from playwright.sync_api import expect

    page = run_cell(CODE)
    studio = page.locator(".mv-studio")
    picture = studio.locator("img")
    expect(picture).to_have_attribute("alt", re.compile("Simulated chest xray"), timeout=90_000)
    effusion = studio.get_by_label("left pleural effusion", exact=True)
    there = effusion.is_checked()
    effusion.set_checked(not there)
    words = re.compile("left pleural effusion")
    for _ in range(2):  # away and back again, whichever it was first
        there = not there
        if there:
            expect(picture).to_have_attribute("alt", words, timeout=20_000)
            shoot(studio, "studio")
        else:
            expect(picture).not_to_have_attribute("alt", words, timeout=20_000)
        effusion.set_checked(not there)
    studio.get_by_role("tab", name="Anatomy").click()
    before = picture.get_attribute("src")
    slider = studio.locator(".widget-slider", has_text="cardiothoracic ratio").get_by_role("slider")
    slider.focus()
    slider.press("ArrowRight")
    expect(picture).not_to_have_attribute("src", before, timeout=20_000)
    studio.get_by_role("tab", name="Report").click()
    expect(studio.get_by_text("Impression.")).to_be_visible()
    shoot(studio, "studio_report")
    seed = studio.get_by_label("Seed", exact=True)
    studio.get_by_role("button", name="Next patient").click()
    expect(seed).to_have_value("6", timeout=20_000)
    expect(studio.get_by_text("Simulated. Not for clinical use.")).to_be_visible()
    studio.get_by_label("Phantom", exact=True).select_option("heart-sounds")
    player = studio.locator("audio")
    expect(player).to_be_visible(timeout=20_000)
    page.wait_for_function("document.querySelector('.mv-studio audio').duration > 2.9")
    shoot(studio, "studio_sounds")
