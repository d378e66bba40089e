"""Tiny random checkpoints of the libraries' own classes, saved as published ones are."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os

os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers

WORDS = "is there a nodule ? yes no the heart is large small left right lung effusion . findings impression describe"
SPECIAL = ["<pad>", "<unk>", "<s>", "</s>", "[CLS]", "[SEP]"]
TEXT = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
VISION = TEXT | {"image_size": 32, "patch_size": 8}
SQUARE = {"height": 32, "width": 32}


def tokenizer(start="<s>", end="</s>", more=(), **special):
    """Words as tokens, wrapped as transformers wants them; texts are framed by `start` and `end`."""
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.WordLevel(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.train_from_iterator([WORDS], trainers.WordLevelTrainer(special_tokens=[*SPECIAL, *more]))
    framed = " ".join(part for part in (start, "$A", end) if part)
    tokens = [(token, core.token_to_id(token)) for token in (start, end) if token]
    core.post_processor = processors.TemplateProcessing(single=framed, special_tokens=tokens)
    named = {"pad_token": "<pad>", "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    return PreTrainedTokenizerFast(tokenizer_object=core, model_max_length=64, **named, **special)


def loud(model):
    """Random weights large enough that image and text both change what comes out."""
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3)
    return model.eval()


@contextlib.contextmanager
def softmaxed(monkeypatch):
    """What the library softmaxes, in order: the weights of an attention that returns none."""
    softmax, found = torch.Tensor.softmax, []

    def keep(*args, **options):
        found.append(softmax(*args, **options))
        return found[-1]

    with monkeypatch.context() as patch:
        patch.setattr(torch.Tensor, "softmax", keep)
        yield found


def clip(folder):
    import transformers as hf

    words = tokenizer()
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "vocab_size": len(words)}
    config = hf.CLIPConfig(
        text_config=TEXT | ids | {"max_position_embeddings": 16}, vision_config=VISION, projection_dim=12
    )
    torch.manual_seed(0)
    loud(hf.CLIPModel(config)).save_pretrained(folder)
    images = hf.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=SQUARE)
    hf.CLIPProcessor(images, words).save_pretrained(folder)


def siglip(folder):
    import transformers as hf

    words = tokenizer(start=None)
    text = TEXT | {"max_position_embeddings": 16, "vocab_size": len(words), "projection_size": 16}
    config = hf.SiglipConfig(text_config=text | {"pad_token_id": 0}, vision_config=VISION)
    torch.manual_seed(0)
    loud(hf.SiglipModel(config)).save_pretrained(folder)
    hf.SiglipProcessor(hf.SiglipImageProcessor(size=SQUARE), words).save_pretrained(folder)


def clipseg(folder):
    import transformers as hf

    words = tokenizer()
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0, "vocab_size": len(words)}
    config = hf.CLIPSegConfig(
        text_config=TEXT | ids | {"max_position_embeddings": 16}, vision_config=VISION | {"num_hidden_layers": 3},
        projection_dim=16, extract_layers=[0, 1], reduce_dim=8, decoder_num_attention_heads=2,
        decoder_intermediate_size=16, conditional_layer=0,
    )  # fmt: skip
    torch.manual_seed(0)
    loud(hf.CLIPSegForImageSegmentation(config)).save_pretrained(folder)
    hf.CLIPSegProcessor(hf.ViTImageProcessor(size=SQUARE), words).save_pretrained(folder)


def open_clip_model(folder, vision, text=None, preprocess=None, tokens=None):
    """One of open_clip's: `vision` and `text` are its `vision_cfg` and `text_cfg`."""
    import open_clip
    from open_clip.push_to_hf_hub import save_for_hf

    text = text or {"context_length": 16, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 2}
    config = {"embed_dim": 12, "vision_cfg": vision, "text_cfg": text}
    cls = open_clip.CustomTextCLIP if "hf_model_name" in text else open_clip.CLIP
    torch.manual_seed(0)
    model = loud(cls(**config))
    settings = open_clip.transform.PreprocessCfg(size=model.visual.image_size, **(preprocess or {}))
    open_clip.model.set_model_preprocess_cfg(model, dataclasses.asdict(settings))
    save_for_hf(model, tokens or _NoTokenizer(), config, folder, safe_serialization=True)


class _NoTokenizer:
    """CLIP's own vocabulary comes with open_clip and is not saved."""

    def save_pretrained(self, folder): ...


def echo_clip(folder):
    open_clip_model(
        folder, {"timm_model_name": "test_convnext", "timm_pool": "", "timm_proj": "linear", "image_size": 64}
    )


def open_clip_vit(folder, **preprocess):
    vision = {"image_size": 32, "patch_size": 8, "width": 16, "head_width": 8, "layers": 2}
    open_clip_model(folder, vision, preprocess=preprocess)


def open_clip_resnet(folder):
    open_clip_model(folder, {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 8})


def biomedclip(folder):
    import transformers as hf

    words = tokenizer("[CLS]", "[SEP]", cls_token="[CLS]", sep_token="[SEP]")
    text = hf.BertConfig(**TEXT, vocab_size=len(words), max_position_embeddings=64, pad_token_id=0)
    text.save_pretrained(folder)
    text_cfg = {
        "hf_model_name": str(folder), "hf_tokenizer_name": "owner/name", "hf_proj_type": "mlp",
        "hf_pooler_type": "cls_last_hidden_state_pooler", "context_length": 16, "hf_model_pretrained": False,
    }  # fmt: skip
    vision = {"timm_model_name": "test_vit", "timm_pool": "", "timm_proj": "linear", "image_size": 160}
    open_clip_model(folder, vision, text_cfg, tokens=words)
    file = folder / "open_clip_config.json"
    saved = json.loads(file.read_text())
    saved["model_cfg"]["text_cfg"]["hf_model_name"] = "owner/name"  # as published: it names another repository
    file.write_text(json.dumps(saved))
