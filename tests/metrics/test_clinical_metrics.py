"""CheXbert and RadGraph F1 through stand-ins for their packages, and without them."""

import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics.clinical import chexbert_f1, radgraph_f1

TEXTS = ["no effusion", "a nodule"]


def report(micro, macro):
    return {"micro avg": {"f1-score": micro}, "macro avg": {"f1-score": macro}}


@pytest.fixture
def packages(monkeypatch):
    """Both packages, as they answer; what they were made with is kept."""
    made = []

    class F1CheXbert:
        def __call__(self, hyps, refs):
            assert hyps == refs == TEXTS
            return 0.5, np.array([1, 0]), report(0.6, 0.5), report(0.7, 0.4)

    class F1RadGraph:
        def __init__(self, **options):
            import huggingface_hub.constants

            made.append((options, os.environ["HF_HUB_OFFLINE"], huggingface_hub.constants.HF_HUB_OFFLINE))

        def __call__(self, hyps, refs):
            rewards = ([0.75, 1.0], [0.6667, 1.0], [0.6538, 1.0])  # the package's own example, and a copy
            return tuple(map(np.mean, rewards)), rewards, [], []

    monkeypatch.setitem(sys.modules, "f1chexbert", SimpleNamespace(F1CheXbert=F1CheXbert))
    monkeypatch.setitem(sys.modules, "radgraph", SimpleNamespace(F1RadGraph=F1RadGraph))
    return made


def test_chexbert(packages):
    scores = chexbert_f1(TEXTS, TEXTS)
    assert scores["chexbert14"] == (0.6, 0.5) and scores["chexbert5"] == (0.7, 0.4)


def test_radgraph(packages):
    scores = radgraph_f1(TEXTS, TEXTS)
    assert scores["simple"].tolist() == [0.75, 1.0] and scores["partial"].tolist() == [0.6667, 1.0]
    assert scores["complete"].tolist() == [0.6538, 1.0]
    assert packages == [({"reward_level": "all"}, "1", True)]  # nothing could have been downloaded


@pytest.mark.parametrize("score", [chexbert_f1, radgraph_f1])
def test_a_missing_package_is_a_sentence(score, monkeypatch):
    for name in ("f1chexbert", "radgraph"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MedVLMError, match="needs the package .*; run `pip install"):
        score(TEXTS, TEXTS)
    with pytest.raises(MedVLMError, match="2 texts cannot be scored against 1 references"):
        score(TEXTS, TEXTS[:1])


def test_missing_weights_are_a_sentence(monkeypatch):
    def ask_the_hub(**_):
        from huggingface_hub import hf_hub_download

        hf_hub_download("nobody/nothing", "weights.pth")

    monkeypatch.setitem(sys.modules, "radgraph", SimpleNamespace(F1RadGraph=ask_the_hub))
    with pytest.raises(MedVLMError, match="weights of F1RadGraph are not on this machine"):
        radgraph_f1(TEXTS, TEXTS)
