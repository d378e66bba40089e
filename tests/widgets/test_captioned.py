"""Pictures with lines below them, for pages on which no kernel runs."""

import io

import numpy as np
from PIL import Image

from medvlm_lab.widgets.captioned import captioned


def test_a_transparent_figure_lies_on_black_and_keeps_its_soft_edges():
    figure = np.zeros((60, 500, 4), np.uint8)
    figure[:, :250] = (200, 100, 50, 128)  # half covered: an edge of a letter
    card = np.asarray(Image.open(io.BytesIO(captioned(Image.fromarray(figure), ["a line"], "a note"))))
    assert card[30, 400].tolist() == [0, 0, 0]
    assert np.abs(card[30, 100].astype(int) - (100, 50, 25)).max() <= 1
    assert card[60:].max() > 150, "the words stand below"
