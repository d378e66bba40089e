"""Published dual encoders: equal to the library's own, and traces with gradients and a known geometry."""

import hub_checkpoints as build
import numpy as np
import pytest
import torch
from torch.nn import functional as F

import medvlm_lab as lab
from medvlm_lab.errors import MissingDataError, OutOfMemoryError, QuestionError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import Answerer, Explainable, ImageTextEncoder
from medvlm_lab.models.trace import record_attention

pytestmark = pytest.mark.usefixtures("offline")
TEXTS = ["is there a nodule", "the left lung is large"]
KINDS = {
    "clip": ("clip", build.clip), "plip": ("plip", build.clip), "siglip": ("siglip", build.siglip),
    "echo-clip": ("echo-clip", build.echo_clip), "biomedclip": ("biomedclip", build.biomedclip),
    "open_clip ViT": ("clip", build.open_clip_vit), "open_clip ResNet": ("clip", build.open_clip_resnet),
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
    return {kind: lab.load(name, checkpoint=folders[kind], device="cpu") for kind, (name, _) in KINDS.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_rows_equal_the_librarys_own(kind, models, folders, pictures):
    model, folder = models[kind], folders[kind]
    assert isinstance(model, ImageTextEncoder) and isinstance(model, Explainable) and not isinstance(model, Answerer)
    pils = [image.pil() for image in pictures]
    with torch.no_grad():
        if kind in ("clip", "plip", "siglip"):
            import transformers as hf

            own, processor = hf.AutoModel.from_pretrained(folder), hf.AutoProcessor.from_pretrained(folder)
            padding = {"padding": "max_length", "max_length": 16} if kind == "siglip" else {"padding": True}
            words = processor(text=TEXTS, return_tensors="pt", **padding)
            words.pop("token_type_ids", None)
            texts = own.get_text_features(**words).pooler_output
            images = own.get_image_features(**processor(images=pils, return_tensors="pt")).pooler_output
        else:
            own = model.module
            images = own.encode_image(torch.stack([model.transform(pil) for pil in pils]))
            texts = own.encode_text(model.tokenizer(TEXTS))
    torch.testing.assert_close(model.encode_images(pictures), F.normalize(images, dim=-1))
    torch.testing.assert_close(model.encode_texts(TEXTS), F.normalize(texts, dim=-1))
    assert (model.encode_images(pictures)[0] - model.encode_images(pictures)[1]).abs().max() > 1e-3


@pytest.mark.parametrize("kind", ["echo-clip", "open_clip ViT", "open_clip ResNet", "biomedclip"])
def test_open_clip_weights_are_those_of_the_file(kind, models, folders):
    from safetensors.torch import load_file

    state = models[kind].module.state_dict()
    for name, value in load_file(folders[kind] / "open_clip_model.safetensors").items():
        torch.testing.assert_close(state[name], value)


@pytest.mark.parametrize("kind", KINDS)
def test_trace_has_gradients_and_equals_the_embedding(kind, models, pictures):
    model = models[kind]
    trace = model.trace(pictures[0], TEXTS[0])
    torch.testing.assert_close(F.normalize(trace.embedding, dim=-1), model.encode_images(pictures[:1])[0])
    torch.testing.assert_close(trace.text_embedding, model.encode_texts(TEXTS[:1])[0])
    torch.testing.assert_close(trace.score, trace.embedding @ trace.text_embedding)
    assert trace.gradients().abs().max() > 0
    assert (
        all(g.abs().max() > 0 for g in torch.autograd.grad(trace.score, trace.attentions)) if trace.attentions else True
    )
    assert bool(trace.attentions) == (kind not in ("echo-clip", "open_clip ResNet"))
    for weights in trace.attentions:
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
        assert len(trace.tokens) == trace.grid[0] * trace.grid[1] <= weights.shape[-1]


@pytest.mark.parametrize("kind", KINDS)
def test_trace_leaves_the_model_as_it_was(kind, models, pictures):
    model = models[kind]
    before = model.encode_images(pictures)
    model.trace(pictures[0], TEXTS[0])
    assert torch.equal(model.encode_images(pictures), before)
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.module.modules())


@pytest.mark.parametrize("kind", KINDS)
def test_the_cell_that_changes_most_is_where_the_image_changed(kind, models):
    model = models[kind]
    dark = np.zeros((96, 160), np.uint8)
    bright = dark.copy()
    bright[40:56, 72:88] = 255  # central, so that a crop keeps it
    dark, bright = (MedicalImage.from_array(p).with_(window=(127.5, 255)) for p in (dark, bright))
    seen, empty = (first_map(model, image) for image in (bright, dark))
    change = (seen - empty).abs().sum(1)[0]  # (h, w)
    trace = model.trace(bright, TEXTS[0])
    drawn = model._view((96, 160)).to_image(change, "nearest")
    row, column = np.unravel_index(drawn.argmax(), drawn.shape)
    high = (trace.view.box[2] - trace.view.box[0]) / change.shape[0]
    wide = (trace.view.box[3] - trace.view.box[1]) / change.shape[1]
    assert 40 - high <= row <= 56 + high and 72 - wide <= column <= 88 + wide
    assert drawn.shape == (96, 160)


def first_map(model, image):
    """The image's first tokens or features: the patch embedding, before anything is mixed."""
    visual = getattr(model.module, "visual", None) or model.module.vision_model
    convolutions = [m for m in visual.modules() if isinstance(m, torch.nn.Conv2d)]
    found = []
    handle = convolutions[0].register_forward_hook(lambda m, a, out: found.append(out))
    model.encode_images([image])
    handle.remove()
    return found[0]


def test_attention_written_out_equals_torchs_own(models, pictures):
    model = models["open_clip ViT"]
    pixels = model._pixels([pictures[0].pil()])
    plain = model.module.encode_image(pixels)
    with record_attention(model.module.visual):
        written = model.module.encode_image(pixels)
    torch.testing.assert_close(plain, written)


def test_a_cine_is_the_mean_of_its_frames(models):
    pixels = np.random.default_rng(1).integers(0, 255, (5, 40, 60)).astype(np.uint8)
    cine = MedicalImage.from_array(pixels, "echo", fps=30.0)
    model = models["echo-clip"]
    frames = model.encode_frames([cine])
    assert frames.shape == (1, 5, 12)
    torch.testing.assert_close(model.encode_images([cine])[0], F.normalize(frames[0].mean(0), dim=0))
    assert set(model.devices(cine)) == {"pacemaker lead", "MitraClip", "TAVR valve"}
    assert 0 <= model.ejection_fraction(cine) <= 100
    assert model.encode_frames([cine.with_(fps=None, modality="MR")]).shape == (1, 1, 12)  # a volume's middle slice


def test_nothing_in_nothing_out_and_empty_texts_are_refused(models):
    with pytest.raises(QuestionError, match="Text 1 is empty"):
        models["clip"].encode_texts(["a", " "])
    assert len(models["clip"].encode_images([])) == len(models["clip"].encode_texts([])) == 0
    assert models["clip"].encode_texts(["effusion " * 200]).shape == (1, 12)  # cut to the context


def test_out_of_memory_says_what_to_lower(models, pictures, monkeypatch):
    def full(*args, **kwargs):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(models["clip"], "_embed_pixels", full)
    with pytest.raises(OutOfMemoryError, match="lower model.batch.*dtype='bfloat16'"):
        models["clip"].encode_images(pictures)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision(kind, models, folders, pictures):
    model = lab.load(KINDS[kind][0], checkpoint=folders[kind], device="cpu", dtype="bfloat16")
    assert torch.bfloat16 in {parameter.dtype for parameter in model.module.parameters()}
    rows = model.encode_images(pictures)
    assert rows.dtype == torch.float32
    assert F.cosine_similarity(rows, models[kind].encode_images(pictures)).min() > 0.98
    assert model.encode_texts(TEXTS).shape == (2, rows.shape[1])
    assert model.trace(pictures[0], TEXTS[0]).gradients().abs().max() > 0


def test_a_text_tower_without_settings_is_named(folders, tmp_path):
    for file in folders["biomedclip"].iterdir():
        if file.name != "config.json":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(MissingDataError, match="hf download owner/name config.json"):
        lab.load("biomedclip", checkpoint=tmp_path, device="cpu")
