"""The drawing of a fusion says what is in the module."""

import matplotlib.pyplot as plt
import pytest

from medvlm_lab.nn.fusion import EarlyFusion, HybridFusion, LateFusion, Sizes
from medvlm_lab.widgets.fusion_diagram import fusion_diagram

SIZES = Sizes(cells=2, channels=4, words=5, context=3, labels=1, width=8, heads=2, hidden=8)
ENDS = {"picture", "note", "logits"}


@pytest.mark.parametrize(
    ("kind", "parts", "arrows"),
    [
        (EarlyFusion, {"joint\n4 layers"}, 3),
        (LateFusion, {"see\n2 layers", "read\n2 layers"}, 4),
        (HybridFusion, {"see\n1 layer", "read\n1 layer", "joint\n2 layers"}, 7),
    ],
)
def test_boxes_and_arrows_follow_the_module(kind, parts, arrows):
    figure = fusion_diagram([kind(SIZES)])
    (axis,) = figure.axes
    written = [text.get_text() for text in axis.texts]
    assert set(written) - {""} == ENDS | parts and written.count("") == arrows
    assert axis.get_title() == kind.__name__
    plt.close(figure)
