"""The task of the dual encoders: simulated studies and their reports, each to be found among a batch's others."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.metrics.ranking import mcmrr
from medvlm_lab.models.dual_encoder import DualEncoder, contrastive_loss
from medvlm_lab.phantoms.base import Phantom, Scene, rng_of
from medvlm_lab.progress import tqdm
from medvlm_lab.text.tokenizer import UNKNOWN, Tokenizer
from medvlm_lab.train.cache import cached

RENDERED = 64  # studies rendered together
FIGURE = re.compile(r"\d")


class Studies:
    """Simulated studies of one part as bytes (n, frames, s, s), and the scenes that their reports are written from.

    The pixels are kept in `cache`, so that a resumed run need not simulate them again.
    """

    def __init__(
        self, simulator: Phantom, part: str, count: int, frames: int, size: int, seed: int, cache: Path | None = None
    ):
        self.simulator, self.part, self.seed = simulator, part, seed
        self.scenes = simulator.sample(seed, count, part=part)
        path = cache and cache / f"{simulator.name}-{part}-{count}-{frames}-{size}-{seed}.safetensors"
        self.pixels = cached(path, lambda: {"pixels": rendered(simulator, self.scenes, frames, size)})["pixels"]

    def __len__(self) -> int:
        return len(self.scenes)

    def report(self, row: int, rng: np.random.Generator | None = None, wording: str = "usual") -> str:
        """The whole report of one study."""
        report = self.simulator.report(self.scenes[row], rng, wording)
        return f"{report.findings} {report.impression}"


def rendered(simulator: Phantom, scenes: Sequence[Scene], frames: int, size: int) -> UInt8[Tensor, "n f s s"]:
    """Grey frames as displayed; of a cine, `frames` evenly spaced over it."""
    low = simulator.window[0] - simulator.window[1] / 2
    out = torch.empty(len(scenes), frames, size, size, dtype=torch.uint8)
    for i in tqdm(range(0, len(scenes), RENDERED), desc=f"simulating {simulator.name}", unit="batch", leave=False):
        pixels = simulator.render(scenes[i : i + RENDERED], size)  # (n, c, s, s)
        chosen = np.linspace(0, pixels.shape[1] - 1, frames).round().astype(int)
        grey = ((pixels[:, chosen] - low) / simulator.window[1]).clamp(0, 1)
        out[i : i + RENDERED] = ((1 - grey if simulator.inverted else grey) * 255).round().byte()
    return out


@dataclass(frozen=True)
class Data:
    """Vocabulary and studies, and the folder in which the stages keep their checkpoints."""

    tokenizer: Tokenizer
    train: Studies
    validation: Studies
    folder: Path


class ContrastiveTask:
    """Batches, loss and validation over simulated studies; see `loop.Task`."""

    def __init__(self, model: DualEncoder, tokenizer: Tokenizer, train: Studies, validation: Studies, recipe: dict):
        self.model, self.tokenizer, self.recipe = model, tokenizer, recipe
        self.train, self.validation = train, validation
        self.unknown = tokenizer.vocabulary.index(UNKNOWN)

    def batches(self, epoch: int) -> list[np.ndarray]:
        return shuffled(len(self.train), self.recipe, epoch)

    def loss(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        chosen = spread(self.train.pixels.shape[1], self.recipe["frames_per_step"], rng)
        images = F.normalize(self.model.encode_image(varied(self.pixels(rows, chosen), rng)), dim=-1)
        return self.matched(images, rows, rng)

    def pixels(self, rows: np.ndarray, chosen: Int[Tensor, " f"]) -> Float[Tensor, "n f s s"]:
        """The chosen frames of some studies, from 0 to 1."""
        pixels = self.train.pixels[torch.from_numpy(rows)[:, None], chosen]
        return pixels.to(self.model.logit_scale.device).float() / 255

    def matched(self, images: Float[Tensor, "n d"], rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Each study has to find its own report's text among the batch's, and each text its study."""
        texts = self.embedded([self.excerpt(row, rng) for row in rows], rng)
        return contrastive_loss((self.model.scale() * images @ texts.T).float())

    def embedded(self, texts: Sequence[str], rng: np.random.Generator) -> Float[Tensor, "n d"]:
        """Unit rows."""
        return F.normalize(self.model.encode_text(self.ids(texts, rng).to(self.model.logit_scale.device)), dim=-1)

    def ids(self, texts: Sequence[str], rng: np.random.Generator) -> Int[Tensor, "n t"]:
        """Tokens, some unknown: what unseen words will be."""
        ids = self.tokenizer.batch(list(texts), self.model.config.context)
        lost = torch.from_numpy(rng.random(tuple(ids.shape)) < self.recipe["word_dropout"])
        return ids.masked_fill(lost & (ids > self.tokenizer.end), self.unknown)

    def excerpt(self, row: int, rng: np.random.Generator) -> str:
        """A report in new words each time; often a few sentences or figures of it, so that short prompts work."""
        own = rng_of(int(rng.integers(2**40)))
        text, form = self.train.report(row, own), own.random()
        sentences = text.split(". ")
        if form < self.recipe["excerpts"]:
            keep = own.permutation(len(sentences))[: int(own.integers(1, 4))]
            return ". ".join(sentences[i] for i in keep)
        figures = [part for sentence in sentences for part in sentence.split(", ") if FIGURE.search(part)]
        if figures and form < self.recipe["excerpts"] + self.recipe["figures"]:
            keep = own.permutation(len(figures))[: int(own.integers(1, 3))]
            return ", ".join(figures[i] for i in keep)
        return text

    @torch.inference_mode()
    def validate(self, model: DualEncoder) -> dict[str, float]:
        """Mean cross-modal retrieval rank in percent of the number of studies; chance is 50."""
        images, texts = embedded(model, self.tokenizer, self.validation, "usual")
        return {"mcmrr_percent": 100 * mcmrr(images @ texts.T) / len(images)}


def shuffled(count: int, recipe: dict, epoch: int) -> list[np.ndarray]:
    """All numbers below `count` in a new order for each epoch, in full batches."""
    rows, size = np.random.default_rng((recipe["seed"], epoch)).permutation(count), recipe["batch_size"]
    return [rows[i : i + size] for i in range(0, count - size + 1, size)]


def spread(frames: int, most: int, rng: np.random.Generator) -> Int[Tensor, " m"]:
    """`most` of a cine's frames, spread over it from a random start; all of them where it has no more."""
    if most >= frames:
        return torch.arange(frames)
    step = frames / most
    chosen = (rng.integers(frames) + np.arange(most) * step + rng.integers(0, max(1, int(step)), most)) % frames
    return torch.from_numpy(chosen.astype(int))


def varied(
    pixels: Float[Tensor, "n f s s"], rng: np.random.Generator, shift: bool = True
) -> Float[Tensor, "n f s s"]:
    """A small shift and another grey curve for each study, the same for all its frames."""
    n, size = len(pixels), pixels.shape[-1]
    reach = max(1, size // 16) if shift else 0
    padded = F.pad(pixels, (reach,) * 4)
    corners = rng.integers(0, 2 * reach + 1, (n, 2))
    moved = torch.stack([p[:, i : i + size, j : j + size] for p, (i, j) in zip(padded, corners, strict=True)])
    draw = lambda low, high: torch.from_numpy(rng.uniform(low, high, (n, 1, 1, 1))).to(moved)  # noqa: E731
    gamma, gain = draw(0.8, 1.25), draw(0.9, 1.1)
    return (moved.clamp(min=1e-4) ** gamma * gain).clamp(0, 1)


@torch.inference_mode()
def embedded(
    model: DualEncoder, tokenizer: Tokenizer, studies: Studies, wording: str
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "n d"]]:
    """Unit rows of the studies and of their reports."""
    model.eval()
    device, images, texts = model.logit_scale.device, [], []
    for rows in torch.arange(len(studies)).split(64):
        images.append(model.encode_image(studies.pixels[rows].to(device).float() / 255).float().cpu())
        written = [studies.report(int(row), None, wording) for row in rows]
        texts.append(model.encode_text(tokenizer.batch(written, model.config.context).to(device)).float().cpu())
    return F.normalize(torch.cat(images), dim=-1), F.normalize(torch.cat(texts), dim=-1)

