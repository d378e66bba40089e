"""Stage "words" of the dual encoders: short sentences about one thing, which is what prompts are.

Reports differ from each other in many words, so that a rare finding, or a "no" before it, teaches a contrast little.
Here one finding's sentence is told from its denial, patients who have the finding from those who lack it, the cells
that show it from the others, and a number from every other number. The reviewed models learned none of this directly.
"""

from __future__ import annotations

import re

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.models.dual_encoder import DualEncoder
from medvlm_lab.nn.convnext import ConvNeXt
from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.train.contrastive import ContrastiveTask, Data, spread, varied
from medvlm_lab.train.outlines import coverage, numbers
from medvlm_lab.train.statements import Statements

VISIBLE = 0.1  # share of a cell from which a finding is asked for there
PERCENT = range(101)


class PromptTask(ContrastiveTask):
    """Contrast goes on; `recipe["weights"]` are those of the other losses: own, others, place, number."""

    def __init__(self, model: DualEncoder, data: Data, recipe: dict):
        super().__init__(model, data.tokenizer, data.train, data.validation, recipe)
        self.statements = Statements(data.train.simulator, data.train.scenes)
        self.kinds = list(self.statements.having)
        self.has = torch.tensor([[bool(scene.find(kind)) for kind in self.kinds] for scene in data.train.scenes])
        self.cells = self._cells(data)
        self.values = numbers(data.train, [recipe["number"]])[:, 0] if recipe["number"] else None

    def _cells(self, data: Data) -> Float[Tensor, "n f p k"]:
        """Of each finding, sides together, the share of each cell that it covers, in 255ths."""
        simulator, grid = data.train.simulator, self.model.config.image_size // self.model.image_encoder.stride
        covered = coverage(data.train, grid, data.folder / "studies")
        structures = sorted(simulator.masks(data.train.scenes[:1], 32))
        cells = torch.zeros(*covered.shape[:3], len(self.kinds), dtype=torch.uint8)
        for k, kind in enumerate(self.kinds):
            if own := [i for i, name in enumerate(structures) if name in (kind, f"left {kind}", f"right {kind}")]:
                cells[..., k] = covered[..., own].amax(-1)
        return cells

    def loss(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        chosen = spread(self.train.pixels.shape[1], self.recipe["frames_per_step"], rng)
        features = self.model.frame_features(varied(self.pixels(rows, chosen), rng, shift=False))  # (n, f, c, h, w)
        frames = self.model.image_encoder.embed(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        images = F.normalize(frames.mean(1), dim=-1)
        own = rng_of(int(rng.integers(2**40)))
        kinds, there, absent = zip(
            *(self.statements.about(self.train.scenes[row], own) for row in rows), strict=True
        )
        there, absent = self.embedded([*there, *absent], rng).float().chunk(2)
        asked = torch.tensor([self.kinds.index(kind) for kind in kinds])
        having = self.has[torch.from_numpy(rows)].to(images.device)  # (n, k)
        weights, scale, towards = self.recipe["weights"], self.model.scale(), images.float()
        told = scale * ((there - absent) * towards).sum(1)
        has = having.gather(1, asked[:, None].to(having.device))[:, 0]
        loss = self.matched(images, rows, rng) + weights["own"] * F.softplus(torch.where(has, -told, told)).mean()
        ranked = first(scale * there @ towards.T, having[:, asked].T)
        ranked = ranked + first(scale * absent @ towards.T, ~having[:, asked].T)
        loss = loss + weights["others"] * ranked / 2
        which = int(rng.integers(len(chosen)))
        covered = self.cells[torch.from_numpy(rows), chosen[which]][torch.arange(len(rows)), :, asked]
        loss = loss + weights["place"] * self.placed(
            features[:, which].float(), frames[:, which].float(), there - absent if self.recipe["denied"] else there,
            covered.to(images.device).float() / 255,
        )  # fmt: skip
        if self.values is not None:
            unit = F.normalize(frames, dim=-1)
            loss = loss + weights["number"] * self.numbered(unit, self.values[torch.from_numpy(rows)], own, rng)
        return loss

    def placed(
        self, features: Float[Tensor, "n c h w"], frame: Float[Tensor, "n d"], towards: Float[Tensor, "n d"],
        covered: Float[Tensor, "n p"],
    ) -> Tensor:  # fmt: skip
        """A sentence's PromptCAM has to lie where its finding is; frames that do not show it are left out."""
        seen = covered.amax(1) > VISIBLE
        if not seen.any():
            return features.new_zeros(())
        cam = prompt_cam(self.model.image_encoder, features[seen], towards[seen]).flatten(1)
        share = (self.model.scale() * cam / frame[seen].norm(dim=1, keepdim=True)).softmax(1)
        inside = (share * covered[seen] / covered[seen].amax(1, keepdim=True)).sum(1)
        return -(inside + 1e-4).log().mean()

    def numbered(
        self, frames: Float[Tensor, "n f d"], truth: Float[Tensor, " n"], own: np.random.Generator,
        rng: np.random.Generator,
    ) -> Tensor:  # fmt: skip
        """A report's sentence with every per cent from 0 to 100: what the frames expect has to be the study's own."""
        texts = self.embedded(self.every_percent(own), rng)
        values = torch.tensor(PERCENT, device=frames.device, dtype=torch.float32)
        expected = ((self.model.scale() * frames @ texts.T).float().softmax(-1) * values).sum(-1).mean(1)
        return F.smooth_l1_loss(expected / 5, truth.to(frames.device) / 5)  # in steps in which readers report

    def every_percent(self, own: np.random.Generator) -> list[str]:
        """A sentence of some report that states a percentage, with each number from 0 to 100 in its place."""
        while True:
            row = int(own.integers(len(self.train)))
            stated = re.compile(rf"\b{round(float(self.values[row]))}(?= ?%)")
            sentences = [s for s in self.train.report(row, own).split(". ") if stated.search(s)]
            if sentences:
                sentence = sentences[int(own.integers(len(sentences)))]
                return [stated.sub(str(value), sentence) for value in PERCENT]


def first(logits: Float[Tensor, "t n"], right: Bool[Tensor, "t n"]) -> Tensor:
    """Each text has to find every right image before all wrong ones; texts without either are left out."""
    use = right.any(1) & ~right.all(1)
    logits, right = logits[use], right[use]
    wrong = logits.masked_fill(right, -torch.inf).logsumexp(1, keepdim=True)
    return ((F.softplus(wrong - logits) * right).sum(1) / right.sum(1)).sum() / max(1, len(logits))


def prompt_cam(
    tower: ConvNeXt, features: Float[Tensor, "n c h w"], towards: Float[Tensor, "n d"]
) -> Float[Tensor, "n h w"]:
    """PromptCAM before its ReLU, in closed form and times h w: α = J_LNᵀ Wᵀ t at the mean feature."""
    mean = features.mean((2, 3))
    centred = mean - mean.mean(1, keepdim=True)
    deviation = (centred.square().mean(1, keepdim=True) + tower.norm.eps).sqrt()
    unit, pulled = centred / deviation, (towards @ tower.projection.weight) * tower.norm.weight
    alpha = (pulled - pulled.mean(1, keepdim=True) - unit * (pulled * unit).mean(1, keepdim=True)) / deviation
    return torch.einsum("nc,nchw->nhw", alpha, features)
