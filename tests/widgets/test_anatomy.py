"""The anatomy widget: the stages are the model's own computation, and what is drawn is what they hold."""

import io
import re

import numpy as np
import pytest
import torch
from PIL import Image

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError, ModalityError, QuestionError
from medvlm_lab.models.stages import Stage, Staged
from medvlm_lab.widgets import anatomy_state as logic
from medvlm_lab.widgets.anatomy_diagram import BOX, diagram

QUESTION = "Which organ system is imaged?"


@pytest.fixture(scope="module")
def model():
    return lab.load("vit-bert-vqa")


@pytest.fixture(scope="module")
def state(model):
    return logic.follow(logic.AnatomyState(model.name, lab.sample("chest-xray-nodules"), QUESTION), model)


def test_stages_are_the_models_own_computation(model, state):
    assert isinstance(model, Staged)
    found = {s.name: s for s in state.stages}
    m, image = model.module, state.image
    ids = model.tokenizer.batch([QUESTION], m.config.question_context)
    written = [model.tokenizer.start, *model.tokenizer.encode("chest", 9)[1:-1]]
    with torch.inference_mode():
        memory, keep = m.encode(model.pixels([image]), ids)
        logits = m.decode(torch.tensor([written]), memory, keep)
    torch.testing.assert_close(found["memory"].tensor, memory[0])
    torch.testing.assert_close(found["next word"].tensor, logits[0], rtol=1e-4, atol=1e-4)
    assert found["answer states"].words == ("⟨start⟩", "chest")
    torch.testing.assert_close(found["answer states"].looks.sum(1), torch.ones(2))
    assert found["next word"].choices[0][0][0] == "chest" and found["next word"].choices[1][0][0] == "⟨end⟩"
    assert found["image tokens"].shape == "50 tokens × 192 features"
    for stage in state.stages:
        assert len(stage.axes) == stage.tensor.ndim and set(stage.parents) <= set(found)
    learned = sum(s.parameters for s in state.stages)
    assert 0.9 * learned < sum(p.numel() for p in m.parameters()) < 1.1 * learned


def test_every_stage_has_a_picture_in_words_too(state):
    for stage in state.stages:
        chosen = logic.AnatomyState(state.model, state.image, QUESTION, state.stages, stage.name)
        picture = Image.open(io.BytesIO(logic.picture(chosen)))
        assert np.asarray(picture.convert("L")).std() > 3, stage.name
        assert len(logic.describe(chosen)) > 10
        assert stage.shape in logic.summary(chosen.stage)


def test_the_diagram_draws_each_stage_once_and_every_arrow(state):
    svg = diagram(state.model, state.stages, state.chosen)
    assert svg.count("<rect") == len(state.stages) and svg.count('marker-end="') == sum(
        len(s.parents) for s in state.stages
    )
    assert svg.count("#d55e00") == 1
    boxes = [tuple(map(float, b)) for b in re.findall(r'<rect x="([\d.]+)" y="([\d.]+)"', svg)]
    for i, (x, y) in enumerate(boxes):
        for u, v in boxes[i + 1 :]:
            assert abs(x - u) >= BOX[0] or abs(y - v) >= BOX[1]  # none covers another


def test_cells_alike_have_equal_colours():
    cells = np.zeros((2, 2, 5))
    cells[0] = 3.0
    cells[1, :, 1] = 2.0
    colours = logic.colours(cells)
    assert np.allclose(colours[0, 0], colours[0, 1], atol=1e-3) and not np.allclose(colours[0], colours[1])
    assert np.allclose(np.diag(logic.similarity(np.eye(3), np.eye(3))), 1)


def test_cells_of_the_memory_are_those_between_class_token_and_words():
    tensor = torch.arange(8.0)[:, None]  # class token, four cells, three words
    stage = Stage("memory", "fusion", "", tensor, ("tokens", "features"), grid=(2, 2), words=("a", "b", "c"))
    assert logic.cells_of(stage)[..., 0].tolist() == [[1, 2], [3, 4]]


def test_a_refused_question_is_a_sentence_and_keeps_the_picture(model, state):
    widget = lab.widgets.anatomy(model, state.image, QUESTION)
    before = widget.view.value
    widget.question.value = " "
    assert "question is empty" in widget.about.value and widget.view.value == before
    widget.question.value = "Is there cardiomegaly?"
    widget.stage.value = "question tokens"
    assert "card" in widget.state.stage.words and "role=" not in widget.about.value
    assert "image/png" in widget._repr_mimebundle_()


def test_what_cannot_be_followed_is_refused(model, state):
    with pytest.raises(MedVLMError, match="cannot be followed"):
        lab.widgets.anatomy(object())
    with pytest.raises(QuestionError):
        model.stages(state.image, "")
    with pytest.raises(ModalityError):
        model.stages(state.image.with_(modality="fundus"), "What is this?")
