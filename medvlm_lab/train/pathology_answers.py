"""Stages of PA-LLaVA after its CLIP: captions teach the connector, then questions connector, adapters and the twin."""

from __future__ import annotations

import re

import numpy as np
import torch
from torch import Tensor

from medvlm_lab.models.generative import Seen, lesson
from medvlm_lab.models.pathology_vlm import PathologyNet, Views
from medvlm_lab.models.writer import QUESTION, REPORT
from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.phantoms.language import TAUGHT
from medvlm_lab.train.contrastive import Studies, shuffled
from medvlm_lab.train.lessons import Lessons, reworded
from medvlm_lab.train.pathology_pictures import Pictures
from medvlm_lab.train.pathology_plip import Asked, PlipTask, Slides, lost, passes

DEGREE = re.compile(r"low|intermediate|high|mild|moderate|severe|\d")


class AnswerTask:
    """Stages "language", "align", "vqa" and "blind": captions and answers, simulated and real; see `loop.Task`.

    Entries of a stage: `sees`, "image", "black" (a black picture for every image: the blinded twin) or "nothing" (the
    language model alone); `captions` and `contrast`, the shares of simulated batches that hold captions instead of
    questions, or go on with stage "plip" while adapters change the image encoder; `taught`, the share of simulated
    patients who are asked about in that wording, and `reworded`, of questions begun at another of their words, with
    a share `strays` of five words of a real one; `degrees`, see `questions`; `real`, how often an epoch goes through
    the real ones;
    `questions_per_image`, side by side in a batch.
    """

    def __init__(
        self, model: PathologyNet, lessons: Lessons, train: Slides, validation: Slides, asked: Asked | None,
        recipe: dict,
    ):  # fmt: skip
        self.model, self.lessons, self.recipe = model, lessons, recipe
        self.train, self.validation, self.asked = train, validation, asked
        self.plip = PlipTask(model, lessons, train, validation, asked, recipe)
        size, device = model.config.tile, model.logit_scale.device
        keep = torch.ones(1, 1, model.vision.grid**2, dtype=torch.bool, device=device)
        with torch.no_grad():
            model.vision.stem.eval()
            self.black = model.patches(Views(torch.zeros(1, 1, 3, size, size, device=device), keep)).cpu()

    def batches(self, epoch: int) -> list[tuple[str, np.ndarray]]:
        """(kind, rows): of real questions for "real", else of simulated patients."""
        rng, kinds = np.random.default_rng((self.recipe["seed"], epoch, 2)), ("caption", "contrast", "question")
        shares = self.recipe["captions"], self.recipe["contrast"]
        found = [
            (kinds[int(rng.choice(3, p=[*shares, 1 - sum(shares)]))], rows)
            for rows in shuffled(len(self.train.studies), self.recipe, epoch)
        ]
        if self.asked is not None:
            size = self.recipe["batch_size"] * self.recipe["questions_per_image"]
            for some in passes(self.asked.parts["train"], self.recipe["real"], rng):
                rows = self.neighbours(some, rng)
                found += [("real", rows[i : i + size]) for i in range(0, len(rows), size)]
        return [found[i] for i in rng.permutation(len(found))]

    def neighbours(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """The rows, questions about an image side by side, images in random order."""
        place = rng.permutation(len(self.asked.pictures.keep[0]))[self.asked.image_index[rows]]
        return rows[np.argsort(place, kind="stable")]

    def loss(self, batch: tuple[str, np.ndarray], rng: np.random.Generator) -> Tensor:
        kind, rows = batch
        if kind == "contrast":
            return self.plip.loss(("simulated", rows), rng)
        own, count = rng_of(int(rng.integers(2**40))), self.recipe["questions_per_image"]
        if kind == "real":
            images, place = np.unique(self.asked.image_index[rows], return_inverse=True)
            pairs = [(QUESTION.format(self.asked.questions[i]), self.asked.answers[i]) for i in rows]
            return self.lost(self.model, self.asked.pictures, images, place, pairs, rng)
        studies = self.train.studies
        if kind == "caption":
            pairs = [(REPORT, self.lessons.excerpt(studies, int(row), own)) for row in rows]
        else:
            asked = ((row, TAUGHT if own.random() < self.recipe["taught"] else "usual") for row in rows)
            often = self.recipe["degrees"]
            pairs = [p for row, wording in asked for p in questions(studies, int(row), own, count, wording, often)]
            pairs = [(self.changed(request, own), text) for request, text in pairs]
        place = np.arange(len(rows)).repeat(len(pairs) // len(rows))
        return self.lost(self.model, self.train.pictures, rows, place, pairs, rng)

    def changed(self, request: str, rng: np.random.Generator) -> str:
        """The request as it is, or in another form, perhaps with a few words of a real question."""
        if rng.random() >= self.recipe["reworded"]:
            return request
        if self.asked is None or not self.recipe["strays"]:
            return reworded(request, rng)
        words = self.asked.questions[rng.choice(self.asked.parts["train"])].split()[:5]
        return reworded(request, rng, words, self.recipe["strays"])

    def lost(
        self, model: PathologyNet, pictures: Pictures, rows: np.ndarray, place: np.ndarray,
        pairs: list[tuple[str, str]], rng: np.random.Generator | None,
    ) -> Tensor:  # fmt: skip
        """Loss of requests and texts about the pictures `rows`, of which each belongs to `rows[place]`."""
        device, tokenizer, seen = model.logit_scale.device, self.lessons.tokenizer, Seen()
        if self.recipe["sees"] != "nothing":
            patches, keep = (part.to(device) for part in pictures.draw(rows, rng))
            place = torch.from_numpy(place).to(device)
            if self.recipe["sees"] == "black":  # looked at once for all pictures of one shape
                keep, shape = keep.unique(dim=0, return_inverse=True)
                patches, place = self.black.to(device).expand(len(keep), *patches.shape[1:]), shape[place]
            seen = model.connect(model.look(patches, keep)).rows(place)
        prompts = [self.lessons.prompt(prompt) for prompt, _ in pairs]
        targets = [self.lessons.target(text) for _, text in pairs]
        ids, keep, target = lesson(prompts, targets, tokenizer.pad, model.config.context)
        if rng is not None:
            ids = torch.where(target, ids, lost(ids, self.lessons, self.recipe["word_dropout"], rng))
        return model.loss(seen, ids.to(device), keep.to(device), target.to(device))

    @torch.inference_mode()
    def validate(self, model: PathologyNet) -> dict[str, float]:
        """Mean loss in nats a token on simulated and real questions, the same each time."""
        studies, found = self.validation.studies, {}
        kinds = {"simulated": (self.validation.pictures, [
            (row, pair) for row in range(len(studies)) for pair in questions(studies, row, rng_of(row), 6)
        ])}  # fmt: skip
        if self.asked is not None:
            kinds["real"] = self.asked.pictures, [
                (self.asked.image_index[i], (QUESTION.format(self.asked.questions[i]), self.asked.answers[i]))
                for i in self.asked.parts["validation"]
            ]
        for name, (pictures, asked) in kinds.items():
            losses = []
            for part in np.array_split(np.arange(len(asked)), max(1, len(asked) // 128)):
                rows, place = np.unique([asked[i][0] for i in part], return_inverse=True)
                pairs = [asked[i][1] for i in part]
                losses.append(float(self.lost(model, pictures, rows, place, pairs, None)) * len(part))
            found[f"{name}_loss"] = sum(losses) / max(1, len(asked))
        return found


def questions(
    studies: Studies, row: int, rng: np.random.Generator, count: int, wording: str = "usual", degrees: float = 1.0
) -> list[tuple[str, str]]:
    """Requests and answers about a simulated patient, `count` of those that a data set may hold.

    Those that ask for a degree or a number come `degrees` times as often as others.
    """
    asked = studies.simulator.questions(studies.scenes[row], rng, wording)
    if degrees != 1:  # else they are in random order as it is
        weight = np.array([degrees if DEGREE.match(one.answer) else 1.0 for one in asked])
        asked = [asked[i] for i in rng.choice(len(asked), min(count, len(asked)), False, weight / weight.sum())]
    return [(QUESTION.format(one.question), one.answer) for one in asked[:count]]
