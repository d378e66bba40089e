"""No sentence about a simulated PET contradicts its scene, by an independent reader's rules."""

import pytest
from rule_reader import Rules, check_changes, check_questions, check_report

from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.language import WORDINGS

PET = phantom("pet")
SCENES = PET.sample(3, 1500)
NODES = ("cervical", "axillary", "inguinal", "mediastinal", "retroperitoneal")
UPTAKES = {"marrow": "marrow", "splenic": "splenic", "thyroid": "thyroid", "bowel": "bowel"}
KINDS = {
    "hypermetabolic lung lesion": r"lung lesion",
    "hypermetabolic liver lesion": r"liver lesion|liver uptake|evenly in the liver",
    **{f"{n} lymphadenopathy": rf"{n} lymphadenopathy" for n in NODES},
    "bone metastases": r"bone metastas",
    **{f"diffuse {n} uptake": rf"{n} uptake" for n in UPTAKES},
    "brown fat uptake": r"brown fat",
}
NECK = ("cervical lymphadenopathy", "diffuse thyroid uptake", "brown fat uptake")
CHEST = ("hypermetabolic lung lesion", "mediastinal lymphadenopathy", "axillary lymphadenopathy")
BELLY = (
    "hypermetabolic liver lesion", "diffuse splenic uptake", "diffuse bowel uptake", "retroperitoneal lymphadenopathy",
)
CLEAN = r"(no abnormal \w*\s?uptake in|nothing abnormal is found in|^) ?the {0}( is unremarkable| shows physio|\.)"
RULES = Rules(
    KINDS,
    (
        (CLEAN.format("neck"), NECK),
        (CLEAN.format("chest"), CHEST),
        (CLEAN.format("abdomen"), BELLY),
        (CLEAN.format("skeleton"), ("bone metastases", "diffuse marrow uptake")),
        (
            r"no abnormal (fdg )?uptake( is|\.)|no evidence of hypermetabolic disease|"
            r"^(normal|unremarkable) .*(pet|spect)|without patho|nothing abnormal on",
            tuple(KINDS),
        ),
        (r"evenly in the liver|liver uptake is", ("hypermetabolic liver lesion",)),
    ),
    regions=r"(upper|lower|right|left) lobe",
)


@pytest.mark.parametrize("wording", WORDINGS)
def test_reports_and_answers_say_what_is_there_and_nothing_else(wording):
    for scene in SCENES:
        check_report(PET, RULES, scene, wording)
    for scene in SCENES[:500]:
        check_questions(PET, RULES, scene, wording)


@pytest.mark.parametrize("wording", WORDINGS)
def test_comparison_with_the_prior_study_is_true(wording):
    for seed in range(60):
        studies = PET.timeline(seed, 3)
        for before, now in zip(studies[:-1], studies[1:], strict=True):
            check_changes(PET, RULES, now, before, wording)
