"""No sentence about a simulated micrograph contradicts its scene, by an independent reader's rules."""

import re

import pytest
from rule_reader import Rules, check_changes, check_questions, check_report, sentences

from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.language import WORDINGS, Grammar, forms

SLIDE = phantom("histology")
SCENES = SLIDE.sample(3, 1200)
KINDS = {
    "benign hyperplasia": r"hyperplasia",
    "in situ carcinoma": r"in situ carcinoma",
    "invasive carcinoma": r"invasive carcinoma|stromal invasion",
    "nuclear pleomorphism": r"pleomorphi|atypia",
    "mitoses": r"mitos|mitotic",
    "necrosis": r"necro",
    "desmoplastic stroma": r"desmoplas",
    "lymphocytic infiltrate": r"lymphocytic infiltrate",
    "calcification": r"calcification",
}
CANCERS = ("in situ carcinoma", "invasive carcinoma")
GLANDS = r"(crypts|ducts and lobules|(mammary|colonic) (glands|tissue|architecture|glandular architecture|type))"
RULES = Rules(
    KINDS,
    (
        (r"found in the nuclei|(nuclei|nuclear features|morphology) (are|is) (unr|nor)|^(unr\w+|normal) nuclei",
         ("nuclear pleomorphism", "mitoses")),
        (r"found in the stroma|stroma is (unr|nor)|^(unr\w+|normal) (\w+ )?stroma",
         ("desmoplastic stroma", "lymphocytic infiltrate")),
        (r"evidence of (malignancy|disease)|^(histologically )?(normal|unremarkable) (breast|colon)( |\.)|"
         r"^healthy|without patho", tuple(KINDS)),
        (rf"found in the {GLANDS}|{GLANDS} (is|are|have) (unr|nor|a nor|of nor)|normal {GLANDS}|unremarkable {GLANDS}",
         tuple(KINDS)[:3]),
    ),
    value=r"(\d+) per field",
)  # fmt: skip


def own_answers(scene) -> dict[str, str]:
    """The right answers to what only a pathologist is asked."""
    return {
        r"normal, benign, in situ or invasive": ("normal", "benign", "in situ", "invasive")[scene.diagnosis],
        r"benign or malignant|malignant or benign": "malignant" if scene.diagnosis > 1 else "benign",
        r"low, intermediate or high": scene.grade,
        r"how many|mitotic count|number of mitoses|count the": f"{scene.mitoses} per field",
        r"stain": "h&e",
        r"organ|which tissue|what tissue|biopsy taken|come from": ("breast", "colon")[scene.organ],
        r"magnification|objective": scene.objective,
    }


@pytest.mark.parametrize("wording", WORDINGS)
def test_reports_and_answers_say_what_is_there_and_nothing_else(wording):
    for scene in SCENES:
        check_report(SLIDE, RULES, scene, wording)
    for scene in SCENES[:500]:
        check_questions(SLIDE, RULES, scene, wording, own_answers(scene))


@pytest.mark.parametrize("wording", WORDINGS)
def test_organ_and_grade_in_sentences_are_the_scene_s(wording):
    graded = 0
    for scene in SCENES:
        text = str(SLIDE.report(scene, wording=wording)).lower()
        other = (r"colon|crypt", r"breast|mammary|ducts")[scene.organ]
        assert not re.search(other, text), text
        for said in re.findall(r"(low|intermediate|high)[- ]grade|of (low|intermediate|high) grade", text):
            graded += 1
            assert scene.grade in said, text
    assert graded > 100


@pytest.mark.parametrize("wording", WORDINGS)
def test_comparison_with_the_prior_biopsy_is_true(wording):
    seen = set()
    for seed in range(80):
        studies = SLIDE.timeline(seed, 3)
        for before, now in zip(studies[:-1], studies[1:], strict=True):
            check_changes(SLIDE, RULES, now, before, wording)
            for sentence in sentences(SLIDE.report(now, wording=wording, prior=before).findings):
                low = sentence.lower()
                if "biopsy" not in low or not (claim := next(iter(RULES.claims(sentence)), None)):
                    continue
                there, was = now.find(claim.kind), before.find(claim.kind)
                if re.search(r"\bnew|first appearance", low):
                    seen.add("new")
                    assert there and not was, sentence
                elif re.search(r"longer|gone", low):
                    seen.add("gone")
                    assert was and not there, sentence
                elif grew := re.search(r"increase|progression|\bmore\b|decrease|regression|\bless\b", low):
                    more = grew[0] in ("increase", "progression", "more")
                    size = [f.measurement or f.amount for f in (was, there)]
                    seen.add(more)
                    assert (size[1] > size[0]) == more, sentence
    assert seen == {"new", "gone", True, False}


def test_number_of_sentence_forms():
    grammar = Grammar.of("histology")
    branches = ("present", "absent", "normal", "change", "impression")
    counted = {w: {f for b in branches for p in grammar.all_patterns(w, b) for f in forms(p)} for w in WORDINGS}
    assert len(counted["usual"]) >= 500 and len(counted["held-out"]) >= 100
    asked = {w: {f for p in grammar.all_patterns(w, "ask") for f in forms(p)} for w in WORDINGS}
    assert not counted["usual"] & counted["held-out"] and not asked["usual"] & asked["held-out"]
    assert set(grammar.data["nouns"]) == set(SLIDE.scene.kinds)
