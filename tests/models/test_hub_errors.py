"""What is wrong with a checkpoint is said in one sentence, and no code of it is run."""

import hashlib
import json
import shutil

import hub_answerers
import hub_checkpoints as build
import pytest
import torch
from safetensors.torch import load_file, save_file

import medvlm_lab as lab
from medvlm_lab.errors import CheckpointError, MissingDataError, OutOfMemoryError, UnknownNameError
from medvlm_lab.models import hub_files
from medvlm_lab.models.hub_table import PUBLISHED

pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    found = {}
    for name, make in (("clip", build.clip), ("llava", hub_answerers.llava), ("open_clip", build.open_clip_vit)):
        found[name] = tmp_path_factory.mktemp(name)
        make(found[name])
    return found


@pytest.fixture
def clip(originals, tmp_path):
    return shutil.copytree(originals["clip"], tmp_path / "clip")


def load(folder, name="clip", **options):
    return lab.load(name, checkpoint=folder, device="cpu", **options)


def test_another_architecture_is_named(originals, clip, tmp_path):
    with pytest.raises(CheckpointError, match="'llava' model, but 'clip' is clip or open_clip"):
        load(originals["llava"])
    with pytest.raises(CheckpointError, match="'open_clip' model, but 'plip' is clip"):
        load(originals["open_clip"], "plip")
    with pytest.raises(CheckpointError, match="'clip', not 'chexzero'|None, not 'chexzero'"):
        load(clip, "chexzero")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="names no model_type"):
        load(tmp_path)


def test_damaged_files(clip):
    weights = clip / "model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match="model.safetensors is damaged or truncated"):
        load(clip)
    weights.write_bytes(whole)
    (clip / "config.json").write_text('{"model_type": ')
    with pytest.raises(CheckpointError, match="config.json is damaged"):
        load(clip)


def test_weights_of_other_shapes_or_too_few(clip, originals, tmp_path):
    weights = load_file(clip / "model.safetensors")
    save_file({k: v for k, v in weights.items() if "visual_projection" not in k}, clip / "model.safetensors")
    with pytest.raises(CheckpointError, match="lack 1 tensors of a CLIPModel, such as visual_projection"):
        load(clip)
    save_file(weights | {"visual_projection.weight": torch.zeros(3, 16)}, clip / "model.safetensors")
    with pytest.raises(CheckpointError, match="do not make a CLIPModel"):
        load(clip)
    folder = shutil.copytree(originals["open_clip"], tmp_path / "open")
    file = folder / "open_clip_model.safetensors"
    save_file({k: v for k, v in load_file(file).items() if k != "visual.proj"}, file)
    with pytest.raises(CheckpointError, match="do not fit its open_clip_config.json.*visual.proj"):
        load(folder)


def test_pickles_are_refused(clip, originals, tmp_path):
    (clip / "model.safetensors").rename(clip / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="pytorch_model.bin is a pickle.*convert it to safetensors"):
        load(clip)
    folder = shutil.copytree(originals["open_clip"], tmp_path / "open")
    (folder / "open_clip_model.safetensors").rename(folder / "open_clip_pytorch_model.bin")
    with pytest.raises(CheckpointError, match="is a pickle"):
        load(folder)
    shutil.copy(originals["open_clip"] / "open_clip_model.safetensors", folder / "model.safetensors")
    with pytest.raises(CheckpointError, match="open_clip would read the pickle .*open_clip_pytorch_model.bin"):
        load(folder)
    (clip / "pytorch_model.bin").unlink()
    with pytest.raises(MissingDataError, match=r"No weights in .*\*.safetensors is missing"):
        load(clip)


def test_checksums(clip):
    right = hashlib.sha256((clip / "model.safetensors").read_bytes()).hexdigest()
    assert load(clip, sha256={"model.safetensors": right}).name == "clip"
    with pytest.raises(CheckpointError, match="has SHA-256 .*, expected 000000000000"):
        load(clip, sha256={"model.safetensors": "0" * 64})
    (clip / "SHA256SUMS").write_text(f"{right}  model.safetensors\n")
    assert load(clip).name == "clip"
    (clip / "SHA256SUMS").write_text(f"{'0' * 64} *model.safetensors\n")
    with pytest.raises(CheckpointError, match="damaged or replaced"):
        load(clip)
    (clip / "SHA256SUMS").write_text(f"{right}  other.safetensors\n")
    with pytest.raises(CheckpointError, match="is missing, though its checksum is known"):
        load(clip)
    (clip / "SHA256SUMS").write_text(right)
    with pytest.raises(CheckpointError, match="SHA256SUMS is damaged"):
        load(clip)


def test_a_shard_that_is_missing(clip):
    index = {"weight_map": {"a": "model.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (clip / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="lacks model-00002-of-00002.safetensors"):
        load(clip)


def test_a_tokenizer_that_is_missing_or_of_another_model(clip):
    build.tokenizer(more=[f"word{i}" for i in range(9)]).save_pretrained(clip)
    with pytest.raises(CheckpointError, match=r"has \d+ tokens, but the model's embedding has \d+ rows"):
        load(clip)
    (clip / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match="processor in .* cannot be read"):
        load(clip)
    (clip / "tokenizer.json").unlink()
    with pytest.raises(MissingDataError, match=r"has no tokenizer \(tokenizer.json"):
        load(clip)
    build.tokenizer().save_pretrained(clip)
    (clip / "processor_config.json").unlink()
    with pytest.raises(MissingDataError, match="has no image processor"):
        load(clip)


def test_no_code_of_a_checkpoint_is_run(clip, tmp_path):
    trap = tmp_path / "trap"
    (clip / "evil.py").write_text(f"open({str(trap)!r}, 'w')\nfrom transformers import CLIPModel as Evil\n")
    for file, key in (
        ("config.json", "AutoModel"),
        ("processor_config.json", "AutoProcessor"),
        ("tokenizer_config.json", "AutoTokenizer"),
    ):
        settings = json.loads((clip / file).read_text())
        (clip / file).write_text(json.dumps(settings | {"auto_map": {key: "evil.Evil"}}))
    try:
        load(clip)
    except CheckpointError:
        pass  # refusing is as good as ignoring
    assert not trap.exists()


def test_towers_that_lead_elsewhere_are_refused(tmp_path):
    build.biomedclip(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings | {"auto_map": {"AutoConfig": "evil.Evil"}}))
    with pytest.raises(CheckpointError, match="needs code of its own, which is not run"):
        load(tmp_path, "biomedclip")
    file = tmp_path / "open_clip_config.json"
    settings = json.loads(file.read_text())
    settings["model_cfg"]["vision_cfg"]["timm_model_name"] = "hf-hub:owner/tower"
    file.write_text(json.dumps(settings))
    with pytest.raises(CheckpointError, match="'hf-hub:owner/tower'; only those that timm itself has"):
        load(tmp_path, "biomedclip")


def test_a_model_that_is_too_large_is_refused_before_it_is_read(clip, monkeypatch):
    from types import SimpleNamespace

    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=1000))
    said = "clip takes 0.0 GB of memory, but cpu has 0.0 GB free; load it with.* 0.6 GB under the licence MIT; fetch"
    with pytest.raises(OutOfMemoryError, match=said):
        load(clip)
    weights = [clip / "model.safetensors"]
    numbers = sum(value.numel() for value in load_file(weights[0]).values())
    assert hub_files.weigh(weights, "float32") == 4 * numbers == 2 * hub_files.weigh(weights, "bfloat16")
    assert hub_files.weigh(weights, "auto") == weights[0].stat().st_size


@pytest.mark.parametrize(("name", "dtype", "needed"), [
    ("idefics", None, 36), ("idefics", "bfloat16", 18), ("llava", None, 28.2), ("llava", "float16", 14.1),
])  # fmt: skip
def test_a_model_that_is_too_large_is_refused_before_it_is_fetched(name, dtype, needed, monkeypatch):
    from types import SimpleNamespace

    entry, fetched = PUBLISHED[name], []
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *args, **options: fetched.append(args) or "gone")
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=(needed - 1) * 1e9))
    for checkpoint in (None, f"hf-hub:{entry.repository}"):
        with pytest.raises(OutOfMemoryError) as caught:
            load(checkpoint, name, download=True, dtype=dtype)
        said = str(caught.value)
        assert f"{name} takes {needed:.1f} GB of memory, but cpu has {needed - 1:.1f} GB free" in said
        assert f"{entry.size_gb:g} GB under the licence {entry.licence}; fetch it with `medvlm-lab models" in said
    assert not fetched
    with pytest.raises(MissingDataError):  # the table does not know how large others are
        load("hf-hub:owner/other", name, download=True, dtype=dtype)
    monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(available=(needed + 1) * 1e9))
    with pytest.raises(MissingDataError):
        load(checkpoint, name, download=True, dtype=dtype)
    assert len(fetched) == 2


def test_options_that_do_not_exist(clip):
    with pytest.raises(UnknownNameError, match="did you mean 'bfloat16'"):
        load(clip, dtype="bfloat")
    with pytest.raises(CheckpointError, match="untrained=True is for the teaching models"):
        load(clip, untrained=True)


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", ["clip", "open_clip"])
def test_weights_that_are_not_finite_are_found_on_loading(originals, tmp_path, kind, wrong):
    folder = shutil.copytree(originals[kind], tmp_path / kind)
    (file,) = folder.glob("*.safetensors")
    state = load_file(file)
    name = "text_model.final_layer_norm.weight" if kind == "clip" else "ln_final.weight"
    state[name][3] = wrong
    save_file(state, file, {"format": "pt"})
    with pytest.raises(CheckpointError, match=f"The tensor {name} in .*{file.name} holds NaN or an infinite number"):
        load(folder, "clip" if kind == "clip" else "biomedclip")
