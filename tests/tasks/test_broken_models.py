"""A model that gives NaN, too little or no text is refused by name in every task, and by embed."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

import medvlm_lab as lab
from medvlm_lab.embed.encode import embed
from medvlm_lab.errors import MedVLMError
from medvlm_lab.tasks.embeddings import rows_of

NAN = float("nan")
QUANTITY = "ejection_fraction_percent"


@pytest.fixture(scope="module")
def chest():
    return lab.dataset("phantom:chest-xray", "test", n=3)


class Broken:
    """Gives `value` where a number is due, a row or answer of each of `count` images, or of all."""

    name = "broken"

    def __init__(self, value=NAN, count=None):
        self.value, self.count = value, count

    def _rows(self, items):
        return torch.full((self.count or len(items), 4), self.value)

    encode_images = encode_texts = _rows

    def score_findings(self, images, findings=("edema",)):
        return dict.fromkeys(findings, self._rows(images)[:, 0])

    def regress(self, images):
        return {QUANTITY: self._rows(images)[:, 0]}

    def answer_batch(self, images, questions):
        return [SimpleNamespace(text=self.value, confidence=0.5) for _ in images]

    def segment(self, image, phrase):
        return SimpleNamespace(pixels=np.full(image.pixels.shape[-2:], self.value))

    def report_batch(self, images):
        return [SimpleNamespace(findings=self.value, impression="") for _ in images]


@pytest.mark.parametrize("task", ["retrieval", "identification", "zero-shot", "vqa", "segmentation", "report"])
def test_nan_is_refused_by_the_model_s_name(task, chest):
    with pytest.raises(MedVLMError, match="'broken'"):
        lab.evaluate(task, Broken(), chest, progress=False)


@pytest.mark.parametrize("task", ["retrieval", "identification", "zero-shot"])
@pytest.mark.parametrize("model", [Broken(float("inf")), Broken(0.5, count=2)])
def test_so_are_infinite_numbers_and_too_few(task, model, chest):
    with pytest.raises(MedVLMError, match="'broken'"):
        lab.evaluate(task, model, chest, progress=False)


def test_regression_names_model_and_study():
    data = lab.dataset("phantom:echocardiogram", "test", n=2)
    with pytest.raises(MedVLMError, match="'broken'.*ejection_fraction_percent must be finite"):
        lab.evaluate("regression", Broken(), data, progress=False)


def test_embedding_refuses_nan_and_keeps_nothing(tmp_path, chest):
    with pytest.raises(MedVLMError, match="'broken'.*must be finite"):
        embed(Broken(), chest, tmp_path, progress=False)
    assert not list(tmp_path.glob("*.parquet"))


def test_rows_of_every_kind_of_array():
    for rows in (torch.ones(2, 3, dtype=torch.bfloat16), np.ones((2, 3)), [[1, 1, 1]] * 2):
        assert rows_of(Broken(), rows, 2).dtype == torch.float32
    for rows in (torch.ones(3), torch.ones(1, 3), torch.ones(2, 0), np.full((2, 3), 1e300), None, [["a"], ["b"]]):
        with pytest.raises(MedVLMError, match="'broken'"):
            rows_of(Broken(), rows, 2)
