"""EchoCLIP's contrast small enough to watch: a new text tower learns the space of a frozen image tower.

    train, test = (Cines.of(model, part, range(80)) for part in (some, others))     # data sets of simulated patients
    curve = fit_texts(model, train, test, single=True)    # one random frame of each cine in each step, as in the paper
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.datasets.base import Study
from medvlm_lab.datasets.phantom import PhantomDataset
from medvlm_lab.image import MedicalImage
from medvlm_lab.metrics.ranking import mcmrr
from medvlm_lab.models.dual_encoder import ImageTextModel, contrastive_loss
from medvlm_lab.nn.clip_text import CLIPText
from medvlm_lab.nn.layers import init_weights
from medvlm_lab.progress import tqdm

BATCH, EVERY, RATE = 32, 10, 1e-3  # studies a step; steps between two measurements; AdamW
TOKENS = 48  # of a report, its beginning


@dataclass(frozen=True)
class Cines:
    """Studies, their videos, and the image tower's embedding of every frame, not of unit length."""

    studies: Sequence[Study]
    images: Sequence[MedicalImage]
    frames: Float[Tensor, "n f d"]

    @classmethod
    def of(cls, model: ImageTextModel, data: PhantomDataset, numbers: Sequence[int]) -> Cines:
        """These studies of a data set, each rendered once."""
        studies = [data.study(i) for i in numbers]
        images = [study.image() for study in tqdm(studies, desc="scanning", unit="patient")]
        with torch.no_grad():
            parts = [model.module.encode_frames(model.pixels(images[i : i + 8])) for i in range(0, len(images), 8)]
        return cls(studies, images, torch.cat(parts))

    def unit(self) -> Float[Tensor, "n d"]:
        """One row of unit length for each video, the mean over its frames."""
        return F.normalize(self.frames.mean(1), dim=-1)


def fit_texts(
    model: ImageTextModel, train: Cines, test: Cines, single: bool, steps: int = 40, seed: int = 0
) -> dict[int, float]:
    """MCMRR on `test`, in percent of its studies (chance 50), after so many steps with one frame or with all.

    To measure, an image is always the mean over its frames.
    """
    torch.manual_seed(seed)
    size, rng, curve = model.module.config, np.random.default_rng(seed), {}
    sizes = (size.embedding, size.vocabulary, size.context, size.text_width, size.text_depth, size.text_heads)
    tower = CLIPText(*sizes, eot=model.tokenizer.end).apply(init_weights)
    ids = model.tokenizer.batch([study.report for study in train.studies], TOKENS)
    asked = model.tokenizer.batch([study.report for study in test.studies], TOKENS)
    optimizer = torch.optim.AdamW(tower.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 2 * (1 - step / steps)))
    scale = model.module.scale().detach()
    for step in tqdm(range(steps + 1), desc="one frame" if single else "all frames", unit="step"):
        if step % EVERY == 0:
            with torch.no_grad():
                texts = F.normalize(tower(asked), dim=-1)
            curve[step] = 100 * mcmrr(test.unit() @ texts.T) / len(texts)
        if step < steps:
            rows = torch.from_numpy(rng.choice(len(ids), BATCH, replace=False))
            frame = torch.from_numpy(rng.integers(train.frames.shape[1], size=BATCH))
            seen = train.frames[rows, frame] if single else train.frames[rows].mean(1)
            loss = contrastive_loss(scale * F.normalize(seen, dim=-1) @ F.normalize(tower(ids[rows]), dim=-1).T)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return curve
