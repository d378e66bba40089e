"""No sentence about a simulated chest X-ray contradicts its scene, by an independent reader's rules."""

import re

import pytest
from rule_reader import Rules, check_changes, check_questions, check_report, sentences

from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.language import TAUGHT, WORDINGS

XRAY = phantom("chest-xray")
SCENES = XRAY.sample(3, 2500)
KINDS = {
    "cardiomegaly": r"^(?!.*pacemaker).*(cardiomegaly|\bheart\b|cardiac|cardiothoracic)",
    "hyperinflation": r"hyperinflat|lung volumes|normally expanded",
    "pulmonary edema": r"pulmonary edema",
    "consolidation": r"consolidation",
    "nodule": r"nodule",
    "pleural effusion": r"pleural effusion|costophrenic",
    "pneumothorax": r"pneumothorax",
    "rib fracture": r"fracture|break in the",
    "pacemaker": r"pacemaker",
    "central line": r"central line",
    "endotracheal tube": r"endotracheal tube|intubated",
    "nasogastric tube": r"nasogastric tube",
    "sternotomy wires": r"sternotomy",
}
LUNGS = ("pulmonary edema", "consolidation", "nodule")
RULES = Rules(
    KINDS,
    (
        (
            r"^(?!.*(lung volumes|not hyperinflated|normally expanded|fracture))"
            r"(.*lungs?\b.*(clear|unremarkable|normal|abnormality)|.*clear lungs|.*lung fields are clear)",
            LUNGS,
        ),
        (r"pleural (spaces|surfaces) are (clear|unremarkable|normal)", ("pleural effusion", "pneumothorax")),
        (r"costophrenic angles are sharp", ("pleural effusion",)),
        (r"(bones|thorax|structures) (is|are) (intact|unremarkable)|skeleton shows no|ribs are", ("rib fracture",)),
        (
            r"no acute (cardiopulmonary )?(abnormality|process)|^(normal|unremarkable) |without pathological|"
            r"nothing (abnormal|acute)",
            tuple(k for k, kind in XRAY.scene.kinds.items() if not kind.device),
        ),
    ),
    regions=r"(upper|middle|lower) lobe|lingula|(upper|mid|lower) zone|\dth rib",
    both=r"bilateral pleural|both sides|both costophrenic angles",
)


@pytest.mark.parametrize("wording", WORDINGS)
def test_reports_and_answers_say_what_is_there_and_nothing_else(wording):
    for scene in SCENES:
        check_report(XRAY, RULES, scene, wording)
    for scene in SCENES[:1200]:
        check_questions(XRAY, RULES, scene, wording)


def test_answers_to_what_is_only_taught_are_true():
    for scene in SCENES[:1200]:
        check_questions(XRAY, RULES, scene, TAUGHT)


@pytest.mark.parametrize("wording", WORDINGS)
def test_comparison_with_the_prior_study_is_true(wording):
    for seed in range(120):
        studies = XRAY.timeline(seed, 4)
        for before, now in zip(studies[:-1], studies[1:], strict=True):
            assert now.patient == before.patient and now.visit == before.visit + 1 and now.seed != before.seed
            check_changes(XRAY, RULES, now, before, wording)


def test_the_ratio_in_sentences_is_the_scene_s():
    said = 0
    for scene in SCENES:
        for ratio in re.findall(r"\b0\.\d\d\b", str(XRAY.report(scene))):
            assert abs(float(ratio) - scene.cardiothoracic_ratio) < 0.0051
            said += 1
    assert said > 100


def test_a_device_alone_is_nothing_acute_and_not_normal():
    alone = [s for s in SCENES if s.all_findings and all(s.kinds[f.kind].device for f in s.all_findings)]
    assert len(alone) > 20
    for scene in alone:
        assert "acute" in XRAY.report(scene).impression
        assert not any(q.question_type == "ABN" for q in XRAY.questions(scene))


def test_wording_varies_with_the_seed_and_repeats_with_it():
    scene = next(s for s in SCENES if len(s.all_findings) > 1)
    written = {XRAY.report(scene, seed).findings for seed in range(30)}
    assert len(written) > 20
    assert all(sentences(text) for text in written)
    assert XRAY.report(scene) == XRAY.report(scene) and XRAY.questions(scene, 5) == XRAY.questions(scene, 5)
