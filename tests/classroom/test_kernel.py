"""The registered kernel says which device it runs on."""

import json
from pathlib import Path

import pytest

from medvlm_lab import devices
from medvlm_lab.classroom.kernel import install


def test_kernel_names_its_device(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "device_label", lambda: "Some GPU")
    spec = install(prefix=str(tmp_path))
    written = json.loads((Path(spec["folder"]) / "kernel.json").read_text())
    assert written["display_name"] == spec["display_name"] == "MedVLM Lab (Some GPU)"
    assert Path(spec["folder"]).is_relative_to(tmp_path)


def test_a_file_where_the_folder_should_be_is_an_os_error(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "device_label", lambda: "CPU")
    (tmp_path / "share").write_text("")
    with pytest.raises(OSError):
        install(prefix=str(tmp_path))
