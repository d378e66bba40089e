"""A study without a browser: blinding, marks and corrections, saving and coming back, exports."""

import csv
import io
import json
import os
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvlm_lab.errors import MedVLMError, UnknownNameError
from medvlm_lab.phantoms import phantom
from medvlm_lab.reader import (
    Case,
    Mark,
    Study,
    amend,
    faults,
    go,
    mark,
    prefer,
    read,
    resume,
    save,
    simulated_cases,
    to_csv,
    to_json,
    unmark,
)
from medvlm_lab.reader.cases import slipped
from medvlm_lab.reader.marks import corrected


def answered(study, steps=(1, -2, 0, 2)):
    for number, step in enumerate(steps):
        study = prefer(go(study, number), step, f"because {number}")
    return study


def test_each_source_is_a_in_half_of_the_cases_and_the_seed_decides_which(cases):
    orders = [tuple(Study(cases, seed=seed).order(i)["A"] for i in range(4)) for seed in range(12)]
    assert all(sorted(order) == ["AI", "AI", "human", "human"] for order in orders) and len(set(orders)) > 3
    assert Study(cases, seed=3).reports(1) == Study(cases, seed=3).reports(1)


@given(st.integers(0, 50), st.integers(0, 50), st.lists(st.sampled_from([-2, -1, 0, 1, 2]), min_size=4, max_size=4))
def test_blinding_changes_nothing(seed, other, preferences):
    """Whoever judges the sources alike has the same readings, whichever is called A."""
    cases = tuple(Case(f"c{i}", {"human": f"One. {i}", "AI": f"Two. {i}"}) for i in range(4))
    found = []
    for study in (Study(cases, seed=seed), Study(cases, seed=other)):
        for i, preference in enumerate(preferences):
            study = go(study, i)
            letters = {source: letter for letter, source in study.order().items()}
            study = prefer(study, preference if letters["AI"] == "B" else -preference)
            study = mark(study, letters["AI"], 0, 4, "other", correction="Three.")
        found.append(study.readings())
    assert found[0] == found[1] and [r.preference for r in found[0]] == preferences
    assert all(r.corrected == {"human": f"One. {i}", "AI": f"Three. {i}"} for i, r in enumerate(found[0]))


def test_corrections_stand_where_the_errors_stood():
    text = "Findings: A small nodule is seen. Heart normal.\nImpression: Nodule."
    start = text.index("A small")
    gone = Mark("A", start, start + 23, "false finding", correction="")
    size = Mark("A", text.index("normal"), text.index("normal") + 6, "wrong severity", correction="enlarged")
    missing = Mark("A", len(text), len(text), "omission", correction="Effusion.")
    assert corrected(text, [missing, size, gone]) == (
        "Findings: Heart enlarged.\nImpression: Nodule. Effusion."
    )
    assert corrected(text, []) == text


@given(st.text("ab .\n", max_size=30), st.data())
def test_a_mark_that_is_not_amended_changes_no_word(text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    kept = corrected(text, [Mark("A", start, end, "omission", correction=text[start:end])])
    assert kept.split() == corrected(text, []).split()  # only blanks that no word needs may go


def test_marks_are_made_amended_and_taken_back(cases):
    study = mark(Study(cases), "A", 10, 15, "other")
    assert study.answer.marks[0].correction == study.reports()["A"][10:15]
    study = mark(study, "A", 15, 20, "wrong location", significant=True)
    study = amend(study, 0, correction="x", significant=True)
    assert study.answer.marks[0] == Mark("A", 10, 15, "other", True, "x")
    assert [m.start for m in unmark(study, 0).answer.marks] == [15] and len(study.answer.marks) == 2
    assert mark(study, "B", 10, 15, "other").answer.marks[2].report == "B"
    for wrong, message in (
        (("A", 14, 16, "other"), "marked already"), (("A", 0, 9999, "other"), "no characters"),
        (("A", 3, 3, "other"), "select a part"),
    ):  # fmt: skip
        with pytest.raises(MedVLMError, match=message):
            mark(study, *wrong)
    for wrong in (("C", 0, 1, "other"), ("A", 0, 1, "typo")):
        with pytest.raises(UnknownNameError):
            mark(study, *wrong)
    with pytest.raises(MedVLMError, match="Mark 5 does not exist"):
        unmark(study, 5)
    with pytest.raises(MedVLMError, match="not on the scale"):
        prefer(study, 3)


def test_names_and_unlike_cases_are_refused(cases):
    with pytest.raises(MedVLMError, match="nobody's name"):
        Study(cases, reader="Jane Doe")
    with pytest.raises(MedVLMError, match="is no code"):
        Case("Doe, Jane", {"human": "a", "AI": "b"})
    with pytest.raises(MedVLMError, match="two reports"):
        Case("c", {"human": "a", "AI": " "})
    with pytest.raises(MedVLMError, match="at least one case"):
        Study(())
    with pytest.raises(MedVLMError, match="same name"):
        Study((cases[0], cases[0]))
    with pytest.raises(MedVLMError, match="different sources"):
        Study((cases[0], Case("x", {"human": "a", "other": "b"})))


def test_a_saved_study_is_resumed_and_stays_blinded(cases, tmp_path):
    path = tmp_path / "new" / "study.json"
    study = mark(answered(Study(cases, "r2", seed=4)), "B", 10, 20, "wrong location", True, "ü")
    save(study, path)
    assert resume(Study(cases, "r2", seed=4), path) == study
    assert "human" not in path.read_text() and "AI" not in path.read_text()
    assert resume(Study(cases, "r2", seed=4), tmp_path / "none.json").answered == 0


def test_an_interruption_leaves_the_last_whole_state(cases, tmp_path, monkeypatch):
    path, study = tmp_path / "study.json", answered(Study(cases), (1, 1))
    save(study, path)

    def stop(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", stop)
    with pytest.raises(MedVLMError, match="cannot be saved.*the disk is full"):
        save(answered(study), path)
    monkeypatch.undo()
    assert resume(Study(cases), path) == study
    save(answered(study), path)
    assert resume(Study(cases), path).answered == 4 and [p.name for p in tmp_path.iterdir()] == ["study.json"]


def test_the_file_of_another_study_is_not_taken(cases, tmp_path):
    path = tmp_path / "study.json"
    save(answered(Study(cases)), path)
    changed = (replace(cases[0], reports={"human": "other", "AI": "text"}), *cases[1:])
    for other in (Study(cases, "r9"), Study(cases, seed=1), Study(cases[:3]), Study(changed)):
        with pytest.raises(MedVLMError, match="another reader, seed or set"):
            resume(other, path)
    for damaged in ("", "[]", "{}", path.read_text().replace('"step": 1', '"step": 7')):
        path.write_text(damaged)
        with pytest.raises(MedVLMError, match="no saved study"):
            resume(Study(cases), path)


def test_exports_hold_the_readings_and_nothing_else(cases, tmp_path):
    study = mark(answered(Study(cases, "r2")), "A", 10, 20, "other", True, "x, \"y\"\n")
    path = tmp_path / "readings.json"
    path.write_text(to_json(study.readings()))
    assert read(path) == study.readings()
    rows = list(csv.DictReader(io.StringIO(to_csv(study.readings()))))
    source = study.order(3)["A"]
    assert [row["case"] for row in rows] == ["c1", "c2", "c3", "c4"] and {row["simulated"] for row in rows} == {"no"}
    assert rows[3][f"{source} errors"] == rows[3][f"{source} significant"] == "1" and rows[0]["AI errors"] == "0"
    assert rows[3]["preference"] == f"{study.order(3)['B']} much better" and rows[2]["preference"] == "equal"
    assert rows[3][f"{source} corrected"] == study.readings()[3].corrected[source]
    keys = set(json.loads(path.read_text())["readings"][0])
    assert keys == {"reader", "case", "sources", "preference", "reason", "marks", "corrected", "simulated"}
    path.write_text("{}")
    with pytest.raises(MedVLMError, match="no exported readings"):
        read(path)


def test_a_clinician_slips_as_often_as_is_said_and_alike_each_time():
    simulator = phantom("chest-xray")
    scenes = simulator.sample(0, 400, part="test")
    assert all(slipped(scene, 0.0) == scene for scene in scenes[:20])
    given = missed = regraded = 0
    for scene in scenes:
        believed = slipped(scene, 0.3)
        assert believed == slipped(scene, 0.3)
        kept = {f.mask_name: f for f in believed.findings}
        for finding in scene.findings:
            given += 1
            missed += finding.mask_name not in kept
            regraded += kept.get(finding.mask_name, finding) != finding
    graded = sum(f.amount is not None for scene in scenes for f in scene.findings)
    assert abs((missed + regraded) / given - 0.3) < 0.05 and abs(regraded / graded - 0.1) < 0.05
    report = next(s for s in scenes if slipped(s, 1.0).findings == () and s.findings)
    assert faults(str(simulator.report(slipped(report, 1.0))), report.all_findings)
    with pytest.raises(MedVLMError, match="slips is 2; it is a probability"):
        simulated_cases(1, object(), slips=2)
