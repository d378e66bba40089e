"""Published dual encoders of open_clip: EchoCLIP (ConvNeXt), BiomedCLIP (timm ViT + BERT), and any other CLIP there."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from PIL.Image import Image
from torch import Tensor

from medvlm_lab.errors import CheckpointError, MissingDataError
from medvlm_lab.models.echo_clip import EchoTasks
from medvlm_lab.models.hub_contrastive import PublishedEncoder
from medvlm_lab.models.hub_files import cached, check_finite, read_json
from medvlm_lab.models.hub_memory import ran_out
from medvlm_lab.models.hub_read import LOCAL, check_vocabulary
from medvlm_lab.models.trace import Tower
from medvlm_lab.models.view import View, by_shorter_side

SAFE = ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors")  # open_clip reads these before a pickle


class OpenCLIPEncoder(PublishedEncoder):
    """A model of open_clip, its transform and its tokenizer."""

    def __init__(self, module, transform, tokenizer, dtype: torch.dtype, name: str, device: torch.device):
        super().__init__(module, name, device)
        self.transform, self.tokenizer, self.dtype = transform, tokenizer, dtype

    @classmethod
    def load(cls, folder: Path, name: str, device: torch.device, dtype: str) -> OpenCLIPEncoder:
        """Reads a folder with `open_clip_config.json`; see `hub.load` for what raises.

        A text tower of transformers (BiomedCLIP's BERT) needs its `config.json`, in the folder or in the local cache.
        """
        import open_clip

        settings = read_json(folder / "open_clip_config.json").get("model_cfg", {})
        text, tower = dict(settings.get("text_cfg", {})), settings.get("vision_cfg", {}).get("timm_model_name") or ""
        if ":" in tower:
            raise CheckpointError(
                f"The image tower of {folder} is {tower!r}; only those that timm itself has are built."
            )
        pickles = sorted([*folder.glob("*.bin"), *folder.glob("*.pth")])
        if pickles and not any((folder / name).is_file() for name in SAFE):
            raise CheckpointError(
                f"open_clip would read the pickle {pickles[0]}; remove it, or rename the safetensors to {SAFE[0]}."
            )
        options = {}
        if text.get("hf_model_name"):
            text |= {"hf_model_name": str(_text_settings(folder, text["hf_model_name"])), "hf_model_pretrained": False}
            options = {"text_cfg": text}
        precision = {"bfloat16": "bf16", "float16": "fp16"}.get(dtype, "fp32")
        where = f"local-dir:{folder}"
        try:
            module = open_clip.create_model(where, precision=precision, require_pretrained=True, **options)
        except Exception as error:  # keys or shapes that differ, settings that are impossible
            if ran_out(error):
                raise
            said = " ".join(str(error).split())[:400]
            raise CheckpointError(f"The weights in {folder} do not fit its open_clip_config.json: {said}") from error
        check_finite(module, folder)
        own = text.get("hf_tokenizer_name")
        try:
            tokenizer = open_clip.get_tokenizer(where, **(LOCAL if own else {}))
        except Exception as error:
            raise MissingDataError(f"{folder} has no tokenizer that can be read: {error}") from error
        rows = module.vocab_size if hasattr(module, "vocab_size") else module.text.vocab_size
        check_vocabulary(folder, tokenizer.tokenizer if own else range(tokenizer.vocab_size), rows)
        seen = open_clip.transform.PreprocessCfg(**module.visual.preprocess_cfg)
        transform = open_clip.transform.image_transform_v2(seen, is_train=False)
        return cls(module, transform, tokenizer, open_clip.get_input_dtype(precision) or torch.float32, name, device)

    def _pixels(self, pictures: list[Image]) -> Float[Tensor, "n 3 h w"]:
        return torch.stack([self.transform(picture) for picture in pictures]).to(self.dtype)

    def _embed_pixels(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        return self.module.encode_image(pixels)

    def _embed_texts(self, texts: list[str]) -> Float[Tensor, "n d"]:
        return self.module.encode_text(self.tokenizer(texts).to(self.device))

    def _view(self, size: tuple[int, int]) -> View:
        settings = self.module.visual.preprocess_cfg
        seen = settings["size"]
        seen = (seen, seen) if isinstance(seen, int) else tuple(seen)
        if settings["resize_mode"] == "squash":
            return View.through(size, seen, seen)
        if settings["resize_mode"] == "longest":
            scale = min(s / n for s, n in zip(seen, size, strict=True))
            return View.through(size, [round(n * scale) for n in size], seen)
        resized = by_shorter_side(size, seen[0])
        return View.through(size, resized, seen, [round((r - s) / 2) for r, s in zip(resized, seen, strict=True)])

    def _tower(self, pixels: Float[Tensor, "n 3 h w"]) -> Tower:
        visual = self.module.visual
        if hasattr(visual, "transformer"):  # open_clip's own ViT
            reads = slice(0, 1) if visual.pool_type == "tok" else slice(None)
            return Tower(visual.transformer.resblocks[-1], visual.grid_size, visual, reads=reads)
        trunk = getattr(visual, "trunk", visual)
        if hasattr(trunk, "blocks"):  # timm's ViT
            reads = slice(0, 1) if trunk.global_pool == "token" else slice(None)
            return Tower(trunk.blocks[-1], tuple(trunk.patch_embed.grid_size), visual, reads=reads)
        last = trunk.stages[-1] if hasattr(trunk, "stages") else trunk.layer4  # ConvNeXt; a ResNet
        return Tower(last, (0, 0), last, leaving=True)


class PublishedEchoCLIP(EchoTasks, OpenCLIPEncoder):
    """EchoCLIP itself: `devices` and `ejection_fraction` as the teaching model has them."""


def _text_settings(folder: Path, repository: str) -> Path:
    """Where the settings of a text tower are: beside the weights, or cached under the name that the weights give."""
    found = folder if (folder / "config.json").is_file() else cached(repository)
    if found is not None and "auto_map" in read_json(found / "config.json"):
        raise CheckpointError(f"The text tower of {folder} needs code of its own, which is not run here.")
    if found is None:
        raise MissingDataError(
            f"The text tower's settings, config.json of {repository}, are not on this machine; put that file into "
            f"{folder}, or fetch it with `hf download {repository} config.json`."
        )
    return found
