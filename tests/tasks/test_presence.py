"""Presence of a finding, asked of whatever a model can do."""

import numpy as np
import pytest
import torch
from fakes import FakeAnswerer

from medvlm_lab.errors import MedVLMError
from medvlm_lab.models.base import Report
from medvlm_lab.tasks.presence import presence


class Classifier:
    def score_findings(self, images, findings):
        return {name: torch.full((len(images),), 0.3) for name in findings}


class Author:
    def report_batch(self, images):
        return [Report(text) for text in ("There is a pacemaker.", "No pacemaker is seen.")]


def test_each_capability_gives_a_number_for_each_image():
    images = [None, None]
    assert np.allclose(presence(Classifier(), images, "pacemaker"), 0.3)
    assert presence(Author(), images, "pacemaker").tolist() == [1.0, 0.0]
    assert presence(FakeAnswerer(), images, "pacemaker").shape == (2,)
    with pytest.raises(MedVLMError, match="neither classifies nor reports nor answers"):
        presence(object(), images, "pacemaker")
