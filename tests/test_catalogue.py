"""The catalogue: enough real images, each resolvable, described and shown."""

import numpy as np
import pytest

from medvlm_lab import catalogue as module
from medvlm_lab.errors import MissingDataError, UnknownNameError
from medvlm_lab.image import MODALITIES


def test_catalogue_covers_every_modality():
    entries = module.catalogue().values()
    assert len(entries) >= 14 and {e.modality for e in entries} == set(MODALITIES) - {"unknown", "heart sounds"}
    assert all(e.title and e.look_for and e.questions and e.source and e.licence and e.anatomy for e in entries)


@pytest.mark.parametrize("name", module.catalogue())
def test_each_sample_opens(name):
    image = module.sample(name)
    assert image.name == name and image.modality == module.catalogue()[name].modality
    assert np.ptp(image.display(image.reading_frame)) > 100


def test_contact_sheet_and_errors(monkeypatch, tmp_path):
    assert module.samples()._repr_png_().startswith(b"\x89PNG") and "head-ct" in list(module.samples())
    with pytest.raises(UnknownNameError, match="chest-xray-nodules"):
        module.sample("chest-xray-nodule")
    monkeypatch.setattr(module, "CATALOGUE", tmp_path / "none.toml")
    module.catalogue.cache_clear()
    with pytest.raises(MissingDataError, match="catalogue"):
        module.catalogue()
    module.catalogue.cache_clear()
