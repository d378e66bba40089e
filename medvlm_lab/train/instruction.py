"""Language model alone, then with eyes: text-only pretraining and instruction tuning of a `ClinicalBLIPNet`."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.models.clinical_blip import ClinicalBLIPNet, tagged
from medvlm_lab.models.generative import Seen, lesson, padded
from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.train.alignment import tag_truth
from medvlm_lab.train.contrastive import Studies, shuffled, varied
from medvlm_lab.train.lessons import Lessons, reworded


class InstructionTask:
    """Reports and answers from images; see `loop.Task`. The recipe's stage says what the prompt holds.

    Entries: `questions`, the share of batches that hold questions instead of reports; `sees`, "image", "black" (a black
    square for every image: the blinded twin) or "nothing" (the language model alone); `tagged`, the share of requests
    that the model's own tags precede; `tag_loss`, the weight at which the classifier goes on learning while adapters
    change what it reads, and at which it has to find the tags in the queries too: words alone are slow to tell a
    Q-Former what to look for.
    """

    def __init__(self, model: ClinicalBLIPNet, lessons: Lessons, train: Studies, validation: Studies, recipe: dict):
        self.model, self.lessons, self.recipe, self.train, self.validation = model, lessons, recipe, train, validation
        self.truth = tag_truth(train, model.config.tags)

    def batches(self, epoch: int) -> list[np.ndarray]:
        return shuffled(len(self.train), self.recipe, epoch)

    def loss(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        return self.lost(self.model, self.train, rows, rng, varied)

    @torch.inference_mode()
    def validate(self, model: ClinicalBLIPNet) -> dict[str, float]:
        """Mean loss in nats a token, on the same requests each time."""
        rng, count = np.random.default_rng(0), len(self.validation)
        parts = np.array_split(np.arange(count), -(-count // self.recipe["batch_size"]))
        losses = [float(self.lost(model, self.validation, rows, rng)) * len(rows) for rows in parts]
        return {"validation_loss": sum(losses) / count}

    def lost(self, model: ClinicalBLIPNet, studies: Studies, rows: np.ndarray, rng: np.random.Generator, vary=None):
        """Loss of one batch; the caller's random numbers decide requests, wording and image variations."""
        device, own = model.logit_scale.device, rng_of(int(rng.integers(2**40)))
        # all of a batch ask or none do: short texts are not padded to the length of long ones
        asks = own.random() < self.recipe["questions"]
        pairs = [self.lessons.pair(studies, int(row), own, asks) for row in rows]
        prompts, seen, extra = [prompt for prompt, _ in pairs], Seen(), 0.0
        if asks and vary:
            some = own.random(len(rows)) < self.recipe["reworded"]
            prompts = [reworded(prompt, own) if new else prompt for prompt, new in zip(prompts, some, strict=True)]
            prompts = [self.lessons.blurred(prompt, own, self.recipe["word_dropout"]) for prompt in prompts]
        with_tags = own.random(len(rows)) < self.recipe["tagged"]
        if self.recipe["sees"] != "nothing" or with_tags.any():
            pixels = studies.pixels[torch.from_numpy(rows)].to(device).float() / 255
            pixels = (vary(pixels, rng) if vary else pixels)[:, 0]
            patches = model.patches(pixels * 0 if self.recipe["sees"] == "black" else pixels)
            found = (model.tag_logits(patches.detach()) >= 0).cpu()
            names = [[t for t, there in zip(model.config.tags, row, strict=True) if there] for row in found]
            zipped = zip(prompts, names, with_tags, strict=True)
            prompts = [tagged(tags, prompt) if told else prompt for prompt, tags, told in zipped]
        asked = [self.lessons.prompt(prompt) for prompt in prompts]
        if self.recipe["sees"] != "nothing":
            ids, keep = padded(asked, self.lessons.tokenizer.pad)
            queries = model.ask(patches, ids.to(device), keep.to(device))
            seen = Seen(prefix=model.to_language(queries))
            if vary and self.recipe["tag_loss"]:
                truth = self.truth[rows].to(device).float()
                extra = self.recipe["tag_loss"] * sum(
                    F.binary_cross_entropy_with_logits(model.tag_logits(one), truth) for one in (patches, queries)
                )
        targets = [self.lessons.target(text) for _, text in pairs]
        batch = lesson(asked, targets, self.lessons.tokenizer.pad, model.config.context)
        return model.loss(seen, *(part.to(device) for part in batch)) + extra
