"""Every metric reads its input alike: the right value, or one clear sentence."""

import math
from decimal import Decimal

import numpy as np
import pytest
import torch

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import (
    auc,
    bootstrap_interval,
    delong,
    expected_calibration_error,
    guard,
    mcmrr,
    paired,
    recall_at,
    retrieval_ranks,
)
from medvlm_lab.metrics.generation import bleu, label_f1
from medvlm_lab.metrics.overlap import dice, hausdorff
from medvlm_lab.metrics.ranking import areas

SCORES, LABELS = [0.1, 0.9, 0.8, 0.3, 0.7], [0, 1, 0, 1, 1]
NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("classes", [(0, 1), (-1, 1), (1, 2), (0, 255), (False, True), (-1, 0), (0.0, 1.0)])
def test_two_classes_give_scikit_learn_s_area(classes):
    from sklearn.metrics import roc_auc_score

    labels = [classes[k] for k in LABELS]
    wanted = roc_auc_score(labels, SCORES)
    assert auc(SCORES, labels).value == pytest.approx(wanted) and delong(SCORES, labels).value == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ([0, 1, NAN, 0, 1], "labels must be finite .*nan at .2."),
        ([0, 1, -1, 0, 1], "labels must be of two classes.*not -1, 0, 1"),
        ([0.2, 1, 0.2, 1, 1], "labels must be of two classes"),
        (["0", "1", "0", "1", "1"], "labels must be numbers, not str"),
        (["no", "yes", "no", "yes", "yes"], "labels must be numbers"),
        ([0, 1, None, 0, 1], "labels must be numbers, not None"),
        (["1.0", "", 0, 0, 1], "labels must be numbers"),
        ([0, 1], "5 scores cannot be measured against 2 labels"),
        ([[0], [1], [0], [1], [1]], "labels have the shape"),
        ([[0], [1, 2]], "unlike lengths"),
        ({0, 1}, "must be a list or an array"),
        (1, "must be a list or an array"),
    ],
)
@pytest.mark.parametrize("measure", [auc, delong])
def test_labels_that_are_no_two_classes_are_refused(measure, labels, said):
    with pytest.raises(MedVLMError, match=said):
        measure(SCORES, labels)


@pytest.mark.parametrize("wrong", [NAN, INF, -INF, None, "0.5", 1j])
def test_scores_that_are_no_finite_numbers_are_refused(wrong):
    spoiled = [0.1, wrong, 0.8, 0.3, 0.7]
    for measure in (auc, delong):
        with pytest.raises(MedVLMError, match="scores must be"):
            measure(spoiled, LABELS)
    for measure in (bootstrap_interval, lambda x: paired(x, SCORES), lambda x: areas(x, LABELS)):
        with pytest.raises(MedVLMError, match="(values|scores) must be"):
            measure(spoiled)
    with pytest.raises(MedVLMError, match="confidences must be"):
        expected_calibration_error(spoiled, LABELS)


def test_arrays_of_other_libraries_are_read_alike():
    pandas = pytest.importorskip("pandas")
    wanted = auc(SCORES, LABELS)
    masked = np.ma.masked_array(LABELS, mask=[0, 0, 1, 0, 0])
    for kind in (np.array, tuple, torch.tensor, pandas.Series, lambda x: torch.tensor(x).bool() if x is LABELS else x):
        assert auc(kind(SCORES), kind(LABELS)) == wanted
    assert auc(torch.tensor(SCORES, dtype=torch.bfloat16, requires_grad=True), LABELS).value == wanted.value
    assert auc([Decimal(str(x)) for x in SCORES], pandas.Series(LABELS, index=range(5, 0, -1))) == wanted
    for missing in (masked, pandas.Series([0, 1, None, 1, 1]), pandas.Series([0, 1, None, 1, 1], dtype="Int64")):
        with pytest.raises(MedVLMError, match="labels must be"):
            auc(SCORES, missing)


@pytest.mark.parametrize("labels", [[0] * 5, [1] * 5, [2] * 5])
def test_one_class_has_no_area(labels):
    assert all(map(math.isnan, auc(SCORES, labels))) and all(map(math.isnan, delong(SCORES, labels)))


def test_resamples_and_levels_are_checked():
    for call in (lambda: bootstrap_interval([1, 2], n=0), lambda: auc(SCORES, LABELS, n=2.5)):
        with pytest.raises(MedVLMError, match="number of resamples"):
            call()
    with pytest.raises(MedVLMError, match="level must lie"):
        delong(SCORES, LABELS, level=95)


def test_similarities_must_be_finite_and_square():
    good = torch.eye(3)
    assert mcmrr(good) == mcmrr(good.numpy()) == mcmrr(good.tolist()) == 1
    for bad, said in (
        (torch.full((4, 4), NAN), "similarities must be finite"), (torch.eye(3)[:2], "no pairs"),
        (torch.empty(0, 0), "no pairs"), (torch.ones(3), "no pairs"), (torch.eye(2) * INF, "similarities must be"),
    ):  # fmt: skip
        for measure in (mcmrr, retrieval_ranks):
            with pytest.raises(MedVLMError, match=said):
                measure(bad)


def test_ranks_begin_at_one():
    assert recall_at([1, 2, 9], 5).tolist() == [100, 100, 0] and recall_at(torch.tensor([1]), 1) == 100
    for ranks, k, said in (([0, 1], 1, "begin at 1"), ([NAN], 1, "ranks must be"), ([1], 0, "k is 0")):
        with pytest.raises(MedVLMError, match=said):
            recall_at(ranks, k)


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint64, np.float32, bool])
@pytest.mark.parametrize("label", [1, 255, 7])
def test_masks_of_any_type_are_scipy_s(kind, label):
    from scipy.spatial.distance import directed_hausdorff

    rng = np.random.default_rng(label)
    for _ in range(3):
        a, b = rng.random((2, 10, 12)) < 0.1  # lone pixels are their own outline
        points = np.argwhere(a), np.argwhere(b)
        wanted = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
        first, second = (a * label).astype(kind), torch.tensor((b * 3).astype("uint8"))
        assert hausdorff(first, second) == pytest.approx(wanted) == hausdorff(first.tolist(), b)
        assert dice(first, second) == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))


def test_what_is_no_mask_is_refused():
    a = np.eye(4)
    for bad, said in (
        (a * NAN, "NaN"), (a * 0.4, "fractions"), (a.astype(str), "must be numbers"), (a[:3], "cannot be compared"),
        (None, "must be a list or an array"), ("mask", "must be a list or an array"),
    ):  # fmt: skip
        for measure in (dice, hausdorff):
            for pair in ((a, bad), (bad, a)):
                with pytest.raises(MedVLMError, match=said):
                    measure(*pair)
    for options in ({"spacing": 0}, {"spacing": (1, 1, 1)}, {"spacing": NAN}, {"percentile": 101}):
        with pytest.raises(MedVLMError):
            hausdorff(a, a, **options)


def test_right_and_wrong_are_zero_and_one():
    assert expected_calibration_error(torch.tensor([0.5, 0.5]), torch.tensor([True, False])) == 0
    for correct in ([1, 2], [1, NAN], [-1, 1], ["yes", "no"]):
        with pytest.raises(MedVLMError, match="values of correct must be"):
            expected_calibration_error([0.5, 0.5], correct)
    with pytest.raises(MedVLMError, match="number of bins"):
        expected_calibration_error([0.5], [1], bins=0)


def test_texts_are_lists_of_texts():
    for texts, references, said in (
        ("clear", ["clear"], "must be a list of texts"), (["clear"], "clear", "references must be a list"),
        ([None], ["clear"], r"\[0\] is None"), (["clear"], [NAN], "must be a list of texts"),
        (["clear"], [["clear", None]], "references of text 0 must be texts"),
    ):  # fmt: skip
        with pytest.raises(MedVLMError, match=said):
            bleu(texts, references)
    with pytest.raises(MedVLMError, match="findings of study 0 must be a list of texts"):
        label_f1(["edema"], [{"edema"}], ["edema"])
    assert label_f1([iter(["edema"])], [{"edema"}], ["edema"]).micro == 1


def test_counts_are_whole_numbers():
    for value in (True, 0, 1.0, "1", None):
        with pytest.raises(MedVLMError, match="k is"):
            guard.at_least(value, 1, "k")
