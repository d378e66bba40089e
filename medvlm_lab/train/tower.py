"""Stage "tower" of the prompt segmenter: it stands in for the pretrained image encoder that CLIPSeg starts from.

Every structure of a picture is outlined and counted as there or not in one step, by a head of one row each that knows
its name and no language. Phrases alone would show the tower eight structures a picture and step. The heads are dropped.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.nn import functional as F

from medvlm_lab.models.prompt_segmenter import PromptNet
from medvlm_lab.train.scans import Scans
from medvlm_lab.train.segmentation import drawn, outline_loss, rarity, shuffled, varied


class Outliner(nn.Module):
    """The image tower with a head of one row for each structure; the text tower and the decoder wait."""

    def __init__(self, net: PromptNet, structures: int):
        super().__init__()
        self.net = net.requires_grad_(False)
        net.image_tower.requires_grad_(True)
        half, quarter = net.config.widths[1:3]
        self.outlines = nn.Linear(half, structures)  # at half the resolution
        self.places = nn.Linear(quarter, structures)  # at a quarter
        self.presence = nn.Linear(2 * quarter + net.config.widths[-1], structures)

    def forward(
        self, pixels: Float[Tensor, "n s s"], rows: Int[Tensor, " p"], names: Int[Tensor, " p"]
    ) -> tuple[Float[Tensor, "p h h"], Float[Tensor, "n k q q"], Float[Tensor, "n k"]]:
        """Logits: the outlines of `names` in the pictures `rows`; every structure's place; that it is there."""
        features = self.net.encode_image(pixels)
        outlines = torch.einsum("pchw,pc->phw", features[1][rows], self.outlines.weight[names])
        places = self.places(features[2].movedim(1, -1)).movedim(-1, 1)
        seen = [features[2].mean((2, 3)), features[2].amax((2, 3)), features[-1].mean((2, 3))]
        # what the likeliest place says, and what the whole picture adds
        there = places.flatten(2).amax(2) + self.presence(torch.cat(seen, 1))
        return outlines + self.outlines.bias[names, None, None], places, there


class TowerTask:
    """Batches, loss and validation; see `loop.Task`."""

    def __init__(self, net: PromptNet, train: list[Scans], validation: list[Scans], recipe: dict):
        self.train, self.validation, self.recipe = train, validation, recipe
        names = sorted({name for scans in train for name in scans.names})
        self.columns = [np.array([names.index(name) for name in scans.names]) for scans in train]
        self.model, self.weights = Outliner(net, len(names)), rarity(train)

    def batches(self, epoch: int) -> list[np.ndarray]:
        return shuffled(self.train, self.recipe, epoch)

    def loss(self, pairs: np.ndarray, rng: np.random.Generator) -> Tensor:
        device = self.model.places.weight.device
        there, absent, weight = (np.zeros((len(pairs), self.model.places.out_features), np.float32) for _ in range(3))
        rows, names, masks = [], [], []
        for i, (which, row) in enumerate(pairs):
            scans, columns, weights = self.train[which], self.columns[which], self.weights[which]
            there[i, columns], absent[i, columns] = scans.visible[row], scans.absent[row]
            weight[i, columns] = np.where(scans.visible[row], weights, scans.absent[row])
            shown = drawn(scans.visible[row] * weights, self.recipe["present"], rng)
            rows += [i] * len(shown)
            names += list(columns[shown])
            masks += [scans.mask(row, name) for name in shown]
        rows, names = torch.tensor(rows, device=device), torch.tensor(np.array(names), device=device)
        there, absent, weight = (torch.from_numpy(table).to(device) for table in (there, absent, weight))
        pixels = torch.stack([self.train[which].pixels[row] for which, row in pairs]).to(device).float() / 255
        pixels, shown = varied(pixels, torch.from_numpy(np.stack(masks)).to(device).float(), rows, rng)
        outlines, places, presence = (part.float() for part in self.model(pixels, rows, names))
        half = F.avg_pool2d(shown, 2)
        nowhere = places[absent.bool()]
        return (
            outline_loss(outlines, half) + outline_loss(places[rows, names], F.avg_pool2d(half, 2))
            + F.binary_cross_entropy_with_logits(nowhere, torch.zeros_like(nowhere))
            + (F.binary_cross_entropy_with_logits(presence, there, reduction="none") * weight).sum() / weight.sum()
        )  # fmt: skip

    @torch.inference_mode()
    def validate(self, model: Outliner) -> dict[str, float]:
        """Mean area under the curve of presence, over structures that some validation pictures show and some lack."""
        device, areas = model.places.weight.device, []
        for scans, columns in zip(self.validation, self.columns, strict=True):
            nothing = torch.zeros(0, dtype=torch.long, device=device)
            found = [model(part.to(device).float() / 255, nothing, nothing)[2].cpu() for part in scans.pixels.split(64)]
            presence = torch.cat(found)[:, columns].float().numpy()
            for k in range(len(scans.names)):
                known = scans.visible[:, k] | scans.absent[:, k]
                if len({*scans.visible[known, k]}) == 2:
                    areas.append(roc_auc_score(scans.visible[known, k], presence[known, k]))
        return {"presence_auc": float(np.mean(areas))}
