"""The drawing of an encoder–decoder says what its modules are; a reliability plot says what was counted."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import medvlm_lab as lab
from medvlm_lab.widgets.answerer_diagram import answerer_diagram, reliability


def test_parts_are_read_from_the_modules():
    module = lab.load("vit-bert-vqa", device="cpu").module
    parts = {"image": module.image_encoder, "text": module.question_encoder, "fusion": module.fusion,
             "decoder": module.decoder}  # fmt: skip
    figure = answerer_diagram({part: (part.upper(), block, "some tokens") for part, block in parts.items()})
    words = [text.get_text() for text in figure.axes[0].texts if text.get_text()]
    millions = f"{sum(p.numel() for p in module.decoder.parameters()) / 1e6:.1f} M"
    assert words[3] == f"DECODER\n{len(module.decoder)} layers, {millions}\nsome tokens" and len(words) == 4
    plt.close(figure)


def test_reliability_counts_each_bin():
    rng = np.random.default_rng(0)
    says, (figure, axes) = rng.uniform(0, 1, 400), plt.subplots()
    reliability(axes, says, rng.uniform(0, 1, 400) < says)  # calibrated
    counts = [int(text.get_text()) for text in axes.texts]
    assert sum(counts) == 400 and counts == np.histogram(says, np.linspace(0, 1, 11))[0].tolist()
    for line in axes.lines[1:]:
        (x,), (y,) = line.get_data()
        assert y == pytest.approx(x, abs=25)
    plt.close(figure)
