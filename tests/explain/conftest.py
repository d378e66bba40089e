"""Tiny random models of every kind that can be explained; published ones are built as `tests/models` builds them."""

import os
import sys
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
sys.path.append(str(Path(__file__).parents[1] / "models"))

import numpy as np
import pytest
import torch

import medvlm_lab as lab
from medvlm_lab.image import MedicalImage
from medvlm_lab.models import clinical_blip as blip
from medvlm_lab.models import flamingo_cxr as flamingo
from medvlm_lab.models import pathology_vlm as pathology
from medvlm_lab.models.chexzero import CheXzero
from medvlm_lab.models.dual_encoder import Config, DualEncoder
from medvlm_lab.models.echo_clip import EchoCLIP
from medvlm_lab.models.vit_bert_vqa import Config as VQAConfig
from medvlm_lab.models.vit_bert_vqa import ViTBertVQA
from medvlm_lab.models.vqa_answerer import VQAAnswerer
from medvlm_lab.text.report_vocabulary import report_vocabulary
from medvlm_lab.text.tokenizer import END, PAD, START, UNKNOWN, Tokenizer
from medvlm_lab.train.lessons import instruction_vocabulary

SMALL = {"image_size": 32, "width": 24, "vision_depth": 1, "vision_heads": 2, "language_depth": 2, "language_heads": 2,
         "kv_heads": 1, "language_hidden": 32}  # fmt: skip


def louder(net):
    """So that image and text both change what comes out."""
    for gate in getattr(net, "gated", ()):
        torch.nn.init.constant_(gate.attention_gate, 1.0)
    for parameter in net.parameters():
        parameter.data *= 3 if parameter.ndim > 1 else 1
    return net


def dual(cls, phantom):
    tokenizer = Tokenizer(report_vocabulary(phantom))
    config = Config(len(tokenizer), 64, 4, (1, 1), (16, 32), 24, 96, 32, 1, 2)
    torch.manual_seed(1)
    return cls(louder(DualEncoder(config, tokenizer.end)), tokenizer)


@pytest.fixture(scope="session")
def chest():
    return dual(CheXzero, "chest-xray")


@pytest.fixture(scope="session")
def echo():
    return dual(EchoCLIP, "echocardiogram")


@pytest.fixture(scope="session")
def writers():
    words = [*instruction_vocabulary("chest-xray", "tags: none."), flamingo.MARK]
    tags = ("cardiomegaly", "left nodule")
    configs = {
        blip.ClinicalBLIP: blip.Config(
            len(words), tags, **SMALL, queries=4, qformer_depth=2, qformer_heads=2, qformer_hidden=32, embedding=16
        ),
        flamingo.FlamingoCXR: flamingo.Config(
            len(words), words.index(flamingo.MARK), tags, **SMALL, latents=4, resampler_heads=2
        ),
    }
    torch.manual_seed(1)
    return {cls.name: cls(louder(cls.network(config)), Tokenizer(words)) for cls, config in configs.items()}


@pytest.fixture(scope="session")
def answerers(writers):
    """All that answer."""
    words = [PAD, UNKNOWN, START, END, *"no nodule yes is there".split()]
    tokenizer = Tokenizer(words)
    torch.manual_seed(6)  # with which it answers in few words
    vqa = ViTBertVQA(VQAConfig(
        len(words), 64, 24, 2, 32, question_width=16, question_heads=2, question_hidden=32, question_layers=1,
    ))  # fmt: skip
    for parameter in vqa.decoder.parameters():
        parameter.data *= 5 if parameter.ndim > 1 else 1
    more = Tokenizer([*words, "question", "answer", ":", "?"])
    slides = pathology.PathologyNet(pathology.Config(
        len(more), more.end, tile=64, width=24, heads=2, hidden=32, vision_depth=1, text_depth=1,
        connector_depth=1, embedding=16, language_depth=1,
    ))  # fmt: skip
    found = [VQAAnswerer(vqa, tokenizer, (1.0, 0.0)), pathology.PathologyVLM(louder(slides), more), *writers.values()]
    return {model.name: model for model in found}


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A ViT of transformers with and without a class token; a model whose answer looks at image tokens."""
    import hub_answerers
    import hub_checkpoints

    found = {}
    for name, build in (
        ("clip", hub_checkpoints.clip), ("siglip", hub_checkpoints.siglip), ("llava", hub_answerers.llava),
    ):  # fmt: skip
        folder = tmp_path_factory.mktemp(name)
        build(folder)
        found[name] = lab.load({"llava": "llava-med"}.get(name, name), checkpoint=folder, device="cpu")
    return found


@pytest.fixture(scope="session")
def xray():
    return lab.phantom("chest-xray").image(lab.phantom("chest-xray").draw(3), 48)


@pytest.fixture(scope="session")
def picture():
    return MedicalImage.from_array(np.random.default_rng(0).integers(0, 255, (40, 60)).astype(np.uint8))
