"""Embedding against a hand-written loop, and maps against umap-learn's own defaults, in one process.

    python bench/embedding.py [images] [rows]    # 2,000 images, 10,000 rows of 128 numbers; exits 1 where behind

Each pair of times is of CPU seconds in turns, the median of the rounds; the loop reads and encodes the same files with
the same batch size: with chexzero, which is small, and a tenth of them with open_clip's ViT-B/32 and its own transform.
The map's rows are drawn around 40 centres. Quality is trustworthiness, on the same rows for both.
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


def throughput(name: str, images: int) -> float:
    """Images a second over those of the hand-written loop: of "chexzero", or of open_clip's ViT-B/32, untrained."""
    from PIL import Image

    data = lab.dataset("phantom:chest-xray", n=64, size=256)
    with tempfile.TemporaryDirectory() as temporary:
        folder, rng = Path(temporary) / "images", np.random.default_rng(0)
        folder.mkdir()
        pictures = [np.asarray(data.study(i).image().pil().convert("L")) for i in range(64)]
        for i in range(images):  # no two alike, so that nothing is saved by content
            noisy = pictures[i % 64] // 2 + rng.integers(0, 64, pictures[0].shape, np.uint8)
            Image.fromarray(noisy).save(folder / f"{i:05d}.png", compress_level=1)
        paths = lab.datasets.ImageFolder(folder).paths
        checkpoint = open_clip_folder(Path(temporary)) if name == "clip" else None
        model = lab.load(name, checkpoint=checkpoint, device="cpu")
        read_and_encode = lambda part: model.encode_images([lab.read(path) for path in part])  # noqa: E731
        encode = open_clip_encoder(checkpoint) if checkpoint else read_and_encode

        def loop() -> np.ndarray:
            return torch.cat([encode(paths[i : i + BATCH]) for i in range(0, len(paths), BATCH)]).numpy()

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
    print(f"{name}: {rate:.0f} images a second; {cpu:.3f} times the loop's rate by CPU time, {wall:.3f} by the clock")
    return max(cpu, wall)


def open_clip_folder(root: Path) -> Path:
    """open_clip's ViT-B/32 with random weights, saved as a published one is."""
    import json

    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(0)
    model = open_clip.create_model("ViT-B-32")
    folder = root / "ViT-B-32"
    folder.mkdir()
    save_file({key: x.contiguous() for key, x in model.state_dict().items()}, folder / "open_clip_model.safetensors")
    config = {"model_cfg": open_clip.get_model_config("ViT-B-32"), "preprocess_cfg": model.visual.preprocess_cfg}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    return folder


def open_clip_encoder(folder: Path):
    """A user's own encoding of a batch of paths, as open_clip's README writes it."""
    import open_clip
    from PIL import Image

    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    model.eval()

    @torch.no_grad()
    def encode(paths) -> torch.Tensor:
        features = model.encode_image(torch.stack([preprocess(Image.open(path)) for path in paths]))
        return features / features.norm(dim=-1, keepdim=True)

    return encode


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
    rate = min(throughput("chexzero", images), throughput("clip", images // 10))
    ratio, better = maps(rows)
    return int(rate < 1 or ratio < 1 or better < -0.002)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])))
