"""LoRA: fine-tuning a linear layer through a bottleneck of a few numbers (Hu et al. 2022, section 4.1).

    adapted = add_lora(model, ("q_proj", "v_proj"), rank=8, alpha=16)   # model frozen, only the adapters train
    merge_lora(model)                                                  # back to plain layers, still frozen
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn


class LoRALinear(nn.Module):
    """y = W x + α / r · B A x. W is frozen; B starts at zero, so that the layer starts unchanged."""

    def __init__(self, base: nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.base, self.scale = base.requires_grad_(False), alpha / rank
        like = {"device": base.weight.device, "dtype": base.weight.dtype}
        self.down = nn.Linear(base.in_features, rank, bias=False, **like)  # A, (r, in)
        self.up = nn.Linear(rank, base.out_features, bias=False, **like)  # B, (out, r)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Float[Tensor, "*n i"]) -> Float[Tensor, "*n o"]:
        return self.base(x) + self.scale * self.up(self.down(x))

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The same function as one plain linear layer: W + α / r · B A."""
        self.base.weight += self.scale * self.up.weight @ self.down.weight
        return self.base


def add_lora(model: nn.Module, targets: Sequence[str], rank: int, alpha: float) -> list[str]:
    """Freezes `model` and gives an adapter to each `nn.Linear` whose last name is in `targets`; returns their paths.

    Raises ValueError for a rank below 1 and for a target that names no linear layer.
    """
    if rank < 1:
        raise ValueError(f"rank must be at least 1, not {rank}")
    found = [
        path
        for path, module in model.named_modules()
        if isinstance(module, nn.Linear) and path.rpartition(".")[2] in targets
    ]
    missing = set(targets) - {path.rpartition(".")[2] for path in found}
    if missing:
        raise ValueError(f"no linear layer is called {', '.join(sorted(missing))}")
    model.requires_grad_(False)
    for path in found:
        replace(model, path, LoRALinear(model.get_submodule(path), rank, alpha))
    return found


def merge_lora(model: nn.Module) -> None:
    """Replaces each adapted layer by one plain linear layer that computes the same."""
    for path, module in list(model.named_modules()):
        if isinstance(module, LoRALinear):
            replace(model, path, module.merged())


def replace(model: nn.Module, path: str, module: nn.Module) -> None:
    """Puts `module` in the place that `path` names."""
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)
