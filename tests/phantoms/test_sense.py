"""What is said of a side, or of a lung, makes sense for the finding that it is said of, in every modality."""

import re

import pytest

import medvlm_lab as lab
from medvlm_lab.phantoms import names, phantom
from medvlm_lab.phantoms.language import TAUGHT, WORDINGS

SIDED = re.compile(r"\b(n?either side|both sides|(left|right)(?! (ventric|atri|heart))|hemithorax)\b", re.I)


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("wording", [*WORDINGS, TAUGHT])
def test_midline_findings_take_no_side(name, wording):
    simulator = phantom(name)
    own = {
        k for k, kind in simulator.scene.kinds.items() if not kind.sides and not SIDED.search(k) and not kind.regions
    }
    for scene in simulator.sample(5, 150):
        said = [q.question for q in simulator.questions(scene, wording=wording)]
        if wording != TAUGHT:
            said += re.split(r"(?<=[.;]) ", " ".join(vars(simulator.report(scene, wording=wording)).values()))
        for sentence in filter(SIDED.search, said):
            named = [kind for kind in own if re.search(rf"\b{re.escape(kind)}\b", sentence)]
            assert not named, sentence


@pytest.mark.parametrize("wording", [*WORDINGS, TAUGHT])
def test_no_lung_has_a_device_or_a_rib(wording):
    simulator = phantom("chest-xray")
    for scene in simulator.sample(6, 600):
        for asked in simulator.questions(scene, wording=wording):
            outside = re.search(r"pacemaker|line\b|tube|wires|rib fracture", asked.question)
            assert not (outside and re.search(r"\blungs?\b(?! or)", asked.question)), asked.question
            assert not re.search(r"affected by an? (pacemaker|central)", asked.question)


@pytest.mark.parametrize("wording", WORDINGS)
def test_a_study_s_report_is_shown_under_its_headings(wording):
    data = lab.dataset("phantom:chest-xray", "test", n=20, wording=wording)
    for i in range(20):
        report, study = data.simulator.report(data.scene(i), wording=wording), data.study(i)
        assert study.headed == str(report) == f"FINDINGS: {report.findings}\nIMPRESSION: {report.impression}"
        assert study.report == f"{report.findings} {report.impression}"  # what is scored and trained on
