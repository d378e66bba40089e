"""The task of the prompt segmenter: what a phrase names is to be outlined, and what is not there to be denied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.metrics.overlap import dice
from medvlm_lab.models.prompt_segmenter import PromptNet
from medvlm_lab.text.phrases import SIDES, all_names, kind_of, phrase
from medvlm_lab.text.tokenizer import UNKNOWN, Tokenizer
from medvlm_lab.train.scans import Scans

UNION = 0.3  # share of sided structures that are asked for without a side


@dataclass(frozen=True)
class Asked:
    """Phrases about a batch's pictures.

    Attributes:
        rows: (m,) the picture of each phrase. there: (m,). masks: of the phrases that name something there, in order.
    """

    phrases: list[str]
    rows: Tensor
    there: Bool[Tensor, " m"]
    masks: Bool[Tensor, "p s s"]


class SegmentationTask:
    """Batches, loss and validation over simulated scans; see `loop.Task`."""

    def __init__(
        self, model: PromptNet, tokenizer: Tokenizer, train: list[Scans], validation: list[Scans], recipe: dict
    ):
        self.model, self.tokenizer, self.recipe = model, tokenizer, recipe
        self.train, self.validation = train, validation
        self.unknown = tokenizer.vocabulary.index(UNKNOWN)
        self.words = np.array([w for w in tokenizer.vocabulary if w.isalpha()])
        named = {i for s in train for name in s.names for i in tokenizer.encode(name, 99)}
        parts = {word for s in train for name in s.names for word in name.split()} - {*SIDES}
        self.parts = np.array(sorted(parts.difference(*(all_names(s.names) for s in train))))
        self.named = torch.tensor(sorted(named))  # words that must not be lost
        self.weights = rarity(train)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """The blinded twin gets the first few."""
        every = shuffled(self.train, self.recipe, epoch)
        return every[: max(1, int(len(every) * self.recipe["blind_share"]))] if self.model.config.blind else every

    def loss(self, pairs: np.ndarray, rng: np.random.Generator) -> Tensor:
        device, model = self.model.head.weight.device, self.model
        asked = self.ask(pairs, rng)
        pixels = torch.stack([self.train[k].pixels[row] for k, row in pairs]).to(device).float() / 255
        shown = asked.rows[asked.there]
        pixels, masks = varied(pixels, asked.masks.to(device).float(), shown.to(device), rng)
        phrases = [self.surrounded(text, rng) for text in asked.phrases]
        ids = self.tokenizer.batch(phrases, model.config.context)
        lost = torch.from_numpy(rng.random(tuple(ids.shape)) < self.recipe["word_dropout"])
        ids[lost & (ids > self.tokenizer.end) & ~torch.isin(ids, self.named)] = self.unknown
        features, text = model.encode_image(pixels), model.encode_text(ids.to(device))
        rows, there = asked.rows.to(device), asked.there.to(device)
        x, place, presence = model.recognise(features, rows, text)
        # the outline is drawn only of what is there; the place of what is not there is nowhere
        outline = model.outline(x[there], features, rows[there], text[there])
        coarse = F.adaptive_avg_pool2d(masks, place.shape[-1])
        nowhere = place[~there].float()
        return (
            outline_loss(outline.float(), masks) + outline_loss(place[there].float(), coarse)
            + F.binary_cross_entropy_with_logits(nowhere, torch.zeros_like(nowhere))
            + F.binary_cross_entropy_with_logits(presence.float(), there.float())
        )  # fmt: skip

    def ask(self, pairs: np.ndarray, rng: np.random.Generator) -> Asked:
        """`present` phrases for what each picture shows, `absent` ones for what it does not, in new words each time."""
        phrases, rows, there, masks = [], [], [], []
        for i, (k, row) in enumerate(pairs):
            scans = self.train[k]
            for name in drawn(scans.visible[row] * self.weights[k], self.recipe["present"], rng):
                both = pair(scans.names, name) if rng.random() < UNION else (name,)
                phrases.append(phrase(scans.names[name], scans.names, rng, union=len(both) > 1))
                masks.append(scans.mask(row, *both))
            absent = drawn(scans.absent[row] * 1.0, self.recipe["absent"] - 1, rng)
            for name in absent:
                both = pair(scans.names, name) if rng.random() < UNION else (name,)
                union = len(both) > 1 and bool(scans.absent[row, list(both)].all())
                phrases.append(phrase(scans.names[name], scans.names, rng, union=union))
            others = [other for j, other in enumerate(self.train) if j != k] or [scans]
            names = others[rng.integers(len(others))].names
            foreign = [name for name in names if name not in scans.names]
            if foreign:
                phrases.append(phrase(foreign[rng.integers(len(foreign))], names, rng))
            said = len(phrases) - len(rows)
            shown = min(self.recipe["present"], int(scans.visible[row].sum()))
            rows += [i] * said
            there += [True] * shown + [False] * (said - shown)
        return Asked(phrases, torch.tensor(rows), torch.tensor(there), torch.from_numpy(np.stack(masks)))

    def surrounded(self, text: str, rng: np.random.Generator) -> str:
        """Often with other words before and after, unknown or known ones, as other people's phrases are.

        A word out of another structure's name ("line" of "central line") names nothing by itself; one unknown word at
        least stands between it and the name.
        """
        if rng.random() >= self.recipe["surrounded"]:
            return text
        if rng.random() < self.recipe["parts"]:
            gaps = [["☐"] * int(n) for n in rng.integers(0, 4, 3)]
            part, other = rng.choice(self.parts, 2)
            before = [*gaps[0], part, "☐", *gaps[1]] if rng.random() < 0.7 else gaps[1]
            after = ["☐", other] if rng.random() < 0.3 else gaps[2][:2]
            return " ".join([*before, text, *after])
        words = ["☐" if rng.random() < 0.7 else w for w in rng.choice(self.words, int(rng.integers(1, 7)))]
        before = int(rng.integers(0, min(len(words), 5) + 1))
        return " ".join([*words[:before], text, *words[before:][:2]])

    @torch.inference_mode()
    def validate(self, model: PromptNet) -> dict[str, float]:
        """Mean Dice over structures; the probability of presence that `empty_share` of the absent ones stay below."""
        found, absent = self.measured(model)
        return {
            "dice": float(np.nanmean(found)), "threshold": float(np.quantile(absent, self.recipe["empty_share"]))
        }  # fmt: skip

    @torch.inference_mode()
    def measured(self, model: PromptNet) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " a"]]:
        """Dice of each structure over validation pictures that show it, and the probability of presence of absent ones.

        The outline alone: presence holds no mask back here.
        """
        device, each, absent = model.head.weight.device, [], []
        for scans in self.validation:
            rng, names = np.random.default_rng(0), scans.names
            values = np.full((len(scans), len(names)), np.nan)
            for row in range(len(scans)):
                asked = [k for k in range(len(names)) if scans.visible[row, k] or scans.absent[row, k]]
                ids = self.tokenizer.batch([phrase(names[k], names, rng) for k in asked], model.config.context)
                pixels, own = scans.pixels[row : row + 1].to(device).float() / 255, torch.zeros(len(asked), dtype=int)
                logits, score = model(pixels, ids.to(device), own.to(device))
                for k, mask, p in zip(asked, logits.cpu(), score.sigmoid().tolist(), strict=True):
                    if scans.visible[row, k]:
                        values[row, k] = dice((mask > 0).numpy(), scans.mask(row, k))
                    else:
                        absent.append(p)
            each += [np.nanmean(v) if np.isfinite(v).any() else np.nan for v in values.T]
        return np.array(each), np.array(absent)


def shuffled(train: list[Scans], recipe: dict, epoch: int) -> list[np.ndarray]:
    """An epoch's batches of pictures as (phantom, row) pairs, all phantoms mixed."""
    rng, size = np.random.default_rng((recipe["seed"], epoch)), recipe["batch_size"]
    pairs = np.array([(k, row) for k, scans in enumerate(train) for row in range(len(scans))])
    pairs = pairs[rng.permutation(len(pairs))]
    return [pairs[i * size : (i + 1) * size] for i in range(len(pairs) // size)]


def rarity(train: list[Scans]) -> list[Float[np.ndarray, " k"]]:
    """Weights by which a finding that one patient in twenty has is chosen about as often as an organ that all have."""
    return [1 / np.sqrt(scans.visible.mean(0) + 0.01) for scans in train]


def pair(names: tuple[str, ...], number: int) -> tuple[int, ...]:
    """The numbers of both sides of a structure; its own alone where it has no sides."""
    kind = kind_of(names[number], names)
    return (number,) if kind == names[number] else (names.index(f"left {kind}"), names.index(f"right {kind}"))


def drawn(weights: Float[np.ndarray, " k"], count: int, rng: np.random.Generator) -> list[int]:
    """At most `count` different numbers, each the likelier the greater its weight; never one of weight 0."""
    chance = rng.random(len(weights)) ** (1 / np.maximum(weights, 1e-9))  # Efraimidis & Spirakis 2006
    order = np.argsort(-chance)
    return [int(k) for k in order if weights[k] > 0][:count]


def outline_loss(logits: Float[Tensor, "p s s"], masks: Float[Tensor, "p s s"]) -> Float[Tensor, ""]:
    """Cross-entropy of the pixels plus 1 - soft Dice (Milletari et al. 2016), each structure for itself."""
    probability = logits.sigmoid()
    overlap = (2 * (probability * masks).sum((1, 2)) + 1) / (probability.sum((1, 2)) + masks.sum((1, 2)) + 1)
    return F.binary_cross_entropy_with_logits(logits, masks) + (1 - overlap).mean()


def varied(
    pixels: Float[Tensor, "n s s"], masks: Float[Tensor, "p s s"], rows: Tensor, rng: np.random.Generator
) -> tuple[Float[Tensor, "n s s"], Float[Tensor, "p s s"]]:
    """A small turn, shift and zoom of each picture and of its masks, and another grey curve; never a flip."""
    n = len(pixels)
    angle, zoom = np.deg2rad(rng.uniform(-6, 6, n)), rng.uniform(0.9, 1.1, n)
    cos, sin, shift = np.cos(angle) * zoom, np.sin(angle) * zoom, rng.uniform(-0.08, 0.08, (2, n))
    theta = torch.from_numpy(np.stack([[cos, -sin, shift[0]], [sin, cos, shift[1]]])).permute(2, 0, 1).to(pixels)
    grid = F.affine_grid(theta, [n, 1, *pixels.shape[1:]], align_corners=False)
    moved = F.grid_sample(pixels[:, None], grid, align_corners=False)[:, 0]
    drawn_in = F.grid_sample(masks[:, None], grid[rows], align_corners=False)[:, 0]
    draw = lambda low, high: torch.from_numpy(rng.uniform(low, high, (n, 1, 1))).to(moved)  # noqa: E731
    return (moved.clamp(min=1e-4) ** draw(0.8, 1.25) * draw(0.9, 1.1)).clamp(0, 1), (drawn_in > 0.5).to(masks)
