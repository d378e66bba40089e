"""Simulated pictures with the masks of all that can be named in them, kept as bytes and bits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from medvlm_lab.phantoms.base import Phantom, Scene
from medvlm_lab.progress import tqdm
from medvlm_lab.tasks.segmentation import SEEN
from medvlm_lab.train.cache import cached

RENDERED = 16  # patients rendered together


class Scans:
    """Pictures (n, s, s) of one phantom and one part; of a cine, some frames, each a picture of its own.

    Attributes:
        names: of the masks. masks: (n, names, s * s / 8), packed bits.
        visible, absent: (n, names); what is smaller than `SEEN` is neither.

    Of `drawn` patients those are kept that make rare findings less rare; all of them by default.
    The pixels and masks are kept in `cache`, so that a resumed run need not simulate them again.
    """

    def __init__(
        self, simulator: Phantom, part: str, patients: int, frames: int, size: int, seed: int,
        leave_out: Sequence[str] = (), cache: Path | None = None, drawn: int | None = None,
    ):  # fmt: skip
        self.simulator, self.part, self.size = simulator, part, size
        drawn = drawn or patients
        path = cache and cache / f"{simulator.name}-{part}-{patients}-{drawn}-{frames}-{size}-{seed}.safetensors"
        chosen = lambda: enriched(simulator.sample(seed, drawn, part=part), patients)  # noqa: E731
        stored = cached(path, lambda: simulated(simulator, chosen(), frames, size))
        self.pixels = stored.pop("pixels")
        kept = [name for name in sorted(stored) if name not in leave_out]
        self.names, self.masks = tuple(kept), torch.stack([stored[name] for name in kept], 1)
        bits = torch.tensor([bin(i).count("1") for i in range(256)], dtype=torch.int16)
        area = torch.stack([bits[row.long()].sum(-1) for row in self.masks])  # (n, names)
        self.absent, self.visible = (area == 0).numpy(), (area >= SEEN * size**2).numpy()

    def __len__(self) -> int:
        return len(self.pixels)

    def mask(self, row: int, *names: int) -> Bool[np.ndarray, "s s"]:
        """The union of some masks of one picture."""
        bits = np.bitwise_or.reduce([self.masks[row, k].numpy() for k in names])
        return np.unpackbits(bits).reshape(self.size, self.size).astype(bool)


def enriched(scenes: Sequence[Scene], count: int) -> list[Scene]:
    """`count` patients in their order, the rarest findings in twice an equal share of them, the rest as they come."""
    names = [{f.mask_name for f in scene.all_findings} for scene in scenes]
    often, taken = Counter(name for own in names for name in own), set()
    for name in sorted(often, key=often.__getitem__):
        holders = [i for i, own in enumerate(names) if name in own]
        missing = min(2 * count // len(often) - len(taken.intersection(holders)), count - len(taken))
        taken.update([i for i in holders if i not in taken][: max(0, missing)])
    taken.update([i for i in range(len(scenes)) if i not in taken][: count - len(taken)])
    return [scenes[i] for i in sorted(taken)]


def simulated(simulator: Phantom, scenes: Sequence[Scene], frames: int, size: int) -> dict[str, UInt8[Tensor, "n ..."]]:
    """`pixels`, grey as displayed, and every mask by name, its bits packed."""
    low, rows = simulator.window[0] - simulator.window[1] / 2, []
    for i in tqdm(range(0, len(scenes), RENDERED), desc=f"simulating {simulator.name}", unit="batch", leave=False):
        some = scenes[i : i + RENDERED]
        pixels = simulator.render(some, size)  # (n, c, s, s)
        chosen = np.linspace(0, pixels.shape[1], frames, endpoint=False).astype(int)  # spread over the beat
        grey = ((pixels[:, chosen] - low) / simulator.window[1]).clamp(0, 1)
        found = {"pixels": ((1 - grey if simulator.inverted else grey) * 255).round().byte().flatten(0, 1)}
        for name, mask in simulator.masks(some, size).items():
            mask = mask[:, chosen].flatten(0, 1) if mask.ndim == 4 else mask
            found[name] = torch.from_numpy(np.packbits(mask.flatten(1).cpu().numpy(), axis=1))
        rows.append(found)
    return {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
