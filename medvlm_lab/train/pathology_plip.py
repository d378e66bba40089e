"""The first stage of PA-LLaVA: "PLIP", a CLIP of the domain's own by image–text contrast and matching.

Simulated patients come with masks and numbers, so that patches learn what they show, and the whole how much of it there
is: contrast alone leaves what is as small as a mitosis at chance.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from medvlm_lab.metrics.ranking import mcmrr
from medvlm_lab.models.pathology_vlm import Looked, PathologyNet
from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.phantoms.scene import Scene
from medvlm_lab.text.tokenizer import UNKNOWN
from medvlm_lab.train.alignment import SMOOTHING, AlignmentTask
from medvlm_lab.train.contrastive import Studies, shuffled
from medvlm_lab.train.lessons import Lessons
from medvlm_lab.train.pathology_pictures import Pictures
from medvlm_lab.train.statements import Statements

OWN = ("organ", "mammary", "glands", "objective")  # slots that stay the patient's own in a false sentence


@dataclass(frozen=True)
class Slides:
    """Simulated patients: their scenes, and the stem's features of their pictures."""

    studies: Studies
    pictures: Pictures


@dataclass(frozen=True)
class Asked:
    """Real questions beside the stem's features of the pictures that they are about."""

    pictures: Pictures
    questions: Sequence[str]
    answers: Sequence[str]
    closed: np.ndarray
    image_index: np.ndarray
    parts: dict[str, np.ndarray] = field(default_factory=dict)  # rows to train, validate and test on

    def captions(self, part: str) -> dict[int, list[str]]:
        """Each picture's answers to open questions: all that a data set of questions says of what an image shows."""
        found = defaultdict(list)
        for i in self.parts[part]:
            if not self.closed[i]:
                found[int(self.image_index[i])].append(self.answers[i].lower())
        return dict(found)


class PlipTask:
    """Stage "plip": image–text contrast (ITC), matching (ITM), and sentences told from their denial; see `loop.Task`.

    Patients with the same findings are no negatives of each other. Each image is also compared with a true and a false
    sentence about one finding. `cell_loss` is the weight at which patches tell what they show, `number_loss` that at
    which the whole tells the amount of every finding and the scene's `numbers`, by heads that no checkpoint keeps.
    Real pictures pass `named` times an epoch, each beside one of its answers to open questions; contrast alone.
    """

    def __init__(
        self, model: PathologyNet, lessons: Lessons, train: Slides, validation: Slides, asked: Asked | None,
        recipe: dict,
    ):  # fmt: skip
        self.model, self.lessons, self.recipe, self.train, self.validation = model, lessons, recipe, train, validation
        self.asked, self.captions = asked, asked.captions("train") if asked else {}
        scenes = train.studies.scenes
        groups = {key: i for i, key in enumerate(dict.fromkeys(map(AlignmentTask.findings, scenes)))}
        self.group = torch.tensor([groups[AlignmentTask.findings(scene)] for scene in scenes])
        self.statements = Statements(train.studies.simulator, scenes, OWN)
        if recipe["cell_loss"]:
            torch.manual_seed(recipe["seed"])
            model.cell_head = nn.Linear(model.config.width, train.pictures.cells.shape[-1])
            self.truth = standard(amounts(scenes, recipe["numbers"]))
            model.number_head = nn.Linear(2 * model.config.width, self.truth.shape[1])

    def batches(self, epoch: int) -> list[tuple[str, np.ndarray]]:
        """(kind, rows): of real pictures for "real", else of simulated patients."""
        found = [("simulated", rows) for rows in shuffled(len(self.train.studies), self.recipe, epoch)]
        rng, size = np.random.default_rng((self.recipe["seed"], epoch, 3)), self.recipe["batch_size"]
        for rows in passes(np.array(list(self.captions), int), self.recipe["named"], rng):
            found += [("real", rows[i : i + size]) for i in range(0, len(rows), size)]
        return [found[i] for i in rng.permutation(len(found))]

    def ids(self, texts: list[str], rng: np.random.Generator) -> Int[Tensor, "n t"]:
        """Tokens, some unknown: what a word that was never read will be."""
        ids = self.lessons.tokenizer.batch(texts, self.model.config.caption)
        return lost(ids, self.lessons, self.recipe["word_dropout"], rng).to(self.model.logit_scale.device)

    def loss(self, batch: tuple[str, np.ndarray], rng: np.random.Generator) -> Tensor:
        (kind, rows), model, device = batch, self.model, self.model.logit_scale.device
        if kind == "real":
            looked = model.look(*(part.to(device) for part in self.asked.pictures.draw(rows, rng)))
            told = [self.captions[row][int(rng.integers(len(self.captions[row])))] for row in rows.tolist()]
            same = torch.tensor([[a == b for b in told] for a in told], device=device)
            return contrast(model, looked, self.ids(told, rng), same)[0]
        patches, keep, cells = (part.to(device) for part in self.train.pictures.outlined(rows, rng))
        looked = model.look(patches, keep)
        own = rng_of(int(rng.integers(2**40)))
        ids = self.ids([self.lessons.excerpt(self.train.studies, int(row), own) for row in rows], rng)
        same = self.group[rows].to(device)
        pairs = [self.statements.pair(self.train.studies.scenes[row], own) for row in rows]
        true, false = (self.ids([pair[k] for pair in pairs], rng) for k in (0, 1))
        loss = plip_loss(model, looked, ids, same[:, None] == same, true, false)
        if not self.recipe["cell_loss"]:
            return loss
        shown = model.cell_head(looked.tokens[:, :, 1:][keep]).float()
        loss = loss + self.recipe["cell_loss"] * F.binary_cross_entropy_with_logits(shown, cells[keep].float())
        told = model.number_head(whole(looked)).float()
        return loss + self.recipe["number_loss"] * F.smooth_l1_loss(told, self.truth[rows].to(device))

    @torch.inference_mode()
    def validate(self, model: PathologyNet) -> dict[str, float]:
        """Mean cross-modal retrieval rank in percent of the number of studies (chance 50); sentences judged right."""
        studies, tokenizer = self.validation.studies, self.lessons.tokenizer
        embed = lambda texts: model.embed_text(  # noqa: E731
            tokenizer.batch(texts, model.config.caption).to(model.logit_scale.device)
        )
        images = model.embed(look(model, self.validation.pictures, np.arange(len(studies))))
        texts = embed([self.lessons.excerpt(studies, i, rng_of(i)) for i in range(len(studies))])
        rank, right = mcmrr((images @ texts.T).cpu()), []
        for turn in range(len(self.statements.having)):
            pairs = [self.statements.pair(scene, rng_of(i, turn)) for i, scene in enumerate(studies.scenes)]
            true, false = (embed(list(part)) for part in zip(*pairs, strict=True))
            right.append(float(((images * (true - false)).sum(1) > 0).float().mean()))
        found = {"mcmrr_percent": 100 * rank / len(studies), "sentences_right": 100 * float(np.mean(right))}
        return found | ({"real_rank_percent": self.named(embed)} if self.captions else {})

    def named(self, embed) -> float:
        """Where a real picture's answer stands among all answers of training, in percent (chance 50)."""
        answers = sorted({text for texts in self.captions.values() for text in texts})
        held = {row: texts for row, texts in self.asked.captions("validation").items() if set(texts) & set(answers)}
        images = self.model.embed(look(self.model, self.asked.pictures, np.array(list(held), int)))
        places = (images @ embed(answers).T).argsort(descending=True).argsort().cpu()
        ranks = [[places[i, answers.index(t)] for t in texts if t in answers] for i, texts in enumerate(held.values())]
        return 100 * float(np.mean([np.mean(some) for some in ranks])) / len(answers)


def amounts(scenes: Sequence[Scene], names: Sequence[str]) -> Float[Tensor, "n m"]:
    """How much of each kind of finding a scene has (0 for none, 1 for what has no amount), and fields of the scene."""
    rows = []
    for scene in scenes:
        found = [scene.find(kind) for kind in scene.kinds]
        much = [0.0 if f is None else f.amount or f.measurement or 1.0 for f in found]
        rows.append([*much, *(float(getattr(scene, name)) for name in names)])
    return torch.tensor(rows)


def standard(values: Float[Tensor, "n m"]) -> Float[Tensor, "n m"]:
    """Each column with mean 0 and deviation 1; a constant one is 0."""
    return (values - values.mean(0)) / values.std(0).clamp(min=1e-6)


def whole(looked: Looked) -> Float[Tensor, "n 2d"]:
    """Mean class token of the views, and mean token of all patches with image in them."""
    real, keep = looked.keep.any(-1)[..., None].to(looked.tokens.dtype), looked.keep[..., None].to(looked.tokens.dtype)
    views = (looked.tokens[:, :, 0] * real).sum(1) / real.sum(1)
    return torch.cat([views, (looked.tokens[:, :, 1:] * keep).sum((1, 2)) / keep.sum((1, 2))], -1)


def lost(ids: Int[Tensor, "n t"], lessons: Lessons, share: float, rng: np.random.Generator) -> Int[Tensor, "n t"]:
    """A share of the words made unknown."""
    tokenizer = lessons.tokenizer
    gone = torch.from_numpy(rng.random(tuple(ids.shape)) < share) & (ids > tokenizer.end)
    return ids.masked_fill(gone, tokenizer.vocabulary.index(UNKNOWN))


def look(model: PathologyNet, pictures: Pictures, rows: np.ndarray) -> Looked:
    """Pictures as they are, in parts."""
    device = model.logit_scale.device
    parts = [
        model.look(*(part.to(device) for part in pictures.draw(some, None)))
        for some in np.array_split(rows, max(1, len(rows) // 32))
    ]
    return Looked(*map(torch.cat, zip(*parts, strict=True)))


def plip_loss(
    model: PathologyNet, looked: Looked, ids: Int[Tensor, "n t"], same: Bool[Tensor, "n n"],
    true: Int[Tensor, "n s"], false: Int[Tensor, "n s"],
) -> Float[Tensor, ""]:  # fmt: skip
    """ITC with smoothed targets, ITM with a hard negative text for each image, and true against false sentences."""
    n, device = len(ids), ids.device
    itc, logits = contrast(model, looked, ids, same)
    with torch.no_grad():  # hard: drawn as likely as the contrast mistakes them; uniformly where all are the same
        odds = logits.masked_fill(same, -torch.inf).masked_fill(same.all(1)[:, None], 0.0).softmax(1)
        wrong = odds.multinomial(1)[:, 0]
    answers = torch.cat([model.matched(looked, ids), model.matched(looked, ids[wrong])]).float()
    itm = F.cross_entropy(answers, (torch.arange(2 * n, device=device) < n).long())

    images, scale = model.embed(looked), model.logit_scale.clamp(max=4.6).exp()
    told = torch.stack([(images * model.embed_text(text)).sum(1) for text in (true, false)], 1)  # (n, 2)
    return itc + itm + F.cross_entropy(scale * told, torch.zeros(n, dtype=torch.long, device=device))


def contrast(
    model: PathologyNet, looked: Looked, ids: Int[Tensor, "n t"], same: Bool[Tensor, "n n"]
) -> tuple[Float[Tensor, ""], Float[Tensor, "n n"]]:
    """ITC with smoothed targets, and its logits; what is the `same` is no negative."""
    logits = model.logit_scale.clamp(max=4.6).exp() * model.embed(looked) @ model.embed_text(ids).T
    target = (1 - SMOOTHING) * same.float() / same.sum(1, keepdim=True) + SMOOTHING / len(ids)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2, logits


def passes(rows: np.ndarray, count: float, rng: np.random.Generator) -> list[np.ndarray]:
    """The rows in random order, `count` times; a last part of them where it is no whole number."""
    shares = [1.0] * int(count) + [count % 1] * bool(count % 1)
    return [rng.permutation(rows)[: round(share * len(rows))] for share in shares]
