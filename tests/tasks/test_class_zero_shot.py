"""Zero-shot classification of class folders by prompts."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError
from medvlm_lab.tasks.zero_shot import TEMPLATES, class_scorer

CLASSES = {"dark": 40, "grey": 120, "light": 220}


class Brightness:
    """Puts pictures and prompts on a half circle, by how bright they are or what they say."""

    name = "brightness"

    def place(self, values):
        angles = torch.tensor(values, dtype=torch.float32) / 255 * torch.pi
        return torch.stack([angles.cos(), angles.sin()], 1)

    def encode_images(self, images):
        return self.place([float(image.pixels.mean()) for image in images])

    def encode_texts(self, texts):
        return self.place([next(value for word, value in CLASSES.items() if word in text) for text in texts])


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for kind, value in CLASSES.items():
        (tmp_path / kind).mkdir()
        for i in range(4):
            Image.fromarray(rng.integers(value - 9, value + 9, (32, 32), np.uint8)).save(tmp_path / kind / f"{i}.png")
    return tmp_path


def test_a_model_that_sees_the_classes_scores_best(folder):
    result = lab.evaluate("zero-shot", Brightness(), lab.dataset(folder, "all"), progress=False)
    assert set(result.scores) == {"auc", "auc dark", "auc grey", "auc light", "accuracy"}
    assert result.scores["auc"].value == 1.0 and result.scores["accuracy"].value == 100.0
    assert result.scores["accuracy"].n == 12 and "Accuracy, %" in str(result)
    assert result.rows[0].findings == ("dark",) and set(result.rows[0].scores) == set(CLASSES)


def test_a_model_that_is_wrong_about_one_class(folder):
    model = Brightness()
    right = model.encode_images
    # light pictures look black
    model.encode_images = lambda images: right([i.with_(pixels=i.pixels * (i.pixels.mean() < 200)) for i in images])
    scores = lab.evaluate("zero-shot", model, lab.dataset(folder, "all"), progress=False).scores
    assert scores["accuracy"].value == pytest.approx(100 * 8 / 12)
    assert scores["auc light"].value == 0.0 and scores["auc grey"].value == 1.0


def test_prompts_are_an_ensemble(folder):
    asked = []

    class Two(Brightness):
        def encode_texts(self, texts):
            asked.extend(texts)
            return F.normalize(torch.tensor([[1.0, 0.0], [0.0, 1.0]]).repeat(len(texts) // 2, 1), dim=-1)

    score = class_scorer(Two(), {"a": "first {thing}", "b": "second"}, ("an image of {}", "{} is seen"))
    assert asked == ["an image of first {thing}", "first {thing} is seen", "an image of second", "second is seen"]
    found = score([lab.MedicalImage.from_array(np.zeros((4, 4), np.uint8))])  # at (1, 0), as the first prompt
    assert found["a"].tolist() == pytest.approx([np.log(0.5)]) and len(TEMPLATES) > 1  # both classes are as near


def test_of_two_classes_one_is_as_well_told_as_the_other(folder):
    model = Brightness()
    model.encode_texts = lambda texts: model.place([100 if "dark" in text else 90 for text in texts])
    classes = {"dark": "dark", "light": "light"}
    images = [study.image() for study in lab.dataset(folder, "all")]
    found = class_scorer(model, classes)(images)
    assert found["dark"].argsort().tolist() == found["light"].argsort(descending=True).tolist()
    assert torch.allclose(found["dark"].exp() + found["light"].exp(), torch.ones(12, dtype=torch.float64))


def test_what_cannot_be_scored_is_a_sentence(folder):
    data = lab.dataset(folder, "all")
    with pytest.raises(MedVLMError, match="'mute' does not .*has no encode_images"):
        lab.evaluate("zero-shot", type("Mute", (), {"name": "mute"})(), data)
    for templates in ((), ("no place",)):
        with pytest.raises(MedVLMError, match="each with a {} for the class"):
            lab.evaluate("zero-shot", Brightness(), data, templates=templates)
