"""Models that write: padding and batches change nothing, shut gates change nothing, and what is refused."""

import dataclasses
import math

import numpy as np
import pytest
import torch

import medvlm_lab as lab
from medvlm_lab.errors import CheckpointError, ModalityError, QuestionError
from medvlm_lab.models import clinical_blip as blip
from medvlm_lab.models import flamingo_cxr as flamingo
from medvlm_lab.models.base import Answerer, Explainable, Reporter
from medvlm_lab.models.generative import Seen, lesson, padded
from medvlm_lab.models.store import save_weights
from medvlm_lab.models.writer import until
from medvlm_lab.text.tokenizer import Tokenizer
from medvlm_lab.train.lessons import instruction_vocabulary

TAGS = ("cardiomegaly", "left nodule", "right nodule")
SMALL = {"image_size": 32, "width": 24, "vision_depth": 1, "vision_heads": 2, "language_depth": 2, "language_heads": 2,
         "kv_heads": 1, "language_hidden": 32}  # fmt: skip


@pytest.fixture(scope="module")
def words():
    return [*instruction_vocabulary("chest-xray", "tags: none."), flamingo.MARK]


@pytest.fixture(scope="module")
def models(words, tmp_path_factory):
    """An untrained checkpoint of each model, loaded from disk."""
    configs = {
        blip.ClinicalBLIP: blip.Config(
            len(words), TAGS, **SMALL, queries=4, qformer_depth=2, qformer_heads=2, qformer_hidden=32, embedding=16
        ),
        flamingo.FlamingoCXR: flamingo.Config(
            len(words), words.index(flamingo.MARK), TAGS, **SMALL, latents=4, resampler_heads=2
        ),
    }
    found = {}
    for cls, config in configs.items():
        folder = tmp_path_factory.mktemp(cls.name)
        (folder / "vocabulary.txt").write_text("\n".join(words), encoding="utf-8")
        torch.manual_seed(1)
        net = cls.network(config)
        for gate in getattr(net, "gated", ()):  # opened, or nothing of the image would be seen
            torch.nn.init.constant_(gate.attention_gate, 1.0)
        for parameter in net.parameters():  # louder, so that a wrong position or mask shows
            parameter.data *= 3 if parameter.ndim > 1 else 1
        save_weights(folder, net.state_dict(), {"architecture": cls.name, "model": dataclasses.asdict(config)})
        found[cls.name] = cls.load(folder)
    return found


@pytest.fixture(scope="module")
def images():
    chest = lab.phantom("chest-xray")
    return [chest.image(chest.draw(seed), 48) for seed in range(3)]


NAMES = ("clinical-blip", "flamingo-cxr")


@pytest.mark.parametrize("name", NAMES)
def test_capabilities(models, name):
    assert isinstance(models[name], Reporter) and isinstance(models[name], Answerer)
    assert isinstance(models[name], Explainable)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_answers_as_each_question_alone_does(models, images, name):
    model, questions = models[name], ["Is there a nodule?", "Where?", "Does the X-ray show a pacemaker on the left?"]
    together = model.answer_batch(images, questions)
    for image, question, answer in zip(images, questions, together, strict=True):
        alone = model.answer(image, question)
        assert answer.text == alone.text and answer.confidence == pytest.approx(alone.confidence, rel=1e-4)
        assert answer.confidence == pytest.approx(math.exp(sum(answer.token_logprobs)), rel=1e-2)
        ranked = [p for _, p in answer.alternatives]
        assert ranked == sorted(ranked, reverse=True) and sum(ranked) <= 1 + 1e-6
        assert answer.alternatives[0] == (answer.text, pytest.approx(answer.confidence))
        assert all(text for text, _ in answer.alternatives[1:])


@pytest.mark.parametrize("name", NAMES)
def test_the_image_matters(models, images, name):
    model = models[name]
    one, two = (model.answer(image, "Is there a nodule?").confidence for image in images[:2])
    assert one != two


@pytest.mark.parametrize("name", NAMES)
def test_reports_come_one_for_each_image_with_a_confidence_for_each_sentence(models, images, name):
    reports = models[name].report_batch(images)
    assert len(reports) == 3
    assert reports[1] == dataclasses.replace(models[name].report(images[1]), seconds=reports[1].seconds)
    assert all(0 <= p <= 1 for report in reports for _, p in report.sentences)


@pytest.mark.parametrize("name", NAMES)
def test_the_trace_s_score_is_the_answer_s_log_probability(models, images, name):
    model = models[name]
    trace = model.trace(images[0], "Is there a nodule?")
    with torch.inference_mode():
        seen, ids, keep = model.seen(images[:1], model.prompts(images[:1], ["question: Is there a nodule? answer:"]))
        written, logs = model.module.write(seen, ids, keep, model.tokenizer.end, 24)
        said = [*until(written[0].tolist(), model.tokenizer.end), model.tokenizer.end]
        whole = torch.cat([ids, torch.tensor([said])], 1)
        seen = seen.longer(len(said))
        tokens, real = model.module.joined(seen, whole, torch.ones_like(whole, dtype=torch.bool))
        scores = model.module.language(tokens, real, before_layer=model.module.hooks(seen))[0].log_softmax(-1)
        each = scores[-len(said) - 1 : -1].gather(1, torch.tensor(said)[:, None])[:, 0]
    assert float(trace.score) == pytest.approx(float(each.sum()), rel=1e-3)
    torch.testing.assert_close(logs[0], each[: logs.shape[1]], rtol=1e-3, atol=1e-3)  # with a cache as without
    assert trace.grid == (2, 2) and trace.gradients().abs().sum() > 0
    for weights in trace.attentions:
        assert weights.shape[-1] >= 4
        torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))


def test_the_q_former_reads_the_prompt_alike_on_whichever_side_it_is_padded(models):
    net, rng = models["clinical-blip"].module, np.random.default_rng(0)
    rows = [rng.integers(5, 200, k).tolist() for k in (3, 9)]
    patches = torch.randn(2, 4, 24)
    left, right = (net.look(patches, *padded(rows, 0, left=side)).prefix for side in (True, False))
    torch.testing.assert_close(left, right)


def test_tags_stand_in_the_prompt_unless_switched_off(models, images):
    model = models["clinical-blip"]
    tags = model.tags(images)
    assert [set(row) for row in tags] == [set(TAGS)] * 3
    (prompt,) = model.prompts(images[:1], ["report:"])
    expected = [name for name, p in tags[0].items() if p >= 0.5]
    assert prompt == f"tags: {', '.join(expected) or 'none'}. report:"
    model.tagged = False
    try:
        assert model.prompts(images[:1], ["report:"]) == ["report:"]
    finally:
        model.tagged = True


def test_with_its_gates_shut_a_flamingo_writes_what_its_language_model_writes(models):
    net = models["flamingo-cxr"].module
    closed = type(net)(net.config)
    closed.load_state_dict(net.state_dict())
    for block in closed.gated:
        torch.nn.init.zeros_(block.attention_gate)
    ids = torch.randint(5, 200, (2, 7))
    ids[:, 1] = net.config.image_token
    keep = torch.ones_like(ids, dtype=torch.bool)
    seen = closed.see(torch.rand(2, 1, 32, 32), ids, keep)
    assert torch.equal(closed.language(ids, before_layer=closed.hooks(seen)), closed.language(ids))


def test_a_text_looks_at_the_image_before_it_only(models):
    net = models["flamingo-cxr"].module
    ids = torch.randint(5, 200, (1, 8))
    ids[0, [1, 4]] = net.config.image_token
    keep, pixels = torch.ones_like(ids, dtype=torch.bool), torch.rand(1, 2, 32, 32)
    changed = pixels.clone()
    changed[:, 1] = torch.rand(32, 32)
    with torch.inference_mode():
        one, two = (net.language(ids, before_layer=net.hooks(net.see(p, ids, keep))) for p in (pixels, changed))
    assert torch.equal(one[:, :4], two[:, :4]) and not torch.allclose(one[:, 4:], two[:, 4:])


def test_few_shot_prompts_and_what_is_refused(models, images):
    model = models["flamingo-cxr"]
    shots = [(images[0], "findings: clear. impression: normal."), (images[1], "findings: nodule. impression: nodule.")]
    one, two = model.report_after(images[1:], [shots, shots])
    assert one.findings == model.report(images[1], shots=shots).findings != "" or one.impression
    assert two.sentences == model.report(images[2], shots=shots).sentences
    assert isinstance(model.write("<image> report: clear. [SEP] <image> report:", images[:2], 8), str)
    with pytest.raises(QuestionError, match="no <image>"):
        model.write("report:", [])
    with pytest.raises(QuestionError, match="2 <image> marks for 1 images"):
        model.write("<image> <image>", images[:1])
    with pytest.raises(QuestionError, match="reads 5 at most"):
        model.report(images[0], shots=shots * 3)
    with pytest.raises(QuestionError, match="shorten"):
        model.report(images[0], shots=[(images[1], "findings: clear. " * 500)])
    for counts in ((1, 2), (1,)):  # not all equally many, not one list for each image
        with pytest.raises(QuestionError, match="2 images, but . lists of .*; give one list for each image"):
            model.report_after(images[:2], [shots[:count] for count in counts])
    for ask in (model.answer, model.trace):
        with pytest.raises(QuestionError, match="2 <image> marks for 1 images; .* leave them out of a question"):
            ask(images[0], "Is <image> normal?")


def test_what_is_refused(models, images, tmp_path):
    model = models["clinical-blip"]
    with pytest.raises(ModalityError, match="has seen X-ray only"):
        model.report(lab.phantom("histology").image(lab.phantom("histology").draw(0), 64))
    with pytest.raises(QuestionError, match="empty"):
        model.answer(images[0], "  ")
    with pytest.raises(QuestionError, match="one question per image"):
        model.answer_batch(images, ["Is there a nodule?"])
    save_weights(tmp_path, {}, {"architecture": "flamingo-cxr", "model": {}})
    with pytest.raises(CheckpointError, match="flamingo-cxr"):
        blip.ClinicalBLIP.load(tmp_path)


def test_the_loss_counts_the_marked_tokens_only(models, words):
    net, tokenizer = models["clinical-blip"].module, Tokenizer(words)
    ids, keep, target = lesson([[2, 10, 11], [2, 10]], [[12, 13, 3], [14, 3]], tokenizer.pad, 100)
    assert target.sum() == 5 and keep.sum() == 10
    logits = net.language(ids, keep).log_softmax(-1)
    by_hand = [-logits[0, 2, 12], -logits[0, 3, 13], -logits[0, 4, 3], -logits[1, 1, 14], -logits[1, 2, 3]]
    torch.testing.assert_close(net.loss(Seen(), ids, keep, target), torch.stack(by_hand).mean())
