"""Dice: known values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvlm_lab.metrics.overlap import dice


def test_known_values():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    a[:2], b[1:3] = True, True  # half of each overlaps
    assert dice(a, b) == 0.5 and dice(a, a) == 1.0 and dice(a, ~a) == 0.0
    assert math.isnan(dice(a & ~a, b & ~b)) and dice(a, b & ~b) == 0.0
    with pytest.raises(ValueError, match="cannot be compared"):
        dice(a, b[:2])


@given(st.integers(0, 2**16 - 1), st.integers(1, 2**16 - 1))
def test_it_is_symmetric_and_bounded(x, y):
    a, b = (np.array([v >> i & 1 for i in range(16)], bool).reshape(4, 4) for v in (x, y))
    assert dice(a, b) == dice(b, a) and 0 <= dice(a, b) <= 1
