"""Methods that follow attention, against loops written out and attentions whose effect is known."""

import numpy as np
import pytest
import torch

from medvlm_lab import explain
from medvlm_lab.explain.attention_rollout import attention_rollout
from medvlm_lab.explain.chefer import chefer
from medvlm_lab.explain.legrad import legrad
from medvlm_lab.models.trace import Trace
from medvlm_lab.models.view import View
from medvlm_lab.models.writer import looked, until

TEXT = "is there a nodule"


@pytest.fixture(scope="module")
def clip_trace(published, picture):
    return published["clip"].trace(picture, TEXT)


def arrays(trace):
    gradients = torch.autograd.grad(trace.score, trace.attentions, retain_graph=True)
    return [(w.detach()[0].numpy(), g[0].numpy()) for w, g in zip(trace.attentions, gradients, strict=True)]


def test_relevance_by_loops(clip_trace):
    relevance = np.eye(17)
    for weights, gradient in arrays(clip_trace):
        heads = [np.maximum(w * g, 0) for w, g in zip(weights, gradient, strict=True)]
        relevance = relevance + np.mean(heads, 0) @ relevance
    found = chefer.__wrapped__(clip_trace)
    assert found.max() > 0
    np.testing.assert_allclose(found, relevance[0, 1:].reshape(4, 4), rtol=1e-4, atol=1e-8)


def test_legrad_by_loops(clip_trace):
    total = np.zeros(17)
    for weights, gradient in arrays(clip_trace):
        for column in range(17):
            total[column] += np.mean([max(g, 0) for g in gradient[:, :, column].ravel()])
        assert weights.shape == gradient.shape
    np.testing.assert_allclose(legrad.__wrapped__(clip_trace), total[1:].reshape(4, 4), rtol=1e-4, atol=1e-9)


def test_rollout_by_loops(clip_trace):
    first, second = ((w.mean(0) + np.eye(17)) / 2 for w, _ in arrays(clip_trace))
    found = attention_rollout.__wrapped__(clip_trace)
    np.testing.assert_allclose(found, (second @ first)[0, 1:].reshape(4, 4), rtol=1e-5)


@pytest.mark.parametrize("name", ["vit-bert-vqa", "clinical-blip"])
def test_rollout_of_an_encoder_whose_tokens_words_look_at(answerers, xray, name):
    """By the encoder's layers one after the other; what the words' methods use is another thing."""
    model = answerers[name]
    trace, tower = model.trace(xray, TEXT), getattr(model.module, "image_encoder", None) or model.module.vision
    entered = []
    hooks = [layer.register_forward_pre_hook(lambda _, args: entered.append(args[0])) for layer in tower.layers]
    with torch.no_grad():
        model.answer(xray, TEXT)
        rolled = torch.eye(entered[0].shape[1])
        for layer, x in zip(tower.layers, entered[-len(hooks) :], strict=True):
            layer.attention(layer.norm1(x), maps=(maps := []))
            rolled = (maps[0][0].mean(0) + torch.eye(len(rolled))) / 2 @ rolled
    for hook in hooks:
        hook.remove()
    expected = rolled.mean(0)[-4:].view(2, 2)  # behind the class token, if there is one
    torch.testing.assert_close(attention_rollout.__wrapped__(trace), expected, rtol=1e-4, atol=1e-6)
    steps = [np.maximum(w * g, 0).mean((0, 1)) for w, g in arrays(trace)]  # no layer's runs through another's
    np.testing.assert_allclose(chefer.__wrapped__(trace), sum(steps)[trace.tokens].reshape(2, 2), rtol=1e-4, atol=1e-8)
    assert "attention-rollout" in explain.methods(model)


def hand_made(rows, columns, tokens, reads):
    """Two heads in one layer; the score is 3 times what head 0 gives from the last row to the third cell."""
    torch.manual_seed(0)
    weights = torch.rand(1, 2, rows, columns).softmax(-1).requires_grad_()
    score = 3 * weights[0, 0, -1, int(tokens[2])]
    return Trace("x", score, torch.zeros(1, 1, 2, 2), View((8, 8), (0.0, 0.0, 8.0, 8.0)), (weights,), tokens, reads)


def test_one_weight_that_matters():
    crossing = hand_made(3, 6, torch.arange(1, 5), slice(2, 3))
    weight = crossing.attentions[0][0, 0, 2, 3].item()
    expected = torch.tensor([[0.0, 0.0], [3 * weight / 2, 0.0]])
    torch.testing.assert_close(chefer.__wrapped__(crossing), expected)
    torch.testing.assert_close(legrad.__wrapped__(crossing), torch.tensor([[0.0, 0.0], [3 / (2 * 3), 0.0]]))
    own = hand_made(5, 5, torch.arange(1, 5), slice(4, 5))  # the last row is a cell of its own: relevant to itself
    expected = torch.tensor([[0.0, 0.0], [3 * own.attentions[0][0, 0, 4, 3].item() / 2, 1.0]])
    torch.testing.assert_close(chefer.__wrapped__(own), expected)


def test_each_word_of_an_answer_has_the_weights_of_its_own_row(published, picture):
    model = published["llava"]
    seen, trace = explain.explain("cross-attention", model, picture, TEXT), model.trace(picture, TEXT)
    assert len(seen.words) == len(seen.looks) == len(trace.words) and seen.looks.shape[1:] == (40, 60)
    weights = torch.stack([w[0] for w in trace.attentions]).mean((0, 1))[trace.reads][:, trace.tokens].detach()
    np.testing.assert_allclose(seen.looks[-1], trace.to_image(weights[-1].view(4, 4)), rtol=1e-5)
    np.testing.assert_allclose(seen.values, seen.looks.mean(0), rtol=1e-6)


def test_through_queries_weights_multiply():
    read = [torch.tensor([[[[1.0, 0.0], [0.5, 0.5]]]])]  # two words look at two queries,
    look = [torch.tensor([[[[0.2, 0.8, 0.0], [0.6, 0.0, 0.4]]]])]  # which look at three patches
    torch.testing.assert_close(looked(read, look), torch.tensor([[0.2, 0.8, 0.0], [0.4, 0.4, 0.2]]))


def test_words_of_a_prefix_model_look_through_the_q_former(writers, xray):
    """The weights of a pass written out with the modules themselves."""
    model, question = writers["clinical-blip"], "Is there a nodule?"
    trace = model.trace(xray, question)
    net, maps, language = model.module, [], []
    with torch.no_grad():
        prompt = model.prompts([xray], [f"question: {question} answer:"])
        _, ids, keep = model.seen([xray], prompt)
        ids, keep = ids.clone(), keep.clone()
        seen = net.look(net.patches(model.pixels([xray])), ids, keep, maps)
        written, _ = net.write(seen, ids, keep, model.tokenizer.end, 24)
        said = [*until(written[0].tolist(), model.tokenizer.end), model.tokenizer.end]
        whole = torch.cat([ids, torch.tensor([said])], 1)
        tokens, real = net.joined(seen, whole, torch.ones_like(whole, dtype=torch.bool))
        net.language(tokens, real, maps=language)
    rows = slice(4 + ids.shape[1] - 1, 4 + whole.shape[1] - 1)  # 4 queries; a word is written one step before it
    words = sum(w[0, :, rows, :4].mean(0) for w in language) / len(language)
    patches = sum(w[0].mean(0) for w in maps) / len(maps)
    torch.testing.assert_close(trace.looks, words @ patches, rtol=1e-4, atol=1e-6)
    assert trace.words == tuple(model.tokenizer.vocabulary[i] for i in said)


def test_words_of_a_gated_model_look_through_the_resampler(writers, xray):
    model = writers["flamingo-cxr"]
    trace = model.trace(xray, "Is there a nodule?")
    assert trace.looks.shape == (len(trace.words), 4) and (trace.looks > 0).all()
    # each word spreads 1 over the latents, each latent 1 over patches and latents
    share = torch.stack([w[0].mean(0) for w in trace.attentions]).mean(0)[:, :4].sum(1)
    assert (trace.looks.sum(1) >= share.min() - 1e-6).all() and (trace.looks.sum(1) <= share.max() + 1e-6).all()
