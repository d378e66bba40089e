"""Nothing is downloaded unless asked for; what is not here says what it is and how to fetch it."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import hub_checkpoints as build
import pytest
from typer.testing import CliRunner

import medvlm_lab as lab
from medvlm_lab.cli import app
from medvlm_lab.errors import DownloadError, MissingDataError, UnknownNameError
from medvlm_lab.models import hub
from medvlm_lab.models.hub_table import PUBLISHED

pytestmark = pytest.mark.usefixtures("offline")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    build.clip(folder)
    return folder


def load(folder, name="clip", **options):
    return lab.load(name, checkpoint=folder, device="cpu", **options)


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_is_not_here_says_size_licence_and_command(name, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    entry = PUBLISHED[name]
    with pytest.raises(MissingDataError) as caught:
        load(f"hf-hub:{entry.repository}", name)
    said = str(caught.value)
    assert entry.repository in said and f"{entry.size_gb:g} GB" in said and entry.licence in said
    assert f"medvlm-lab models fetch {name}" in said and ("gated" in said) == entry.gated and entry.note in said
    with pytest.raises(MissingDataError, match="No checkpoint folder .*nowhere"):
        load(tmp_path / "nowhere", name)


def test_a_cached_repository_is_loaded_without_a_network(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert not hub.describe("clip")["present"]
    home = tmp_path / "models--openai--clip-vit-base-patch32"
    (home / "refs" / "refs" / "pr").mkdir(parents=True)
    (home / "refs" / "main").write_text("a" * 40)
    (home / "refs" / "refs" / "pr" / "1").write_text("a" * 40)
    shutil.copytree(clip, home / "snapshots" / ("a" * 40))
    assert hub.describe("clip")["present"]
    assert lab.load("clip", device="cpu").encode_texts(["lung"]).shape == (1, 12)
    for revision in ("", "@refs/pr/1"):
        assert load(f"hf-hub:openai/clip-vit-base-patch32{revision}").name == "clip"


def test_download_is_asked_for_and_takes_no_code_and_no_pickle(clip, monkeypatch):
    asked = []

    def snapshot(repository, revision=None, allow_patterns=None, local_files_only=False):
        assert not local_files_only
        asked.append((repository, allow_patterns))
        return str(clip)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    assert load("hf-hub:owner/other", download=True).name == "clip"
    assert asked[0][0] == "owner/other" and not any(p.endswith((".py", ".bin")) or p == "*" for p in asked[0][1])
    result = CliRunner().invoke(app, ["models", "fetch", "clip"])
    assert result.exit_code == 0 and "clip is in" in result.output
    assert asked[-1][0] == PUBLISHED["clip"].repository
    hub.fetch("biomedclip")
    assert asked[-2] == ("microsoft/BiomedNLP-BiomedBERT-base-uncased-abstract", ["config.json"])


def test_a_download_that_fails():
    with pytest.raises(DownloadError, match="google/medgemma-4b-it could not be fetched.*hf auth login"):
        hub.fetch("medgemma")  # the libraries are offline here
    with pytest.raises(UnknownNameError, match="did you mean 'biomedclip'"):
        hub.fetch("biomedclp")


def test_names_and_descriptions():
    assert {"vit-bert-vqa", "echo-clip", "medgemma", "clipseg"} <= set(lab.models.names())
    rows = {row["name"]: row for row in lab.models.describe()}
    assert rows["vit-bert-vqa"]["published"] is None and rows["echo-clip"]["published"]["licence"] == "academic use"
    assert rows["medgemma"]["published"]["gated"] and rows["medgemma"]["weights_mb"] is None
    listed = CliRunner().invoke(app, ["models"]).output
    assert "published 8.6 GB, Health AI Developer Foundations" in listed and "MB, bundled" in listed
    assert json.loads(CliRunner().invoke(app, ["models", "--json"]).output)
    with pytest.raises(UnknownNameError, match="did you mean 'medgemma'"):
        lab.load("medgema")


def test_every_entry_has_a_wrapper_with_its_capabilities():
    for name, entry in PUBLISHED.items():
        for kind in entry.kinds:
            assert kind in hub.WRAPPERS, name
        assert entry.size_gb > 0 and entry.licence and entry.source


@pytest.mark.parametrize("module", ["medvlm_lab.models", "medvlm_lab.models.hub", "medvlm_lab.cli"])
def test_the_table_is_cheap_to_import(module):
    heavy = "('torch', 'transformers', 'open_clip', 'huggingface_hub')"
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_no_wrapper_asks_for_remote_code():
    for file in Path(hub.__file__).parent.glob("hub*.py"):
        text = file.read_text(encoding="utf-8")
        assert "trust_remote_code=True" not in text and '"trust_remote_code": True' not in text
        for call in re.findall(r"torch\.load\(.*", text):  # one, in an explicit conversion
            assert file.name == "hub_convert.py" and "weights_only=True" in call
