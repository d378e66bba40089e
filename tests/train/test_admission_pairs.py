"""Admissions as tensors: right shapes, rows independent of each other, noise only where it is asked for."""

import torch

import medvlm_lab as lab
from medvlm_lab.nn.fusion import HybridFusion
from medvlm_lab.phantoms.admissions import admissions
from medvlm_lab.train.admission_pairs import note_numbers, pairs, picture_cells, sizes_for
from medvlm_lab.train.fit import fit, predict

MODULE = lab.load("chexzero").module


def test_pairs_fit_a_fusion():
    group = admissions(0, 10, "test")
    data = pairs(group, MODULE)
    sizes = sizes_for(data)
    assert (sizes.cells, sizes.channels) == data.image.shape[1:] == (9, 192)
    assert [tuple(row) for row in data.labels.tolist()] == [a.labels for a in group]
    assert predict(fit(HybridFusion(sizes), data, steps=2), data).shape == (10, 3)


def test_a_patients_cells_do_not_depend_on_the_others():
    group = admissions(0, 5)
    cells = picture_cells(group, MODULE)
    torch.testing.assert_close(picture_cells(group[3:], MODULE), cells[3:], atol=1e-4, rtol=1e-4)


def test_noise_is_repeatable_and_changes_its_own_modality():
    group = admissions(0, 5)
    noisy = picture_cells(group, MODULE, 0.2)
    assert torch.equal(noisy, picture_cells(group, MODULE, 0.2))
    assert not torch.allclose(noisy, picture_cells(group, MODULE), atol=0.1)
    assert not torch.equal(note_numbers(group, 1.0), note_numbers(group))
