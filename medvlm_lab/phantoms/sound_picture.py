"""A recording as a picture: the waveform above, the spectrogram below; and where each sound lies in it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from medvlm_lab.phantoms.sound_cycle import SAMPLING_HZ, SECONDS, Sound, sounds

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

    from medvlm_lab.phantoms.sound_scene import SoundScene

TOP_HZ = 600.0
WAVE_SHARE = 0.3  # of the picture's height
WINDOW = 128  # samples, 64 ms: resolves both the split second sound and the pitch of a murmur
FLOOR_DB, CEILING_DB = -58.0, -4.0
ANATOMY = ("first heart sound", "second heart sound")
DERIVED = {
    "wide splitting": "second heart sound", "tachycardia": "first heart sound", "bradycardia": "first heart sound",
}


def wave_rows(size: int) -> int:
    """Rows of the waveform at the picture's top."""
    return round(WAVE_SHARE * size)


def picture(wave: Float[Tensor, " t"], size: int) -> Float[Tensor, "h w"]:
    """Grey values from 0 to 1; time runs to the right over the whole width, frequency upwards from 0 to `TOP_HZ`."""
    top = wave_rows(size)
    below = spectrogram(wave, size, size - top - 1)
    line = torch.full((1, size), 0.35, device=wave.device)
    return torch.cat([trace(wave, size, top), line, below])


def trace(wave: Float[Tensor, " t"], size: int, rows: int) -> Float[Tensor, "h w"]:
    """The waveform's span in each column, scaled to its largest swing as a phonocardiograph does."""
    share = len(wave) // size + 1
    columns = (torch.arange(size, device=wave.device) * (len(wave) - share) // max(1, size - 1))[:, None]
    part = wave[columns + torch.arange(share, device=wave.device)]  # (w, samples)
    scale = 0.46 * rows / wave.abs().max().clamp(min=1e-4)
    low, high = -part.amax(1) * scale + rows / 2, -part.amin(1) * scale + rows / 2  # (w,) in rows, downwards
    row = torch.arange(rows, device=wave.device)[:, None] + 0.5
    return torch.minimum(row - low + 0.9, high - row + 0.9).clamp(0, 1) * 0.9  # (rows, w)


def spectrogram(wave: Float[Tensor, " t"], size: int, rows: int) -> Float[Tensor, "h w"]:
    """Decibels of the short-time Fourier transform, evaluated at the very rows and columns of the picture."""
    middle = ((torch.arange(size, device=wave.device) + 0.5) * (len(wave) / size)).long()
    padded = F.pad(wave, (WINDOW // 2, WINDOW // 2))
    part = padded[middle[:, None] + torch.arange(WINDOW, device=wave.device)]  # (w, window)
    n = torch.arange(WINDOW, device=wave.device)
    hann = 0.5 - 0.5 * torch.cos((n + 0.5) * (2 * math.pi / WINDOW))
    hz = TOP_HZ * (1 - (torch.arange(rows, device=wave.device) + 0.5) / rows)
    angle = hz[:, None] * n * (2 * math.pi / SAMPLING_HZ)  # (rows, window)
    weighted = (part * hann).T * (4 / WINDOW)
    power = (angle.cos() @ weighted) ** 2 + (angle.sin() @ weighted) ** 2  # (rows, w)
    decibel = (power + 1e-9).log() * (10 / math.log(10))
    return ((decibel - FLOOR_DB) * (1 / (CEILING_DB - FLOOR_DB))).clamp(0, 1)


def masks(scene: SoundScene, size: int, device: torch.device) -> dict[str, Bool[Tensor, "h w"]]:
    """Boxes of time and frequency in the spectrogram; every name, all-False where the recording lacks it."""
    heard = sounds(scene)
    nothing = torch.zeros(size, size, dtype=torch.bool, device=device)
    names = (*ANATOMY, *(kind for kind in scene.kinds if kind not in DERIVED))
    found = {name: _boxes(heard[name], size, device) if name in heard else nothing for name in names}
    for kind, place in DERIVED.items():
        found[kind] = found[place] if scene.find(kind) else nothing
    return found


def _boxes(sound: Sound, size: int, device: torch.device) -> Bool[Tensor, "h w"]:
    """Every pixel that the sound touches, so that none is too short to show."""
    edge = torch.arange(size, device=device) * (SECONDS / size)
    when = torch.zeros(size, dtype=torch.bool, device=device)
    for begin, end in sound.times:
        when |= (edge < end) & (edge + SECONDS / size > begin)
    top = wave_rows(size) + 1
    step = TOP_HZ / (size - top)
    upper = TOP_HZ - step * (torch.arange(size, device=device) - top)  # of each row
    which = (upper > sound.band[0]) & (upper - step < sound.band[1]) & (upper <= TOP_HZ)
    return which[:, None] & when
