"""Stage "outline" of the dual encoders: it stands in for the pretrained image tower that the papers start from.

Of each cell of its last feature map the tower learns how much of it each structure covers, and of the whole study the
numbers that its report will state. Contrast alone would find a thin wire or the size of a chamber only after many times
as many steps; simulated patients come with masks and numbers. Both heads are dropped afterwards.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.nn import functional as F

from medvlm_lab.models.dual_encoder import DualEncoder
from medvlm_lab.progress import tqdm
from medvlm_lab.train.cache import cached
from medvlm_lab.train.contrastive import RENDERED, Studies, shuffled, spread, varied


class Outliner(nn.Module):
    """The image tower with its two heads; the text tower waits."""

    def __init__(self, encoder: DualEncoder, structures: int, numbers: int):
        super().__init__()
        self.encoder = encoder.requires_grad_(False)
        encoder.image_encoder.requires_grad_(True)
        self.cells = nn.Linear(encoder.config.widths[-1], structures)
        self.numbers = nn.Linear(encoder.config.embedding, numbers)

    def forward(self, pixels: Float[Tensor, "n f s s"]) -> tuple[Float[Tensor, "n f p k"], Float[Tensor, "n m"]]:
        """Logits of the share of each cell that each structure covers; the numbers, standardised."""
        features = self.encoder.frame_features(pixels)  # (n, f, c, h, w)
        rows = self.encoder.image_encoder.embed(features.flatten(0, 1)).unflatten(0, features.shape[:2])
        return self.cells(features.flatten(3).transpose(2, 3)), self.numbers(rows.mean(1))


class OutlineTask:
    """Batches, loss and validation; see `loop.Task`."""

    def __init__(self, model: DualEncoder, train: Studies, validation: Studies, recipe: dict, cache: Path | None):
        self.recipe, self.train, self.validation = recipe, train, validation
        grid = model.config.image_size // model.image_encoder.stride
        self.cells, self.held = coverage(train, grid, cache), coverage(validation, grid, cache)
        truth = numbers(train, recipe["numbers"])
        self.middle, self.scale = truth.mean(0), truth.std(0).clamp(min=1e-6)
        self.truth = (truth - self.middle) / self.scale
        self.model = Outliner(model, self.cells.shape[-1], truth.shape[1])

    def batches(self, epoch: int) -> list[np.ndarray]:
        return shuffled(len(self.train), self.recipe, epoch)

    def loss(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        device = self.model.cells.weight.device
        chosen, rows = spread(self.train.pixels.shape[1], self.recipe["frames_per_step"], rng), torch.from_numpy(rows)
        pixels = varied(self.train.pixels[rows[:, None], chosen].to(device).float() / 255, rng)
        covered = self.cells[rows[:, None], chosen].to(device).float() / 255
        cells, read = self.model(pixels)
        outlined = F.binary_cross_entropy_with_logits(cells.float(), covered)
        misread = F.smooth_l1_loss(read.float(), self.truth[rows].to(device), reduction="none").sum(1).mean()
        return self.recipe["cell_loss"] * outlined + self.recipe["number_loss"] * misread

    @torch.inference_mode()
    def validate(self, model: Outliner) -> dict[str, float]:
        """Mean absolute error of the covered shares, in percent of a cell, and of each number in its own unit."""
        device, wrong, read = model.cells.weight.device, [], []
        for rows in torch.arange(len(self.validation)).split(64):
            cells, values = model(self.validation.pixels[rows].to(device).float() / 255)
            wrong.append((cells.float().sigmoid().cpu() - self.held[rows].float() / 255).abs().mean((1, 2, 3)))
            read.append(values.float().cpu())
        names = self.recipe["numbers"]
        error = (torch.cat(read) * self.scale + self.middle - numbers(self.validation, names)).abs().mean(0)
        scores = {"cell_error_percent": 100 * float(torch.cat(wrong).mean())}
        return scores | {f"error of {name}": float(e) for name, e in zip(names, error, strict=True)}


def numbers(studies: Studies, names: list[str]) -> Float[Tensor, "n m"]:
    """Fields of each study's scene."""
    return torch.tensor([[float(getattr(scene, name)) for name in names] for scene in studies.scenes])


def coverage(studies: Studies, grid: int, cache: Path | None) -> UInt8[Tensor, "n f p k"]:
    """Share of each cell that each structure covers, in 255ths; structures in alphabetical order."""
    frames, size = studies.pixels.shape[1:3]
    name = f"{studies.simulator.name}-{studies.part}-{len(studies)}-{frames}-{size}-{grid}-{studies.seed}.safetensors"

    def made() -> dict[str, Tensor]:
        found = []
        for i in tqdm(range(0, len(studies), RENDERED), desc="outlining", unit="batch", leave=False):
            masks = studies.simulator.masks(studies.scenes[i : i + RENDERED], size)
            rows = []
            for key in sorted(masks):
                mask = masks[key] if masks[key].ndim == 4 else masks[key][:, None]  # (n, f, s, s)
                mask = mask[:, np.linspace(0, mask.shape[1] - 1, frames).round().astype(int)].float()
                rows.append((255 * F.adaptive_avg_pool2d(mask, grid)).round().byte().flatten(2))
            found.append(torch.stack(rows, -1))
        return {"coverage": torch.cat(found)}

    return cached(cache and cache / name, made)["coverage"]
