"""A small catalogue in place of the real one, so that widget tests read no files."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))  # for `fakes`


def make_image(name="chest", frames=1, modality="X-ray"):
    from medvlm_lab.image import MedicalImage

    pixels = np.linspace(0, 1000, frames * 40 * 30).reshape(frames, 40, 30)
    return MedicalImage.from_array(pixels, modality, name=name, questions=("Is it <b>round</b>?", "Where is it?"))


@pytest.fixture
def image():
    return make_image()


@pytest.fixture(autouse=True)
def catalogue(monkeypatch):
    from medvlm_lab.errors import UnknownNameError

    module = ModuleType("medvlm_lab.catalogue")
    made = {"chest": make_image(), "head-ct": make_image("head-ct", 9, "CT")}
    module.catalogue = lambda: {
        name: SimpleNamespace(name=name, title=name.title(), modality=image.modality) for name, image in made.items()
    }

    def sample(name):
        if name not in made:
            raise UnknownNameError("sample", name, made)
        return made[name]

    module.sample = sample
    monkeypatch.setitem(sys.modules, "medvlm_lab.catalogue", module)
