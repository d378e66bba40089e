"""BLIP-2's first stage (Li et al. 2023, section 3.2): a Q-Former learns what images and texts have in common."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.metrics.ranking import mcmrr
from medvlm_lab.models.clinical_blip import ClinicalBLIPNet, Config, pooled
from medvlm_lab.models.flamingo_cxr import FlamingoNet
from medvlm_lab.models.generative import MEAN, STD
from medvlm_lab.nn.vit import StemViT
from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.progress import tqdm
from medvlm_lab.train.contrastive import RENDERED, Studies, shuffled, varied
from medvlm_lab.train.lessons import Lessons

Tagging = ClinicalBLIPNet | FlamingoNet  # image encoder and classifier
SMOOTHING = 0.1  # of the contrastive targets


class TagTask:
    """Stage "vision": the image encoder and a classifier learn the medical tags; see `loop.Task`.

    Of an image they learn which tags it has, and of every patch which findings reach into it: a thin tube is found in
    a tenth of the steps that the image's tags alone would take. Simulated patients come with such masks.
    """

    def __init__(self, model: Tagging, lessons: Lessons, train: Studies, validation: Studies, recipe: dict):
        self.model, self.lessons, self.recipe, self.train, self.validation = model, lessons, recipe, train, validation
        self.truth, self.cells = tag_truth(train, model.config.tags), tag_cells(train, model.config)

    def batches(self, epoch: int) -> list[np.ndarray]:
        return shuffled(len(self.train), self.recipe, epoch)

    def loss(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        device = self.model.tag_head.weight.device
        pixels = varied(self.train.pixels[torch.from_numpy(rows)].to(device).float() / 255, rng)
        logits = patch_logits(self.model, pixels)
        cells, truth = self.cells[rows].to(device).float(), self.truth[rows].to(device).float()
        whole = F.binary_cross_entropy_with_logits(pooled(logits), truth)
        return whole + self.recipe["cell_loss"] * F.binary_cross_entropy_with_logits(logits, cells)

    @torch.inference_mode()
    def validate(self, model: Tagging) -> dict[str, float]:
        """Micro F1 of the tags."""
        device, found = model.tag_head.weight.device, []
        for rows in torch.arange(len(self.validation)).split(64):
            pixels = self.validation.pixels[rows].to(device).float() / 255
            found.append(pooled(patch_logits(model, pixels)).cpu() > 0)
        said, truth = torch.cat(found), tag_truth(self.validation, model.config.tags)
        return {"tag_f1": float(2 * (said & truth).sum() / (said.sum() + truth.sum()).clamp(min=1))}


def patch_logits(model: Tagging, pixels: Float[Tensor, "n 1 s s"]) -> Float[Tensor, "n p k"]:
    """How likely each tag reaches into each patch."""
    return model.tag_head(model.vision((pixels - MEAN) / STD)).float()


def tag_truth(studies: Studies, tags: Sequence[str]) -> Bool[Tensor, "n k"]:
    """Which tags each study's patient has."""
    own = [{f.mask_name for f in scene.all_findings} for scene in studies.scenes]
    return torch.tensor([[tag in mine for tag in tags] for mine in own])


def tag_cells(studies: Studies, config: Config) -> Bool[Tensor, "n p k"]:
    """Which findings reach into each patch of each study's image."""
    found = []
    for i in tqdm(range(0, len(studies), RENDERED), desc="outlining findings", unit="batch", leave=False):
        masks = studies.simulator.masks(studies.scenes[i : i + RENDERED], config.image_size)
        inside = torch.stack([masks[tag] for tag in config.tags], 1).float()  # (n, k, s, s)
        found.append(F.max_pool2d(inside, StemViT.STRIDE).flatten(2).transpose(1, 2) > 0)
    return torch.cat(found)


class AlignmentTask:
    """Stage "align": image–text contrast (ITC), matching (ITM) and image-grounded generation (ITG), added up.

    The image encoder is frozen. Patients with the same findings are no negatives of each other, as their texts may be
    true of either (Wang et al. 2022, MedCLIP).
    """

    def __init__(self, model: ClinicalBLIPNet, lessons: Lessons, train: Studies, validation: Studies, recipe: dict):
        self.model, self.lessons, self.recipe, self.train, self.validation = model, lessons, recipe, train, validation
        groups = {key: i for i, key in enumerate(dict.fromkeys(map(self.findings, train.scenes)))}
        self.group = torch.tensor([groups[self.findings(scene)] for scene in train.scenes])

    @staticmethod
    def findings(scene) -> frozenset[str]:
        return frozenset(f.mask_name for f in scene.all_findings)

    def batches(self, epoch: int) -> list[np.ndarray]:
        return shuffled(len(self.train), self.recipe, epoch)

    def loss(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        return sum(self.losses(rows, rng).values())

    def losses(self, rows: np.ndarray, rng: np.random.Generator) -> dict[str, Float[Tensor, ""]]:
        """The three of one batch; see `three_losses`."""
        model, device = self.model, self.model.logit_scale.device
        pixels = varied(self.train.pixels[torch.from_numpy(rows)].to(device).float() / 255, rng)[:, 0]
        with torch.no_grad():
            patches = model.patches(pixels)
        own = rng_of(int(rng.integers(2**40)))
        texts = [self.lessons.excerpt(self.train, int(row), own) for row in rows]
        ids, keep = (x.to(device) for x in self.lessons.padded(texts, model.config.instruction))
        same = self.group[rows].to(device)
        return three_losses(model, patches, ids, keep, same[:, None] == same)

    @torch.inference_mode()
    def validate(self, model: ClinicalBLIPNet) -> dict[str, float]:
        """Mean cross-modal retrieval rank by ITC, in percent of the number of studies; chance is 50."""
        device, similarity = model.logit_scale.device, []
        texts = [self.lessons.excerpt(self.validation, i, rng_of(i)) for i in range(len(self.validation))]
        ids, keep = (x.to(device) for x in self.lessons.padded(texts, model.config.instruction))
        for rows in torch.arange(len(self.validation)).split(64):
            patches = model.patches(self.validation.pixels[rows].to(device).float()[:, 0] / 255)
            similarity.append(contrast(model, patches, ids, keep).float().cpu())
        return {"mcmrr_percent": 100 * mcmrr(torch.cat(similarity)) / len(self.validation)}


def contrast(
    model: ClinicalBLIPNet, patches: Float[Tensor, "n p d"], ids: Int[Tensor, "m t"], keep: Bool[Tensor, "m t"]
) -> Float[Tensor, "n m"]:
    """Cosine of each image with each text: the query that fits the text best speaks for the image."""
    queries = F.normalize(model.image_projection(model.qformer(patches).queries), dim=-1)  # (n, q, e)
    texts = F.normalize(model.text_projection(model.qformer.encode_text(ids, keep)[:, 0]), dim=-1)  # (m, e)
    return torch.einsum("nqe,me->nmq", queries, texts).amax(-1)


def three_losses(
    model: ClinicalBLIPNet, patches: Float[Tensor, "n p d"], ids: Int[Tensor, "n t"], keep: Bool[Tensor, "n t"],
    same: Bool[Tensor, "n n"],
) -> dict[str, Float[Tensor, ""]]:  # fmt: skip
    """ITC with smoothed targets, ITM with two hard negatives a pair, ITG; `same` marks pairs that are no negatives."""
    n, device = len(ids), ids.device
    logits = model.logit_scale.clamp(max=4.6).exp() * contrast(model, patches, ids, keep).float()  # (n, n)
    target = same.float() / same.sum(1, keepdim=True)
    target = (1 - SMOOTHING) * target + SMOOTHING / n
    itc = (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)) / 2

    with torch.no_grad():  # hard: drawn as likely as the contrast mistakes them; uniformly where all are the same
        odds = logits.masked_fill(same, -torch.inf)
        odds = odds.masked_fill(same.all(1)[:, None], 0.0).softmax(1)
        odds_of_texts = logits.T.masked_fill(same, -torch.inf)
        odds_of_texts = odds_of_texts.masked_fill(same.all(1)[:, None], 0.0).softmax(1)
        wrong_text, wrong_image = odds.multinomial(1)[:, 0], odds_of_texts.multinomial(1)[:, 0]
    own = torch.arange(n, device=device)
    images, texts = torch.cat([own, own, wrong_image]), torch.cat([own, wrong_text, own])
    queries, _ = model.qformer(patches[images], ids[texts], keep[texts], mode="itm")
    answers = model.match_head(queries).mean(1).float()  # (3 n, 2)
    itm = F.cross_entropy(answers, (torch.arange(3 * n, device=device) < n).long())

    _, words = model.qformer(patches, ids, keep, mode="itg")
    predicted = F.linear(words[:, :-1], model.qformer.token_embedding.weight).float()[keep[:, 1:]]
    itg = F.cross_entropy(predicted, ids[:, 1:][keep[:, 1:]])
    return {"itc": itc, "itm": itm, "itg": itg}
