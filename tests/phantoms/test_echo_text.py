"""No sentence about a simulated echocardiogram contradicts its scene, by an independent reader's rules."""

import re

import pytest
from echo_reader import DEVICES, claims, disagreement, sentences

from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.language import WORDINGS

ECHO = phantom("echocardiogram")
SCENES = ECHO.sample(3, 1000)


@pytest.mark.parametrize("wording", WORDINGS)
def test_reports_say_what_is_there_and_nothing_else(wording):
    for scene in SCENES:
        report = ECHO.report(scene, wording=wording)
        there = {f.kind for f in scene.all_findings}
        for paragraph, wanted in ((report.findings, there), (report.impression, there - DEVICES)):
            stated = set()
            for sentence in sentences(paragraph):
                read = claims(sentence)
                assert read, f"not understood: {sentence}"
                for claim in read:
                    assert not disagreement(claim, scene), f"{sentence!r} says {claim}: {disagreement(claim, scene)}"
                stated |= {c[0] for c in read if c[1] and c[0] not in ("rate", "ventricle", "atrium")}
            assert stated == wanted, report


@pytest.mark.parametrize("wording", WORDINGS)
def test_comparison_with_the_prior_study_is_true(wording):
    for seed in range(80):
        studies = ECHO.timeline(seed, 3)
        for before, now in zip(studies[:-1], studies[1:], strict=True):
            for sentence in sentences(ECHO.report(now, wording=wording, prior=before).findings):
                for claim in claims(sentence):
                    assert not disagreement(claim, now), sentence
                    if re.search("is new|was not|has appeared", sentence):
                        assert not before.find(claim[0])


@pytest.mark.parametrize("wording", WORDINGS)
def test_answers_agree_with_the_scene(wording):
    names = {"left atrial": "dilated left atrium", "left ventricular dil": "dilated left ventricle"}
    for scene in SCENES[:600]:
        for q in ECHO.questions(scene, wording=wording):
            if q.question_type == "PRES":
                text = q.question.lower()
                kind = next((k for k in scene.kinds if k.lower() in text), None)
                kind = kind or next((k for n, k in names.items() if n in text), "reduced ejection fraction")
                assert (q.answer == "yes") == (scene.find(kind) is not None) == bool(q.mask_name), q
            elif q.answer.endswith("%"):
                assert q.answer == f"{scene.ejection_fraction_percent:.0f}%" and q.mask_name == "left ventricle"
            elif q.answer.endswith("bpm"):
                assert q.answer == f"{scene.heart_rate_bpm:.0f} bpm"
            elif q.question_type == "PLANE":
                assert q.answer == f"apical {scene.view}"
