"""Flamingo-CXR (Nat Med 31:599-608, 2025) at a laptop's size: a frozen language model learns to look, and to imitate.

    model = lab.load("flamingo-cxr")
    model.report(image)                                                           # zero-shot
    model.report(image, shots=[(picture, "findings: ... impression: ..."), ...])  # few-shot: worded like the examples
    model.write("<image> report:", [image])                                       # any interleaved prompt

image → frozen ViT → Perceiver resampler → 16 latents ┐
"<image> report: ... <image> report:" → frozen LLaMA ─┴ gated cross-attention before each layer → words

As in Flamingo (Alayrac et al. 2022) a text looks at the image that stands last before it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from medvlm_lab.errors import QuestionError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import Report
from medvlm_lab.models.generative import MEAN, STD, SeeingLanguageModel, Seen, padded
from medvlm_lab.models.writer import BATCH, LONGEST_ANSWER, LONGEST_REPORT, REPORT, Writer, until
from medvlm_lab.nn.gated_cross_attention import GatedCrossAttention, latest_image_mask
from medvlm_lab.nn.layers import init_weights
from medvlm_lab.nn.llama import Llama, LlamaConfig
from medvlm_lab.nn.resampler import PerceiverResampler
from medvlm_lab.nn.vit import StemViT
from medvlm_lab.text.prose import tidy

IMAGE = "<image>"
MARK = "[IMG]"  # the token that stands for an image

Shots = Sequence[tuple[MedicalImage, str]]


@dataclass(frozen=True)
class Config:
    """Sizes.

    Attributes:
        vocabulary: tokens. image_token: the id of the mark. tags: that the image encoder tells apart; only in training
            the latents are asked for them. latents: that each image becomes.
        images: that a prompt may hold. context: tokens of prompt and text together.
    """

    vocabulary: int
    image_token: int
    tags: tuple[str, ...]
    image_size: int = 128
    width: int = 192
    vision_depth: int = 4
    vision_heads: int = 6
    latents: int = 16
    resampler_depth: int = 2
    resampler_heads: int = 6
    language_depth: int = 4
    language_heads: int = 6
    kv_heads: int = 2
    language_hidden: int = 512
    images: int = 5
    context: int = 1024


class FlamingoNet(SeeingLanguageModel):
    """The network: with its gates closed, exactly the language model."""

    def __init__(self, config: Config):
        super().__init__()
        self.config, width = config, config.width
        self.vision = StemViT(config.image_size, 1, width, config.vision_depth, config.vision_heads)
        self.tag_head = nn.Linear(width, len(config.tags))
        self.resampler = PerceiverResampler(
            width, config.resampler_depth, config.resampler_heads, width // config.resampler_heads, config.latents,
            2 * width,
        )  # fmt: skip
        self.gated = nn.ModuleList(
            GatedCrossAttention(width, config.language_heads, config.language_hidden, width, qk_norm=True)
            for _ in range(config.language_depth)
        )
        self.language = Llama(
            LlamaConfig(
                config.vocabulary, width, config.language_depth, config.language_heads, config.kv_heads,
                config.language_hidden,
            )
        )  # fmt: skip
        for part in (self.resampler, self.gated, self.language):
            part.apply(init_weights)

    def patches(self, pixels: Float[Tensor, "n k s s"]) -> Float[Tensor, "n k p d"]:
        """k images a row, in the order of their marks."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and pixels.requires_grad):  # frozen: training needs none
            return self.vision(((pixels - MEAN) / STD).flatten(0, 1)[:, None]).unflatten(0, pixels.shape[:2])

    def look(
        self, patches: Float[Tensor, "n k p d"], ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"],
        maps: list[Tensor] | None = None,
    ) -> Seen:  # fmt: skip
        """The latents of all images, and which of them each token sees."""
        n, k = patches.shape[:2]
        media = self.resampler(patches.flatten(0, 1), maps=maps).unflatten(0, (n, k)).flatten(1, 2)  # (n, k l, d)
        return Seen(media=media, sees=latest_image_mask(ids == self.config.image_token, k, self.config.latents))

    def hooks(self, seen: Seen, maps: list[Tensor] | None = None) -> Mapping:
        def look(block: GatedCrossAttention):
            # a token that is written after the prompt sees what the prompt's last one saw
            return lambda x: block(x, seen.media, seen.sees if x.shape[1] > 1 else seen.sees[:, -1:], maps)

        return {} if seen.media is None else {i: look(block) for i, block in enumerate(self.gated)}


class FlamingoCXR(Writer):
    """Capabilities `Reporter` and `Answerer` for frontal chest X-rays, zero-shot or after a few examples."""

    name: ClassVar[str] = "flamingo-cxr"
    modality: ClassVar[str] = "X-ray"
    network: ClassVar[type[FlamingoNet]] = FlamingoNet
    config: ClassVar[type[Config]] = Config

    def prompts(self, images: Sequence[MedicalImage], requests: Sequence[str]) -> list[str]:
        """The image's mark before each request. Raises QuestionError for a request that holds one of its own."""
        prompts = [f"{IMAGE} {request}" for request in requests]
        for prompt in prompts:
            self.check(prompt.count(IMAGE), 1, len(self.ids(prompt)) + LONGEST_ANSWER)
        return prompts

    def ids(self, prompt: str) -> list[int]:
        return [self.tokenizer.start, *marked(prompt, self.tokenizer, self.module.config.image_token)]

    def pixels(self, images: Sequence[MedicalImage]) -> Float[Tensor, "n 1 s s"]:
        return super().pixels(images)[:, None]

    def report(self, image: MedicalImage, indication: str | None = None, shots: Shots = ()) -> Report:
        """Findings and impression, after up to four examples (image, report); an indication is left aside.

        Raises ModalityError for a modality that the model never saw, QuestionError for too many examples.
        """
        return self.report_after([image], [shots])[0]

    @torch.inference_mode()
    def report_after(self, images: Sequence[MedicalImage], shots: Sequence[Shots]) -> list[Report]:
        """One report for each image, each after its own examples; all with equally many. Raises as `report`."""
        counts = sorted({len(own) for own in shots})
        if len(shots) != len(images) or len(counts) > 1:
            raise QuestionError(
                f"{len(images)} images, but {len(shots)} lists of {' or '.join(map(str, counts))} examples; give one "
                "list for each image, all equally long."
            )
        pictures = [[*(picture for picture, _ in own), image] for own, image in zip(shots, images, strict=True)]
        prompts = [few_shot([text for _, text in own]) for own in shots]
        reports: list[Report] = []
        for i in range(0, len(images), BATCH):
            started, part = time.perf_counter(), slice(i, i + BATCH)
            written, logs = self._written(prompts[part], pictures[part], LONGEST_REPORT)
            seconds = (time.perf_counter() - started) / len(written)
            reports += [self._report(*row, seconds) for row in zip(written.tolist(), logs, strict=True)]
        return reports

    def write(self, prompt: str, images: Sequence[MedicalImage], limit: int = LONGEST_REPORT) -> str:
        """What follows an interleaved prompt, in which each `<image>` stands for the next of `images`.

        Raises QuestionError for a prompt without an image, of another number of images, or too long.
        """
        written, _ = self._written([prompt], [list(images)], limit)
        return tidy(self.tokenizer.decode(until(written[0].tolist(), self.tokenizer.end)))

    @torch.inference_mode()
    def _written(self, prompts: Sequence[str], pictures: Sequence[Sequence[MedicalImage]], limit: int):
        rows = [self.ids(prompt) for prompt in prompts]
        for prompt, ids, own in zip(prompts, rows, pictures, strict=True):
            self.check(prompt.count(IMAGE), len(own), len(ids) + limit)
        ids, keep = padded(rows, self.tokenizer.pad, left=True)
        ids, keep = ids.to(self.device), keep.to(self.device)
        pixels = torch.stack([super(FlamingoCXR, self).pixels(own) for own in pictures]).to(self.device)
        return self.module.write(self.module.see(pixels, ids, keep), ids, keep, self.tokenizer.end, limit)

    def check(self, marks: int, images: int, tokens: int) -> None:
        """QuestionError, saying what to change, for a prompt that the model cannot read."""
        config = self.module.config
        if not marks:
            raise QuestionError(f"The prompt has no {IMAGE}, so that no image would be seen; put one before its text.")
        if marks != images:
            raise QuestionError(
                f"The prompt has {marks} {IMAGE} marks for {images} images; make them equal, and leave them out of a "
                "question, which gets its own."
            )
        if images > config.images:
            raise QuestionError(f"{images} images, but {self.name} reads {config.images} at most; give fewer examples.")
        if tokens > config.context:
            raise QuestionError(
                f"Prompt and text may take {tokens:,} tokens, but {self.name} reads {config.context:,}; shorten the "
                "question or the examples."
            )


def few_shot(reports: Sequence[str]) -> str:
    """The prompt that asks for one more report after these."""
    return " ".join([*(f"{IMAGE} {REPORT} {text} [SEP]" for text in reports), f"{IMAGE} {REPORT}"])


def marked(text: str, tokenizer, image_token: int) -> list[int]:
    """Tokens of an interleaved text: image marks and ends of examples as tokens of their own."""
    ids: list[int] = []
    for i, part in enumerate(text.split(IMAGE)):
        ids += [image_token] if i else []
        for j, piece in enumerate(part.split("[SEP]")):
            ids += [tokenizer.end] if j else []
            ids += tokenizer.words(piece)
    return ids
