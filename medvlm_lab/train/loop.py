"""The training loop: Muon and AdamW, warm-up and cosine, moving average of the weights, log, validation, exact resume.

A task brings the model, its batches, the loss and the validation; a recipe (TOML) brings the numbers.
"""

from __future__ import annotations

import copy
import ctypes
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from medvlm_lab.devices import computes_bfloat16
from medvlm_lab.errors import CheckpointError, OutOfMemoryError
from medvlm_lab.io.whole import append, whole
from medvlm_lab.models.hub_memory import ran_out
from medvlm_lab.progress import tqdm
from medvlm_lab.train.processes import ALONE, Processes

CHECKPOINT = "checkpoint.safetensors"


class Task(Protocol):
    """What is trained; `model`'s parameters that need no gradient stay frozen."""

    model: nn.Module

    def batches(self, epoch: int) -> Sequence[Any]:
        """One epoch's batches, a function of the recipe's seed and the epoch alone, so that a resumed run sees them."""
        ...

    def loss(self, batch: Any, rng: np.random.Generator) -> Tensor: ...

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Scores of a model on what was held out."""
        ...


class Loop:
    """Trains a task by a recipe into the folder `out`.

    Matrices inside the network are trained by Muon (Jordan et al. 2024), which on these small transformers needs under
    half of AdamW's steps; embeddings, norms and biases by AdamW.

    Optional in a recipe: `accumulate`, batches whose gradients make one step; `stop`, a table with the validation
    `score` to watch, whether `lower` is better, and after how many validations without a better one (`patience`)
    training ends early.

    Of several `processes` each takes its share of every step's batches, `accumulate` for each: the step is the one that
    a single process with their product would make. The first alone validates, logs and saves.
    """

    def __init__(
        self, task: Task, recipe: dict, out: Path, device: torch.device | str = "cpu", processes: Processes = ALONE
    ):
        self.task, self.recipe, self.out, self.device = task, recipe, out, torch.device(device)
        self.processes, self.bfloat16 = processes, recipe["bf16"] and computes_bfloat16(self.device)
        self.model = task.model.to(self.device)
        self.learning = [(n, p) for n, p in self.model.named_parameters() if p.requires_grad]
        self.average = {n: p.detach().clone() for n, p in self.learning}
        self.optimizers = optimizers(self.model, recipe)
        self.rates = [group["lr"] for o in self.optimizers for group in o.param_groups]
        self.epoch = self.step = self.waited = 0
        self.best = math.inf
        self.together = recipe.get("accumulate", 1) * processes.count
        self.steps = recipe["epochs"] * -(-len(task.batches(0)) // self.together)

    def factor(self) -> float:
        """Share of the full learning rate now: linear warm-up, then half a cosine down to zero."""
        warm = self.recipe["warmup_steps"]
        if self.step < warm:
            return (self.step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (self.step - warm) / max(1, self.steps - warm))))

    def run(self, minutes: float | None = None) -> None:
        """Trains to the recipe's last epoch, or stops after `minutes`; either way the checkpoint can be resumed."""
        started, epochs, others = time.perf_counter(), self.recipe["epochs"], self.processes.rank > 0
        keep_freed_memory()
        with tqdm(total=self.steps, initial=self.step, desc="training", unit="step", disable=others) as bar:
            while self.epoch < epochs and not self.settled():
                losses = []
                self.model.train()
                batches = self.task.batches(self.epoch)
                for i in range(0, len(batches), self.together):
                    losses.append(self.update(batches[i : i + self.together], i))
                    bar.set_postfix(loss=f"{np.mean(losses):.3f}", refresh=False)
                    bar.update()
                self.epoch += 1
                if not others:
                    self.finish(float(np.mean(losses)))
                late = minutes and time.perf_counter() - started > 60 * minutes
                self.best, self.waited, late = self.processes.of_first(self.best, self.waited, late)
                if late:
                    break

    def finish(self, loss: float) -> None:
        """Ends an epoch: validation when it is due, log, checkpoint."""
        record = {"epoch": self.epoch, "step": self.step, "loss": loss, "rate": self.factor()}
        if self.epoch % self.recipe["validation_every"] == 0 or self.epoch == self.recipe["epochs"]:
            record |= self.task.validate(self.averaged())
            self.watch(record)
        self.log(record)
        self.save()

    def watch(self, scores: dict) -> None:
        """Counts validations since the best one."""
        if stop := self.recipe.get("stop"):
            score = scores[stop["score"]] * (1 if stop["lower"] else -1)
            self.waited = 0 if score < self.best else self.waited + 1
            self.best = min(self.best, score)

    def settled(self) -> bool:
        """Whether validation has not become better for as long as the recipe is patient."""
        return self.waited >= self.recipe.get("stop", {}).get("patience", math.inf)

    def update(self, batches: Sequence[Any], first: int) -> float:
        """One step on the mean of the batches' losses; returns it. `first` is the first batch's place in its epoch.

        All chance follows from seed, epoch and place, so it is the same whichever process has the batch.
        """
        factor = self.factor()
        groups = [group for o in self.optimizers for group in o.param_groups]
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate * factor
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for place, batch in self.processes.share(list(enumerate(batches, first))):
            rng = np.random.default_rng((self.recipe["seed"], self.epoch, 1, place))
            torch.manual_seed(int(rng.integers(2**63)))  # dropout
            try:
                with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
                    loss = self.task.loss(batch, rng) / len(batches)
                loss.backward()
            except (RuntimeError, MemoryError) as error:
                if not ran_out(error):
                    raise
                raise OutOfMemoryError(
                    f"{self.device} has too little memory for a batch; lower the recipe's batch_size and raise its "
                    "`accumulate` as much, in a new folder."
                ) from error
            total += loss.item()
        total = self.processes.add_up([p for _, p in self.learning], total)
        torch.nn.utils.clip_grad_norm_([p for _, p in self.learning], 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        decay = min(self.recipe["ema_decay"], (self.step + 1) / (self.step + 10))
        with torch.no_grad():
            for name, value in self.learning:
                self.average[name].lerp_(value, 1 - decay)
        self.step += 1
        return total

    def averaged(self) -> nn.Module:
        """A copy of the model with the averaged weights."""
        model = copy.deepcopy(self.model).eval()
        model.load_state_dict(self.average, strict=False)
        return model

    def log(self, record: dict) -> None:
        append(self.out / "log.jsonl", json.dumps(record) + "\n")

    # a checkpoint holds all that the next step depends on, in safetensors: weights, average, moments, counters

    def save(self) -> None:
        from safetensors.torch import save_file

        state = {f"model.{n}": p.detach() for n, p in self.learning}
        state |= {f"average.{n}": p for n, p in self.average.items()}
        for name, p in self.learning:
            for optimizer in self.optimizers:
                state |= {f"optimizer.{name}.{k}": v for k, v in optimizer.state.get(p, {}).items()}
        state["counters"] = torch.tensor([self.epoch, self.step, self.waited])
        state["best"] = torch.tensor(self.best, dtype=torch.float64)
        with whole(self.out / CHECKPOINT) as part:
            save_file({k: v.contiguous() for k, v in state.items()}, part)

    def resume(self) -> bool:
        """Continues from the checkpoint in `out`; False when there is none. CheckpointError: it does not fit."""
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        path = self.out / CHECKPOINT
        if not path.exists():
            return False
        try:
            state = load_file(path, device=str(self.device))
            self.model.load_state_dict({n: state[f"model.{n}"] for n, _ in self.learning}, strict=False)
            self.average = {n: state[f"average.{n}"] for n, _ in self.learning}
        except (SafetensorError, RuntimeError, KeyError) as error:
            raise CheckpointError(
                f"{path} is damaged or of another model ({str(error).splitlines()[0]}); delete it to begin this stage "
                "anew, or name another folder (--out)."
            ) from error
        owner = {id(p): o for o in self.optimizers for group in o.param_groups for p in group["params"]}
        for name, p in self.learning:
            prefix = f"optimizer.{name}."
            owner[id(p)].state[p] = {k[len(prefix) :]: v for k, v in state.items() if k.startswith(prefix)}
        self.epoch, self.step, self.waited = state["counters"].tolist()
        self.best = float(state["best"])
        return True


def joined_log(loops: dict[str, Loop]) -> str:
    """The logs of all stages, each line with its stage."""
    lines = [
        {"stage": stage} | json.loads(line) for stage, loop in loops.items()
        for line in (loop.out / "log.jsonl").read_text(encoding="utf-8").splitlines()
    ]  # fmt: skip
    return "".join(json.dumps(line) + "\n" for line in lines)


def optimizers(model: nn.Module, recipe: dict) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of linear layers, AdamW for all else; frozen parameters are left out.

    `gentle`, a table in the recipe, lowers both rates by a factor for the parts of the model that it names.
    """
    chosen = {id(m.weight) for m in model.modules() if isinstance(m, nn.Linear)}
    linear, rest, gentle = {}, {}, recipe.get("gentle", {})
    for name, p in model.named_parameters():
        if p.requires_grad:
            factor = gentle.get(name.split(".")[0], 1.0)
            if id(p) in chosen:
                linear.setdefault(factor, []).append(p)
            else:
                rest.setdefault((factor, recipe["weight_decay"] if p.ndim > 1 else 0.0), []).append(p)
    matrix, rate = recipe["matrix_learning_rate"], recipe["learning_rate"]
    return [
        # its updates scaled to AdamW's size, so that one range of learning rates serves both
        torch.optim.Muon(
            [{"params": found, "lr": matrix * factor} for factor, found in linear.items()],
            lr=matrix, weight_decay=recipe["weight_decay"], adjust_lr_fn="match_rms_adamw",
        ),
        torch.optim.AdamW(
            [{"params": found, "lr": rate * factor, "weight_decay": d} for (factor, d), found in rest.items()],
            lr=rate, betas=(0.9, 0.98),
        ),
    ]  # fmt: skip


def keep_freed_memory() -> None:
    """glibc hands large buffers back at every `free`, and each step pays for their pages again: many times slower."""
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        mmap_max, trim_threshold = -4, -1  # malloc.h
        ctypes.CDLL(None).mallopt(mmap_max, 0)
        ctypes.CDLL(None).mallopt(trim_threshold, 2**31 - 1)
