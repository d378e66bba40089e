"""What is wrong with a folder of a teaching model, and memory that runs out, are said in one sentence."""

import hashlib
import json
import shutil

import pytest
import torch

import medvlm_lab as lab
from medvlm_lab.errors import CheckpointError, MissingDataError, OutOfMemoryError
from medvlm_lab.models import CATALOGUE, WEIGHTS
from medvlm_lab.models.store import load_config, save_weights


@pytest.fixture(params=CATALOGUE)
def folder(request, tmp_path):
    return shutil.copytree(WEIGHTS / request.param, tmp_path / request.param)


@pytest.fixture
def chexzero(tmp_path):
    return shutil.copytree(WEIGHTS / "chexzero", tmp_path / "chexzero")


def refused(folder, error, match, **options):
    with pytest.raises(error, match=match):
        lab.load(folder.name, checkpoint=folder, device="cpu", **options)


def test_a_vocabulary_that_is_not_the_model_s(folder):
    file = folder / "vocabulary.txt"
    words = file.read_text(encoding="utf-8").split("\n")
    for other in (words[:-1], [*words, "stray"]):
        file.write_text("\n".join(other), encoding="utf-8")
        refused(folder, CheckpointError, rf"has {len(other)} tokens, but the model's embedding has {len(words)} rows")
    file.write_text("\n".join(word.replace("[SEP]", "stop") for word in words), encoding="utf-8")
    refused(folder, CheckpointError, r"vocabulary.txt lacks \[SEP\]; restore")
    file.write_bytes(b"\xff\n")
    refused(folder, CheckpointError, "vocabulary.txt is damaged")
    file.unlink()
    refused(folder, MissingDataError, "vocabulary.txt is missing; name another folder")


def test_a_vocabulary_in_another_order(chexzero):
    file, weights = chexzero / "vocabulary.txt", {"logit_scale": torch.zeros(())}
    words = file.read_text(encoding="utf-8").split("\n")
    save_weights(chexzero, weights, load_config(chexzero))
    file.write_bytes("\r\n".join([*words, ""]).encode())  # as another system's editor writes it
    refused(chexzero, CheckpointError, "Missing key")  # the vocabulary is let through
    file.write_text("\n".join([*words[:-2], words[-1], words[-2]]), encoding="utf-8")
    refused(chexzero, CheckpointError, "not the vocabulary that the model learned")


def test_settings_that_do_not_fit(folder):
    file, whole = folder / "config.json", load_config(folder)
    model = whole["model"]
    for settings, match in (
        ([whole], "config.json is damaged: it holds no settings"),
        ({k: v for k, v in whole.items() if k != "model"}, "config.json lacks 'model'"),
        (whole | {"model": [1]}, "'model' in .*config.json"),
        (whole | {"model": model | {"colour": 1}}, "'model' in .*config.json .*'colour'"),
        (whole | {"model": {k: v for k, v in model.items() if k != "vocabulary"}}, "config.json .*'vocabulary'"),
    ):
        file.write_text(json.dumps(settings))
        refused(folder, CheckpointError, match)


@pytest.mark.parametrize("untrained", [False, True])
@pytest.mark.parametrize("sizes", [{"widths": 3}, {"widths": [8]}, {"text_width": -1}])
def test_sizes_that_no_network_has(chexzero, sizes, untrained):
    settings = load_config(chexzero)
    (chexzero / "config.json").write_text(json.dumps(settings | {"model": settings["model"] | sizes}))
    refused(chexzero, CheckpointError, "do not fit its chexzero config.json", untrained=untrained)


@pytest.mark.parametrize(("name", "key"), [("vit-bert-vqa", "calibration"), ("prompt-segmenter", "threshold")])
def test_settings_that_one_model_needs(name, key, tmp_path):
    folder = shutil.copytree(WEIGHTS / name, tmp_path / name)
    settings = load_config(folder)
    del settings[key]
    (folder / "config.json").write_text(json.dumps(settings))
    refused(folder, CheckpointError, f"config.json lacks '{key}'")


def test_checksums(chexzero):
    right = hashlib.sha256((chexzero / "model.safetensors").read_bytes()).hexdigest()
    assert lab.load("chexzero", checkpoint=chexzero, sha256={"model.safetensors": right}).name == "chexzero"
    refused(chexzero, CheckpointError, "has SHA-256 .*, expected 0000", sha256={"model.safetensors": "0" * 64})
    refused(chexzero, CheckpointError, "other.safetensors is missing", sha256={"other.safetensors": right})
    (chexzero / "SHA256SUMS").write_text(f"{'0' * 64}  model.safetensors\n")
    refused(chexzero, CheckpointError, "damaged or replaced")
    with pytest.raises(CheckpointError, match="expected 0000"):  # also of the bundled weights
        lab.load("chexzero", sha256={"model.safetensors": "0" * 64})


ASKED = {
    "answer": ("vit-bert-vqa", "clinical-blip", "flamingo-cxr", "pathology-vlm"),
    "trace": tuple(CATALOGUE),
    "segment": ("prompt-segmenter",),
    "encode_images": ("chexzero", "echo-clip", "pathology-vlm"),
    "report": ("clinical-blip", "flamingo-cxr"),
}


@pytest.mark.parametrize(("method", "name"), [(method, name) for method, names in ASKED.items() for name in names])
@pytest.mark.parametrize("error", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_memory_that_runs_out(pictures, method, name, error, monkeypatch):
    model = lab.load(name, device="cpu")

    def full(*_, **__):
        raise error

    monkeypatch.setattr("torch.nn.functional.conv2d", full)  # every model's first step
    monkeypatch.setattr("torch.conv2d", full)
    arguments = {"encode_images": ([pictures[0]],), "report": (pictures[0],)}.get(method, (pictures[0], "heart"))
    with pytest.raises(OutOfMemoryError, match=f"cpu has too little memory for {name}; give it fewer images"):
        getattr(model, method)(*arguments)


def test_memory_that_runs_out_while_a_model_is_loaded(chexzero, monkeypatch):
    def full(*_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("medvlm_lab.models.store.load_weights", full)
    refused(chexzero, OutOfMemoryError, "cpu has too little memory for chexzero")
    monkeypatch.undo()
    monkeypatch.setattr(torch.nn.Module, "to", full)
    refused(chexzero, OutOfMemoryError, "cpu has too little memory for chexzero")


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_found_on_loading(folder, wrong):
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    state = load_file(file)
    name = [name for name, value in state.items() if value.is_floating_point()][-1]
    state[name].view(-1)[-1] = wrong
    save_file(state, file)
    refused(folder, CheckpointError, f"tensor {name.removesuffix('.scale')} in .*model.safetensors holds NaN")
