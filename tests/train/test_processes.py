"""Training over two processes that torchrun starts: the weights of one process, and still those after a kill.

Sums over processes add the same numbers in another order, which moves gradients by float32 rounding, some 1e-8. Muon
orthogonalises in bfloat16, where a last bit may then flip: weights move by 1e-4 at most. A batch lost, other random
numbers or a missing gradient taken for zero move them by 1e-2: a tolerance of 1e-3 tells.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from test_loop import RECIPE, Line
from torch import nn

import medvlm_lab
from medvlm_lab.errors import MedVLMError
from medvlm_lab.train import recipe
from medvlm_lab.train.contrastive_setup import prepare, task
from medvlm_lab.train.loop import CHECKPOINT, Loop
from medvlm_lab.train.processes import NEEDED, Processes, join

CLOSE = {"rtol": 1e-3, "atol": 1e-3}
# 5 batches in steps of 4: the last step of an epoch has one batch, so one process has none; ends early, after 5 epochs
UNEVEN = RECIPE | {"accumulate": 2, "stop": {"score": "score", "lower": True, "patience": 4}}
TINY = """
name = "chexzero"
task = "contrastive"
phantom = "chest-xray"
seed = 0
bf16 = false
epochs = 2
studies = 48
frames = 1
frames_per_step = 1
validation_studies = 8
test_studies = 16
batch_size = 16
learning_rate = 1e-3
matrix_learning_rate = 1e-3
warmup_steps = 1
weight_decay = 0.05
word_dropout = 0.1
excerpts = 0.3
ema_decay = 0.8
validation_every = 1
figures = 0.0
denied = true
number = ""
weights = { own = 1.0, others = 0.3, place = 0.3, number = 0.0 }
frozen = []
keeps = "contrast"
numbers = ["cardiothoracic_ratio"]
cell_loss = 4.0
number_loss = 0.0
[stages.outline]
learns = "outlines"
[stages.contrast]
after = "outline"
learns = "prompts"
[model]
image_size = 32
frames = 1
depths = [1, 1]
widths = [16, 32]
embedding = 32
text_width = 32
text_depth = 1
"""


class Chancy(Line):
    """A line learned through dropout and noise; its factor `rare` has no part in the short batch of an epoch."""

    def __init__(self, pause=0.0):
        super().__init__(13, pause=pause)
        self.model = nn.Sequential(*self.model[:2], nn.Dropout(0.3), self.model[2])
        self.model.rare = nn.Parameter(torch.ones(()))

    def loss(self, rows, rng):
        time.sleep(self.pause)
        x = self.x[torch.from_numpy(rows)]
        found = self.model(x + 0.1 * torch.from_numpy(rng.standard_normal(x.shape)).float())
        return ((found * self.model.rare if len(rows) == 13 else found) - x.sum(1, keepdim=True)).square().mean()


def start(*arguments, **kwargs):
    """`torchrun --nproc-per-node 2 ARGUMENTS` on this machine alone."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(medvlm_lab.__file__).parents[1])}
    return subprocess.Popen([*command, "--local-addr=127.0.0.1", *map(str, arguments)], env=environment, **kwargs)


def same(one, two):
    """Two folders' checkpoints: weights, their average, moments, counters."""
    one, two = load_file(one / CHECKPOINT), load_file(two / CHECKPOINT)
    assert one.keys() == two.keys()
    for name in one:
        torch.testing.assert_close(one[name], two[name], msg=lambda text, name=name: f"{name}: {text}", **CLOSE)


@pytest.mark.skipif(sys.platform != "linux", reason="only there do processes end with a killed torchrun")
def test_two_processes_killed_and_resumed_end_with_the_weights_of_one(tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "killed"
    whole.mkdir()
    out.mkdir()
    Loop(Chancy(), UNEVEN | {"accumulate": 4}, whole).run()
    killed = start(__file__, out, 0.2)
    until = time.monotonic() + 300
    while not (out / CHECKPOINT).exists() and time.monotonic() < until:
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    time.sleep(0.2)  # the processes end with torchrun, and write no more
    reached = load_file(out / CHECKPOINT)["counters"][0]
    assert 1 <= reached < 4
    assert start(__file__, out, 0).wait(300) == 0
    same(whole, out)
    epochs = [json.loads(line)["epoch"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert sorted(set(epochs)) == [1, 2, 3, 4, 5] and len(epochs) <= 6  # of two logs each epoch would be there twice


def test_the_command_line_trains_one_model_over_two_processes(tmp_path):
    file, out, one = tmp_path / "tiny.toml", tmp_path / "out", tmp_path / "one"
    one.mkdir()
    file.write_text(TINY)
    options = ["--recipe", file, "--out", out, "--device", "cpu"]
    started = start("-m", "medvlm_lab.cli", "train", "chexzero", *options, stdout=subprocess.PIPE, text=True)
    printed, _ = started.communicate(timeout=300)
    assert started.returncode == 0 and printed.count("is trained") == 1
    assert "Not for clinical use" in (out / "README.md").read_text() and not list(out.rglob("*.part"))
    assert len((out / "log.jsonl").read_text().splitlines()) == 2 * 2  # epochs of each stage
    settings = recipe(file) | {"accumulate": 2}
    Loop(task(settings, prepare(settings, out), "contrast"), settings, one).run()
    same(one, out / "contrast")


def test_a_launch_that_cannot_work_is_refused(monkeypatch):
    for name, value in zip(NEEDED, ("1", "1", "2", "localhost", "1"), strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(MedVLMError, match="2 processes need 2 GPUs, but this machine has 1"):
        join("cuda")
    monkeypatch.delenv("MASTER_ADDR")
    with pytest.raises(MedVLMError, match="lacks MASTER_ADDR; start them with 'torchrun --nproc-per-node 2'"):
        join("cpu")


def test_a_process_left_alone_says_so(monkeypatch):
    def closed(group):
        raise RuntimeError("connection closed by peer")

    monkeypatch.setattr(torch.distributed, "barrier", closed)
    with pytest.raises(MedVLMError, match="Another process of this run has ended"):
        Processes(rank=1, count=2).wait()


if __name__ == "__main__":
    me = join("cpu")
    loop = Loop(Chancy(float(sys.argv[2])), UNEVEN, Path(sys.argv[1]), me.device, me)
    loop.resume()
    loop.run()
    me.leave()
