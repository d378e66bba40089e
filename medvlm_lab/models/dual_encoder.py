"""Two towers, one space: a ConvNeXt for images and videos, a causal transformer for texts (CLIP; EchoCLIP; CheXzero).

image (n, frames, s, s) → ConvNeXt → mean over frames → (n, d)  ┐
                                                                ├ cosine: how well they belong together
text  (n, t)            → transformer → at its last token (n, d) ┘
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from medvlm_lab.errors import ModalityError, QuestionError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.known_words import ReadsWords
from medvlm_lab.models.memory import Roomy
from medvlm_lab.models.preprocess import frames_read, square_of
from medvlm_lab.models.store import VOCABULARY as VOCABULARY  # as training imports it
from medvlm_lab.models.store import opened, restored
from medvlm_lab.models.trace import Trace
from medvlm_lab.models.view import fitted
from medvlm_lab.nn.clip_text import CLIPText
from medvlm_lab.nn.convnext import ConvNeXt
from medvlm_lab.nn.layers import init_weights
from medvlm_lab.text.tokenizer import Tokenizer

MEAN, STD = 0.3, 0.25  # of grey values, about those of every modality here
BATCH = 64  # pictures or texts encoded together


@dataclass(frozen=True)
class Config:
    """Sizes of both towers.

    Attributes:
        vocabulary: tokens. image_size: pixels per side. frames: of a video, evenly spaced, that are looked at.
        depths, widths: blocks and channels of each stage of the ConvNeXt. embedding: width of the shared space.
        context: tokens that a text may have. text_width, text_depth, text_heads: of the transformer.
    """

    vocabulary: int
    image_size: int = 96
    frames: int = 8
    depths: tuple[int, ...] = (2, 2, 3)
    widths: tuple[int, ...] = (48, 96, 192)
    embedding: int = 192
    context: int = 160
    text_width: int = 128
    text_depth: int = 3
    text_heads: int = 4


class DualEncoder(nn.Module):
    """The network; its embeddings are not yet of unit length."""

    def __init__(self, config: Config, end_token: int):
        super().__init__()
        self.config = config
        # a layer scale of 0.1 instead of 1e-6: so small a network trains at once
        self.image_encoder = ConvNeXt(config.embedding, tuple(config.depths), tuple(config.widths), 1, 0.1)
        self.text_encoder = CLIPText(
            config.embedding, config.vocabulary, config.context, config.text_width, config.text_depth,
            config.text_heads, eot=end_token,
        )  # fmt: skip
        self.text_encoder.apply(init_weights)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def frame_features(self, pixels: Float[Tensor, "n f s s"]) -> Float[Tensor, "n f c h w"]:
        """The image tower's last map of every frame, from grey values from 0 to 1."""
        frames = ((pixels - MEAN) / STD).flatten(0, 1)[:, None]
        return self.image_encoder.features(frames).unflatten(0, pixels.shape[:2])

    def encode_frames(self, pixels: Float[Tensor, "n f s s"]) -> Float[Tensor, "n f d"]:
        """Every frame for itself."""
        features = self.frame_features(pixels)
        return self.image_encoder.embed(features.flatten(0, 1)).unflatten(0, features.shape[:2])

    def encode_image(self, pixels: Float[Tensor, "n f s s"]) -> Float[Tensor, "n d"]:
        """The mean over frames: what a feature's average tells of a movement can be learned."""
        return self.encode_frames(pixels).mean(1)

    def encode_text(self, ids: Int[Tensor, "n t"]) -> Float[Tensor, "n d"]:
        return self.text_encoder(ids)

    def scale(self) -> Float[Tensor, ""]:
        """What cosines are multiplied by in the loss: learned, at most 100 (Radford et al. 2021, section 2.5)."""
        return self.logit_scale.clamp(max=math.log(100)).exp()


def contrastive_loss(logits: Float[Tensor, "n n"]) -> Float[Tensor, ""]:
    """Each image has to find its text among the batch's, and each text its image (Radford et al. 2021, figure 3)."""
    pairs = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2


class ImageTextModel(ReadsWords, Roomy):
    """Capability `ImageTextEncoder` over a `DualEncoder`; a reviewed model names itself and what it reads.

    Attributes:
        module: the network. tokenizer: its vocabulary. device: where it computes.
    """

    name: ClassVar[str]
    modality: ClassVar[str]

    def __init__(self, module: DualEncoder, tokenizer: Tokenizer, device: torch.device | str = "cpu"):
        self.device = torch.device(device)
        self.module, self.tokenizer = module.eval().to(self.device), tokenizer

    @property
    def text_limit(self) -> int:
        return self.module.config.context

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu", untrained: bool = False) -> ImageTextModel:
        """Reads a checkpoint folder: `config.json`, `model.safetensors`, `vocabulary.txt`.

        Raises:
            MissingDataError: a file is missing.
            CheckpointError: a file is damaged or of another architecture.
        """
        _, config, tokenizer = opened(folder, cls.name, Config)
        return cls(restored(folder, cls.name, lambda: DualEncoder(config, tokenizer.end), untrained), tokenizer, device)

    def pixels(self, images: Sequence[MedicalImage]) -> Float[Tensor, "n f s s"]:
        """Grey frames from 0 to 1 as displayed, fitted into a square; of a cine, `config.frames` evenly spaced.

        Raises ModalityError for a modality that the model never saw.
        """
        size, most = self.module.config.image_size, self.module.config.frames
        for image in images:
            if image.modality not in (self.modality, "unknown"):
                raise ModalityError(
                    f"{image.name or 'The image'} is {image.modality}, but {self.name} has seen {self.modality} only; "
                    "choose another image, or try all the same with image.with_(modality='unknown')."
                )
        rows = []
        for image, chosen in zip(images, frames_read(images, most), strict=True):
            seen = {i: square_of(image, size, i).mean(0) for i in dict.fromkeys(chosen)}
            rows.append(torch.stack([seen[i] for i in chosen]))
        return torch.stack(rows)

    @torch.inference_mode()
    def encode_frames(self, images: Sequence[MedicalImage]) -> Float[Tensor, "n f d"]:
        """Unit rows, one for each frame that is looked at; a still among videos is repeated."""
        pixels = self.pixels(images)  # (n, f, s, s)
        rows = [self.module.encode_frames(part.to(self.device)).float().cpu() for part in pixels.split(BATCH)]
        return F.normalize(torch.cat(rows), dim=-1)

    @torch.inference_mode()
    def encode_images(self, images: Sequence[MedicalImage]) -> Float[Tensor, "n d"]:
        """Unit rows, one for each image or video. Raises ModalityError for a modality that the model never saw."""
        rows = [torch.empty(0, self.module.config.embedding)]
        for i in range(0, len(images), BATCH):
            rows.append(self.module.encode_image(self.pixels(images[i : i + BATCH]).to(self.device)).float().cpu())
        return F.normalize(torch.cat(rows), dim=-1)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "n d"]:
        """Unit rows, one for each text; what does not fit the context is cut off. Raises QuestionError if empty."""
        if empty := [i for i, text in enumerate(texts) if not text.strip()]:
            raise QuestionError(f"Text {empty[0]} is empty; write what to look for, such as 'pleural effusion'.")
        rows = [torch.empty(0, self.module.config.embedding)]
        for i in range(0, len(texts), BATCH):
            ids = self.tokenizer.batch(list(texts[i : i + BATCH]), self.module.config.context)
            rows.append(self.module.encode_text(ids.to(self.device)).float().cpu())
        return F.normalize(torch.cat(rows), dim=-1)

    @torch.enable_grad()
    def trace(self, image: MedicalImage, text: str, frame: int | None = None) -> Trace:
        """One frame (the middle one by default) and a prompt: A of the ConvNeXt, score f · t̂ (PromptCAM's target).

        Raises ModalityError for a modality that the model never saw, QuestionError for an empty text.
        """
        frame = image.reading_frame if frame is None else range(image.frames)[frame]
        still = image.still(frame)
        towards = self.encode_texts([text])[0].clone().to(self.device)  # (d,), no longer an inference tensor
        pixels = self.pixels([still])[0].to(self.device).requires_grad_()  # (1, s, s)
        tower = self.module.image_encoder
        features = self.module.frame_features(pixels[None])[0]  # (1, c, h, w)
        embedding = tower.embed(features)[0]  # (d,)
        view = fitted(image.picture_size, self.module.config.image_size).on(image, frame)
        return Trace(
            text, embedding @ towards, features, view, embedding=embedding, text_embedding=towards, pixels=pixels,
            again=lambda pixels: self.module.encode_frames(pixels[:, None])[:, 0],
            patches=lambda: tower.embed(features[0].flatten(1).T[..., None, None]),  # the head on each cell alone
        )  # fmt: skip
