"""The network: shapes, exact masking of padding, beam search against brute force."""

import itertools

import pytest
import torch

from medvlm_lab.models.beam import beam_search
from medvlm_lab.models.vit_bert_vqa import Config, ViTBertVQA

SMALL = Config(
    vocabulary=30, image_size=64, width=24, heads=2, hidden=32, question_width=16, question_heads=2,
    question_hidden=32, question_layers=1,
)  # fmt: skip


@pytest.fixture
def model():
    return ViTBertVQA(SMALL).double().eval()


def test_padding_of_the_question_changes_nothing(model):
    image = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    question, answer = torch.randint(1, 30, (2, 5)), torch.randint(1, 30, (2, 4))
    padded = torch.cat([question, torch.zeros(2, 7, dtype=torch.long)], 1)
    with torch.inference_mode():
        torch.testing.assert_close(
            model(image, padded, answer), model(image, question, answer), rtol=1e-10, atol=1e-12
        )


def test_the_decoder_is_causal(model):
    image, question = torch.rand(1, 3, 64, 64, dtype=torch.float64), torch.randint(1, 30, (1, 5))
    first, second = torch.tensor([[1, 4, 5, 6]]), torch.tensor([[1, 4, 9, 2]])
    with torch.inference_mode():
        a, b = model(image, question, first), model(image, question, second)
    assert torch.equal(a[:, :2], b[:, :2])
    assert not torch.allclose(a[:, 2:], b[:, 2:])


def test_image_and_question_both_matter(model):
    images, question = torch.rand(2, 3, 64, 64, dtype=torch.float64), torch.randint(1, 30, (1, 5)).expand(2, -1)
    answer = torch.tensor([[1], [1]])
    with torch.inference_mode():
        one = model(images, question, answer)
        assert not torch.equal(one[0], one[1])
        assert not torch.equal(one, model(images, question.flip(1), answer))


def test_impossible_sizes_are_refused():
    with pytest.raises(ValueError, match="heads"):
        Config(vocabulary=9, width=10, heads=3)
    with pytest.raises(ValueError, match="multiple of 32"):
        Config(vocabulary=9, image_size=100)


def test_a_wide_beam_finds_the_most_probable_sequences():
    vocabulary, end, limit = 4, 3, 4
    torch.manual_seed(3)
    table = torch.randn(limit, vocabulary, vocabulary, dtype=torch.float64)  # step, previous token, next token

    def decode(ids, memory, keep):
        return table[ids.shape[1] - 1, ids[:, -1]][:, None]

    ids, logs = beam_search(decode, torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool), 0, end, 64, limit)
    log, found = table.log_softmax(-1), {}
    for tail in itertools.product(range(vocabulary), repeat=limit - 1):
        tail = tail[: tail.index(end) + 1] if end in tail else tail
        found[tail] = sum(log[i, ((0, *tail))[i], t].item() for i, t in enumerate(tail))
    best = sorted(found.items(), key=lambda pair: -pair[1])[:5]
    for (tail, total), row, value in zip(best, ids[0], logs[0].sum(-1), strict=False):
        assert tuple(row[1 : 1 + len(tail)].tolist()) == tail
        assert value.item() == pytest.approx(total, abs=1e-5)
