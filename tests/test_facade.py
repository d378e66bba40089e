"""The package is cheap to import, and its names lead somewhere."""

import subprocess
import sys

import pytest

import medvlm_lab as lab


@pytest.mark.parametrize("module", ["medvlm_lab", "medvlm_lab.cli", "medvlm_lab.doctor", "medvlm_lab.classroom.run"])
def test_import_loads_neither_torch_nor_matplotlib(module):
    code = f"import sys, {module}; print([m for m in ('torch', 'matplotlib', 'pydicom') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", lab.__all__)
def test_every_public_name_can_be_fetched(name):
    assert getattr(lab, name) is not None


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="nosuch"):
        _ = lab.nosuch


def test_dir_lists_what_can_be_fetched():
    assert {"load", "sample", "read", "widgets"} <= set(dir(lab))


@pytest.mark.parametrize("name", ["samples", "sample", "load", "read", "device", "dataset", "evaluate", "check"])
def test_functions_stay_functions_when_modules_of_the_same_name_are_loaded(name):
    code = f"import medvlm_lab as lab; lab.sample; lab.load; lab.widgets; print(callable(lab.{name}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
