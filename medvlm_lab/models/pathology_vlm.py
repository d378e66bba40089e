"""PathologyVLM, or PA-LLaVA (Dai et al., Artif Intell Rev 58:186, 2025) at a laptop's size: tiles at full resolution.

    model = lab.load("pathology-vlm")
    model.answer(lab.sample("histology-ihc"), "Is there necrosis?")   # Answer(text, confidence, ...)
    model.classify(image)                                             # {"necrosis": 0.08, ...}

image → whole view and 4 to 8 tiles → domain CLIP's ViT → scaling-free connector → always 16 soft tokens ┐
"question: Is there necrosis? answer:" ──────────────────────────────────────────────────────────────────┴ LLaMA → words

The image encoder is that of a CLIP of this domain's own (PA-LLaVA's "PLIP"), which classifies by prompts besides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from medvlm_lab.errors import QuestionError, UnknownNameError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.generative import SeeingLanguageModel, Seen, padded
from medvlm_lab.models.trace import Trace
from medvlm_lab.models.vqa_answerer import checked
from medvlm_lab.models.writer import BATCH, Writer
from medvlm_lab.nn.clip_text import CLIPText
from medvlm_lab.nn.connector import ScalingFreeConnector, cut_tiles
from medvlm_lab.nn.efficientnet import CHANNELS, STRIDE, EfficientNetLite0
from medvlm_lab.nn.layers import DecoderLayer, init_weights
from medvlm_lab.nn.llama import Llama, LlamaConfig
from medvlm_lab.nn.vit import HybridViT

POSITIVE, NEGATIVE = ("There is {}.", "{} is present."), ("There is no {}.", "No {} is present.")
FINDINGS = (
    "benign hyperplasia", "in situ carcinoma", "invasive carcinoma", "nuclear pleomorphism", "mitoses", "necrosis",
    "desmoplastic stroma", "lymphocytic infiltrate", "calcification",
)  # fmt: skip
FINE = (0, 2, 4, 10)  # blocks of the stem that still tell 2 to 16 pixels apart, as mitoses need; the last tells 32
COLUMN = CHANNELS + 2 * (16 + 24 + 40 + 112)  # features of a patch: the last block's, mean and maximum of the finer


@dataclass(frozen=True)
class Config:
    """Sizes.

    Attributes:
        vocabulary: tokens, shared by both text models. end: id of the token that ends a text.
        tile: pixels per side of each view. tiles: at most, besides the whole view.
        embedding: width of the space of images and texts. caption: tokens of a text in it.
        context: tokens of prompt and text together.
    """

    vocabulary: int
    end: int
    tile: int = 128
    tiles: int = 8
    width: int = 192
    heads: int = 6
    hidden: int = 512
    dropout: float = 0.1
    vision_depth: int = 2
    text_depth: int = 2
    connector_depth: int = 2
    embedding: int = 128
    caption: int = 96
    language_depth: int = 3
    kv_heads: int = 2
    context: int = 160


class Views(NamedTuple):
    """An image as the model looks at it: the whole view first, then its tiles; `keep` is False where there is none."""

    pixels: Float[Tensor, "n k 3 s s"]
    keep: Bool[Tensor, "n k p"]


class Looked(NamedTuple):
    """Tokens of each view, its class token first, and which are of a patch with image in it."""

    tokens: Float[Tensor, "n k 1+p d"]
    keep: Bool[Tensor, "n k p"]


class PathologyNet(SeeingLanguageModel):
    """The network: the domain CLIP, the connector and the language model."""

    def __init__(self, config: Config):
        super().__init__()
        self.config, width = config, config.width
        self.vision = HybridViT(config.tile, width, config.vision_depth, config.heads, config.hidden, config.dropout)
        self.vision.patch_projection = nn.Sequential(nn.LayerNorm(COLUMN), nn.Linear(COLUMN, width))
        self.image_projection = nn.Linear(width, config.embedding)
        self.text = CLIPText(
            config.embedding, config.vocabulary, config.caption, width, config.text_depth, config.heads, config.end
        )
        self.match = DecoderLayer(width, config.heads, config.hidden)
        self.match_head = nn.Linear(width, 2)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.connector = ScalingFreeConnector(width, width, config.connector_depth, config.heads, config.hidden)
        self.language = Llama(
            LlamaConfig(config.vocabulary, width, config.language_depth, config.heads, config.kv_heads, config.hidden)
        )
        for part in (self.image_projection, self.text, self.match, self.match_head, self.connector, self.language):
            part.apply(init_weights)

    def patches(self, views: Views) -> Float[Tensor, "n k p c"]:
        """Features of the frozen stem, which training computes once."""
        real = views.keep.any(-1)  # (n, k): an absent tile costs nothing
        found = columns(self.vision.stem, views.pixels[real].contiguous(memory_format=torch.channels_last))
        patches = found.new_zeros(*views.keep.shape, found.shape[-1])
        patches[real] = found
        return patches

    def look(self, patches: Float[Tensor, "n k p c"], keep: Bool[Tensor, "n k p"]) -> Looked:
        """Every view through the same ViT."""
        real = keep.any(-1)
        found = self.vision.encode_patches(patches[real])  # (views, 1 + p, d)
        tokens = found.new_zeros(*real.shape, *found.shape[1:])
        tokens[real] = found
        return Looked(tokens, keep)

    def embed(self, looked: Looked) -> Float[Tensor, "n e"]:
        """The image in the space of images and texts, of unit length: the mean of its views' class tokens."""
        real = looked.keep.any(-1)[..., None].to(looked.tokens.dtype)  # (n, k, 1)
        mean = (looked.tokens[:, :, 0] * real).sum(1) / real.sum(1)
        return F.normalize(self.image_projection(mean).float(), dim=-1)

    def embed_text(self, ids: Int[Tensor, "n t"]) -> Float[Tensor, "n e"]:
        """Texts in the same space, of unit length."""
        return F.normalize(self.text(ids).float(), dim=-1)

    def matched(self, looked: Looked, ids: Int[Tensor, "n t"]) -> Float[Tensor, "n 2"]:
        """Logits that each text is not, and is, true of its image: the text looks at all patches."""
        words = self.match(self.text.tokens(ids), looked.tokens[:, :, 1:].flatten(1, 2), looked.keep.flatten(1))
        ends = (ids == self.config.end).int().argmax(1)
        return self.match_head(words[torch.arange(len(ids), device=ids.device), ends])

    def connect(self, looked: Looked) -> Seen:
        """As many soft tokens as the whole view has patches, whatever the number of tiles."""
        patches = looked.tokens[:, :, 1:]  # (n, k, p, d)
        return Seen(prefix=self.connector(patches[:, 0], patches[:, 1:], looked.keep[:, 1:]))

    def see(self, pixels: Views, ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"]) -> Seen:
        """The prompt does not change what is seen."""
        return self.connect(self.look(self.patches(pixels), pixels.keep))


class PathologyVLM(Writer):
    """Capabilities `Answerer`, `ImageTextEncoder`, `Explainable` for H&E micrographs; it never learned to report."""

    name: ClassVar[str] = "pathology-vlm"
    modality: ClassVar[str] = "histology"
    network: ClassVar[type[PathologyNet]] = PathologyNet
    config: ClassVar[type[Config]] = Config
    given: ClassVar[tuple[str, ...]] = ("vision.stem.",)  # ImageNet's, frozen
    report = report_batch = None  # the capability `Reporter` is not this model's

    @torch.inference_mode()
    def look(self, images: Sequence[MedicalImage]) -> Looked:
        """All views of each image through the image encoder. Raises ModalityError as `answer` does."""
        self.refuse_unseen(images)
        views = [cut(picture(image), self.module.config) for image in images]
        pixels, keep = (torch.stack(part).to(self.device) for part in zip(*views, strict=True))
        return self.module.look(self.module.patches(Views(pixels, keep)), keep)

    @torch.inference_mode()
    def seen(self, images: Sequence[MedicalImage], prompts: Sequence[str]) -> tuple[Seen, Tensor, Tensor]:
        """As for every writer; an image that several questions are asked about is looked at once."""
        different = {id(image): image for image in images}
        place = [list(different).index(id(image)) for image in images]
        seen = self.module.connect(self.look(list(different.values())))
        ids, keep = padded([self.ids(prompt) for prompt in prompts], self.tokenizer.pad, left=True)
        return seen.rows(torch.tensor(place, device=self.device)), ids.to(self.device), keep.to(self.device)

    def trace(self, image: MedicalImage, text: str, answer: str | None = None) -> Trace:
        """A question and `answer`, by default the model's own: score log p(answer), A the patches of all tiles as one
        grid. Raises as `answer`.

        The whole view shows the same places once more, and stays as it is when A changes.
        """
        from medvlm_lab.models.pathology_trace import trace

        self.refuse_unseen([image])
        return trace(self, image, checked(text), answer)

    @torch.inference_mode()
    def encode_images(self, images: Sequence[MedicalImage]) -> Float[Tensor, "n e"]:
        """Unit rows, one for each image. Raises ModalityError for a modality that the model never saw."""
        rows = [torch.empty(0, self.module.config.embedding)]
        for i in range(0, len(images), BATCH):
            rows.append(self.module.embed(self.look(images[i : i + BATCH])).cpu())
        return torch.cat(rows)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Float[Tensor, "n e"]:
        """Unit rows, one for each text; what does not fit is cut off. Raises QuestionError if empty."""
        if empty := [i for i, text in enumerate(texts) if not text.strip()]:
            raise QuestionError(f"Text {empty[0]} is empty; write what to look for, such as 'necrosis'.")
        if not texts:
            return torch.empty(0, self.module.config.embedding)
        ids = self.tokenizer.batch(list(texts), self.module.config.caption)
        return self.module.embed_text(ids.to(self.device)).cpu()

    def classify(self, image: MedicalImage, findings: Sequence[str] = FINDINGS) -> dict[str, float]:
        """Probability in [0, 1] of each finding, or of any words that can follow "there is"; see `score_findings`."""
        return {name: float(scores[0]) for name, scores in self.score_findings([image], findings).items()}

    @torch.inference_mode()
    def score_findings(
        self, images: Sequence[MedicalImage], findings: Sequence[str] = FINDINGS
    ) -> dict[str, Float[Tensor, " n"]]:
        """Zero-shot: softmax over the cosines with the positive and the negative prompt, mean of their wordings.

        Raises UnknownNameError for an empty name, ModalityError as `answer` does.
        """
        if blank := [name for name in findings if not name.strip()]:
            raise UnknownNameError("finding", blank[0], FINDINGS)
        pictures, scale = self.encode_images(images), float(self.module.logit_scale.exp())
        found = torch.zeros(len(images), len(findings))
        for positive, negative in zip(POSITIVE, NEGATIVE, strict=True):
            agree = [pictures @ self.encode_texts([t.format(n) for n in findings]).T for t in (positive, negative)]
            found += torch.stack(agree).mul(scale).softmax(0)[0] / len(POSITIVE)
        return dict(zip(findings, found.T, strict=True))


def picture(image: MedicalImage) -> Float[Tensor, "3 h w"]:
    """Colours from 0 to 1 as displayed; the middle frame of a video."""
    return torch.tensor(image.picture(image.reading_frame)).permute(2, 0, 1).float() / 255


def cut(picture: Float[Tensor, "3 h w"], config: Config) -> tuple[Float[Tensor, "k 3 s s"], Bool[Tensor, "k p"]]:
    """The whole view and the tiles of a picture from 0 to 1, and which of their patches hold image."""
    whole, tiles, keep = cut_tiles(picture, config.tile, STRIDE, config.tiles)
    return torch.cat([whole[None], tiles]).clamp(0, 1), torch.cat([torch.ones_like(keep[:1]), keep])


def columns(stem: EfficientNetLite0, pixels: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n p c"]:
    """What the stem sees of each patch, from fine to coarse (Hariharan et al. 2015, hypercolumns)."""
    x, fine = F.relu6(stem.stem((pixels * 255 - 127) / 128)), []
    for i, block in enumerate(stem.blocks):
        x = block(x)
        fine += [x] if i in FINE else []
    grid = x.shape[-2:]
    parts = [pool(f, grid) for f in fine for pool in (F.adaptive_avg_pool2d, F.adaptive_max_pool2d)]
    return torch.cat([x, *parts], 1).flatten(2).transpose(1, 2)
