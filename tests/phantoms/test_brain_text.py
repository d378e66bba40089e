"""No sentence about a simulated MR of the head contradicts its scene, by an independent reader's rules."""

import re

import pytest
from rule_reader import Rules, check_changes, check_questions, check_report, sentences

from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.brain_scene import PLANES, SEQUENCES
from medvlm_lab.phantoms.language import WORDINGS, Grammar, forms

MR = phantom("brain-mr")
SCENES = MR.sample(3, 1500)
KINDS = {
    "brain tumour": r"brain tumour",
    "meningioma": r"meningioma",
    "intracerebral haemorrhage": r"intracerebral haemorrhage",
    "subdural haematoma": r"subdural (haematoma|collection)",
    "cerebral infarct": r"cerebral infarct",
    "lacunar infarct": r"lacunar infarct",
    "vasogenic oedema": r"vasogenic oedema",
    "white matter hyperintensities": r"white matter hyperintensit",
    "hydrocephalus": r"hydrocephalus|ventricles are not",
    "cerebral atrophy": r"atrophy|sulci are not|brain volume is",
    "midline shift": r"midline",
}
MASSES = ("brain tumour", "meningioma", "vasogenic oedema", "midline shift")
BLOOD = ("intracerebral haemorrhage", "subdural haematoma")
ISCHAEMIA = ("cerebral infarct", "lacunar infarct", "white matter hyperintensities")
FLUID = ("hydrocephalus", "cerebral atrophy")
RULES = Rules(
    KINDS,
    (
        (
            r"no (tumour|neoplasm|mass lesion), vaso|^no .*extra-axial tumour|^no intracranial tumour|"
            r"nothing neoplastic|of neoplasms",
            MASSES,
        ),
        (r"^midline structures are not|^the midline (is (central|not)|lies)", ("midline shift",)),
        (r"no intracranial (haem|blood)|^no .*-axial blood|blood products are absent", BLOOD),
        (r"^(there is )?no .*ischaem|no infarct(ion)? of any|ischaemic lesions are|nothing ischaem", ISCHAEMIA),
        (r"sulci are (unremarkable|normal)|^(normal|unremarkable) ventric|cerebrospinal", FLUID),
        (
            r"no (acute )?(intracranial )?abnormality|^(normal|unremarkable) .*(mr|head|brain)|without patho|"
            r"nothing abnormal in the head",
            tuple(KINDS),
        ),
    ),
    regions=(
        r"(frontal|parietal|temporal|occipital) lobe|basal ganglia|thalamus|"
        r"(anterior|middle|posterior) cerebral artery"
    ),
)


@pytest.mark.parametrize("wording", WORDINGS)
def test_reports_and_answers_say_what_is_there_and_nothing_else(wording):
    for scene in SCENES:
        check_report(MR, RULES, scene, wording)
    for scene in SCENES[:500]:
        check_questions(MR, RULES, scene, wording)


@pytest.mark.parametrize("wording", WORDINGS)
def test_comparison_with_the_prior_study_is_true(wording):
    for seed in range(60):
        studies = MR.timeline(seed, 3)
        for before, now in zip(studies[:-1], studies[1:], strict=True):
            check_changes(MR, RULES, now, before, wording)


@pytest.mark.parametrize("wording", WORDINGS)
def test_technique_and_direction_in_sentences_are_the_scene_s(wording):
    said = 0
    for scene in SCENES:
        report = MR.report(scene, wording=wording)
        for sentence in sentences(f"{report.findings} {report.impression}"):
            for name in sorted(SEQUENCES, key=len, reverse=True):
                if name.lower() in sentence.lower():
                    assert name == SEQUENCES[scene.sequence], sentence
                    said += 1
                    break
            for plane in PLANES:
                assert not re.search(rf"(?<!-)\b{plane}\b", sentence.lower()) or plane == PLANES[scene.plane], sentence
            for word, sign in (("leftward", 1), ("rightward", -1)):
                assert word not in sentence.lower() or scene.midline_mm * sign > 0, sentence
            if "enhancing brain tumour" in sentence and "no " not in sentence.lower():
                assert scene.sequence == 3, sentence
            if re.search("hyperintense", sentence):
                assert scene.sequence in (1, 2), sentence
    assert said > 50 or wording == "held-out"


def test_questions_tell_sequence_plane_and_contrast():
    for scene in SCENES[:60]:
        asked = MR.questions(scene)
        answers = [q.answer for q in asked if q.question_type == "ATTRIB" and not q.mask_name]
        assert sorted(answers) == sorted(["yes" if scene.sequence == 3 else "no", SEQUENCES[scene.sequence].lower()])
        assert [q.answer for q in asked if q.question_type == "PLANE"] == [PLANES[scene.plane]]


def test_number_of_sentence_forms():
    grammar = Grammar.of("brain-mr")
    branches = ("present", "absent", "normal", "change", "impression")
    counted = {w: {f for b in branches for p in grammar.all_patterns(w, b) for f in forms(p)} for w in WORDINGS}
    assert len(counted["usual"]) >= 500 and len(counted["held-out"]) >= 100
    assert not counted["usual"] & counted["held-out"]
    assert set(grammar.data["nouns"]) == set(MR.scene.kinds)
