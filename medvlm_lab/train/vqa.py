"""Trains `vit-bert-vqa` by a recipe: the frozen stem and question layers run once, the rest learns on their output."""

from __future__ import annotations

import copy
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm.auto import tqdm

from medvlm_lab.models.preprocess import augment, to_square
from medvlm_lab.models.vit_bert_vqa import ViTBertVQA
from medvlm_lab.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class Table:
    """Questions of one data set beside the frozen features of its images and words."""

    images: Tensor  # (copies, images, patches, 320) float16
    words: Tensor  # (questions, q, 384) float16
    keep: Tensor  # (questions, q) bool
    answers: Tensor  # (questions, a) int64
    image_index: Tensor  # (questions,)
    train: np.ndarray
    validation: np.ndarray
    share: float
    texts: list[str]
    closed: np.ndarray


@torch.inference_mode()
def stem_features(model: ViTBertVQA, items: list, copies: int, cache: Path) -> Tensor:
    """Stem output of every image, `copies` times: once as it is, then augmented. Kept in `cache` for the next run."""
    from safetensors.torch import load_file, save_file

    if cache.exists() and (found := load_file(cache)["images"]).shape[:2] == (copies, len(items)):
        return found
    size = model.config.image_size
    squares = [to_square(item.image().display(), size) for item in tqdm(items, desc="reading images", unit="image")]
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
    cache.parent.mkdir(parents=True, exist_ok=True)
    save_file({"images": features}, cache)
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


class Trainer:
    """The loop: AdamW, warm-up and cosine, moving average of the weights, loss log, validation, exact resume."""

    def __init__(self, model: ViTBertVQA, tokenizer: Tokenizer, tables: list[Table], recipe: dict, out: Path):
        self.model, self.tokenizer, self.tables, self.recipe, self.out = model, tokenizer, tables, recipe, out
        torch.manual_seed(recipe["seed"])
        model.image_encoder.stem.requires_grad_(False)
        model.question_encoder.requires_grad_(False)
        self.learning = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        self.average = {n: p.detach().clone() for n, p in self.learning}
        decay = [p for _, p in self.learning if p.ndim > 1]
        plain = [p for _, p in self.learning if p.ndim <= 1]
        self.optimizer = torch.optim.AdamW(
            [{"params": decay, "weight_decay": recipe["weight_decay"]}, {"params": plain, "weight_decay": 0.0}],
            lr=recipe["learning_rate"],
            betas=(0.9, 0.98),
        )
        self.epoch = self.step = 0
        self.steps = recipe["epochs"] * len(self.batches(0))

    def batches(self, epoch: int) -> list[tuple[int, np.ndarray]]:
        """(table, question indices) of one epoch, shuffled by seed and epoch, so that a resumed run sees the same."""
        rng = np.random.default_rng((self.recipe["seed"], epoch))
        size, found = self.recipe["batch_size"], []
        for t, table in enumerate(self.tables):
            order = rng.permutation(table.train)[: round(table.share * len(table.train))]
            found += [(t, order[i : i + size]) for i in range(0, len(order), size)]
        return [found[i] for i in rng.permutation(len(found))]

    def loss(self, table: Table, rows: Tensor, rng: np.random.Generator) -> Tensor:
        copies = torch.from_numpy(rng.integers(len(table.images), size=len(rows)))
        patches = table.images[copies, table.image_index[rows]].float()
        keep = table.keep[rows]
        longest = int(keep.sum(1).max())
        answers = table.answers[rows]
        answers = answers[:, : int((answers != self.tokenizer.pad).sum(1).max())]
        words = self.model.drop(table.words[rows, :longest].float())
        image = self.model.image_encoder.encode_patches(self.model.drop(patches))
        memory, keep = self.model.fuse(image, words, keep[:, :longest])
        logits = self.model.decode(answers[:, :-1], memory, keep)  # (n, a - 1, v)
        return F.cross_entropy(
            logits.float().flatten(0, 1),
            answers[:, 1:].flatten(),
            ignore_index=self.tokenizer.pad,
            label_smoothing=self.recipe["label_smoothing"],
        )

    def rate(self) -> float:
        """Learning rate now: linear warm-up, then half a cosine down to zero."""
        warm = self.recipe["warmup_steps"]
        if self.step < warm:
            return self.recipe["learning_rate"] * (self.step + 1) / warm
        done = (self.step - warm) / max(1, self.steps - warm)
        return self.recipe["learning_rate"] * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))

    def run(self, minutes: float | None = None) -> None:
        """Trains to the recipe's last epoch, or stops after `minutes`; either way the checkpoint can be resumed."""
        started = time.perf_counter()
        with tqdm(total=self.steps, initial=self.step, desc="training", unit="step") as bar:
            while self.epoch < self.recipe["epochs"]:
                losses = []
                rng = np.random.default_rng((self.recipe["seed"], self.epoch, 1))
                torch.manual_seed(1000 * self.recipe["seed"] + self.epoch)
                self.model.train()
                for t, rows in self.batches(self.epoch):
                    for group in self.optimizer.param_groups:
                        group["lr"] = self.rate()
                    with torch.autocast("cpu", torch.bfloat16, enabled=self.recipe["bf16"]):
                        loss = self.loss(self.tables[t], torch.from_numpy(rows), rng)
                    self.optimizer.zero_grad(set_to_none=True)
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_([p for _, p in self.learning], 1.0)
                    self.optimizer.step()
                    decay = min(self.recipe["ema_decay"], (self.step + 1) / (self.step + 10))
                    with torch.no_grad():
                        for name, value in self.learning:
                            self.average[name].lerp_(value, 1 - decay)
                    self.step += 1
                    losses.append(loss.item())
                    bar.set_postfix(loss=f"{np.mean(losses):.3f}")
                    bar.update()
                self.epoch += 1
                record = {"epoch": self.epoch, "step": self.step, "loss": float(np.mean(losses)), "lr": self.rate()}
                if self.epoch % self.recipe["validation_every"] == 0 or self.epoch == self.recipe["epochs"]:
                    record |= self.validate()
                self.log(record)
                self.save()
                if minutes and time.perf_counter() - started > 60 * minutes:
                    break

    def averaged(self) -> ViTBertVQA:
        """A copy of the model with the averaged weights."""
        model = copy.deepcopy(self.model).eval()
        model.load_state_dict(self.average, strict=False)
        return model

    @torch.inference_mode()
    def validate(self) -> dict[str, float]:
        """Greedy exact-match accuracy in percent on each table's held-out questions, closed and open."""
        from medvlm_lab.metrics import exact_match
        from medvlm_lab.models.beam import beam_search

        model, scores = self.averaged(), {}
        for number, (spec, table) in enumerate(zip(self.recipe["data"], self.tables, strict=True)):
            hits = []
            for rows in np.array_split(table.validation, max(1, len(table.validation) // 128)):
                image = model.image_encoder.encode_patches(table.images[0, table.image_index[rows]].float())
                memory, keep = model.fuse(image, table.words[rows].float(), table.keep[rows])
                ids, _ = beam_search(
                    model.decode, memory, keep, self.tokenizer.start, self.tokenizer.end, 1, model.config.answer_context
                )
                texts = [self.tokenizer.decode(row) for row in ids[:, 0].tolist()]
                hits += [exact_match(text, table.texts[i]) for text, i in zip(texts, rows, strict=True)]
            hits, closed = np.array(hits, float), self.tables[number].closed[table.validation]
            scores[f"{spec['name']}_closed"] = 100 * hits[closed].mean()
            scores[f"{spec['name']}_open"] = 100 * hits[~closed].mean()
        return scores

    def export(self) -> None:
        """Writes the averaged weights as a checkpoint folder that `lab.load` reads."""
        from medvlm_lab.train.export import export

        learned = sum(p.numel() for _, p in self.learning)
        export(self.averaged(), self.tokenizer, self.tables, self.recipe, learned, self.out)

    def log(self, record: dict) -> None:
        with open(self.out / "log.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    # a checkpoint holds all that the next step depends on, in safetensors: weights, average, both moments, counters

    def save(self) -> None:
        from safetensors.torch import save_file

        state = {f"model.{n}": p.detach() for n, p in self.learning}
        state |= {f"average.{n}": p for n, p in self.average.items()}
        for name, p in self.learning:
            for key, value in self.optimizer.state[p].items():
                state[f"optimizer.{name}.{key}"] = value
        state["counters"] = torch.tensor([self.epoch, self.step])
        part = self.out / "checkpoint.part"
        save_file({k: v.contiguous() for k, v in state.items()}, part)
        part.replace(self.out / "checkpoint.safetensors")

    def resume(self) -> bool:
        """Continues from the checkpoint in `out`; False when there is none."""
        from safetensors.torch import load_file

        path = self.out / "checkpoint.safetensors"
        if not path.exists():
            return False
        state = load_file(path)
        self.model.load_state_dict({n: state[f"model.{n}"] for n, _ in self.learning}, strict=False)
        self.average = {n: state[f"average.{n}"] for n, _ in self.learning}
        for name, p in self.learning:
            prefix = f"optimizer.{name}."
            self.optimizer.state[p] = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
        self.epoch, self.step = state["counters"].tolist()
        return True
