"""No slider speaks before a hand moves it: opened, switched and opened again, the kernel's state is as it was."""

import re

import pytest

from medvlm_lab.catalogue import catalogue

pytestmark = pytest.mark.browser
SPY = """
import ipywidgets as w
from IPython.display import display
import medvlm_lab as lab
from medvlm_lab.widgets.sliders import NumberSlider, RangeSlider, WholeSlider

heard = []
for kind in (NumberSlider, RangeSlider, WholeSlider):
    def set_state(self, data, first=kind.set_state):
        heard.append((self.description, data))
        first(self, data)
    kind.set_state = set_state
tell, told = w.Button(description="Tell"), w.HTML()
told.count = -1
tell.on_click(lambda _: setattr(told, "count", told.count + 1))
told.add_class("told")
"""
ALONE = SPY + """
import numpy as np
rng, all_, box = np.random.default_rng(0), [], w.VBox()
for number in range(30):
    low = float(rng.normal() * 10 ** rng.uniform(-3, 4))
    high = low + float(10 ** rng.uniform(-2, 5))
    all_.append(NumberSlider(float(rng.uniform(low, high)), low, high, description=f"n{number}"))
    all_.append(RangeSlider(tuple(sorted(rng.uniform(low, high, 2))), low, high, description=f"r{number}"))
all_ += [WholeSlider(0, 0, 0), WholeSlider(3, -2, 9)]
def on_tell(_):
    told.value = f"{told.count} {len(heard)} heard {heard[:3]}"
tell.on_click(on_tell)
display(tell, told, w.VBox(all_), w.VBox(all_[:20]))
"""
VQA = SPY + """
from pathlib import Path
vqa = lab.widgets.vqa(lab.load("vit-bert-vqa"), "chest-xray-nodules")
def on_tell(_):
    shown = vqa.state.image.name, vqa.state.window, vqa.levels.numbers
    told.value = f"{told.count} {len(heard)} heard {heard[:3]}; {shown}"
tell.on_click(on_tell)
display(tell, told, vqa)
"""


def ask(page, words, tries=40):
    """What the kernel says once it begins with `words`; it is asked anew each second."""
    from playwright.sync_api import expect

    told = page.locator(".told")
    for _ in range(tries):
        page.wait_for_timeout(800)
        number = int(told.inner_text().partition(" ")[0] or -1)
        page.get_by_role("button", name="Tell").click()
        expect(told).to_have_text(re.compile(rf"^{number + 1} "), timeout=30_000)
        said = told.inner_text().partition(" ")[2]
        if re.match(words, said):
            return said
    raise AssertionError(said)


def test_sliders_say_nothing_until_moved(run_cell):
    page = run_cell(ALONE)
    page.locator(".widget-slider").nth(80).wait_for(timeout=60_000)
    ask(page, "0 heard")
    slider = page.locator(".widget-slider").first.get_by_role("slider")
    slider.focus()
    slider.press("ArrowLeft")
    slider.press("ArrowRight")
    ask(page, "[1-4] heard")


def test_each_image_keeps_its_own_grey_range(run_cell, shoot):
    page = run_cell(VQA)
    picker = page.locator(".mv-vqa").get_by_label("Image")
    picker.wait_for(timeout=90_000)
    first = ask(page, "0 heard.*chest-xray-nodules', None")
    for name in ("head-ct", "bone-scan", "head-ct", "chest-xray-nodules"):  # quicker than the kernel answers
        picker.select_option(label=f"{catalogue()[name].title} ({catalogue()[name].modality})")
    assert ask(page, "0 heard.*chest-xray-nodules") == first
    shoot(page.locator(".mv-vqa"), "vqa_grey_range")


COUNTER = SPY + """
counter = lab.widgets.counterfactual(lab.load("chexzero"), seed=10, patients=8)
def on_tell(_):
    same = counter.studio.scene == counter.before.scene == lab.phantom("chest-xray").draw(counter.seed.value)
    told.value = f"{told.count} {len(heard)} heard {heard[:3]}; {same} {counter.now is counter.before}"
tell.on_click(on_tell)
display(tell, told, counter)
"""
STUDIO = SPY + """
studio = lab.widgets.phantom_studio("chest-xray", seed=10)
def on_tell(_):
    same = studio.state.scene == lab.phantom(studio.phantom.value).draw(studio.seed.value)
    told.value = f"{told.count} {len(heard)} heard {heard[:3]}; {studio.state.name} {same}"
tell.on_click(on_tell)
display(tell, told, studio)
"""


def test_the_counterfactual_patient_is_the_seeds(run_cell, shoot):
    from playwright.sync_api import expect

    page = run_cell(COUNTER)
    counter = page.locator(".mv-counter")
    counter.locator("figure img").nth(1).wait_for(timeout=120_000)
    ask(page, r"0 heard \[\]; True True")
    counter.get_by_role("button", name="Next patient").click()
    ask(page, r"0 heard \[\]; True True")
    counter.get_by_role("tab", name="Anatomy").click()
    slider = counter.locator(".widget-slider", has_text="cardiothoracic ratio").get_by_role("slider")
    slider.focus()
    for _ in range(25):
        slider.press("ArrowRight")
    expect(counter.locator("figure img").nth(1)).to_have_attribute("alt", re.compile("cardiomegaly"), timeout=40_000)
    ask(page, ".* heard.*; False False")
    shoot(counter, "counterfactual")


def test_the_studios_patient_is_the_seeds_and_another_phantom_comes_soon(run_cell, shoot):
    from playwright.sync_api import expect

    page = run_cell(STUDIO)
    studio = page.locator(".mv-studio")
    picture = studio.locator("img")
    expect(picture).to_have_attribute("alt", re.compile("Simulated chest xray"), timeout=90_000)
    ask(page, r"0 heard \[\]; chest-xray True")
    phantom = studio.get_by_label("Phantom", exact=True)
    phantom.select_option("abdominal-ct")
    expect(picture).to_have_attribute("alt", re.compile("Simulated abdominal ct"), timeout=60_000)
    ask(page, r"0 heard \[\]; abdominal-ct True")
    phantom.select_option("brain-mr")
    phantom.select_option("chest-xray")  # at once: only the newest is drawn
    expect(picture).to_have_attribute("alt", re.compile("Simulated chest xray"), timeout=60_000)
    ask(page, r"0 heard \[\]; chest-xray True")
    shoot(studio, "studio_seed")
