"""Grades of maps that are known to be right, wrong, blind to the model, or blind to the finding."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError, UnknownNameError
from medvlm_lab.explain import grading, randomise, remove
from medvlm_lab.explain.base import layers, traced
from medvlm_lab.explain.explanation import Explanation
from medvlm_lab.explain.grading import GradeRow, best_iou, curves, distance, grade, score_rows
from medvlm_lab.explain.prompts import asked, prompts
from medvlm_lab.explain.randomise import randomisation
from medvlm_lab.explain.remove import counterfactual, mass
from medvlm_lab.models.trace import Trace
from medvlm_lab.models.view import View
from medvlm_lab.phantoms.places import place


@pytest.fixture(scope="module")
def data():
    return lab.dataset("phantom:chest-xray", "test", n=6, size=48)


def seen(values, image, signed=False):
    return Explanation(values.astype(np.float32), "oracle", "model", "x", 0.5, image, signed=signed)


def oracle(data, change=lambda mask: mask):
    """A method that knows where everything is."""
    known = {data.study(i).image().name: data.masks(i) for i in range(data.studies)}
    return lambda model, image, text, trace: seen(change(place(known[image.name], text, 0)), image)


def test_an_oracle_hits_and_its_opposite_misses(chest, data, monkeypatch):
    monkeypatch.setattr(grading, "function", lambda name: oracle(data))
    result = grade("oracle", chest, data, progress=False)
    assert result.scores["pointing"].value == 100 and result.scores["iou"].value == 1
    assert result.scores["pointing"].n == len(result.rows) > 5
    assert 0 < result.scores["chance"].value < 50 and all(0 < row.share < 1 for row in result.rows)
    assert json.loads(result.to_json(rows=True))["rows"][0]["hit"] is True and "Pointing game" in str(result)
    monkeypatch.setattr(grading, "function", lambda name: oracle(data, np.logical_not))
    assert grade("oracle", chest, data, progress=False).scores["pointing"].value == 0


def test_a_real_method_on_two_models(chest, echo, writers, data):
    result = grade("prompt-cam", chest, data, progress=False)
    again = grade("prompt-cam", chest, data, progress=False)
    assert result.scores == again.scores and result.rows == again.rows
    assert {row.finding for row in result.rows} <= {f for i in range(6) for f in data.study(i).findings}
    finer = grade("grad-cam", chest, data, n=2, layer="image_encoder.stages.0", progress=False)
    assert finer.rows != grade("grad-cam", chest, data, n=2, progress=False).rows
    cines = lab.dataset("phantom:echocardiogram", "test", n=12, size=48)
    devices = grade("grad-cam", echo, cines, progress=False)
    assert {row.finding for row in devices.rows} <= {"pacemaker lead", "MitraClip", "TAVR valve"}
    answers = grade("grad-cam", writers["clinical-blip"], data, n=3, progress=False)
    assert all(0 <= row.insertion <= 1 and 0 <= row.deletion <= 1 for row in answers.rows)  # probabilities


@settings(max_examples=80, deadline=None)
@given(arrays(np.float32, (3, 4), elements=st.sampled_from([0, 1, 2, 3])), arrays(np.bool_, (3, 4)))
def test_the_best_threshold_is_the_best_of_all(values, mask):
    tried = [((values >= t) & mask).sum() / ((values >= t) | mask).sum() for t in np.unique(values)]
    assert best_iou(values, mask) == pytest.approx(max(tried))


def test_curves_of_a_score_that_is_a_sum():
    """Four of 16 pixels count 1 each; the picture is twice as wide as the model's input shows of it."""
    pixels = torch.zeros(1, 4, 4)
    pixels[0, 1:3, 1:3] = 1
    trace = Trace(
        "x", torch.tensor(4.0), torch.zeros(1, 1, 2, 2), View((4, 8), (0.0, 2.0, 4.0, 6.0)), pixels=pixels,
        again=lambda x: x.flatten(1).sum(1)[:, None], embedding=torch.zeros(1), text_embedding=torch.ones(1),
    )  # fmt: skip
    values = np.zeros((4, 8))
    values[1:3, 3:5] = 1  # exactly those that count, in the image's own pixels
    image = lab.MedicalImage.from_array(np.zeros((4, 8), np.uint8))
    best = curves(seen(values, image), trace)  # 16 steps of one pixel: 0 1 2 3 4 4 … 4
    assert best == pytest.approx(((0.5 + 1.5 + 2.5 + 3.5 + 12 * 4) / 16, (3.5 + 2.5 + 1.5 + 0.5) / 16))
    worst = curves(seen(-values, image), trace)
    assert worst == pytest.approx(best[::-1])


def test_scores_of_known_rows():
    row = lambda study, share, hit, near: GradeRow(study, "nodule", share, hit, near, 0.5, 0.8, 0.2)  # noqa: E731
    scores = score_rows([
        row("a", 0.2, True, True), row("a", 0.001, False, True), row("b", 0.001, False, False),
        row("c", 0.2, True, True),
    ])  # fmt: skip
    assert scores["pointing_near"].value == 75 and scores["pointing_near_large"].value == 100
    assert scores["pointing"].value == 50 and scores["pointing_large"].value == 100
    assert scores["pointing_large"].n == 2 and scores["pointing nodule"].n == 4
    assert scores["pointing"].low < 50 < scores["pointing"].high and scores["insertion"].value == pytest.approx(0.8)
    assert score_rows([row("a", 0.001, True, True)])["pointing_large"].n == 0


def test_a_point_is_so_far_from_a_finding():
    mask = np.zeros((9, 12), bool)
    mask[2:4, 5:8] = True
    assert distance(mask, (3, 6)) == 0 and distance(mask, (6, 7)) == 3 and distance(mask, (0, 1)) == np.hypot(2, 4)


@pytest.mark.parametrize("method", ["score-cam", "occlusion"])
def test_changed_pictures_are_seen_once_for_all_findings(chest, xray, method):
    passes = []
    handle = chest.module.image_encoder.stem.register_forward_hook(lambda *_: passes.append(1))
    first, second = asked(chest, xray, ["nodule", "pacemaker"]).items()
    lab.explain.explain(method, chest, xray, first[0], trace=first[1])
    before = len(passes)
    seen = lab.explain.explain(method, chest, xray, second[0], trace=second[1])
    handle.remove()
    (alone,) = asked(chest, xray, [second[0]]).values()
    assert before > 1 and len(passes) == before
    np.testing.assert_array_equal(seen.values, lab.explain.explain(method, chest, xray, "x", trace=alone).values)


def test_how_models_are_asked(chest, echo, writers, xray):
    assert prompts(chest, "nodule") == (
        ("There is nodule.", "nodule is present."), ("There is no nodule.", "No nodule is seen."),
    )  # fmt: skip
    traces = asked(chest, xray, ["nodule"])
    by_hand = [chest.encode_texts(part).mean(0) for part in prompts(chest, "nodule")]
    torch.testing.assert_close(traces["nodule"].text_embedding, by_hand[0] - by_hand[1])
    assert prompts(echo, "pericardial effusion") == ((), ()) and len(prompts(echo, "MitraClip")[0]) == 2
    (trace,) = asked(writers["clinical-blip"], xray, ["nodule"]).values()
    assert trace.text == "Is there nodule?"


def test_a_map_that_ignores_the_model_fails_and_one_that_is_the_model_passes(chest, data, monkeypatch):
    edges = lambda model, image, text, trace: seen(  # noqa: E731
        np.abs(np.gradient(image.pixels[0].astype(float))[0]), image
    )
    state = {name: value.clone() for name, value in chest.module.state_dict().items()}
    monkeypatch.setattr(randomise, "function", lambda name: edges)
    failed = randomisation("edges", chest, data, n=4, groups=3)
    assert not failed.passes and len(failed.scores) == 3
    assert all(score.value == pytest.approx(1) for score in failed.scores.values()) and str(failed).endswith("fails")
    weights = lambda model, image, text, trace: seen(  # noqa: E731
        np.resize(model.module.text_encoder.projection.weight.detach().numpy(), (48, 48)), image
    )
    monkeypatch.setattr(randomise, "function", lambda name: weights)
    passed = randomisation("weights", chest, data, n=4, groups=3)
    assert passed.passes and str(passed).endswith("passes")
    low = lambda model, image, text, trace: seen(  # noqa: E731
        np.resize(model.module.image_encoder.stem[0].weight.detach().numpy(), (48, 48)), image
    )
    monkeypatch.setattr(randomise, "function", lambda name: low)
    late = randomisation("low", chest, data, n=4, groups=3)  # goes in the last step only: the lowest layer is all it is
    assert not late.passes and abs(list(late.scores.values())[-1].value) < 0.5
    monkeypatch.setattr(randomise, "function", lambda name: lambda *a, **k: seen(np.zeros((48, 48)), a[1]))
    with pytest.raises(MedVLMError, match="has a map that shows anything"):  # an empty map must not pass
        randomisation("nothing", chest, data, n=4, groups=3)
    assert all(torch.equal(value, state[name]) for name, value in chest.module.state_dict().items())


def test_the_cascade_starts_at_the_top_and_is_reproducible(chest, data):
    names = [name for name, _ in randomise.top_down(chest.module.image_encoder)]
    assert names[0] == "projection" and names[-1] == "stem.0" and len(set(names)) == len(names)
    one, two = (randomisation("prompt-cam", chest, data, n=2, groups=4) for _ in range(2))
    assert one.rows == two.rows and all(-1 <= row.correlation <= 1 for row in one.rows)
    weights = torch.nn.Linear(4, 4)
    before = weights.weight.detach().clone()
    randomise.shuffle(weights, torch.Generator().manual_seed(0))
    assert not torch.equal(before, weights.weight)
    assert torch.equal(before.flatten().sort().values, weights.weight.detach().flatten().sort().values)


def test_a_map_of_the_finding_goes_with_it_and_another_does_not(chest, monkeypatch):
    phantom = lab.phantom("chest-xray")
    brightness = lambda model, image, text, trace: seen(np.ones((48, 48)), image)  # noqa: E731
    monkeypatch.setattr(remove, "function", lambda name: brightness)
    stays = counterfactual("even", chest, phantom, "pacemaker", n=3, size=48)
    assert stays.scores["gone"].value == 0 and stays.scores["share_with"] == stays.scores["share_without"]
    assert len(stays.rows) == 3
    first = {}

    def changed(model, image, text, trace):  # the map of the second picture of each pair is empty
        first[len(first)] = image.name
        return seen(np.full((48, 48), float(len(first) % 2)), image)

    monkeypatch.setattr(remove, "function", lambda name: changed)
    goes = counterfactual("changed", chest, phantom, "pacemaker", n=3, size=48)
    assert goes.scores["gone"].value == 100 and goes.scores["share_without"].value == 0
    assert mass(np.array([[2.0, -5.0], [1.0, 1.0]]), np.array([[True, True], [False, False]])) == (2.0, 0.5)


def test_a_real_counterfactual(chest):
    result = counterfactual("prompt-cam", chest, lab.phantom("chest-xray"), "pleural effusion", n=3, size=48)
    assert result.scores["score_with"].value != result.scores["score_without"].value
    assert all(0 <= row.share_with <= 100 for row in result.rows) and "without pleural effusion" in str(result)


def log_probability(model, image, question, answer):
    """Of an answer and its end, from a pass of the whole text."""
    net, tokenizer = model.module, model.tokenizer
    with torch.no_grad():
        if model.name == "vit-bert-vqa":
            ids = torch.tensor([tokenizer.encode(answer, 24)])
            logits = net(model.pixels([image]), tokenizer.batch([question], 40), ids[:, :-1])
            return logits.log_softmax(-1)[0].gather(1, ids[0, 1:, None]).sum()
        seen, ids, keep = model.seen([image], model.prompts([image], [f"question: {question} answer:"]))
        said = torch.tensor([[*tokenizer.words(answer), tokenizer.end]])
        whole = torch.cat([ids, said], 1)
        seen = seen.longer(said.shape[1])
        tokens, real = net.joined(seen, whole, torch.ones_like(whole, dtype=torch.bool))
        logs = net.language(tokens, real, before_layer=net.hooks(seen))[0].log_softmax(-1)
        return logs[-said.shape[1] - 1 : -1].gather(1, said.T).sum()


NAMES = ["vit-bert-vqa", "pathology-vlm", "clinical-blip", "flamingo-cxr"]


@pytest.mark.parametrize("name", NAMES)
def test_a_trace_of_a_given_answer(answerers, xray, name):
    model, image, question = answerers[name], xray.with_(modality="unknown"), "Is there nodule?"
    for answer in ("yes", "no nodule", ""):
        trace = model.trace(image, question, answer=answer)
        assert trace.answer.lower() == answer and trace.words[-1] == "[SEP]"
        expected = log_probability(model, image, question, answer)
        torch.testing.assert_close(trace.score.detach(), expected, rtol=1e-3, atol=1e-3)
    own = model.trace(image, question)
    again = model.trace(image, question, answer=own.answer)
    assert (again.answer, again.words) == (own.answer, own.words)
    torch.testing.assert_close(again.score, own.score)
    for layer in layers(model, image, question)[-1:]:
        assert traced(model, image, question, layer, "yes").answer.lower() == "yes"


@pytest.mark.parametrize("name", NAMES)
def test_grades_of_a_model_that_answers_are_of_one_answer(answerers, name, monkeypatch):
    """Whatever the changed model would say, or the model about the changed picture."""
    kind, finding = ("histology", "calcification") if name == "pathology-vlm" else ("chest-xray", "pacemaker")
    looked = {}

    def method(model, image, text, trace):
        expected = log_probability(model, image, trace.text, trace.answer)
        torch.testing.assert_close(trace.score.detach(), expected, rtol=1e-3, atol=1e-3)
        own = model.trace(image, trace.text).answer
        looked.setdefault((image.name, text), []).append((trace.answer, own))
        return seen(np.random.default_rng(0).random((image.height, image.width)), image)

    for module in (randomise, remove):
        monkeypatch.setattr(module, "function", lambda name: method)
    randomisation("method", answerers[name], lab.dataset(f"phantom:{kind}", "test", n=6, size=64), n=2, groups=3)
    for found in looked.values():
        assert len(found) == 4 and {answer for answer, _ in found} == {found[0][1]}
    if name != "pathology-vlm":  # of whose toy every version says the same
        assert any(answer != own for found in looked.values() for answer, own in found)
    looked.clear()
    result = counterfactual("method", answerers[name], lab.phantom(kind), finding, n=2, size=64)
    pairs = list(zip(*[iter(answer for found in looked.values() for answer, _ in found)] * 2, strict=True))
    assert len(pairs) == len(result.rows) == 2 and all(one == two for one, two in pairs)


def test_what_cannot_be_graded_is_a_sentence(chest, echo, data):
    with pytest.raises(MedVLMError, match="has no masks"):
        grade("prompt-cam", chest, [], progress=False)
    with pytest.raises(MedVLMError, match="None of 2 studies has a finding"):
        grade("prompt-cam", chest, data, n=2, findings=["no such thing"], progress=False)
    with pytest.raises(MedVLMError, match="n=0"):
        grade("prompt-cam", chest, data, n=0, progress=False)
    with pytest.raises(UnknownNameError, match="did you mean 'pleural effusion'"):
        counterfactual("prompt-cam", chest, lab.phantom("chest-xray"), "pleural efusion")
    with pytest.raises(MedVLMError, match="cardiomegaly follows from the scene's numbers"):
        counterfactual("prompt-cam", chest, lab.phantom("chest-xray"), "cardiomegaly")
    with pytest.raises(MedVLMError, match="echo-clip has no prompts for 'pericardial effusion'"):
        counterfactual("prompt-cam", echo, lab.phantom("echocardiogram"), "pericardial effusion", n=1, size=48)
