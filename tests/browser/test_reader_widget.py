"""A reader study from the first case to the export, as a reader takes part in it."""

import csv
import io
import json
import re

import pytest

pytestmark = pytest.mark.browser
CODE = """
import medvlm_lab as lab
lab.widgets.reader_study(path="study.json", reader="r7")
"""


def select(page, text, start, end):
    """Drags the mouse over characters `start` to `end` of a report."""
    boxes = text.evaluate(
        """(node, [start, end]) => [start, end].map((place, last) => {
             const range = document.createRange();
             range.setStart(node.firstChild, last ? place - 1 : place);
             range.setEnd(node.firstChild, last ? place : place + 1);
             const box = range.getBoundingClientRect();
             return [last ? box.right - 1 : box.left + 1, box.top + box.height / 2];
           })""",
        [start, end],
    )
    page.mouse.move(*boxes[0])
    page.mouse.down()
    page.mouse.move(*boxes[1], steps=6)
    page.mouse.up()


def test_a_study_from_the_first_case_to_the_export(run_cell, jupyter, shoot):
    from playwright.sync_api import expect

    page = run_cell(CODE)
    widget = page.locator(".mv-reader")
    status = widget.locator(".mv-progress [role=status]")
    expect(status).to_have_text("Case 1 of 6 · 0 answered", timeout=120_000)
    image = widget.get_by_role("img", name="Image of case 1, simulated")
    page.wait_for_function("document.querySelector('.mv-reader img').naturalWidth > 100")
    zoom = widget.get_by_label("Zoom")
    before = image.bounding_box()["width"]
    zoom.focus()
    zoom.press("ArrowRight")
    expect(widget.locator("output")).to_have_text("1.25×")
    assert image.bounding_box()["width"] == pytest.approx(1.25 * before, abs=1)

    # a part of report A is selected with the mouse, marked and corrected
    report = widget.get_by_role("region", name="Report A")
    text = report.locator(".mv-text").first
    first = re.search(r"(?<=Findings: ).+?\.(?= )", text.text_content())
    expect(report.get_by_role("button", name="false finding")).to_be_disabled()
    text.scroll_into_view_if_needed()
    select(page, text, *first.span())
    expect(report.locator(".mv-chosen")).to_contain_text(first[0])
    shoot(widget, "reader_selected")
    report.get_by_role("button", name="wrong severity").click()
    expect(text.locator("mark")).to_have_text(first[0])
    box = widget.get_by_label("Correction of error 1")
    expect(box).to_be_focused()
    expect(box).to_have_value(first[0])
    box.fill("Moderate cardiomegaly.")
    widget.get_by_label("clinically significant").check()
    report.get_by_text("Corrected report").click()
    expect(report.locator("details .mv-text")).to_contain_text("Moderate cardiomegaly.")
    box.fill("Severe cardiomegaly.")
    box.blur()
    expect(report.locator("details .mv-text")).to_contain_text("Severe cardiomegaly.")
    expect(report.locator("details .mv-text")).to_be_visible()

    # without a mouse: a sentence is chosen, then taken back; a finding is missing at the end
    report = widget.get_by_role("region", name="Report B")
    report.get_by_label("Sentence of report B").select_option(index=1)
    report.get_by_role("button", name="other").press("Enter")
    expect(widget.locator(".mv-marks li")).to_have_count(2)
    widget.get_by_role("button", name="Remove error 2").click()
    expect(widget.locator(".mv-marks li")).to_have_count(1)
    report.get_by_role("button", name="omission").click()
    widget.get_by_label("Correction of error 2").fill("Small left pleural effusion.")

    much_better = widget.get_by_role("radio", name="B much better")
    much_better.check()
    widget.get_by_label("Reason").fill("names the effusion")
    widget.get_by_label("Reason").press("Enter")
    expect(status).to_have_text("Case 1 of 6 · 1 answered")
    shoot(widget, "reader_case")
    widget.get_by_role("tab", name="Results").click()
    expect(widget.get_by_role("alert")).to_contain_text("answer the remaining 5 cases first")

    for number in range(2, 7):
        widget.get_by_role("button", name="Next").click()
        expect(status).to_contain_text(f"Case {number} of 6")
        expect(much_better).not_to_be_checked()
        equal = widget.get_by_role("radio", name="equal")
        equal.check()
        expect(status).to_have_text(f"Case {number} of 6 · {number} answered")
    equal.press("ArrowRight")  # the notebook must not take the key
    expect(widget.get_by_role("radio", name="B better")).to_be_checked()
    widget.get_by_role("button", name="Case 1, answered").click()
    expect(much_better).to_be_checked()
    expect(widget.get_by_label("Correction of error 1")).to_have_value("Severe cardiomegaly.")

    widget.get_by_role("tab", name="Results").click()
    expect(widget.get_by_role("img", name=re.compile("Whose report has errors. you, any error"))).to_be_visible(
        timeout=30_000
    )
    expect(widget.locator(".mv-results")).to_contain_text("5 simulated readers")
    shoot(widget, "reader_results")

    def export(form):
        with page.expect_download() as found:
            widget.get_by_role("button", name=f"Export {form}").click()
        return found.value.suggested_filename, found.value.path().read_text()

    name, content = export("JSON")
    rows = json.loads(content)["readings"]
    assert name == "reader-study-r7.json" and len(rows) == 6 and {row["reader"] for row in rows} == {"r7"}
    one, marks = rows[0], {m["kind"]: m for m in rows[0]["marks"]}
    assert abs(one["preference"]) == 2 and one["reason"] == "names the effusion" and not one["simulated"]
    severity, missing = marks["wrong severity"], marks["omission"]
    assert severity["significant"] and not missing["significant"] and severity["report"] != missing["report"]
    assert (severity["start"], severity["end"]) == first.span()
    assert "Severe cardiomegaly." in one["corrected"][severity["report"]]
    assert first[0] not in one["corrected"][severity["report"]]
    assert one["corrected"][missing["report"]].endswith("Small left pleural effusion.")
    assert [row["preference"] for row in rows[1:5]] == [0] * 4 and abs(rows[5]["preference"]) == 1
    _, content = export("CSV")
    assert [line["preference"] for line in csv.DictReader(io.StringIO(content))][1:5] == ["equal"] * 4
    saved = json.loads((jupyter[0] / "study.json").read_text())
    assert saved["reader"] == "r7" and '"AI"' not in json.dumps(saved)  # still blinded
    expect(widget.get_by_text("Not for clinical use.")).to_be_visible()

    for item in ("Settings", "Theme", "JupyterLab Dark"):
        page.get_by_text(item, exact=True).click()
    page.wait_for_function("document.body.dataset.jpThemeLight === 'false'")
    expect(page.locator("#jupyterlab-splash")).to_have_count(0)
    shoot(widget, "reader_results_dark")
    widget.get_by_role("tab", name="Cases").click()
    shoot(widget, "reader_case_dark")
