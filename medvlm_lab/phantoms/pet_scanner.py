"""From uptake to what a PET or SPECT camera shows: photons, attenuation, Poisson counts, reconstruction.

    counts = Poisson(sensitivity * ∫ uptake * exp(-∫ attenuation));  image = FBP(counts * exp(∫ attenuation))

Both photons of a pair cross the body between them, so that the loss along a line does not depend on where on it they
started; that is why it can be corrected exactly (Townsend, 2004). Left uncorrected, skin and lungs look hot.

SPECT counts single photons, here those of FDG too. Two opposite views are joined by their geometric mean, in which a
point's depth cancels and half the attenuation of the whole line remains (Sorenson & Phelps, 1987). The collimator
blurs, and stops all but a few photons.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.phantoms.pet_body import Anatomy
from medvlm_lab.phantoms.pet_scene import PetScene
from medvlm_lab.phantoms.pet_volume import ACROSS, VOXEL_MM, Volume, blur
from medvlm_lab.phantoms.tomography import Scanner

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

ANGLES = 80
SENSITIVITY = 2.6  # counts per SUV and mm of ray, for the usual activity and scan time
DETECTOR_MM = 4.2  # blur of the detector itself
UNCORRECTED = (7.0, 2.6)  # PET, SPECT: shows an uncorrected image on about the same scale
COLLIMATOR_MM = 14.0  # resolution of a collimator for 511 keV at the middle of the body (Martin et al., 1995)
COLLIMATOR_SHARE = 0.06  # of the counts of PET


@lru_cache(maxsize=2)
def scanner(device: str) -> Scanner:
    return Scanner(ACROSS, ANGLES, torch.device(device))


def acquire(scene: PetScene, device: torch.device) -> Float[Tensor, "z y x"]:
    """The reconstructed volume in SUV, 5 mm voxels; one scene at a time, its axial slices as a batch."""
    volume = Volume(Anatomy(scene), device)
    machine = scanner(str(device))
    spect = scene.camera == 1
    seen = blur(volume.uptake, COLLIMATOR_MM if spect else DETECTOR_MM)
    # attenuation changes little from slice to slice: every second one is enough
    lines = machine.project(torch.cat([seen, volume.mu[::2]])) * VOXEL_MM  # (z + z / 2, angles, bins)
    emitted, path = lines[: len(seen)], lines[len(seen) :]
    survive = torch.exp(path * (-0.5 if spect else -1.0)).repeat_interleave(2, 0)[: len(seen)]
    gain = SENSITIVITY * scene.counts * (COLLIMATOR_SHARE if spect else 1.0)
    expected = gain * emitted * survive + 0.02 * gain  # a few random coincidences
    grain = rng_of(scene.seed, 71).standard_normal(tuple(expected.shape), dtype=np.float32)
    # Anscombe's root makes normal noise Poisson-like down to a count or two
    counts = (expected.sqrt() + 0.5 * torch.from_numpy(grain).to(device)).clamp(min=0).square().round()
    # counts that the body swallowed are given back, with the noise they carry
    views = counts / gain / survive if scene.corrected else counts / gain * UNCORRECTED[scene.camera]
    made = machine.reconstruct(views / VOXEL_MM, 0.5)
    smooth = scene.resolution_mm * (1.5 if spect else 1.0)  # few counts bear less detail
    rest = max(1.0, smooth**2 - DETECTOR_MM**2) ** 0.5
    return blur(made, rest).clamp(min=0)
