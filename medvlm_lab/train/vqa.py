"""The task of `vit-bert-vqa`: the frozen stem and question layers run once, the rest learns on their output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from medvlm_lab.io.whole import whole
from medvlm_lab.metrics import exact_match
from medvlm_lab.models.beam import beam_search
from medvlm_lab.models.preprocess import augment, square_of
from medvlm_lab.models.vit_bert_vqa import ViTBertVQA
from medvlm_lab.progress import tqdm
from medvlm_lab.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Table:
    """Questions of one data set beside the frozen features of its images and words."""

    rows: Sequence[dict]  # as the data set's file has them
    images: Tensor  # (copies, images, patches, 320) float16
    words: Tensor  # (questions, q, 384) float16
    keep: Tensor  # (questions, q) bool
    answers: Tensor  # (questions, a) int64
    image_index: Tensor  # (questions,)
    share: float
    texts: list[str]
    closed: np.ndarray
    train: np.ndarray = field(default_factory=lambda: np.empty(0, int))
    validation: np.ndarray = field(default_factory=lambda: np.empty(0, int))


@torch.inference_mode()
def stem_features(model: ViTBertVQA, items: list, copies: int, cache: Path) -> Tensor:
    """Stem output of every image, `copies` times: once as it is, then augmented. Kept in `cache` for the next run."""
    from safetensors.torch import load_file, save_file

    if cache.exists() and (found := load_file(cache)["images"]).shape[:2] == (copies, len(items)):
        return found
    size = model.config.image_size
    squares = [square_of(item.image(), size) for item in tqdm(items, desc="reading images", unit="image")]
    stem = model.image_encoder.stem.eval().to(memory_format=torch.channels_last)
    passes = []
    with tqdm(total=copies * len(items), desc="image features", unit="image") as bar:
        for number in range(copies):
            rng, rows = np.random.default_rng(number), []
            views = squares if number == 0 else [augment(square, rng) for square in squares]
            for i in range(0, len(views), 32):
                batch = torch.stack(views[i : i + 32]).contiguous(memory_format=torch.channels_last)
                rows.append(stem(batch).flatten(2).transpose(1, 2).half())
                bar.update(len(batch))
            passes.append(torch.cat(rows))
    features = torch.stack(passes)  # (copies, images, patches, 320)
    with whole(cache) as part:
        save_file({"images": features}, part)
    return features


@torch.inference_mode()
def question_features(model: ViTBertVQA, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Frozen BERT features of padded questions: `(n, q, 384)` float16 and the mask of real tokens."""
    model.question_encoder.eval()
    keep = ids != model.pad
    features = torch.zeros(*ids.shape, model.config.question_width, dtype=torch.float16)
    for rows in keep.sum(1).argsort().split(128):  # of like length, so that little padding is computed
        longest = int(keep[rows].sum(1).max())
        features[rows, :longest] = model.encode_question(ids[rows, :longest])[0].half()
    return features, keep


class VQATask:
    """Batches, loss and validation over tables of frozen features; see `loop.Task`."""

    def __init__(self, model: ViTBertVQA, tokenizer: Tokenizer, tables: list[Table], recipe: dict):
        self.model, self.tokenizer, self.tables, self.recipe = model, tokenizer, tables, recipe
        model.image_encoder.stem.requires_grad_(False)
        model.question_encoder.requires_grad_(False)

    def batches(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        """(table, question indices) of one epoch, shuffled by seed and epoch."""
        rng, size = np.random.default_rng((self.recipe["seed"], epoch)), self.recipe["batch_size"]
        found = []
        for t, table in enumerate(self.tables):
            rows = rng.permutation(table.train)[: round(table.share * len(table.train))]
            rows = neighbours(rows, table, rng, self.recipe["questions_per_image"])
            found += [(t, rows[i : i + size]) for i in range(0, len(rows), size)]
        return [found[i] for i in rng.permutation(len(found))]

    def loss(self, batch: tuple[int, np.ndarray], rng: np.random.Generator) -> Tensor:
        table, rows = self.tables[batch[0]], torch.from_numpy(batch[1])
        device = self.model.memory_norm.weight.device
        images, place = table.image_index[rows].unique(return_inverse=True)
        copies = torch.from_numpy(rng.integers(len(table.images), size=len(images)))
        patches = table.images[copies, images].to(device).float()  # each image once: (images, p, 320)
        keep = table.keep[rows]
        longest = int(keep.sum(1).max())
        answers = table.answers[rows]
        answers = answers[:, : int((answers != self.tokenizer.pad).sum(1).max())].to(device)
        words = self.model.drop(table.words[rows, :longest].to(device).float())
        image = self.model.image_encoder.encode_patches(self.model.drop(patches))[place.to(device)]  # (n, 1 + p, d)
        memory, keep = self.model.fuse(image, words, keep[:, :longest].to(device))
        logits = self.model.decode(answers[:, :-1], memory, keep)  # (n, a - 1, v)
        return F.cross_entropy(
            logits.float().flatten(0, 1),
            answers[:, 1:].flatten(),
            ignore_index=self.tokenizer.pad,
            label_smoothing=self.recipe["label_smoothing"],
        )

    @torch.inference_mode()
    def validate(self, model: ViTBertVQA) -> dict[str, float]:
        """Greedy exact-match accuracy in percent on each table's held-out questions, closed and open."""
        scores = {}
        for spec, table in zip(self.recipe["data"], self.tables, strict=True):
            texts = [self.tokenizer.decode(ids[0]) for ids, _ in decoded(model, self.tokenizer, table, beams=1)]
            pairs = zip(texts, table.validation, strict=True)
            hits = np.array([exact_match(text, table.texts[i]) for text, i in pairs], float)
            closed = table.closed[table.validation]
            scores[f"{spec['name']}_closed"] = 100 * hits[closed].mean()
            scores[f"{spec['name']}_open"] = 100 * hits[~closed].mean()
        return scores


def neighbours(rows: np.ndarray, table: Table, rng: np.random.Generator, together: int) -> np.ndarray:
    """The rows reordered so that batches are cheap: few images, encoded once each, and little padding.

    Up to `together` questions about an image stay side by side, and such groups are sorted by their longest question,
    both with some noise, so that batches differ from epoch to epoch.
    """
    length = table.keep[torch.from_numpy(rows)].sum(1).numpy() + rng.uniform(0, 4, len(rows))
    by_image: dict[int, list[int]] = {}
    for i in np.argsort(length):
        by_image.setdefault(int(table.image_index[rows[i]]), []).append(i)
    groups = [own[k : k + together] for own in by_image.values() for k in range(0, len(own), together)]
    groups.sort(key=lambda group: length[group[-1]] + rng.uniform(0, 3))
    return rows[np.concatenate(groups)]


@torch.inference_mode()
def decoded(model: ViTBertVQA, tokenizer: Tokenizer, table: Table, beams: int) -> Iterator[tuple[list, Tensor]]:
    """Per validation question of a table: its beams' token ids, best first, and their log-probabilities `(b, t)`."""
    device = model.memory_norm.weight.device
    for rows in np.array_split(table.validation, max(1, len(table.validation) // 64)):
        patches = table.images[0, table.image_index[rows]].to(device).float()
        image = model.image_encoder.encode_patches(patches)
        memory, keep = model.fuse(image, table.words[rows].to(device).float(), table.keep[rows].to(device))
        found = beam_search(
            model.decode, memory, keep, tokenizer.start, tokenizer.end, beams, model.config.answer_context
        )
        yield from zip(found[0].tolist(), found[1].cpu(), strict=True)
