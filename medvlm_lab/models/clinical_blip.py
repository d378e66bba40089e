"""ClinicalBLIP (JMIR Form Res 2024;8:e32690) at a laptop's size: a Q-Former asks the image what the instruction needs.

    model = lab.load("clinical-blip")
    model.report(lab.sample("chest-xray-nodules"))           # Report(findings, impression, ...)
    model.answer(image, "Is there a pleural effusion?")      # Answer(text, confidence, ...)

image (n, s, s) → ViT → patches (n, p, d) → Q-Former, reading the instruction → 16 soft tokens ┐
                            └ classifier → tags, written into the instruction ┐                ├ LLaMA → words
instruction, "tags: right pleural effusion. report:"  ────────────────────────┴────────────────┘

As in InstructBLIP (Dai et al. 2023). The medical tags that ClinicalBLIP's second stage adds to the prompt are those of
the model's own classifier, never the truth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from medvlm_lab.image import MedicalImage
from medvlm_lab.models.generative import MEAN, STD, SeeingLanguageModel, Seen
from medvlm_lab.models.writer import Writer
from medvlm_lab.nn.layers import init_weights
from medvlm_lab.nn.llama import Llama, LlamaConfig
from medvlm_lab.nn.qformer import QFormer
from medvlm_lab.nn.vit import StemViT

TAGGED = 0.5  # probability from which a tag is written


@dataclass(frozen=True)
class Config:
    """Sizes.

    Attributes:
        vocabulary: tokens, shared by Q-Former and language model. tags: what the classifier tells apart.
        context: tokens of prompt and text together. instruction: tokens of the prompt that the Q-Former reads.
    """

    vocabulary: int
    tags: tuple[str, ...]
    image_size: int = 128
    width: int = 192
    vision_depth: int = 4
    vision_heads: int = 6
    queries: int = 16
    qformer_depth: int = 4
    qformer_heads: int = 6
    qformer_hidden: int = 512
    instruction: int = 48
    embedding: int = 128
    language_depth: int = 4
    language_heads: int = 6
    kv_heads: int = 2
    language_hidden: int = 512
    context: int = 224


class ClinicalBLIPNet(SeeingLanguageModel):
    """The network: also what stage 1 needs, which the finished model does not use for writing."""

    def __init__(self, config: Config):
        super().__init__()
        self.config, width = config, config.width
        self.vision = StemViT(config.image_size, 1, width, config.vision_depth, config.vision_heads)
        self.tag_head = nn.Linear(width, len(config.tags))
        self.qformer = QFormer(
            width, config.qformer_depth, config.qformer_heads, config.qformer_hidden, width, config.queries,
            config.vocabulary, config.instruction,
        )  # fmt: skip
        self.image_projection, self.text_projection = (nn.Linear(width, config.embedding) for _ in range(2))
        self.match_head = nn.Linear(width, 2)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.to_language = nn.Linear(width, width)
        self.language = Llama(
            LlamaConfig(
                config.vocabulary, width, config.language_depth, config.language_heads, config.kv_heads,
                config.language_hidden,
            )
        )  # fmt: skip
        for part in (self.tag_head, self.qformer, self.to_language, self.language, self.match_head):
            part.apply(init_weights)

    def patches(self, pixels: Float[Tensor, "n s s"]) -> Float[Tensor, "n p d"]:
        return self.vision(((pixels - MEAN) / STD)[:, None])

    def tag_logits(self, patches: Float[Tensor, "n p d"]) -> Float[Tensor, "n k"]:
        """A tag is there where a patch shows it: log-mean-exp, between mean and maximum of the patches' logits."""
        return pooled(self.tag_head(patches).float())

    def look(
        self, patches: Float[Tensor, "n p d"], ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"],
        maps: list[Tensor] | None = None,
    ) -> Seen:  # fmt: skip
        return Seen(prefix=self.to_language(self.ask(patches, ids, keep, maps)))

    def ask(
        self, patches: Float[Tensor, "n p d"], ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"],
        maps: list[Tensor] | None = None,
    ) -> Float[Tensor, "n q d"]:  # fmt: skip
        """The Q-Former's queries after they have read the prompt and looked at the patches."""
        # whichever side the padding is on, the first word stands at the Q-Former's first position
        first = (~keep).long().argsort(dim=1, stable=True)[:, : self.config.instruction]
        return self.qformer(patches, ids.gather(1, first), keep.gather(1, first), maps=maps).queries


class ClinicalBLIP(Writer):
    """Capabilities `Reporter` and `Answerer` for frontal chest X-rays.

    Attributes:
        tagged: whether the model's own tags are written into the prompt.
    """

    name: ClassVar[str] = "clinical-blip"
    modality: ClassVar[str] = "X-ray"
    network: ClassVar[type[ClinicalBLIPNet]] = ClinicalBLIPNet
    config: ClassVar[type[Config]] = Config
    tagged: bool = True

    @torch.inference_mode()
    def tags(self, images: Sequence[MedicalImage]) -> list[dict[str, float]]:
        """For each image the probability of each tag, in [0, 1]."""
        logits = self.module.tag_logits(self.module.patches(self.pixels(images).to(self.device)))
        return [dict(zip(self.module.config.tags, row, strict=True)) for row in logits.sigmoid().tolist()]

    def prompts(self, images: Sequence[MedicalImage], requests: Sequence[str]) -> list[str]:
        if not self.tagged:
            return list(requests)
        found = [[name for name, p in tags.items() if p >= TAGGED] for tags in self.tags(images)]
        return [tagged(names, request) for names, request in zip(found, requests, strict=True)]


def pooled(logits: Float[Tensor, "n p k"]) -> Float[Tensor, "n k"]:
    """Logits of patches → of the image."""
    return logits.logsumexp(1) - math.log(logits.shape[1])


def tagged(tags: Sequence[str], request: str) -> str:
    """A request with the tags that are known before it."""
    return f"tags: {', '.join(tags) or 'none'}. {request}"
