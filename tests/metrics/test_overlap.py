"""Dice and Hausdorff distance: known values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvlm_lab.metrics.overlap import dice, hausdorff


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


def square(row, column, side=4, size=24):
    mask = np.zeros((size, size), bool)
    mask[row : row + side, column : column + side] = True
    return mask


def test_hausdorff_of_moved_squares():
    a, b = square(2, 2), square(2, 7)
    assert hausdorff(a, b) == 5.0 and hausdorff(a, a) == 0.0
    assert hausdorff(a, b, spacing=(1.0, 0.5)) == 2.5  # mm, where columns lie half a millimetre apart
    assert hausdorff(square(2, 2), square(5, 6)) == 5.0  # 3 down, 4 across


def test_hausdorff_is_scipy_s_over_all_outline_pixels():
    from scipy.spatial.distance import directed_hausdorff

    rng = np.random.default_rng(0)
    for _ in range(5):
        a, b = rng.random((2, 12, 12)) < 0.06  # lone pixels are their own outline
        points = np.argwhere(a), np.argwhere(b)
        expected = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
        assert hausdorff(a, b) == pytest.approx(expected)


def test_one_stray_pixel_does_not_decide_the_95_percent_distance():
    a = square(2, 2, side=12)
    b = a.copy()
    b[23, 23] = True
    assert hausdorff(a, b) == pytest.approx(math.hypot(10, 10))
    assert hausdorff(a, b, percentile=95) == 0.0


def test_hausdorff_of_empty_masks():
    nothing = np.zeros((24, 24), bool)
    assert math.isnan(hausdorff(nothing, nothing)) and hausdorff(square(2, 2), nothing) == math.inf
    with pytest.raises(ValueError, match="cannot be compared"):
        hausdorff(nothing, nothing[:3])


@given(st.integers(1, 2**16 - 1), st.integers(1, 2**16 - 1), st.sampled_from([50.0, 95.0, 100.0]))
def test_hausdorff_is_symmetric_and_grows_with_the_percentile(x, y, percentile):
    a, b = (np.array([v >> i & 1 for i in range(16)], bool).reshape(4, 4) for v in (x, y))
    assert hausdorff(a, b, percentile=percentile) == hausdorff(b, a, percentile=percentile) <= hausdorff(a, b)
