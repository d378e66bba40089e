"""No sentence about a simulated abdominal CT contradicts its scene, by an independent reader's rules."""

import re

import pytest
from rule_reader import Rules, check_changes, check_questions, check_report

from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.language import WORDINGS

CT = phantom("abdominal-ct")
SCENES = CT.sample(3, 1500)
KINDS = {
    "cirrhosis": r"cirrhosis",
    "hepatic steatosis": r"steatosis",
    "liver cyst": r"liver cyst|of the liver (contains|harbours) a cyst",
    "hypervascular liver lesion": r"hypervascular",
    "liver metastases": r"metastas",
    "gallstones": r"gallstone",
    "splenomegaly": r"splenomegaly|spleen (is|dimensions|\()|enlarged spleen|splenic length|(is the|this) spleen",
    "hydronephrosis": r"hydronephrosis|collecting systems are",
    "kidney stone": r"kidney stone",
    "renal cyst": r"renal cyst",
    "renal mass": r"renal mass",
    "aortic aneurysm": r"aneurysm|aort\w+ (is (normal in|not|of normal)|calibre)",
    "aortic calcification": r"aortic calcification|calcified plaques|aortic wall|wall of the aorta",
    "lymphadenopathy": r"lymphadenopathy",
    "ascites": r"ascites|peritoneal cavity is free of fluid",
    "free air": r"pneumoperitoneum",
}
LIVER, KIDNEYS = list(KINDS)[:5], ("hydronephrosis", "kidney stone", "renal cyst", "renal mass")
VESSELS, PERITONEUM = ("aortic aneurysm", "aortic calcification"), ("lymphadenopathy", "ascites", "free air")
RULES = Rules(
    KINDS,
    (
        (
            r"the liver is (unremarkable|normal|homogeneous)|no focal liver|hepatic parenchyma|found in the liver",
            tuple(LIVER),
        ),
        (r"the spleen is (unremarkable|normal)\.|^(normal|unremarkable) spleen|found in the spleen", ("splenomegaly",)),
        (r"kidneys (are (unremarkable|normal|symm)|lie)|in either kidney|renal parenchyma", KIDNEYS),
        (r"aorta is (unremarkable|normal)\.|^(normal|unremarkable) abdominal aorta|found in the aorta", VESSELS),
        (r"no free fluid, free air|(peritoneum|cavity\)?) and retro|peritoneum or retro", PERITONEUM),
        (
            r"no acute (abdominal )?(abnormality|process)|^(normal|unremarkable) .*(ct|abdomen)|without patho|"
            r"nothing abnormal in",
            tuple(KINDS),
        ),
    ),
    regions=r"(right|left) lobe",
)


@pytest.mark.parametrize("wording", WORDINGS)
def test_reports_and_answers_say_what_is_there_and_nothing_else(wording):
    for scene in SCENES:
        check_report(CT, RULES, scene, wording)
    for scene in SCENES[:500]:
        check_questions(CT, RULES, scene, wording)


@pytest.mark.parametrize("wording", WORDINGS)
def test_comparison_with_the_prior_study_is_true(wording):
    for seed in range(60):
        studies = CT.timeline(seed, 3)
        for before, now in zip(studies[:-1], studies[1:], strict=True):
            check_changes(CT, RULES, now, before, wording)


def test_lengths_in_sentences_are_the_scene_s():
    for scene in SCENES:
        for sentence in re.findall(r"[^.]*spleen[^.]*\d+ mm|[^.]*aorta[^.]*\d+ mm", CT.report(scene).findings.lower()):
            said = int(re.search(r"(\d+) mm", sentence)[1])
            assert said in (round(scene.spleen_mm), round(scene.aorta_mm)), sentence


def test_contrast_questions_tell_the_phase():
    for scene in SCENES[:50]:
        answers = [q.answer for q in CT.questions(scene) if q.question_type == "ATTRIB" and not q.mask_name]
        assert sorted(answers) == sorted(
            [("no", "yes", "yes")[scene.phase], ("plain", "arterial", "portal venous")[scene.phase]]
        )
