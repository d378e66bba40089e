"""Reports against the truth, and simulated readers: perfect ones see exactly that, all are repeatable."""

import time
from dataclasses import replace

import pytest

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError
from medvlm_lab.phantoms.scene import Finding
from medvlm_lab.reader import Case, SimulatedReader, evaluate, faults, panel, readings
from medvlm_lab.reader.simulated import FINDINGS, NOTICED
from medvlm_lab.reader.truth import sentences, statement
from medvlm_lab.text.labeller import positive

PERFECT = {
    "sees": dict.fromkeys(FINDINGS, (1.0, 1.0)), "notices": dict.fromkeys(NOTICED, (1.0, 1.0)), "noise": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("wording", ["usual", "held-out"])
def test_the_simulators_own_reports_have_no_fault(wording):
    data = lab.dataset("phantom:chest-xray", "test", n=150, wording=wording)
    for i in range(data.studies):
        report = data.simulator.report(data.scene(i), wording=wording)
        text = f"Findings: {report.findings}\nImpression: {report.impression}"
        assert faults(text, data.scene(i).all_findings) == [], text


def test_each_kind_of_fault_is_found_and_weighed(cases):
    kinds = [[(f.kind, f.weight, f.significant) for f in faults(c.reports["AI"], c.findings)] for c in cases]
    assert kinds == [[("wrong location", 2, True)], [("omission", 2, True)], [], []]  # a nodule's place is not named
    truth = (Finding("pleural effusion", "left", amount=0.9), Finding("pacemaker", "left"))
    found = faults("Findings: Mild left pleural effusion. Severe cardiomegaly.\nImpression: None.", truth)
    assert {(f.kind, f.finding, f.weight) for f in found} == {
        ("omission", "pacemaker", 1), ("false finding", "cardiomegaly", 3), ("wrong severity", "pleural effusion", 2),
    }  # fmt: skip
    lobe = (Finding("consolidation", "right", "upper lobe", 0.5),)
    assert [f.kind for f in faults("Right lower lobe consolidation.", lobe)] == ["wrong location"]
    assert faults("Right consolidation. No left consolidation.", lobe) == []


def test_sentences_leave_the_headings_out():
    text = "Findings: The ratio is 0.41. Clear.\nImpression: Normal."
    assert [text[a:b] for a, b in sentences(text)] == ["The ratio is 0.41.", "Clear.", "Normal."]


@pytest.mark.parametrize("kind", FINDINGS)
def test_the_labeller_reads_a_plain_statement_and_its_denial(kind):
    assert positive(statement(Finding(kind, "left", amount=0.5))) == {kind}
    assert positive(f"No {kind}.") == frozenset()


def test_a_perfect_reader_marks_every_fault_and_mends_it(cases):
    found = {r.case: r for r in readings([SimulatedReader("simulated-x", **PERFECT)], cases)}
    assert [found[c].preference for c in ("c1", "c2", "c3", "c4")] == [-1, -1, 0, 1]
    assert all(r.simulated and r.reason.startswith("simulated") for r in found.values())
    for case in cases:
        for source, text in found[case.name].corrected.items():
            assert faults(text, case.findings) == [], text
            assert (text == case.reports[source]) == (not faults(case.reports[source], case.findings))


def test_readings_do_not_depend_on_company_order_or_letters(cases):
    everyone = [replace(reader, noise=0.0) for reader in panel(5, seed=2)]
    first = {(r.reader, r.case): r for r in readings(everyone, cases)}
    assert first == {(r.reader, r.case): r for r in readings(everyone[::-1], cases[::-1])}
    turned = [replace(c, reports=dict(reversed(c.reports.items()))) for c in cases]
    for r in readings(everyone, turned):
        other = first[r.reader, r.case]
        assert set(r.marks) == set(other.marks) and r.corrected == other.corrected
        assert r.preference == -other.preference
    assert readings(panel(5, seed=2), cases) == readings(panel(5, seed=2), cases) != readings(panel(5, seed=3), cases)


def test_skills_and_noise_work_as_they_are_named():
    """Shares over many cases come near the stated chances."""
    effusion = (Finding("pleural effusion", "left", amount=0.9),)
    reports = {"human": "Findings: Severe left pleural effusion.", "AI": "Findings: The lungs are clear."}
    cases = [Case(f"c{i}", reports, findings=effusion) for i in range(1500)]
    sees = {**PERFECT["sees"], "pleural effusion": (0.7, 1.0), "nodule": (1.0, 0.9)}
    notices = {**PERFECT["notices"], "omission": (0.8, 1.0), "wrong location": (1.0, 0.95)}
    found = readings([SimulatedReader("simulated-x", sees=sees, notices=notices, noise=0.0)], cases)
    share = lambda kind, source, word: sum(  # noqa: E731
        any(m.kind == kind and m.report == source and word in m.correction for m in r.marks) for r in found
    ) / len(found)
    assert share("omission", "AI", "effusion") == pytest.approx(0.7 * 0.8, abs=0.04)
    assert share("omission", "AI", "Nodule") == pytest.approx(0.1 * 0.8, abs=0.03)
    assert share("false finding", "human", "No pleural effusion") == pytest.approx(0.3, abs=0.04)
    assert share("wrong location", "human", "") == pytest.approx(0.7 * 0.05, abs=0.02)


def test_a_panel_of_five_over_fifty_cases_is_quick_and_says_that_it_is_simulated():
    data = lab.dataset("phantom:chest-xray", "test", n=51, wording="usual")
    texts = [data.study(i).report for i in range(51)]
    cases = [
        Case(f"c{i}", {"human": texts[i], "AI": texts[i + 1]}, findings=data.scene(i).all_findings) for i in range(50)
    ]  # the next patient's report for each
    started = time.perf_counter()
    result = evaluate(readings(panel(5), cases))
    assert time.perf_counter() - started < 5
    assert result.model == "5 simulated readers" and result.scores["accepted"].value < 50
    assert result.scores["significant_AI"].value > 50 > result.scores["significant_human"].value
    assert 0 < result.scores["kappa_preference"].low < result.scores["kappa_preference"].high < 1


def test_what_cannot_read_is_refused(cases):
    with pytest.raises(MedVLMError, match="is not simulated"):
        panel(1)[0].read(Case("real", {"human": "a", "AI": "b"}))
    with pytest.raises(MedVLMError, match="at least 1"):
        panel(0)
    with pytest.raises(MedVLMError, match="no skill for 'cardiomegaly'"):
        SimulatedReader("simulated-x", sees={})
    with pytest.raises(MedVLMError, match="from 0 to 1"):
        SimulatedReader("simulated-x", notices={**PERFECT["notices"], "omission": (1.2, 1.0)})
