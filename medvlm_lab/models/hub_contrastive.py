"""Published dual encoders behind `ImageTextEncoder`: what all share, and those of transformers (CLIP, PLIP, SigLIP)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from jaxtyping import Float
from PIL.Image import Image, fromarray
from torch import Tensor, nn
from torch.nn import functional as F

from medvlm_lab.errors import QuestionError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.hub_memory import memory_hint
from medvlm_lab.models.hub_read import processor_of, read_transformers
from medvlm_lab.models.known_words import ReadsPieces
from medvlm_lab.models.preprocess import frames_read
from medvlm_lab.models.trace import Tower, Trace, eager_attention
from medvlm_lab.models.view import View, processor_view

FRAMES = 8  # of a video that are looked at, evenly spaced


class PublishedEncoder(ReadsPieces):
    """Capabilities `ImageTextEncoder` and `Explainable`; a library's own class says how pictures and texts go in.

    Attributes:
        module: the library's own model. name, device: of `lab.load`. batch: pictures or texts encoded together.
    """

    batch: int = 32

    def __init__(self, module: nn.Module, name: str, device: torch.device):
        self.module, self.name, self.device = module.eval().to(device), name, device

    def _pixels(self, pictures: list[Image]) -> Float[Tensor, "n 3 h w"]: ...
    def _embed_pixels(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]: ...
    def _embed_texts(self, texts: list[str]) -> Float[Tensor, "n d"]: ...
    def _view(self, size: tuple[int, int]) -> View: ...
    def _tower(self, pixels: Float[Tensor, "n 3 h w"]) -> Tower: ...

    def _cells(self, pixels: Float[Tensor, "1 3 h w"]) -> Callable[[], Float[Tensor, "cells d"]] | None:
        """What makes each patch's own row in the joint space, where the tower has a place for it."""
        return None

    def _written_out(self) -> AbstractContextManager:
        """Inside, attention weights exist."""
        return nullcontext()

    @torch.inference_mode()
    def encode_frames(self, images: Sequence[MedicalImage]) -> Float[Tensor, "n f d"]:
        """Unit rows, one for each frame that is looked at: up to 8 of a cine, the middle slice of a volume."""
        chosen = frames_read(images, FRAMES)
        pictures = [fromarray(image.picture(f)) for image, frames in zip(images, chosen, strict=True) for f in frames]
        rows = self._in_batches(pictures, lambda part: self._embed_pixels(self._pixels(part).to(self.device)))
        return rows.unflatten(0, (len(images), len(chosen[0]) if chosen else 1))

    def encode_images(self, images: Sequence[MedicalImage]) -> Float[Tensor, "n d"]:
        """Unit rows: of a cine, the direction of the mean over its frames, so that cosines are those of the frames."""
        return F.normalize(self.encode_frames(images).mean(1), dim=-1)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Unit rows, one for each text; what does not fit the context is cut off. Raises QuestionError if empty."""
        if empty := [i for i, text in enumerate(texts) if not text.strip()]:
            raise QuestionError(f"Text {empty[0]} is empty; write what to look for, such as 'pleural effusion'.")
        return self._in_batches(list(texts), self._embed_texts)

    def _in_batches(self, items: list, encode) -> Float[Tensor, "n d"]:
        with memory_hint(self.name, self.device, self.batch):
            parts = [items[i : i + self.batch] for i in range(0, len(items), self.batch)]
            rows = [F.normalize(encode(part).float(), dim=-1).cpu() for part in parts]
        return torch.cat(rows) if rows else torch.empty(0, 0)

    @torch.enable_grad()
    def trace(self, image: MedicalImage, text: str, frame: int | None = None) -> Trace:
        """One frame (the middle one by default) and a prompt; the score is f · t̂, PromptCAM's target.

        f is the image's embedding, not normalised, and t̂ the text's of unit length. Raises QuestionError for an empty
        text.
        """
        frame = image.reading_frame if frame is None else range(image.frames)[frame]
        towards = self.encode_texts([text])[0].clone().to(self.device)  # (d,), no longer an inference tensor
        pixels = self._pixels([fromarray(image.picture(frame))]).to(self.device).requires_grad_()
        tower = self._tower(pixels)
        with memory_hint(self.name, self.device, self.batch), self._written_out(), tower.record() as (maps, attentions):
            embedding = self._embed_pixels(pixels)[0].float()
        return Trace(
            text, embedding @ towards, maps[0], self._view(image.picture_size).on(image, frame),
            tuple(attentions), tower.places(attentions), tower.reads, embedding, towards, pixels=pixels,
            again=lambda pixels: self._embed_pixels(pixels).float(), patches=self._cells(pixels),
        )  # fmt: skip


class TransformersEncoder(PublishedEncoder):
    """CLIP, PLIP and SigLIP as transformers has them."""

    def __init__(self, module, processor, name: str, device: torch.device):
        super().__init__(module, name, device)
        self.processor = processor

    @classmethod
    def load(cls, folder: Path, name: str, device: torch.device, dtype: str) -> TransformersEncoder:
        """Reads a folder that `save_pretrained` wrote; see `hub.load` for what raises."""
        processor = processor_of(folder)
        return cls(read_transformers(folder, processor.tokenizer, dtype), processor, name, device)

    def _pixels(self, pictures: list[Image]) -> Float[Tensor, "n 3 h w"]:
        seen = self.processor.image_processor(pictures, return_tensors="pt").pixel_values
        return seen.to(self.module.dtype)

    def _embed_pixels(self, pixels: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n d"]:
        return self.module.get_image_features(pixel_values=pixels).pooler_output

    def _embed_texts(self, texts: list[str]) -> Float[Tensor, "n d"]:
        context = self.module.config.text_config.max_position_embeddings
        # SigLIP was trained on padded texts and has no mask
        padding = "max_length" if self.module.config.model_type == "siglip" else True
        ids = self.processor.tokenizer(
            texts,
            padding=padding,
            truncation=True,
            max_length=context,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        return self.module.get_text_features(**ids.to(self.device)).pooler_output

    def _view(self, size: tuple[int, int]) -> View:
        return processor_view(self.processor.image_processor, size)

    def _tower(self, pixels: Float[Tensor, "n 3 h w"]) -> Tower:
        config = self.module.config.vision_config
        grid = tuple(n // config.patch_size for n in pixels.shape[-2:])
        first = self.module.config.model_type == "clip"  # the class token; SigLIP's head attends to every patch
        vision = self.module.vision_model
        return Tower(vision.encoder.layers[-1], grid, vision, reads=slice(0, 1) if first else slice(None))

    def _cells(self, pixels: Float[Tensor, "1 3 h w"]) -> Callable[[], Float[Tensor, "cells d"]] | None:
        if self.module.config.model_type != "clip":  # SigLIP's head pools before it projects
            return None
        vision, project = self.module.vision_model, self.module.visual_projection
        return lambda: project(vision.post_layernorm(vision(pixel_values=pixels).last_hidden_state[0, 1:])).float()

    def _written_out(self) -> AbstractContextManager:
        return eager_attention(self.module)
