"""Published models that answer or segment: equal to the library's own, and traces of what they said."""

import contextlib
import functools

import hub_answerers as build
import hub_checkpoints
import numpy as np
import pytest
import torch
from hub_checkpoints import softmaxed

import medvlm_lab as lab
from medvlm_lab.errors import CheckpointError, QuestionError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models import hub_report
from medvlm_lab.models.base import Answerer, Explainable, Reporter, Segmenter
from medvlm_lab.text.prose import sections

pytestmark = pytest.mark.usefixtures("offline")
QUESTION = "is there a nodule ?"
KINDS = {
    "blip": ("blip-vqa", build.blip), "instructblip": ("instructblip", build.instructblip),
    "instructblip t5": ("instructblip", functools.partial(build.instructblip, t5=True)),
    "idefics": ("idefics", build.idefics),
    "idefics resampler": ("idefics", functools.partial(build.idefics, resampler=True)), "llava": ("llava", build.llava),
    "llava-med": ("llava-med", functools.partial(build.llava, mistral=True)),
    "paligemma": ("paligemma", build.paligemma), "gemma3": ("medgemma", build.gemma3),
}  # fmt: skip
PROMPTS = {
    "blip": QUESTION, "instructblip": QUESTION, "instructblip t5": QUESTION,
    "llava": f"USER: <image>\n{QUESTION} ASSISTANT:", "llava-med": f"USER: <image>\n{QUESTION} ASSISTANT:",
    "paligemma": f"<image>answer en {QUESTION}",
    "gemma3": f"<start_of_turn>user\n<start_of_image>{QUESTION}<end_of_turn>\n<start_of_turn>model\n",
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    found = {}
    for kind, (_, make) in KINDS.items():
        found[kind] = tmp_path_factory.mktemp("hub")
        make(found[kind])
    return found


@pytest.fixture(scope="module")
def models(folders):
    loaded = {kind: lab.load(name, checkpoint=folders[kind], device="cpu") for kind, (name, _) in KINDS.items()}
    for model in loaded.values():
        model.max_new_tokens = 6
    return loaded


@pytest.mark.parametrize("kind", KINDS)
def test_generated_ids_equal_the_librarys_own(kind, models, folders, pictures):
    import transformers as hf

    model, image = models[kind], pictures[0]
    own = type(model.module).from_pretrained(folders[kind]).eval()
    processor = hf.AutoProcessor.from_pretrained(folders[kind])
    if kind.startswith("idefics"):
        prompt = [["User:", image.pil(), f"{QUESTION}\nAssistant:"]]
        inputs = processor(text=prompt, return_tensors="pt")
    else:
        inputs = processor(images=[image.pil()], text=[PROMPTS[kind]], return_tensors="pt")
        inputs.pop("labels", None)
    options = {"max_new_tokens": 6, "do_sample": False, "output_logits": True, "return_dict_in_generate": True}
    out = own.generate(**inputs, **options)
    expected = processor.tokenizer.convert_ids_to_tokens(out.sequences[0, -len(out.logits) :])
    end = "[SEP]" if kind == "blip" else "</s>"
    answer = model.answer(image, QUESTION)
    assert answer.tokens == tuple(expected[: expected.index(end)] if end in expected else expected) != ()
    assert answer.confidence == pytest.approx(np.exp(answer.token_logprobs).mean())
    assert 0 < answer.confidence < 1 and len(answer.tokens) == len(answer.token_logprobs)


@pytest.mark.parametrize("kind", KINDS)
def test_capabilities(kind, models):
    model = models[kind]
    assert isinstance(model, Answerer) and isinstance(model, Explainable) and not isinstance(model, Segmenter)
    assert isinstance(model, Reporter) == (kind not in ("blip", "paligemma"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_image_matters(kind, models, pictures):
    logs = [models[kind].trace(image, QUESTION, answer="yes").score.item() for image in pictures]
    assert np.ptp(logs) > 1e-3


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_does_not_depend_on_its_batch(kind, models, pictures):
    model = models[kind]
    questions = [QUESTION, "the heart is large", QUESTION]
    alone = [model.answer(image, question) for image, question in zip(pictures, questions, strict=True)]
    together = model.answer_batch(pictures, questions)
    for one, other in zip(alone, together, strict=True):
        assert one.tokens == other.tokens
        assert one.token_logprobs == pytest.approx(other.token_logprobs, abs=1e-4)
    assert model.answer_batch([], []) == []


@pytest.mark.parametrize("kind", KINDS)
def test_streaming_ends_with_the_answer(kind, models, pictures):
    *pieces, last = models[kind].stream(pictures[0], QUESTION)
    expected = models[kind].answer(pictures[0], QUESTION)
    assert "".join(pieces).strip() == last.text == expected.text and last.tokens == expected.tokens


@pytest.mark.parametrize("kind", KINDS)
def test_trace_explains_what_was_said(kind, models, pictures):
    model = models[kind]
    trace, said = model.trace(pictures[1], QUESTION), model.answer(pictures[1], QUESTION)
    if said.tokens:
        assert trace.answer == said.text
        assert trace.score.item() == pytest.approx(sum(said.token_logprobs), abs=1e-3)
    assert trace.gradients().abs().max() > 0 and trace.attentions
    # behind the first layers only some rows are read, so one layer's gradient may be zero, never that of all
    assert max(g.abs().max() for g in torch.autograd.grad(trace.score, trace.attentions)) > 0
    for weights in trace.attentions:
        assert weights[..., trace.reads, :].shape[2] > 0 and int(trace.tokens.max()) < weights.shape[-1]
    assert len(trace.tokens) == trace.grid[0] * trace.grid[1]
    assert trace.to_image(torch.ones(trace.grid)).shape == (40, 60)


@pytest.mark.parametrize("kind", ["llava", "gemma3", "paligemma"])
def test_columns_of_the_attention_are_the_images_tokens(kind, models, pictures):
    model = models[kind]
    ids = model._inputs([pictures[0]], QUESTION)["input_ids"][0]
    assert (ids[model.trace(pictures[0], QUESTION).tokens] == model.module.config.image_token_id).all()


def mean(maps):
    return torch.stack([w[0].mean(0) for w in maps]).mean(0)  # (rows, columns)


@contextlib.contextmanager
def returned(modules):
    """The second output of some of the library's modules, in order."""
    found = []
    hooks = [m.register_forward_hook(lambda m, args, output: found.append(output[1])) for m in modules]
    yield found
    for hook in hooks:
        hook.remove()


def looked_while_writing(kind, own, inputs, monkeypatch):
    """By the library's own generation: the weights of each word, and of what stands between it and the patches.

    Returns (words, between), (between, columns), None where nothing stands there, and the encoder's attentions.
    """
    options = {"max_new_tokens": 6, "do_sample": False, "output_attentions": True, "return_dict_in_generate": True}
    seen, asked = inputs["pixel_values"], {"output_attentions": True}
    crossing = []  # the library records no such attention in its generation; both have two layers
    if kind == "blip":
        crossing = [layer.crossattention.self for layer in own.text_decoder.bert.encoder.layer]
    elif kind.startswith("idefics"):
        crossing = [layer.cross_attn for layer in own.model.gated_cross_attn_layers]
    with returned(crossing) as crossed:
        out = own.generate(**inputs, **options)
    steps = [crossed[i : i + 2] for i in range(0, len(crossed), 2)]
    steps = steps or getattr(out, "cross_attentions", None) or out.attentions
    if kind == "blip":
        tower = own.vision_model(pixel_values=seen, **asked)
        question = own.text_encoder(inputs["input_ids"], encoder_hidden_states=tower.last_hidden_state, **asked)
        return written(steps), mean(question.cross_attentions), tower.attentions
    if kind.startswith("idefics"):
        with returned([layer.self_attn for layer in own.model.vision_model.encoder.layers]) as attentions:
            hidden = own.model.vision_model(pixel_values=seen[:, 0]).last_hidden_state
        if not own.config.use_resampler:
            return written(steps), None, attentions
        with softmaxed(monkeypatch) as latents:
            own.model.perceiver_resampler(hidden)
        return written(steps), mean(latents), attentions
    places = (inputs["input_ids"][0] == own.config.image_token_id).nonzero()[:, 0]
    if not kind.startswith("instructblip"):
        return written(steps, places), None, ()
    found = own.get_image_features(seen, inputs["qformer_input_ids"], inputs["qformer_attention_mask"], **asked)
    queries = mean(found.qformer_outputs.cross_attentions)
    return written(steps, places), queries, found.vision_outputs.attentions


def written(steps, places=slice(None)):
    """A row for each word: the last of the step that wrote it."""
    return torch.stack([mean(step)[-1, places] for step in steps])


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_each_word_looks_where_it_did_while_it_was_written(kind, folders, pictures, monkeypatch):
    model = lab.load(KINDS[kind][0], checkpoint=folders[kind], device="cpu")
    model.module.double()
    model.max_new_tokens = 6
    trace, inputs = model.trace(pictures[0], QUESTION), model._inputs([pictures[0]], QUESTION)
    own = type(model.module).from_pretrained(folders[kind], attn_implementation="eager").double().eval()
    words, between, encoder = looked_while_writing(kind, own, inputs, monkeypatch)
    words, cells = words[: len(trace.words)], trace.grid[0] * trace.grid[1]
    whole = words if between is None else words @ between
    places = slice(1, 1 + cells) if encoder else slice(None)  # behind the class token
    assert trace.looks.shape == (len(trace.words), cells) and len(words) > 1
    torch.testing.assert_close(trace.looks, whole[:, places], rtol=1e-5, atol=1e-7)
    assert (trace.looks - trace.looks[:1])[1:].abs().amax(1).min() > 1e-4  # no word looks as the first did
    if kind in ("blip", "idefics", "idefics resampler"):  # the words give 1, and class token and latents get the rest
        rest = torch.cat([whole[:, :1], whole[:, 1 + cells :]], 1).sum(1)
        torch.testing.assert_close(trace.looks.sum(1), 1 - rest, rtol=1e-5, atol=1e-7)
    assert len(trace.encoder) == len(encoder)
    for found, expected in zip(trace.encoder, encoder, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("kind", KINDS)
def test_a_word_looks_otherwise_after_other_words_and_at_another_image(kind, models, pictures):
    """Each row is of the step that writes its word: it knows the words before, not its own."""
    said, other = (models[kind].trace(pictures[0], QUESTION, answer=f"yes {w} heart").looks for w in ("no", "large"))
    assert len(said) == len(other) == 3
    torch.testing.assert_close(said[:2], other[:2], rtol=1e-5, atol=1e-7)
    assert (said[2] - other[2]).abs().max() > 1e-4
    elsewhere = models[kind].trace(pictures[1], QUESTION, answer="yes no heart").looks
    assert (said - elsewhere).abs().amax(1).min() > 1e-4


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("blip", "paligemma")])
def test_all_of_a_report_is_explained(kind, models, pictures, monkeypatch):
    monkeypatch.setattr(hub_report, "LONGEST", 40)
    model, request = models[kind], f"{hub_report.REQUEST} Indication: left lung"
    trace, report = model.trace(pictures[0], request), model.report(pictures[0], "left lung")
    assert sections(trace.answer) == {"findings": report.findings, "impression": report.impression}
    monkeypatch.setattr(model, "max_new_tokens", 40)
    said = model.answer(pictures[0], request)
    assert trace.words == said.tokens and len(trace.looks) == len(said.tokens) > 32
    assert trace.score.item() == pytest.approx(sum(said.token_logprobs), rel=1e-4)


def test_an_answer_that_the_context_does_not_hold_is_refused(models, pictures):
    with pytest.raises(QuestionError, match="and the answer up to 600 more, but llava holds 512"):
        models["llava"].trace(pictures[0], QUESTION, answer="yes " * 600)


@pytest.mark.parametrize("kind", ["instructblip", "idefics", "llava", "gemma3"])
def test_a_report_has_sentences_with_confidence(kind, models, pictures):
    report = models[kind].report(pictures[0], "effusion")
    assert report.findings or report.impression
    assert report.sentences and all(0 < p < 1 for _, p in report.sentences)


def test_sections_of_a_report():
    text = "Findings: The heart is large. Impression: Cardiomegaly."
    assert sections(text) == {"findings": "The heart is large.", "impression": "Cardiomegaly."}
    assert sections("The heart is large.") == {"findings": "The heart is large.", "impression": ""}


def test_several_images_where_the_context_holds_them(models, pictures, monkeypatch):
    for kind in ("llava", "idefics", "gemma3"):
        assert models[kind].answer_study(pictures[:2], QUESTION).tokens
    monkeypatch.setattr(models["llava"].module.config.text_config, "max_position_embeddings", 40)
    with pytest.raises(QuestionError, match=r"3 image\(s\) and the question take 58 tokens.*llava holds 40"):
        models["llava"].answer_study(pictures, QUESTION)
    for kind in ("blip", "instructblip"):
        with pytest.raises(QuestionError, match="one image at a time, not at 2"):
            models[kind].answer_study(pictures[:2], QUESTION)


def test_a_prompt_without_an_image_token_is_refused(models, pictures, monkeypatch):
    monkeypatch.setattr(models["llava"], "prompt", "USER: {question} ASSISTANT:")
    with pytest.raises(QuestionError, match="0 image token"):
        models["llava"].answer(pictures[0], QUESTION)
    for kind in ("gemma3", "paligemma", "idefics"):
        marker = getattr(models[kind].processor, "image_token", "<image>")
        with pytest.raises(QuestionError, match="image"):
            models[kind].answer(pictures[0], f"{marker} {QUESTION}")
    monkeypatch.setattr(models["instructblip"].processor, "num_query_tokens", 3)
    with pytest.raises(CheckpointError, match="makes 3 image tokens, but the model has 4"):
        models["instructblip"].answer(pictures[0], QUESTION)
    with pytest.raises(QuestionError, match="empty"):
        models["blip"].answer(pictures[0], " ")


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clipseg")
    hub_checkpoints.clipseg(folder)
    return lab.load("clipseg", checkpoint=folder, device="cpu")


def test_clipseg_equals_the_librarys_own(segmenter, pictures):
    assert isinstance(segmenter, Segmenter) and isinstance(segmenter, Explainable)
    mask = segmenter.segment(pictures[0], "left lung")
    inputs = segmenter.processor(text=["left lung"], images=[pictures[0].pil()], return_tensors="pt")
    inputs.pop("token_type_ids", None)
    with torch.no_grad():
        own = segmenter.module(**inputs).logits.view(32, 32).sigmoid()
    expected = torch.nn.functional.interpolate(own[None, None], (40, 60), mode="bilinear")[0, 0]
    np.testing.assert_allclose(mask.probability, expected.numpy(), atol=1e-4)
    assert mask.pixels.dtype == bool and mask.pixels.shape == (40, 60) and mask.phrase == "left lung"
    assert ((mask.probability >= 0.5) == mask.pixels).all()
    with pytest.raises(QuestionError, match="phrase is empty"):
        segmenter.segment(pictures[0], "")


def test_clipseg_trace(segmenter, pictures):
    trace = segmenter.trace(pictures[0], "left lung")
    assert trace.grid == (4, 4) and len(trace.attentions) == 2 and trace.gradients().abs().max() > 0
    assert all(g.abs().max() > 0 for g in torch.autograd.grad(trace.score, trace.attentions))
    assert trace.score.item() != segmenter.trace(pictures[1], "left lung").score.item()


def test_the_middle_slice_of_a_volume_is_seen(models, pictures):
    volume = MedicalImage.from_array(np.stack([image.pixels[0] for image in pictures]), window=(127.5, 255))
    still = pictures[1].with_(window=(127.5, 255))
    assert models["blip"].answer(volume, QUESTION).tokens == models["blip"].answer(still, QUESTION).tokens
    assert models["blip"].trace(volume, QUESTION).view.frame == 1
