"""No sentence about a simulated chest X-ray contradicts its scene, by an independent reader's rules."""

import re

import pytest
from reader import DEVICES, KINDS, Claim, claims, disagreement, sentences

from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.language import WORDINGS, Grammar, forms

XRAY = phantom("chest-xray")
SCENES = XRAY.sample(3, 2500)


@pytest.mark.parametrize("wording", WORDINGS)
def test_reports_say_what_is_there_and_nothing_else(wording):
    for scene in SCENES:
        report = XRAY.report(scene, wording=wording)
        stated = set()
        for paragraph in (report.findings, report.impression):
            for sentence in sentences(paragraph):
                read = claims(sentence)
                assert read, f"not understood: {sentence}"
                for claim in read:
                    wrong = disagreement(claim, scene)
                    assert not wrong, f"{sentence!r} says {claim}, but {wrong}"
                if paragraph is report.findings:
                    stated |= {(c.kind, c.side) for c in read if c.present}
        for f in scene.all_findings:
            assert (f.kind, f.side) in stated, f"{f.mask_name} is missing from {report.findings!r}"
        diseases = {f.kind for f in scene.all_findings} - DEVICES
        concluded = {c.kind for s in sentences(report.impression) for c in claims(s) if c.present}
        assert concluded == diseases


@pytest.mark.parametrize("wording", WORDINGS)
def test_comparison_with_the_prior_study_is_true(wording):
    for seed in range(120):
        studies = XRAY.timeline(seed, 4)
        for before, now in zip(studies[:-1], studies[1:], strict=True):
            assert now.patient == before.patient and now.visit == before.visit + 1 and now.seed != before.seed
            for sentence in sentences(XRAY.report(now, wording=wording, prior=before).findings):
                for claim in claims(sentence):
                    assert not disagreement(claim, now), sentence
                    if re.search("is new|was not|has appeared", sentence):
                        assert not before.find(claim.kind, claim.side)
                    if re.search("resolved|no longer|has gone", sentence):
                        assert before.find(claim.kind, claim.side)


@pytest.mark.parametrize("wording", WORDINGS)
def test_answers_agree_with_the_scene(wording):
    for scene in SCENES[:1200]:
        asked = XRAY.questions(scene, wording=wording)
        assert len(asked) >= 6
        for q in asked:
            if q.answer not in ("yes", "no"):
                continue
            assert q.closed
            if q.question_type == "ABN":
                sick = any(f.kind not in DEVICES for f in scene.all_findings)
                assert q.answer == ("no" if sick else "yes")
                continue
            text = q.question.lower()
            kind = next(k for k, pattern in KINDS.items() if re.search(pattern, text))
            side = next((s for s in ("left", "right") if re.search(rf"\b{s}\b", text)), "")
            wrong = disagreement(Claim(kind, q.answer == "yes", side), scene)
            assert not wrong, f"{q} but {wrong}"
            assert bool(q.mask_name) == (q.answer == "yes")


def test_open_answers_come_from_the_finding():
    for scene in SCENES[:600]:
        by_mask = {f.mask_name: f for f in scene.all_findings}
        for q in XRAY.questions(scene):
            if q.question_type in ("POS", "ATTRIB", "SIZE"):
                f = by_mask[q.mask_name]
                right = {f.side, f.severity, f"{f.side} {f.region}", f"{f.measurement:g} mm" if f.measurement else ""}
                assert q.answer in right - {""}


def test_number_of_sentence_forms():
    grammar = Grammar.of("chest-xray")
    branches = ("present", "absent", "normal", "change", "impression")
    counted = {w: {f for b in branches for p in grammar.all_patterns(w, b) for f in forms(p)} for w in WORDINGS}
    assert len(counted["usual"] | counted["held-out"]) >= 500
    assert len(counted["held-out"]) >= 100


def test_held_out_forms_are_never_trained_on():
    grammar = Grammar.of("chest-xray")
    usual, held = ({f for p in grammar.all_patterns(w) for f in forms(p)} for w in WORDINGS)
    assert not usual & held


def test_every_statement_has_both_wordings():
    def walk(node):
        if isinstance(node, dict):
            assert ("usual" in node) == ("held-out" in node)
            for child in node.values():
                walk(child)

    walk(Grammar.of("chest-xray").data)
    assert set(Grammar.of("chest-xray").data["nouns"]) == set(XRAY.scene.kinds)


def test_wording_varies_with_the_seed_and_repeats_with_it():
    scene = next(s for s in SCENES if len(s.all_findings) > 1)
    written = {XRAY.report(scene, seed).findings for seed in range(30)}
    assert len(written) > 20
    assert XRAY.report(scene) == XRAY.report(scene) and XRAY.questions(scene, 5) == XRAY.questions(scene, 5)
