"""One training run over several processes that torchrun started, one to a GPU (or, to try it, several on a CPU).

A step needs one sum over processes, which torch.distributed has: accelerate would be one more package, and it wraps a
model's `forward`, while our tasks call a model's parts.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from medvlm_lab.devices import device as choose
from medvlm_lab.errors import MedVLMError

NEEDED = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
PATIENCE = timedelta(days=2)  # while the first process prepares, validates or exports


@dataclass(frozen=True)
class Processes:
    """This process among the `count` that train together: its number `rank` and its device; by default it is alone."""

    device: torch.device = torch.device("cpu")
    rank: int = 0
    count: int = 1
    waiting: Any = None  # the group in which the others wait for the first; the main group's patience is short

    def share(self, items: Sequence) -> Sequence:
        """What this process does of a step's batches: nothing, where they are fewer than processes."""
        return items[self.rank :: self.count]

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """The first process goes through the body, then the others: they find what it has written."""
        if self.rank:
            self.wait()
        yield
        if not self.rank:
            self.wait()

    def wait(self) -> None:
        """Until all have come here."""
        if self.count > 1:
            with others_alive():
                dist.barrier(self.waiting)

    def of_first(self, *values: Any) -> Sequence[Any]:
        """The first process's values, in every process."""
        told = list(values)
        if self.count > 1:
            with others_alive():
                dist.broadcast_object_list(told, 0, self.waiting)
        return told

    def add_up(self, parameters: Sequence[nn.Parameter], loss: float) -> float:
        """Adds up gradients, in place, and losses of all processes; a parameter that none has used keeps no gradient.

        Every process must come here once a step, also one that had no batch: its gradients count as zero.
        """
        if self.count == 1:
            return loss
        used = [float(p.grad is not None) for p in parameters]
        own = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        flat = torch.cat([*(g.flatten() for g in own), torch.tensor([*used, loss], device=own[0].device)])
        with others_alive():
            dist.all_reduce(flat)
        *sums, rest = flat.split([*(p.numel() for p in parameters), len(used) + 1])
        *users, loss = rest.tolist()
        for p, total, n in zip(parameters, sums, users, strict=True):
            p.grad = total.view_as(p) if n else None
        return loss

    def leave(self) -> None:
        """To be called at the end of a run that went well."""
        if self.count > 1:
            dist.destroy_process_group()


ALONE = Processes()


def join(device: str | None = None) -> Processes:
    """Meets the other processes of this torchrun; alone without one. CUDA by default, each process with its own GPU.

    Raises:
        MedVLMError: fewer GPUs than processes, or variables of torchrun are missing, or nobody answers.
    """
    count = int(os.environ.get("WORLD_SIZE", 1))
    if count == 1:
        return Processes(choose(device))
    if missing := [name for name in NEEDED if name not in os.environ]:
        raise MedVLMError(
            f"WORLD_SIZE={count} asks for {count} processes, but the environment lacks {', '.join(missing)}; "
            f"start them with 'torchrun --nproc-per-node {count}', or unset WORLD_SIZE."
        )
    rank, local = int(os.environ["RANK"]), int(os.environ["LOCAL_RANK"])
    name = device or os.environ.get("MEDVLM_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    if name.startswith("cuda") and torch.cuda.is_available():
        here, gpus = int(os.environ.get("LOCAL_WORLD_SIZE", local + 1)), torch.cuda.device_count()
        if here > gpus:
            raise MedVLMError(
                f"{here} processes need {here} GPUs, but this machine has {gpus}; use '--nproc-per-node {gpus}'."
            )
        torch.cuda.set_device(local)
        name = f"cuda:{local}"
    where = choose(name)
    if where.type not in ("cuda", "cpu"):
        raise MedVLMError(f"Several processes cannot train on {name!r}; use 'cuda' or 'cpu', or one process.")
    end_with_launcher()
    try:
        dist.init_process_group("nccl" if where.type == "cuda" else "gloo")
    except dist.DistError as error:
        address = f"{os.environ['MASTER_ADDR']}:{os.environ['MASTER_PORT']}"
        raise MedVLMError(f"The {count} processes did not meet at {address}; start them with torchrun.") from error
    return Processes(where, rank, count, dist.new_group(backend="gloo", timeout=PATIENCE))


@contextmanager
def others_alive() -> Iterator[None]:
    """The traceback of a process that was left alone would bury what the one that failed has to say."""
    try:
        yield
    except RuntimeError as error:
        raise MedVLMError("Another process of this run has ended; read what it printed.") from error


def end_with_launcher() -> None:
    """A torchrun that is killed outright would leave its processes writing where a resumed run writes."""
    if sys.platform == "linux" and "TORCHELASTIC_RUN_ID" in os.environ:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG, sys/prctl.h
