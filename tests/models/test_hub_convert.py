"""What is published as a pickle: fetched, converted once without running it, and loaded as safetensors."""

import fnmatch
import os
import pickle
import shutil

import hub_checkpoints as build
import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import medvlm_lab as lab
from medvlm_lab.cli import app
from medvlm_lab.errors import CheckpointError, MissingDataError
from medvlm_lab.models import hub
from medvlm_lab.models.hub_convert import to_safetensors
from medvlm_lab.models.hub_table import PUBLISHED

pytestmark = pytest.mark.usefixtures("offline")
MAKE = {"echo-clip": build.echo_clip, "biomedclip": build.biomedclip, "plip": build.clip}


class Evil:
    """Makes a folder when an ordinary unpickler meets it."""

    def __init__(self, trap):
        self.trap = str(trap)

    def __reduce__(self):
        return os.mkdir, (self.trap,)


@pytest.fixture
def fake_hub(tmp_path, monkeypatch):
    """Folders in `remote` are the hub's repositories, those in `cache` what was downloaded; what was asked for."""
    asked = []

    def snapshot(repository, revision=None, allow_patterns=(), local_files_only=False):
        there, here = (tmp_path / where / repository for where in ("remote", "cache"))
        if local_files_only:
            return str(here)
        asked.append((repository, allow_patterns))
        here.mkdir(parents=True, exist_ok=True)
        for file in there.iterdir() if there.is_dir() else ():
            if any(fnmatch.fnmatch(file.name, pattern) for pattern in allow_patterns):
                shutil.copy(file, here)
        return str(here)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    return tmp_path / "remote", asked


def publish(remote, name, wrap=lambda state: state):
    """A tiny checkpoint as `name` is published, and its weights."""
    folder = remote / PUBLISHED[name].repository
    folder.mkdir(parents=True)
    MAKE[name](folder)
    (safe,) = folder.glob("*.safetensors")
    state = load_file(safe)
    safe.unlink()
    torch.save(wrap(state), folder / PUBLISHED[name].pickle)
    return state


@pytest.mark.parametrize("name", MAKE)
@pytest.mark.parametrize("nested", [False, True])
def test_fetch_converts_a_pickle_and_load_finds_it(name, nested, fake_hub, pictures):
    def as_trained(state):
        return {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in state.items()}}

    remote, asked = fake_hub
    state = publish(remote, name, as_trained if nested else lambda state: state)
    result = CliRunner().invoke(app, ["models", "fetch", name])
    assert result.exit_code == 0 and f"{name} is in" in result.output
    assert asked[-1] == (PUBLISHED[name].repository, [PUBLISHED[name].pickle])
    model = lab.load(name, checkpoint=f"hf-hub:{PUBLISHED[name].repository}", device="cpu")
    own = model.module.state_dict()
    assert set(state) <= set(own) and all(torch.equal(own[key], value) for key, value in state.items())
    assert torch.isfinite(model.encode_images(pictures[:1])).all()
    before = len(asked)
    hub.fetch(name)
    assert [PUBLISHED[name].pickle] not in [patterns for _, patterns in asked[before:]]  # once is enough


def test_load_with_download_converts_too(fake_hub):
    publish(fake_hub[0], "plip")
    assert lab.load("plip", checkpoint="hf-hub:vinid/plip", device="cpu", download=True).name == "plip"


def test_where_the_hub_has_safetensors_or_no_weights_no_pickle_is_opened(fake_hub):
    remote, asked = fake_hub
    folder = remote / PUBLISHED["plip"].repository
    folder.mkdir(parents=True)
    with pytest.raises(MissingDataError, match="No weights in"):
        hub.fetch("plip")
    build.clip(folder)
    asked.clear()
    hub.fetch("plip")
    assert len(asked) == 1 and not any(pattern.endswith(".bin") for pattern in asked[0][1])


def test_shared_and_strided_tensors_come_out_whole(tmp_path):
    matrix = torch.arange(12.0).reshape(3, 4)
    state = {"a": matrix, "tied": matrix, "row": matrix[1], "turned": matrix.T, "half": matrix.half()}
    torch.save(state | {"parameter": torch.nn.Parameter(matrix)}, tmp_path / "pytorch_model.bin")
    out = to_safetensors(tmp_path / "pytorch_model.bin")
    found = load_file(out)
    assert out.name == "model.safetensors" and set(found) == {*state, "parameter"}
    assert all(torch.equal(found[key], value) and found[key].dtype == value.dtype for key, value in state.items())
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("how", ["saved", "saved in the old format", "pickled"])
def test_a_pickle_that_would_run_code_is_refused_and_not_run(how, tmp_path):
    file, trap = tmp_path / "pytorch_model.bin", tmp_path / "trap"
    content = {"state_dict": {"a": torch.ones(2)}, "more": Evil(trap)}
    if how == "pickled":
        file.write_bytes(pickle.dumps(content, protocol=2))
    else:
        torch.save(content, file, _use_new_zipfile_serialization=how == "saved")
    with pytest.raises(CheckpointError, match="holds more than tensors; no code of it was run") as caught:
        to_safetensors(file)
    assert "weights_only" not in str(caught.value)  # torch would tell how to run it
    assert [path.name for path in tmp_path.iterdir()] == [file.name]
    pickle.loads(pickle.dumps(Evil(trap)))
    assert trap.is_dir()  # the trap is one


def test_fetch_refuses_such_a_pickle_in_one_sentence(fake_hub, tmp_path):
    trap = tmp_path / "trap"
    publish(fake_hub[0], "echo-clip", lambda state: state | {"evil": Evil(trap)})
    with pytest.raises(CheckpointError, match="open_clip_pytorch_model.bin is damaged or holds more than tensors"):
        hub.fetch("echo-clip")
    with pytest.raises(CheckpointError, match="is a pickle.*`medvlm-lab models fetch NAME`"):
        lab.load("echo-clip", checkpoint="hf-hub:mkaichristensen/echo-clip", device="cpu")
    assert not trap.exists()


@pytest.mark.parametrize("content", [{"a": 1}, [torch.ones(1)], {"state_dict": 3}, {1: "text"}, torch.ones(1)])
def test_what_is_no_dictionary_of_tensors_is_refused(content, tmp_path):
    file = tmp_path / "pytorch_model.bin"
    torch.save(content, file)
    with pytest.raises(CheckpointError, match="damaged or holds more than tensors"):
        to_safetensors(file)


def test_a_truncated_pickle_is_refused(tmp_path):
    file = tmp_path / "pytorch_model.bin"
    torch.save({"a": torch.ones(1000)}, file)
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match="is damaged"):
        to_safetensors(file)
