"""The inside of an answer of `vit-bert-vqa`: the answer's own probability, and where its words looked."""

import numpy as np
import pytest
import torch

from medvlm_lab.errors import ModalityError, QuestionError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import Explainable
from medvlm_lab.models.vit_bert_vqa import Config, ViTBertVQA
from medvlm_lab.models.vqa_answerer import VQAAnswerer
from medvlm_lab.text.tokenizer import END, PAD, START, UNKNOWN, Tokenizer

QUESTION = "is there a nodule"


@pytest.fixture(scope="module")
def model():
    words = [PAD, UNKNOWN, START, END, *"is there a nodule yes no heart lung left right".split()]
    torch.manual_seed(0)
    module = ViTBertVQA(Config(
        len(words), 64, 24, 2, 32, question_width=16, question_heads=2, question_hidden=32, question_layers=1,
    ))  # fmt: skip
    for parameter in module.decoder.parameters():
        parameter.data *= 5 if parameter.ndim > 1 else 1
    return VQAAnswerer(module, Tokenizer(words), (1.0, 0.0))


@pytest.fixture(scope="module")
def image():
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60)).astype(np.uint8)
    return MedicalImage.from_array(pixels, "X-ray")


def test_the_score_is_the_answer_s_log_probability(model, image):
    trace, answer = model.trace(image, QUESTION), model.answer(image, QUESTION)
    assert isinstance(model, Explainable) and trace.answer == answer.text
    said = [model.tokenizer.start, *(model.tokenizer.vocabulary.index(word) for word in trace.words)]
    ids = model.tokenizer.batch([QUESTION], 40)
    with torch.no_grad():
        logs = model.module(model.pixels([image]), ids, torch.tensor([said[:-1]])).log_softmax(-1)[0]
    expected = sum(logs[i, token] for i, token in enumerate(said[1:]))
    torch.testing.assert_close(trace.score.detach(), expected, rtol=1e-4, atol=1e-4)
    again = trace.rescore(torch.cat([trace.pixels] * 2))
    torch.testing.assert_close(again, trace.score.expand(2), rtol=1e-4, atol=1e-4)
    assert trace.grid == (2, 2) and trace.gradients().abs().max() > 0 and trace.view.size == (40, 60)


def test_words_look_at_class_token_patches_and_question(model, image):
    trace = model.trace(image, QUESTION)
    assert trace.looks.shape == (len(trace.words), 4) and (trace.looks > 0).all()
    for weights in trace.attentions:
        assert weights.shape[2:] == (len(trace.words), 1 + 4 + len(model.tokenizer.batch([QUESTION], 40)[0]))
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


def test_what_is_refused(model, image):
    with pytest.raises(QuestionError, match="empty"):
        model.trace(image, " ")
    with pytest.raises(ModalityError, match="never seen"):
        model.trace(image.with_(modality="echo"), QUESTION)
