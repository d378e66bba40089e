"""A mask for a phrase, after CLIPSeg (Lüddecke & Ecker, CVPR 2022), at a laptop's size and with finer skips.

    model = lab.load("prompt-segmenter")
    model.segment(image, "the left lung")       # Mask in the image's own pixels, empty where there is no such thing
    model.segment(image, "kidneys")             # each structure is looked for by itself, and the masks are united

    image  (n, s, s) → convolutions → features at s, s/2, s/4, s/8, s/16          (once for each image)
    phrase (m, t)    → transformer → (m, d)                                       (once for each phrase)
    both: from coarse to fine, each scale's features scaled and shifted by the phrase (FiLM) and added
                     → at s/4: about where? what does it look like there: is it there at all?
                     → at s: which pixels, if it is there?
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from medvlm_lab.errors import MedVLMError, ModalityError, QuestionError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.base import Mask
from medvlm_lab.models.dual_encoder import MEAN, STD
from medvlm_lab.models.known_words import ReadsWords
from medvlm_lab.models.memory import Roomy
from medvlm_lab.models.preprocess import from_square, square_of
from medvlm_lab.models.store import opened, restored
from medvlm_lab.models.trace import Trace
from medvlm_lab.models.view import fitted
from medvlm_lab.nn.clip_text import CLIPText
from medvlm_lab.nn.convnext import ConvNeXtBlock
from medvlm_lab.nn.layers import init_weights
from medvlm_lab.nn.unet import UNet, enlarged
from medvlm_lab.phantoms.places import places
from medvlm_lab.text.phrases import said_so
from medvlm_lab.text.tokenizer import Tokenizer

MODALITIES = ("X-ray", "CT", "MR", "echo")
BATCH = 32  # phrases decoded together


@dataclass(frozen=True)
class Config:
    """Sizes of the network.

    Attributes:
        vocabulary: tokens. image_size: pixels per side.
        widths, depths: channels and ConvNeXt blocks of each scale, finest first, each half the resolution before.
        width: channels of the decoder. context: tokens that a phrase may have.
        text_width, text_depth, text_heads: of the phrase's transformer. blind: sees a black square for every image.
    """

    vocabulary: int
    image_size: int = 128
    widths: tuple[int, ...] = (8, 24, 48, 96, 160)
    depths: tuple[int, ...] = (0, 1, 2, 2, 3)
    width: int = 48
    context: int = 24
    text_width: int = 96
    text_depth: int = 2
    text_heads: int = 4
    blind: bool = False


class FiLM(nn.Module):
    """Each channel of an image's features scaled and shifted as the phrase decides (Perez et al. 2018, equation 2)."""

    def __init__(self, phrase: int, width: int):
        super().__init__()
        self.modulation = nn.Linear(phrase, 2 * width)

    def forward(self, x: Float[Tensor, "m c h w"], phrase: Float[Tensor, "m d"]) -> Float[Tensor, "m c h w"]:
        scale, shift = self.modulation(phrase)[:, :, None, None].chunk(2, 1)
        return torch.addcmul(shift, x, 1 + scale)


class Scale(nn.Module):
    """One step of the decoder: what is known so far, enlarged, plus this scale's features in the phrase's light."""

    def __init__(self, before: int, skip: int, phrase: int, width: int, block: nn.Module):
        super().__init__()
        self.enter = nn.Conv2d(before, width, 1) if before else None
        self.skip, self.film = nn.Conv2d(skip, width, 1), FiLM(phrase, width)
        self.block = block

    def forward(
        self, x: Float[Tensor, "m c g g"] | None, skip: Float[Tensor, "n k h w"], rows: Int[Tensor, " m"],
        phrase: Float[Tensor, "m d"],
    ) -> Float[Tensor, "m e h w"]:  # fmt: skip
        y = self.film(self.skip(skip)[rows], phrase)  # (m, e, h, w): computed per image, then shared by its phrases
        return self.block(y if x is None else y + enlarged(self.enter(x)))


class PromptNet(nn.Module):
    """The network. `rows` says to which image each phrase belongs, so that an image is encoded once."""

    def __init__(self, config: Config, end_token: int):
        super().__init__()
        self.config, d, w = config, config.text_width, config.width
        c = config.widths
        self.image_tower = UNet(c, config.depths)
        self.text_tower = CLIPText(
            d, config.vocabulary, config.context, d, config.text_depth, config.text_heads, end_token
        )
        self.text_tower.apply(init_weights)
        self.coarse = nn.ModuleList([
            Scale(0, c[4], d, w, ConvNeXtBlock(w, 0.1)), Scale(w, c[3], d, w, ConvNeXtBlock(w, 0.1)),  # s/16, s/8
            Scale(w, c[2], d, w, nn.ReLU()),  # s/4
        ])  # fmt: skip
        self.place = nn.Conv2d(w, 1, 1)
        self.presence = nn.Sequential(nn.LayerNorm(3 * w + 1), nn.Linear(3 * w + 1, w), nn.GELU(), nn.Linear(w, 1))
        self.fine = nn.ModuleList([Scale(w, c[1], d, c[1], nn.ReLU()), Scale(c[1], c[0], d, c[0], nn.ReLU())])  # s/2, s
        self.head = nn.Conv2d(c[0], 1, 1)

    def encode_image(self, pixels: Float[Tensor, "n s s"]) -> list[Float[Tensor, "n _c _h _w"]]:
        """Grey values from 0 to 1 → features, finest first."""
        seen = torch.zeros_like(pixels[:1]) if self.config.blind else pixels  # one black square serves for all
        features = self.image_tower(((seen - MEAN) / STD)[:, None])
        return [x.expand(len(pixels), -1, -1, -1) for x in features]

    def encode_text(self, ids: Int[Tensor, "m t"]) -> Float[Tensor, "m d"]:
        return self.text_tower(ids)

    def recognise(
        self, features: Sequence[Tensor], rows: Int[Tensor, " m"], phrase: Float[Tensor, "m d"]
    ) -> tuple[Float[Tensor, "m w g g"], Float[Tensor, "m g g"], Float[Tensor, " m"]]:
        """Features at a quarter of the resolution in each phrase's light; logits of where it is and that it is there.

        Presence is judged from the features at the likeliest place: those of the whole picture drown a small finding.
        """
        x = None
        for scale, skip in zip(self.coarse, features[:1:-1], strict=True):
            x = scale(x, skip, rows, phrase)
        place = self.place(x)[:, 0]  # (m, g, g)
        weight = place.flatten(1).softmax(1)  # (m, g * g)
        there = torch.einsum("mcp,mp->mc", x.flatten(2), weight.to(x.dtype))
        seen = [there, x.mean((2, 3)), x.amax((2, 3)), place.flatten(1).amax(1, keepdim=True)]
        return x, place, self.presence(torch.cat([part.to(x.dtype) for part in seen], 1))[:, 0]

    def outline(
        self, x: Float[Tensor, "m w g g"], features: Sequence[Tensor], rows: Int[Tensor, " m"],
        phrase: Float[Tensor, "m d"],
    ) -> Float[Tensor, "m s s"]:  # fmt: skip
        """The logit that each pixel belongs to it, provided that it is there."""
        for scale, skip in zip(self.fine, features[1::-1], strict=True):
            x = scale(x, skip, rows, phrase)  # (m, c1, s/2, s/2), then (m, c0, s, s)
        return self.head(x)[:, 0]

    def forward(
        self, pixels: Float[Tensor, "n s s"], ids: Int[Tensor, "m t"], rows: Int[Tensor, " m"]
    ) -> tuple[Float[Tensor, "m s s"], Float[Tensor, " m"]]:
        """Logits of every pixel and of presence."""
        features, phrase = self.encode_image(pixels), self.encode_text(ids)
        x, _, presence = self.recognise(features, rows, phrase)
        return self.outline(x, features, rows, phrase), presence


class PromptSegmenter(ReadsWords, Roomy):
    """Capability `Segmenter` over a `PromptNet`.

    Attributes:
        module: the network. tokenizer: its vocabulary. device: where it computes.
        threshold: probability of presence below which the mask stays empty, fixed on validation patients.
        structures: what it learned to outline in pictures of each modality; {} where a checkpoint does not tell.
    """

    name: ClassVar[str] = "prompt-segmenter"

    def __init__(
        self, module: PromptNet, tokenizer: Tokenizer, threshold: float = 0.5, device: torch.device | str = "cpu",
        structures: Mapping[str, Sequence[str]] | None = None,
    ):  # fmt: skip
        self.device, self.threshold, self.structures = torch.device(device), threshold, dict(structures or {})
        self.module, self.tokenizer = module.eval().to(self.device), tokenizer

    @property
    def text_limit(self) -> int:
        return self.module.config.context

    @classmethod
    def load(cls, folder: Path, device: torch.device | str = "cpu", untrained: bool = False) -> PromptSegmenter:
        """Reads a checkpoint folder: `config.json`, `model.safetensors`, `vocabulary.txt`.

        Raises:
            MissingDataError: a file is missing.
            CheckpointError: a file is damaged or of another architecture.
        """
        settings, config, tokenizer = opened(folder, cls.name, Config, "threshold")
        module = restored(folder, cls.name, lambda: PromptNet(config, tokenizer.end), untrained)
        return cls(module, tokenizer, settings["threshold"], device, settings.get("structures"))

    def segment(self, image: MedicalImage, phrase: str, frame: int | None = None) -> Mask:
        """Where in one frame (the middle one by default) the phrase's structure is; empty where it is absent.

        Raises:
            QuestionError: the phrase is empty. ModalityError: a modality that the model never saw.
            ImageReadError: no such frame.
        """
        return self.segment_batch([image], [phrase], frame)[0]

    @torch.inference_mode()
    def segment_batch(
        self, images: Sequence[MedicalImage], phrases: Sequence[str], frame: int | None = None
    ) -> list[Mask]:
        """One mask per (image, phrase) pair; an image given several times is encoded once. Raises as `segment`.

        A phrase that means several structures gets the union of their masks; one that names none that the model has
        learned in such pictures gets an empty mask whose `note` says so.
        """
        if len(images) != len(phrases):
            raise MedVLMError(f"{len(images)} images but {len(phrases)} phrases; give one phrase for each image.")
        if empty := [i for i, phrase in enumerate(phrases) if not phrase.strip()]:
            raise QuestionError(f"Phrase {empty[0]} is empty; write what to outline, such as 'the left lung'.")
        meant = [self.meant(image, phrase) for image, phrase in zip(images, phrases, strict=True)]
        found = iter(self._outlined(
            [image for image, (said, _) in zip(images, meant, strict=True) for _ in said],
            [text for said, _ in meant for text in said], frame,
        ))  # fmt: skip
        masks = []
        for image, phrase, (said, note) in zip(images, phrases, meant, strict=True):
            self.pixels(image, frame)  # refuses what it never saw
            parts = [next(found) for _ in said] or [np.zeros((2, image.height, image.width), np.float32)]
            pixels, probability = np.max(parts, 0)
            masks.append(Mask(pixels > 0, probability, phrase, note))
        return masks

    def meant(self, image: MedicalImage, phrase: str) -> tuple[list[str], str]:
        """What the network is asked for, one phrase for each structure, and why there is none.

        A bare kind ("kidney") is asked for side by side: the network learned to answer such a word, where it does not
        know it, with whatever has two sides in the picture.
        """
        if not self.structures:
            return [phrase], ""
        every = tuple(dict.fromkeys(name for names in self.structures.values() for name in names))
        known = tuple(self.structures.get(image.modality, every))
        if names := places(phrase, known):
            own = said_so(phrase, names[0], known) if len(names) == 1 else False
            return ([phrase] if own else list(names)), ""
        if elsewhere := places(phrase, every):
            where = [m for m, names in self.structures.items() if set(elsewhere) & set(names)]
            about = f"{self.name} has learned {' and '.join(elsewhere)} in {' and '.join(where)} pictures only"
            return [], f"{about}, not in {image.modality}."
        return [], f"{phrase!r} names nothing that {self.name} has learned to outline; it knows {', '.join(known)}."

    def _outlined(self, images: list[MedicalImage], phrases: list[str], frame: int) -> list[np.ndarray]:
        """For each pair whether each pixel belongs to it, and its probability: (2, h, w)."""
        masks = []
        for i in range(0, len(images), BATCH):
            part, said = images[i : i + BATCH], phrases[i : i + BATCH]
            distinct = {id(image): image for image in part}
            place = {key: k for k, key in enumerate(distinct)}
            pixels = torch.stack([self.pixels(image, frame) for image in distinct.values()])
            rows = torch.tensor([place[id(image)] for image in part], device=self.device)
            ids = self.tokenizer.batch(said, self.module.config.context)
            logits, presence = self.module(pixels.to(self.device), ids.to(self.device), rows)
            pairs = zip(part, logits.float().cpu(), presence.float().cpu(), strict=True)
            masks += [self.mask(image, *found) for image, *found in pairs]
        return masks

    @torch.enable_grad()
    def trace(self, image: MedicalImage, text: str, frame: int | None = None) -> Trace:
        """The logit that the phrase's structure is there, A the coarsest features. Raises as `segment`."""
        if not text.strip():
            raise QuestionError("The phrase is empty; write what to look for, such as 'the left lung'.")
        ids = self.tokenizer.batch([text], self.module.config.context).to(self.device)
        phrase = self.module.encode_text(ids).detach()  # (1, d)

        def presence(features: Sequence[Tensor]) -> Float[Tensor, " n"]:
            rows = torch.arange(len(features[0]), device=self.device)
            return self.module.recognise(features, rows, phrase.expand(len(rows), -1))[2]

        frame = image.reading_frame if frame is None else range(image.frames)[frame]
        pixels = self.pixels(image, frame)[None].to(self.device).requires_grad_()
        features = self.module.encode_image(pixels)
        view = fitted(image.picture_size, self.module.config.image_size).on(image, frame)
        again = lambda pixels: presence(self.module.encode_image(pixels))  # noqa: E731
        return Trace(text, presence(features)[0], features[-1], view, pixels=pixels, again=again)

    def pixels(self, image: MedicalImage, frame: int | None = None) -> Float[Tensor, "s s"]:
        """One grey frame from 0 to 1 as displayed, fitted into a square. Raises as `segment`."""
        if image.modality not in (*MODALITIES, "unknown"):
            raise ModalityError(
                f"{image.name or 'The image'} is {image.modality}, but {self.name} has seen {', '.join(MODALITIES)} "
                "only; choose another image, or try all the same with image.with_(modality='unknown')."
            )
        return square_of(image, self.module.config.image_size, frame).mean(0)

    def mask(
        self, image: MedicalImage, logits: Float[Tensor, "s s"], presence: Float[Tensor, ""]
    ) -> Float[np.ndarray, "2 h w"]:
        """Logits in the network's square → the mask and the probability of each of the image's own pixels."""
        there = float(presence.sigmoid())
        inside = from_square(logits, image.height, image.width, image.picture_size).sigmoid().numpy()  # (h, w)
        pixels = (inside > 0.5) & (there > self.threshold)
        return np.stack([pixels.astype(np.float32), np.float32(there) * inside])
