"""Embedding against a hand-written loop, and maps against umap-learn's own defaults, in one process.

    python bench/embedding.py [images] [rows]    # 2,000 images, 10,000 rows of 128 numbers; exits 1 where behind

Each pair of times is of CPU seconds in turns, the median of the rounds; the loop reads and encodes the same files with
the same batch size. The map's rows are drawn around 40 centres. Quality is trustworthiness, on the same rows for both.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np
import torch

import medvlm_lab as lab
from medvlm_lab.embed import Embeddings
from medvlm_lab.embed.projection import measure

ROUNDS, BATCH, K = 3, 64, 15


def throughput(images: int) -> float:
    """Images a second over those of the hand-written loop."""
    model, data = lab.load("chexzero", device="cpu"), lab.dataset("phantom:chest-xray", n=64, size=256)
    with tempfile.TemporaryDirectory() as name:
        folder, rng = Path(name), np.random.default_rng(0)
        pictures = [np.asarray(data.study(i).image().pil().convert("L")) for i in range(64)]
        from PIL import Image

        for i in range(images):  # no two alike, so that nothing is saved by content
            noisy = pictures[i % 64] // 2 + rng.integers(0, 64, pictures[0].shape, np.uint8)
            Image.fromarray(noisy).save(folder / f"{i:05d}.png", compress_level=1)
        paths = lab.datasets.ImageFolder(folder).paths

        def loop() -> np.ndarray:
            parts = [[lab.read(p) for p in paths[i : i + BATCH]] for i in range(0, len(paths), BATCH)]
            return torch.cat([model.encode_images(part) for part in parts]).numpy()

        def ours() -> np.ndarray:
            with tempfile.TemporaryDirectory() as out:
                return lab.embed.embed(model, folder, out, BATCH, progress=False).vectors

        assert np.abs(loop() - ours()).max() < 1e-5
        times = {loop: [], ours: []}
        for _ in range(ROUNDS):
            for run, spent in times.items():
                wall, cpu = perf_counter(), process_time()
                run()
                spent.append((process_time() - cpu, perf_counter() - wall))
    cpu, wall = (median(a[k] / b[k] for a, b in zip(times[loop], times[ours], strict=True)) for k in (0, 1))
    rate = images / median(t[1] for t in times[ours])
    print(f"embed: {rate:.0f} images a second; {cpu:.3f} times the loop's rate by CPU time, {wall:.3f} by the clock")
    return max(cpu, wall)


def maps(rows: int) -> tuple[float, float]:
    """(umap-learn's CPU time over ours, our trustworthiness less its)."""
    from umap import UMAP

    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 128))
    vectors = centres[rng.integers(0, 40, rows)] + rng.normal(size=(rows, 128)) * rng.gamma(2, 0.25, (rows, 1))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    made = Embeddings.from_rows([{"id": str(i), "kind": "image", "vector": v} for i, v in enumerate(vectors)], "m", "i")
    warnings.simplefilter("ignore")
    UMAP().fit(vectors[:4200])  # compiles
    spent = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        started = process_time()
        ours = lab.embed.project(made)
        spent["ours"].append(process_time() - started)
        started = process_time()
        theirs = UMAP().fit_transform(vectors)
        measure(vectors, theirs, K)
        spent["theirs"].append(process_time() - started)
    ratio = median(b / a for a, b in zip(spent["ours"], spent["theirs"], strict=True))
    own, other = ours.trustworthiness, measure(vectors, theirs, K)[0]
    print(f"UMAP of {rows:,} x 128: {median(spent['ours']):.1f} s of CPU, umap-learn {median(spent['theirs']):.1f} s")
    print(f"{ratio:.2f} times as fast; trustworthiness {own:.4f}, umap-learn {other:.4f} (on {ours.sample:,} rows)")
    started = perf_counter()
    ours.transform(vectors[:1])
    print(f"one more point: {1000 * (perf_counter() - started):.1f} ms")
    return ratio, own - other


def main(images: int = 2000, rows: int = 10_000) -> int:
    rate = throughput(images)
    ratio, better = maps(rows)
    return int(rate < 1 or ratio < 1 or better < -0.002)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
