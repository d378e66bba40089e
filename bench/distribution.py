"""Do the simulations look like the real thing to a network? Trained on simulated pictures alone, tested on real ones.

    python bench/distribution.py [epochs]

A small CNN learns which phantom a picture comes from. It is then shown the catalogue's real samples and, where
`MEDVLM_DATA` holds it, VQA-RAD: its field `image_organ` says head, chest or abdomen. Nothing real is trained on; tint
and inversion were added to the variations after a first look at the catalogue's samples, so VQA-RAD is the fairer test.
"""

from __future__ import annotations

import sys

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

import medvlm_lab as lab
from medvlm_lab.errors import MissingDataError
from medvlm_lab.metrics import bootstrap_interval
from medvlm_lab.models.preprocess import to_square

SIDE, SEED, COUNT = 96, 0, 1200  # pictures of each phantom
ORGANS = {"chest-xray": "CHEST", "abdominal-ct": "ABD", "brain-mr": "HEAD"}
NAMES = (*ORGANS, "echocardiogram", "pet", "histology")
FILMED = {"echocardiogram": 8}  # frames taken of each cine
REPEATED = {"pet": 6}  # costly to simulate: fewer patients, each as often
REAL = {  # catalogue entry → the phantom that simulates its kind, and which frames to take
    "chest-xray-nodules": ("chest-xray", [0]), "abdomen-ct": ("abdominal-ct", [0]),
    "brain-mr-volume": ("brain-mr", [60, 80, 95, 110, 125]), "echo-cine": ("echocardiogram", [0, 20, 40]),
    "echo-cine-short": ("echocardiogram", [0, 10, 20]), "bone-scan": ("pet", [0]), "colon-ihc": ("histology", [0]),
}  # fmt: skip


def simulated() -> tuple[Tensor, Tensor]:
    """(n, 3, s, s) bytes as a reader sees them, and labels: all four hospitals, several sizes."""
    pixels, labels = [], []
    for label, name in enumerate(NAMES):
        phantom, each, repeated = lab.phantom(name), FILMED.get(name, 1), REPEATED.get(name, 1)
        for i in tqdm(range(COUNT // each // repeated), desc=name, unit="study"):
            image = phantom.image(phantom.draw(SEED * 10**6 + i, hospital=i % 4), (96, 128, 192)[i % 3])
            for frame in np.linspace(0, image.frames - 1, each).astype(int):
                pixels += [(to_square(image.display(int(frame)), SIDE) * 255).byte()] * repeated
                labels += [label] * repeated
    return torch.stack(pixels), torch.tensor(labels)


def varied(batch: Tensor, rng: torch.Generator) -> Tensor:
    """Random zoom, shift, turn, gamma, brightness, tint, blur, noise, inversion: the ways in which archives differ."""
    n = len(batch)
    draw = lambda low, high: low + (high - low) * torch.rand(n, generator=rng)  # noqa: E731
    zoom, angle, squeeze = draw(0.55, 1.25), draw(-0.25, 0.25), draw(0.8, 1.25)
    theta = torch.zeros(n, 2, 3)
    theta[:, 0, 0], theta[:, 0, 1], theta[:, 0, 2] = zoom * squeeze * angle.cos(), -zoom * angle.sin(), draw(-0.2, 0.2)
    theta[:, 1, 0], theta[:, 1, 1], theta[:, 1, 2] = zoom * angle.sin(), zoom * angle.cos(), draw(-0.2, 0.2)
    out = F.grid_sample(batch.float() / 255, F.affine_grid(theta, list(batch.shape), False), align_corners=False)
    out = out.clamp(min=1e-3) ** draw(0.55, 1.8)[:, None, None, None]
    tint = 1 - 0.5 * torch.rand(n, 3, 1, 1, generator=rng) * (draw(0, 1) < 0.3)[:, None, None, None]
    out = torch.where((draw(0, 1) < 0.2)[:, None, None, None], 1 - out, out) * tint
    soft = F.avg_pool2d(out, 3, 1, 1)
    out = torch.where((draw(0, 1) < 0.4)[:, None, None, None], soft, out)
    out = (out * draw(0.7, 1.3)[:, None, None, None] + draw(-0.1, 0.1)[:, None, None, None]).clamp(0, 1)
    return out + 0.04 * torch.randn(out.shape, generator=rng) * draw(0, 1)[:, None, None, None]


def network() -> nn.Module:
    """Five convolutions, each halving the picture, then the mean over what is left."""
    widths, layers = (3, 24, 48, 96, 128, 160), []
    for a, b in zip(widths, widths[1:], strict=False):
        layers += [nn.Conv2d(a, b, 3, 2, 1), nn.BatchNorm2d(b), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(160, len(NAMES)))


def train(pixels: Tensor, labels: Tensor, epochs: int) -> nn.Module:
    torch.manual_seed(SEED)
    rng, net = torch.Generator().manual_seed(SEED), network()
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
    steps = epochs * (len(pixels) // 64 + 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in tqdm(range(epochs), desc="training", unit="epoch"):
        for rows in torch.randperm(len(pixels), generator=rng).split(64):
            loss = F.cross_entropy(net(varied(pixels[rows], rng)), labels[rows], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


@torch.inference_mode()
def guess(net: nn.Module, pictures: list[np.ndarray], among: list[int]) -> list[int]:
    """The best of the labels `among` for each picture (h, w, 3) uint8."""
    batch = torch.stack([to_square(p, SIDE) for p in pictures])
    return [among[i] for i in net(batch)[:, among].argmax(1).tolist()]


def report(title: str, hits: list[bool], chance: float) -> float:
    value, low, high = (100 * v for v in bootstrap_interval(np.array(hits, float)))
    print(f"{title:<46} {value:5.1f} % ({low:.1f} to {high:.1f}), n = {len(hits)}; chance {chance:.0f} %")
    return value


def main(epochs: int = 10) -> int:
    pixels, labels = simulated()
    order = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(1))
    held, kept = order[: len(order) // 10], order[len(order) // 10 :]
    net = train(pixels[kept], labels[kept], epochs)
    every = list(range(len(NAMES)))
    with torch.inference_mode():
        found = torch.cat([net(pixels[rows].float() / 255).argmax(1) for rows in held.split(64)])
    report("simulated, held out: which phantom", (found == labels[held]).tolist(), 100 / len(NAMES))
    hits = []
    for name, (kind, frames) in REAL.items():
        image = lab.sample(name)
        named = guess(net, [image.display(f) for f in frames], every)
        hits += [n == NAMES.index(kind) for n in named]
        print(f"  {name:<24} {kind:<16} taken for {', '.join(NAMES[n] for n in dict.fromkeys(named))}")
    report("real samples: which phantom", hits, 100 / len(NAMES))
    try:
        data = lab.dataset("vqa_rad", "train")
    except MissingDataError:
        print("VQA-RAD is not on this machine; `medvlm-lab data fetch vqa_rad` brings it.")
        return 0
    organ = {row["image_name"]: row["image_organ"] for row in data.rows}
    first = {item.image_name: item for item in data}
    names = sorted(first)
    named = guess(net, [first[n].image().display() for n in names], list(range(len(ORGANS))))
    true = [list(ORGANS.values()).index(organ[n]) for n in names]
    value = report("VQA-RAD: head, chest or abdomen", [a == b for a, b in zip(named, true, strict=True)], 100 / 3)
    for k, where in enumerate(ORGANS.values()):
        report(f"  {where}", [a == k for a, b in zip(named, true, strict=True) if b == k], 100 / 3)
    return int(value < 70)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
