"""Segmentation scored with segmenters whose masks are known."""

import json

import numpy as np
import pytest

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError
from medvlm_lab.models.base import Mask
from medvlm_lab.tasks.segmentation import SegmentationRow, score_rows
from medvlm_lab.text.phrases import phrase

CHEST = "phantom:chest-xray"


class Oracle:
    """Draws the true mask, for it knows which phrase asks for which structure in which study."""

    name = "oracle"

    def __init__(self, data, change=lambda mask: mask):
        self.known, self.change = {}, change
        for i in range(data.studies):
            rng, masks = np.random.default_rng((0, i)), data.masks(i)
            for name, mask in masks.items():
                mask = mask.numpy() if mask.ndim == 2 else mask[len(mask) // 2].numpy()  # the frame that a model reads
                if not mask.any() or mask.mean() >= 0.0005:
                    self.known[data.study(i).image().name, phrase(name, list(masks), rng, data.wording)] = mask

    def segment(self, image, text):
        mask = self.change(self.known[image.name, text])
        return Mask(mask, mask.astype(np.float32), text)


@pytest.mark.parametrize("phantom", ["phantom:chest-xray", "phantom:echocardiogram"])
def test_an_oracle_is_perfect(phantom):
    data = lab.dataset(phantom, "test", n=4, size=48)
    result = lab.evaluate("segmentation", Oracle(data), data, progress=False)
    assert result.scores["dice"].value == result.scores["dice_large"].value == 1.0
    assert result.scores["empty"].value == 100.0 and result.scores["empty"].n > 8
    rows = json.loads(result.to_json(rows=True))["rows"]
    assert {row["present"] for row in rows} == {True, False} and "Dice, mean over" in str(result)


def test_what_is_missed_counts_as_nothing_and_what_is_invented_as_not_empty():
    data = lab.dataset(CHEST, "test", n=4, size=48)
    missed = lab.evaluate("segmentation", Oracle(data, np.zeros_like), data, progress=False).scores
    assert missed["dice"].value == 0.0 and missed["empty"].value == 100.0
    invented = lab.evaluate("segmentation", Oracle(data, np.ones_like), data, progress=False).scores
    assert invented["empty"].value == 0.0 and 0 < invented["dice heart"].value < 0.5


def test_the_mean_is_over_structures_not_over_masks():
    row = lambda study, name, value: SegmentationRow(  # noqa: E731
        study, name, name, value is not None, 0.1 if name == "heart" else 0.001, value is None, value
    )
    rows = [row(f"s{i}", "heart", 0.9) for i in range(9)] + [row("s9", "nodule", 0.5), row("s8", "nodule", None)]
    scores = score_rows(rows)
    assert scores["dice"].value == pytest.approx(0.7) and scores["dice_large"].value == pytest.approx(0.9)
    assert scores["dice nodule"].n == 1 and scores["empty"].value == 100.0 and scores["empty"].n == 1
    assert scores["dice"].low <= scores["dice"].value + 1e-9 and scores["dice"].high <= 0.9 + 1e-9
    nothing = score_rows([row("s0", "nodule", None)])
    assert nothing["dice"].n == 0 and np.isnan(nothing["dice"].value)


def test_what_cannot_be_scored_is_a_sentence():
    data = lab.dataset(CHEST, "test", n=2, size=32)
    with pytest.raises(MedVLMError, match="'mute' does not outline .*has no segment"):
        lab.evaluate("segmentation", type("Answerer", (), {"name": "mute"})(), data)
    with pytest.raises(MedVLMError, match="has no masks"):
        lab.evaluate("segmentation", Oracle(data), [])
    with pytest.raises(MedVLMError, match="n=0"):
        lab.evaluate("segmentation", Oracle(data), data, n=0)
