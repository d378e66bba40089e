"""The loop with a task of its own: accumulated steps, early stop, and a run killed at any moment."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from medvlm_lab.errors import CheckpointError, MedVLMError, OutOfMemoryError
from medvlm_lab.train import TASKS, train
from medvlm_lab.train.loop import CHECKPOINT, Loop, optimizers

RECIPE = {
    "seed": 0, "bf16": False, "epochs": 6, "learning_rate": 1e-2, "matrix_learning_rate": 1e-2, "warmup_steps": 2,
    "ema_decay": 0.9, "weight_decay": 0.0, "validation_every": 1,
}  # fmt: skip


class Line:
    """Learns a linear map; `score` is what validation says, one value an epoch."""

    def __init__(self, size=8, scores=(), pause=0.0):
        torch.manual_seed(0)
        self.model = nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.Linear(8, 1))
        self.x = torch.randn(64, 4, generator=torch.Generator().manual_seed(1))
        self.size, self.scores, self.pause, self.asked = size, list(scores), pause, 0

    def batches(self, epoch):
        rows = np.random.default_rng(epoch).permutation(64)
        return [rows[i : i + self.size] for i in range(0, 64, self.size)]

    def loss(self, rows, rng):
        time.sleep(self.pause)
        x = self.x[torch.from_numpy(rows)]
        return (self.model(x) - x.sum(1, keepdim=True)).square().mean()

    def validate(self, model):
        self.asked += 1
        return {"score": self.scores[self.asked - 1] if self.scores else 0.0}


def test_accumulated_batches_make_the_same_step_as_a_large_one(tmp_path):
    large = Loop(Line(32), RECIPE, tmp_path)
    small = Loop(Line(8), RECIPE | {"accumulate": 4}, tmp_path)
    assert large.steps == small.steps == 12
    for epoch in range(3):
        for loop in (large, small):
            batches = loop.task.batches(epoch)
            losses = [loop.update(batches[i : i + loop.together], i) for i in range(0, len(batches), loop.together)]
        for a, b in zip(large.model.parameters(), small.model.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    assert len(losses) == 2


@pytest.mark.parametrize(("lower", "scores"), [(True, [5, 4, 4.5, 4.2, 1, 1]), (False, [1, 2, 1, 1.5, 9, 9])])
def test_training_ends_when_validation_no_longer_gets_better(tmp_path, lower, scores):
    recipe = RECIPE | {"stop": {"score": "score", "lower": lower, "patience": 2}}
    loop = Loop(Line(scores=scores), recipe, tmp_path)
    loop.run(minutes=1e-9)
    again = Loop(Line(scores=scores[1:]), recipe, tmp_path)  # stopped and resumed: it still knows what was best
    assert again.resume()
    again.run()
    assert again.epoch == 4 and again.settled()
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 4


CODE = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_loop import RECIPE, Line, Loop
loop = Loop(Line(pause=0.02), RECIPE, Path({out!r}))
loop.resume()
loop.run()
"""


def begun(out):
    """Training in a process of its own: all runs start from the same state of the libraries."""
    out.mkdir(exist_ok=True)
    code = CODE.format(tests=str(Path(__file__).parent), out=str(out))
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)


def test_a_killed_run_resumes_to_the_same_weights(tmp_path):
    whole, out = begun(tmp_path / "whole"), tmp_path / "killed"
    assert whole.wait(60) == 0
    process, until = begun(out), time.monotonic() + 60
    while not (out / CHECKPOINT).exists() and time.monotonic() < until:
        time.sleep(0.02)
    time.sleep(0.1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    stopped = Loop(Line(), RECIPE, out)
    assert stopped.resume() and 1 <= stopped.epoch < RECIPE["epochs"]
    assert begun(out).wait(60) == 0
    expected, found = (load_file(folder / CHECKPOINT) for folder in (tmp_path / "whole", out))
    assert expected.keys() == found.keys()
    for name, value in expected.items():
        assert torch.equal(value, found[name]), name
    epochs = [json.loads(line)["epoch"] for line in (out / "log.jsonl").read_text().splitlines()]
    assert sorted(set(epochs)) == list(range(1, RECIPE["epochs"] + 1))


@pytest.fixture
def two_stages(tmp_path, monkeypatch):
    """A recipe of two stages on toy data, the second one's model begun from the first one's weights."""
    setup, writer = ModuleType("toy_setup"), ModuleType("toy_writer")
    setup.prepare = lambda recipe, folder: folder

    def task(recipe, folder, stage):
        made = Line()
        if stage == "second":
            left = load_file(folder / "first" / CHECKPOINT)
            made.model.load_state_dict({n: left[f"average.{n}"] for n in made.model.state_dict()})
        return made

    setup.task, writer.export = task, lambda loops, recipe, out: None
    for module in (setup, writer):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setitem(TASKS, "toy", ("toy_setup", "toy_writer"))
    file = tmp_path / "toy.toml"
    numbers = "\n".join(f"{key} = {json.dumps(value)}" for key, value in RECIPE.items())
    file.write_text(f'task = "toy"\n{numbers}\n[stages.first]\n[stages.second]\nafter = "first"\n')
    return lambda out, **options: train("toy", recipe_file=file, out=tmp_path / out, device="cpu", **options)


def test_stages_stopped_in_between_end_at_the_same_weights(two_stages):
    whole, parts = two_stages("whole"), two_stages("parts", minutes=1e-9)
    assert [len((parts / s / "log.jsonl").read_text().splitlines()) for s in ("first", "second")] == [1, 1]
    two_stages("parts", minutes=1e-9)
    two_stages("parts")
    for stage in ("first", "second"):
        one, other = (load_file(folder / stage / CHECKPOINT) for folder in (whole, parts))
        assert all(torch.equal(one[name], other[name]) for name in one), stage
        assert len((parts / stage / "log.jsonl").read_text().splitlines()) == RECIPE["epochs"]


def test_a_folder_keeps_to_the_recipe_that_it_was_begun_with(two_stages):
    kept = (two_stages("run") / "second" / CHECKPOINT).read_bytes()
    with pytest.raises(MedVLMError, match=r"run holds a run of another recipe \(other: epochs\)"):
        two_stages("run", epochs=9)
    assert (two_stages("run") / "second" / CHECKPOINT).read_bytes() == kept


def test_a_checkpoint_that_does_not_fit_is_named(tmp_path):
    loop = Loop(Line(), RECIPE, tmp_path)
    loop.save()
    other = Line()
    other.model[0] = nn.Linear(5, 8)
    with pytest.raises(CheckpointError, match=r"checkpoint.safetensors is damaged or of another model .*; delete it"):
        Loop(other, RECIPE, tmp_path).resume()
    (tmp_path / CHECKPOINT).write_bytes((tmp_path / CHECKPOINT).read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"checkpoint.safetensors is damaged"):
        loop.resume()


def test_full_memory_says_what_to_lower(tmp_path):
    loop = Loop(Line(), RECIPE, tmp_path)

    def full(rows, rng):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB.")

    loop.task.loss = full
    with pytest.raises(OutOfMemoryError, match="too little memory for a batch; lower the recipe's batch_size"):
        loop.run()


def test_gentle_parts_learn_at_their_share_of_the_rates():
    net = nn.ModuleDict({name: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4)) for name in "ab"})
    net["b"][1].requires_grad_(False)
    recipe = {"learning_rate": 1e-3, "matrix_learning_rate": 1e-2, "weight_decay": 0.1}
    for gentle in ({}, {"b": 0.4}):
        muon, adamw = optimizers(net, recipe | {"gentle": gentle})
        rates = {id(p): g["lr"] for o in (muon, adamw) for g in o.param_groups for p in g["params"]}
        factor = gentle.get("b", 1.0)
        assert [rates.pop(id(net[name][0].weight)) for name in "ab"] == pytest.approx([1e-2, factor * 1e-2])
        assert rates.pop(id(net["b"][0].bias)) == pytest.approx(factor * 1e-3)
        assert sorted(rates.values()) == [1e-3] * 3  # the frozen norm is left out
