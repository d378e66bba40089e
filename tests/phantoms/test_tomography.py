"""Projection and filtered back-projection against theory and against scikit-image."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from medvlm_lab.errors import SceneError
from medvlm_lab.phantoms.tomography import Scanner

SCANNER = Scanner(64, 100)


def discs(*circles):
    """A picture of discs (x, y, radius, value), in pixels from the middle, edges shared between pixels."""
    x, y = SCANNER.axis[None], SCANNER.axis[:, None]
    picture = torch.zeros(64, 64)
    for cx, cy, r, value in circles:
        picture += value * (r - ((x - cx) ** 2 + (y - cy) ** 2).sqrt() + 0.5).clamp(0, 1)
    return picture


@given(st.floats(-8, 8), st.floats(-8, 8), st.floats(6, 20))
@settings(max_examples=20, deadline=None)
def test_a_disc_casts_the_shadow_that_theory_says(cx, cy, r):
    views = SCANNER.project(discs((cx, cy, r, 1.0))[None])[0]
    t = torch.arange(SCANNER.bins) - (SCANNER.bins - 1) / 2
    center = cx * SCANNER.theta.cos() + cy * SCANNER.theta.sin()
    chord = 2 * (r * r - (t - center[:, None]) ** 2).clamp(min=0).sqrt()
    assert (views - chord).abs().mean() < 0.15 and (
        views.sum(1) - torch.pi * r * r
    ).abs().max() < 0.02 * torch.pi * r * r


def test_reconstruction_returns_the_picture():
    picture = discs((0, 0, 26, 1.0), (8, 5, 6, 0.5), (-10, 2, 4, -0.6))
    made = SCANNER.reconstruct(SCANNER.project(picture[None]))[0]
    assert (made - picture).square().mean().sqrt() < 0.06
    inside = discs((0, -12, 6, 1.0)) > 0.99
    assert made[inside].mean() == pytest.approx(1.0, abs=0.005)
    smooth = SCANNER.reconstruct(SCANNER.project(picture[None]), 0.2)[0]
    assert smooth[inside].mean() == pytest.approx(1.0, abs=0.01)
    assert smooth.diff().abs().max() < 0.7 * made.diff().abs().max()


def test_as_exact_as_scikit_image():
    transform = pytest.importorskip("skimage.transform")
    picture = discs((0, 0, 26, 1.0), (8, 5, 6, 0.5))
    degrees = np.rad2deg(SCANNER.theta.numpy())
    theirs = transform.iradon(
        transform.radon(picture.numpy(), degrees, circle=False), degrees, circle=False, output_size=64
    )
    ours = SCANNER.reconstruct(SCANNER.project(picture[None]))[0]
    assert (ours - picture).square().mean().sqrt() <= 1.02 * np.sqrt(np.square(theirs - picture.numpy()).mean())


def test_pictures_of_a_batch_do_not_touch_each_other():
    batch = torch.rand(21, 64, 64)
    views = SCANNER.project(batch)
    made = SCANNER.reconstruct(views)
    for i in (0, 3, 20):
        assert torch.equal(SCANNER.project(batch[i : i + 1])[0], views[i])
        assert torch.equal(SCANNER.reconstruct(views[i : i + 1])[0], made[i])


def test_back_projection_is_the_adjoint_of_projection():
    picture, views = torch.rand(1, 64, 64), torch.rand(1, 100, SCANNER.bins)
    one = (SCANNER.project(picture) * views).sum() * torch.pi / 100
    two = (picture * SCANNER.back_project(views)).sum()
    assert one == pytest.approx(float(two), rel=0.01)


@pytest.mark.parametrize(("size", "angles"), [(4, 100), (64, 0), (64, 99)])
def test_impossible_scanners_are_refused(size, angles):
    with pytest.raises(SceneError, match=rf"{size} pixels and {angles} angles.*multiples of 4"):
        Scanner(size, angles)
