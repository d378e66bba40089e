"""Simulated admissions: deterministic, apart by part, as noisy as documented, and no modality tells all."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from medvlm_lab.errors import MedVLMError
from medvlm_lab.phantoms.admissions import LABELS, SIGN, admissions, limits, note_vocabulary
from medvlm_lab.text.tokenizer import Tokenizer

PATIENTS = admissions(3, 1500)
FEVER, NO_FEVER = r"(?<!no )fever|\bfebrile|38\.6|39\.1", r"no fever|afebrile|36\.[49]"
ORTHOPNEA, FLAT = r"cannot lie flat|upright|three pillows", r"can lie flat|sleeps flat|one pillow\b"


def told(note: str) -> tuple[bool, bool, bool]:
    """Pain right, fever, cannot lie flat, as read by rules; each is told exactly once."""
    text = note.lower()
    out = []
    for yes, no in ((r"\bright\b", r"\bleft\b"), (FEVER, NO_FEVER), (ORTHOPNEA, FLAT)):
        found = bool(re.search(yes, text)), bool(re.search(no, text))
        assert sum(found) == 1, note
        out.append(found[0])
    return tuple(out)


def truth(patient) -> tuple[bool, bool, bool]:
    return patient.pain == "right", patient.fever, patient.orthopnea


def test_equal_seeds_give_equal_patients_and_notes():
    again = admissions(3, 20)
    assert again == PATIENTS[:20] and [a.note(0.4) for a in again] == [a.note(0.4) for a in PATIENTS[:20]]
    assert admissions(4, 20) != again


def test_parts_share_no_patient():
    seeds = [{a.scene.seed for a in admissions(0, 50, part)} for part in ("train", "validation", "test")]
    assert len(set.union(*seeds)) == 150


@given(st.integers(0, 2**22 - 1))
@settings(max_examples=40, deadline=None)
def test_labels_follow_from_both_modalities(seed):
    for patient in admissions(seed, 3):
        scene, labels = patient.scene, dict(zip(LABELS, patient.labels, strict=True))
        fluid = [f.side for f in scene.findings if f.kind == "pleural effusion"]
        assert labels["other side"] == ([patient.pain] != fluid) and len(fluid) == 1
        assert labels["pneumonia"] == (patient.fever and scene.find("consolidation") is not None)
        assert told(patient.note()) == truth(patient)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_each_statement_is_wrong_at_half_the_noise(noise):
    wrong = np.array([np.not_equal(told(a.note(noise)), truth(a)) for a in PATIENTS])  # (patients, statements)
    assert np.allclose(wrong.mean(0), noise / 2, atol=0.045)  # 3.5 standard deviations
    if noise:
        assert abs(np.corrcoef(wrong.T)[np.triu_indices(3, 1)]).max() < 0.1


def test_signs_of_heart_failure_are_as_frequent_as_documented_and_independent():
    failing = np.array([a.labels[0] for a in PATIENTS])
    signs = np.array([(a.scene.find("cardiomegaly") is not None, a.orthopnea) for a in PATIENTS])
    for there in (True, False):
        assert np.allclose(signs[failing == there].mean(0), SIGN[there], atol=0.06)
        assert abs(np.corrcoef(signs[failing == there].T)[0, 1]) < 0.13


def test_neither_modality_alone_tells_of_the_other_side():
    other = np.array([a.labels[2] for a in PATIENTS])
    pain = [a.pain == "right" for a in PATIENTS]
    fluid = [a.scene.find("pleural effusion", "right") is not None for a in PATIENTS]
    for right in (pain, fluid):
        assert abs(np.corrcoef(other, right)[0, 1]) < 0.09


def test_every_word_is_in_the_vocabulary():
    tokenizer = Tokenizer(note_vocabulary())
    assert len(set(tokenizer.vocabulary)) == len(tokenizer)
    ids = tokenizer.batch([a.note() for a in PATIENTS], 64)
    assert (ids != tokenizer.vocabulary.index("[UNK]")).all() and ids.shape[1] <= 24


@pytest.mark.parametrize("noise", [-0.1, 1.2, float("nan")])
def test_noise_is_a_probability(noise):
    with pytest.raises(MedVLMError, match="from 0 to 1"):
        PATIENTS[0].note(noise)


def test_limits_are_those_of_perfect_readers():
    """Who knows the signs, patient by patient, ranks as well as the closed form says."""
    found = limits()
    labels = np.array([p.labels for p in PATIENTS])
    large = np.array([p.scene.cardiothoracic_ratio > 0.5 for p in PATIENTS], float)
    lying, fever = (np.array([getattr(p, k) for p in PATIENTS], float) for k in ("orthopnea", "fever"))
    assert roc_auc_score(labels[:, 0], large + lying) == pytest.approx(found["both"][0], abs=0.03)
    assert roc_auc_score(labels[:, 0], lying) == pytest.approx(found["one"][0], abs=0.03)
    assert roc_auc_score(labels[:, 1], fever) == pytest.approx(found["one"][1], abs=0.03)
    assert found["one"] == (pytest.approx(0.8), pytest.approx(5 / 6), 0.5) and found["both"][1:] == (1.0, 1.0)
