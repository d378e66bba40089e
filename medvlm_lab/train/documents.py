"""Interleaved documents of images and reports, each by one author: what a Flamingo learns to continue."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.datasets.phantom import TRAINING_AUTHORS
from medvlm_lab.models.clinical_blip import pooled
from medvlm_lab.models.flamingo_cxr import IMAGE, FlamingoNet, marked
from medvlm_lab.models.generative import Seen, padded
from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.train.alignment import tag_truth
from medvlm_lab.train.contrastive import Studies, varied
from medvlm_lab.train.lessons import Lessons, reworded


class DocumentTask:
    """Each report of a document is predicted from its image and from the reports before it; see `loop.Task`.

    Entries of the recipe's stage: `images` of a document; `sees`, "image", "black" or "nothing" (the language model
    alone); `questions`, the share of batches that hold questions instead of reports; `tag_loss`, the weight at which
    the latents have to tell the image's tags too: words alone are slow to tell a resampler what to look for.
    """

    def __init__(self, model: FlamingoNet, lessons: Lessons, train: Studies, validation: Studies, recipe: dict):
        self.model, self.lessons, self.recipe, self.train, self.validation = model, lessons, recipe, train, validation
        self.truth = tag_truth(train, model.config.tags)

    def batches(self, epoch: int) -> list[np.ndarray]:
        """Rows of studies, one document each."""
        return documents(len(self.train), self.recipe, np.random.default_rng((self.recipe["seed"], epoch)))

    def loss(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        return self.lost(self.model, self.train, rows, rng, varied)

    @torch.inference_mode()
    def validate(self, model: FlamingoNet) -> dict[str, float]:
        """Mean loss in nats a token, on the same documents each time."""
        batches = documents(len(self.validation), self.recipe, np.random.default_rng(0))
        rng = np.random.default_rng(0)
        return {"validation_loss": float(np.mean([float(self.lost(model, self.validation, b, rng)) for b in batches]))}

    def lost(self, model: FlamingoNet, studies: Studies, rows: np.ndarray, rng: np.random.Generator, vary=None):
        """Loss of one batch of documents, (n, k) studies."""
        device, own = model.language.embedding.weight.device, rng_of(int(rng.integers(2**40)))
        asks = own.random() < self.recipe["questions"]
        texts, targets = zip(*(self.document(studies, row, own, asks, bool(vary)) for row in rows), strict=True)
        most = model.config.context
        ids, keep = (x.to(device) for x in padded([t[:most] for t in texts], self.lessons.tokenizer.pad))
        target = padded([t[:most] for t in targets], 0)[0].bool().to(device)
        seen, extra = Seen(), 0.0
        if self.recipe["sees"] != "nothing":
            pixels = studies.pixels[torch.from_numpy(rows.reshape(-1))].to(device).float() / 255
            pixels = (vary(pixels, rng) if vary else pixels)[:, 0].unflatten(0, rows.shape)  # (n, k, s, s)
            seen = model.see(pixels * 0 if self.recipe["sees"] == "black" else pixels, ids, keep)
            if vary and self.recipe["tag_loss"]:
                latents = seen.media.unflatten(1, (rows.shape[1], -1)).flatten(0, 1)  # (n k, l, d)
                truth = self.truth[rows.reshape(-1)].to(device).float()
                logits = pooled(model.tag_head(latents).float())
                extra = self.recipe["tag_loss"] * F.binary_cross_entropy_with_logits(logits, truth)
        return model.loss(seen, ids, keep, target) + extra

    def document(
        self, studies: Studies, rows: np.ndarray, rng: np.random.Generator, asks: bool, vary: bool = False
    ) -> tuple[list[int], list[bool]]:
        """Tokens of a document, and which of them the model has to write; with questions in other forms to `vary`."""
        tokenizer, author = self.lessons.tokenizer, int(rng.integers(TRAINING_AUTHORS))
        ids, target = [tokenizer.start], [False]
        for row in rows:
            prompt, text = self.lessons.pair(studies, int(row), rng, asks, author)
            if asks and vary:
                prompt = reworded(prompt, rng) if rng.random() < self.recipe["reworded"] else prompt
                prompt = self.lessons.blurred(prompt, rng, self.recipe["word_dropout"])
            request = marked(f"{IMAGE} {prompt}", tokenizer, self.model.config.image_token)
            answer = self.lessons.target(text)
            ids += [*request, *answer]
            target += [False] * len(request) + [True] * len(answer)
        return ids, target


def documents(count: int, recipe: dict, rng: np.random.Generator) -> list[np.ndarray]:
    """All studies in documents of `images`, `batch_size` documents a batch."""
    k, size = recipe["images"], recipe["batch_size"]
    rows = rng.permutation(count)[: count - count % (k * size)].reshape(-1, size, k)
    return list(rows)
