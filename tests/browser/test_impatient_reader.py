"""VQA under an impatient hand: typing while it computes, many Enters, stop, interrupt, restart; with no network."""

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser
TESTS = Path(__file__).parents[1]
CODE = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from fakes import FakeAnswerer
import time
import medvlm_lab as lab

class Slow(FakeAnswerer):
    def stream(self, image, question):
        for _ in range(300 if "slow" in question else 4):
            time.sleep(0.2)
            yield "…"
        yield from super().stream(image, question)

lab.widgets.vqa(Slow(), "chest-xray-nodules")
"""


def test_only_the_newest_question_counts_and_none_waits_for_ever(run_cell, shoot):
    from playwright.sync_api import expect

    page = run_cell(CODE)
    widget = page.locator(".mv-vqa")
    box = widget.get_by_label("Question", exact=True)
    expect(box).to_be_visible(timeout=90_000)
    answer, rows, cursor = widget.locator(".mv-a"), widget.locator(".mv-history td:nth-child(2)"), ".mv-cursor:visible"
    stop, busy = widget.get_by_role("button", name="Stop"), widget.locator(".mv-busy")
    alert = widget.get_by_role("alert")
    expect(stop).to_be_hidden()

    # what was typed while another question is answered is what is asked, to the last letter
    box.fill("Where is the slow lesion?")
    box.press("Enter")
    expect(stop).to_be_visible()
    box.fill("")
    page.keyboard.type("Is it round?")
    page.keyboard.press("Enter")
    expect(answer).to_have_text("yes", timeout=20_000)
    expect(rows).to_have_text(["Is it round?"])
    expect(stop).to_be_hidden()

    # eight quick Enters are one question
    box.fill("Is it large?")
    for _ in range(8):
        page.keyboard.press("Enter")
    expect(rows).to_have_text(["Is it large?", "Is it round?"], timeout=20_000)
    page.wait_for_timeout(1500)
    expect(rows).to_have_count(2)

    # stopped by its button, then by the kernel's
    for end, words in (
        (stop, "Stopped."), (page.get_by_role("button", name="Interrupt the kernel"), "The kernel was interrupted."),
    ):  # fmt: skip
        box.fill("Where is the slow one?")
        box.press("Enter")
        expect(widget.locator(cursor)).to_be_visible(timeout=20_000)
        page.wait_for_timeout(200)
        end.click()
        expect(alert).to_have_text(f"{words} “Where is the slow one?” has no answer; ask again.", timeout=20_000)
        expect(busy).to_contain_text(words)
        expect(widget.locator(cursor)).to_have_count(0)
        expect(stop).to_be_hidden()
        page.wait_for_timeout(1100)
    box.fill("Where is it?")
    box.press("Enter")
    expect(answer).to_have_text("right upper lobe", timeout=20_000)

    # another image while an answer is on its way; then the first one again, in its own grey range
    picker, picture = widget.get_by_label("Image", exact=True), widget.locator(".mv-picture img")
    first, grey = picture.get_attribute("src"), widget.locator(".widget-readout:visible").first
    shown, own = grey.inner_text(), picker.locator("option:checked").text_content()
    box.fill("Where is that slow one?")
    box.press("Enter")
    expect(widget.locator(cursor)).to_be_visible(timeout=20_000)
    images = picker.locator("option").all_text_contents()
    for part in ("head", "bone"):
        picker.select_option(index=next(i for i, label in enumerate(images) if part in label))
        expect(picture).not_to_have_attribute("src", first, timeout=20_000)
        page.wait_for_timeout(500)
        picker.select_option(index=images.index(own))
        expect(picture).to_have_attribute("src", first, timeout=20_000)
        expect(grey).to_have_text(shown)
        page.wait_for_timeout(500)  # an echo would come now
        expect(picture).to_have_attribute("src", first)
    expect(rows).to_have_count(3)  # nobody waits for the answer about another image

    # narrow: nothing is cut off, and nothing but the keyboard is needed
    page.set_viewport_size({"width": 480, "height": 900})
    box.focus()
    page.keyboard.press("Control+b")  # the notebook's own: it closes the list of files
    page.wait_for_function("document.querySelector('.mv-vqa').clientWidth > 300")
    page.keyboard.press("Tab")
    expect(widget.get_by_role("button", name="Ask", exact=True)).to_be_focused()
    assert widget.evaluate("w => w.scrollWidth <= w.clientWidth + 1")
    shoot(widget, "vqa_narrow")
    page.set_viewport_size({"width": 1400, "height": 1000})

    # the kernel restarts while it answers
    box.fill("Where is the last slow one?")
    box.press("Enter")
    expect(widget.locator(cursor)).to_be_visible(timeout=20_000)
    page.get_by_role("button", name="Restart the kernel", exact=True).click()
    page.get_by_role("button", name="Confirm Kernel Restart").click()
    expect(busy).to_contain_text("The kernel was stopped or restarted. Run this cell again", timeout=20_000)
    expect(widget.locator(cursor)).to_have_count(0)
    expect(stop).to_be_hidden()
    shoot(widget, "vqa_restarted")
