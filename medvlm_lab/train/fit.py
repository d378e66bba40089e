"""A small trainer for fusions: the same data, steps and seed for every model, so that only their design differs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from medvlm_lab.errors import UnknownNameError
from medvlm_lab.progress import tqdm
from medvlm_lab.train.loop import optimizers

MODALITIES = ("image", "note")
RATES = {"matrix_learning_rate": 4e-3, "learning_rate": 4e-3, "weight_decay": 0.1}
WARM = 20  # steps


@dataclass(frozen=True)
class Pairs:
    """Patients with both modalities: image features, note as word numbers, labels, and which modality is there."""

    image: Float[Tensor, "n p c"]
    note: Int[Tensor, "n t"]
    labels: Bool[Tensor, "n l"]
    keep: Bool[Tensor, "n 2"]

    def __len__(self) -> int:
        return len(self.labels)

    def without(self, modality: str, share: float = 1.0, seed: int = 0) -> Pairs:
        """The same patients, `modality` ("image" or "note") missing for a `share` of them drawn at random.

        Raises UnknownNameError for another modality.
        """
        if modality not in MODALITIES:
            raise UnknownNameError("modality", modality, MODALITIES)
        gone = torch.rand(len(self), generator=torch.Generator().manual_seed(seed)) < share
        keep = self.keep.clone()
        keep[gone, MODALITIES.index(modality)] = False
        return replace(self, keep=keep)


def fit(
    model: nn.Module, data: Pairs, steps: int = 240, seed: int = 0, batch: int = 32, drop: float = 0.0
) -> nn.Module:
    """Trains `model(image, note, keep) -> logits` in place, by Muon and AdamW on binary cross-entropy; returns it.

    drop: share of the patients of each batch who lose one modality, drawn anew each time (modality dropout).
    """
    generator = torch.Generator().manual_seed(seed)
    both = optimizers(model.train(), RATES)
    factor = lambda step: min((step + 1) / WARM, 2 * (1 - step / steps), 1.0)  # noqa: E731
    schedules = [torch.optim.lr_scheduler.LambdaLR(o, factor) for o in both]
    rows = torch.empty(0, dtype=torch.long)
    for _ in (bar := tqdm(range(steps), desc=type(model).__name__, unit="step", leave=False)):
        if len(rows) < batch:
            rows = torch.randperm(len(data), generator=generator)
        some, rows = rows[:batch], rows[batch:]
        lost = torch.rand(len(some), generator=generator) < drop
        which = torch.randint(2, (len(some), 1), generator=generator)
        keep = data.keep[some] & ~(lost[:, None] & (torch.arange(2) == which))
        logits = model(data.image[some], data.note[some], keep)
        loss = F.binary_cross_entropy_with_logits(logits, data.labels[some].float())
        for o in both:
            o.zero_grad()
        loss.backward()
        for o in (*both, *schedules):
            o.step()
        bar.set_postfix(loss=f"{loss.item():.2f}", refresh=False)
    return model.eval()


@torch.inference_mode()
def predict(model: nn.Module, data: Pairs) -> Float[Tensor, "n l"]:
    """Probability in [0, 1] of each label."""
    return model.eval()(data.image, data.note, data.keep).sigmoid()
