"""Heart sounds as a waveform: valves ring as damped oscillations, murmurs are noise of turbulent flow."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from medvlm_lab.phantoms.noise import hashed
from medvlm_lab.phantoms.sound_cycle import BANDS, SAMPLING_HZ, SECONDS, Sound, sounds
from medvlm_lab.phantoms.sound_scene import SoundScene

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

SAMPLES = int(SECONDS * SAMPLING_HZ)
TILE = 1 << 16
QUIETEST, PER_GRADE = 0.026, 1.75  # a murmur's loudness against the first sound: grade 1, and each grade more
# loudness of the first and of the second sound at the aortic, pulmonic, tricuspid and mitral area
AT_SITE = ((0.65, 1.15), (0.65, 1.1), (0.95, 0.8), (1.1, 0.7))


@lru_cache(maxsize=16)
def _noise(low: float, high: float, device: str) -> Float[Tensor, " t"]:
    """Gaussian noise between two frequencies, of variance 1, without a seam."""
    rng = np.random.default_rng((11, int(low), int(high)))
    spectrum = np.fft.rfft(rng.standard_normal(TILE))
    hz = np.fft.rfftfreq(TILE, 1 / SAMPLING_HZ)
    wide = high - low
    gate = np.clip((hz - low) / (0.25 * wide) + 1, 0, 1) * np.clip((high - hz) / (0.7 * wide) + 1, 0, 1) ** 2
    wave = np.fft.irfft(spectrum * gate, TILE)
    return torch.from_numpy((wave / wave.std()).astype(np.float32)).to(device)


def noise(scene: SoundScene, band: tuple[float, float], purpose: int, device: torch.device) -> Float[Tensor, " t"]:
    """The scene's own stretch of that noise."""
    at = int(hashed(np.array([scene.seed], np.int64), purpose, 1)[0, 0] % (TILE - SAMPLES))
    return _noise(*band, str(device))[at : at + SAMPLES]


def waveform(scene: SoundScene, device: torch.device) -> Float[Tensor, " t"]:
    """Pressure against time, from -1 to 1."""
    t = torch.arange(SAMPLES, device=device) * (1 / SAMPLING_HZ)
    heard = sounds(scene)
    one, two = AT_SITE[scene.site]
    one, two, pitch = one * scene.first, two * scene.second, scene.pitch
    wave = torch.zeros_like(t)
    for begin, _ in heard["first heart sound"].times:  # mitral, then tricuspid valve
        wave += one * (ring(t, begin + 0.008, 58 * pitch, 0.022) + 0.6 * ring(t, begin + 0.032, 92 * pitch, 0.016))
    for begin, _ in heard["second heart sound"].times:  # aortic, then pulmonic valve
        wave += two * ring(t, begin + 0.006, 95 * pitch, 0.013)
        wave += 0.6 * two * ring(t, begin + 0.006 + scene.split_ms / 1000, 78 * pitch, 0.013)
    for kind, loud in (("third heart sound", 0.34), ("fourth heart sound", 0.36)):
        for begin, _ in heard[kind].times if kind in heard else ():
            wave += loud * ring(t, begin + 0.012, 38 * pitch, 0.024)
    for purpose, kind in ((31, "systolic murmur"), (32, "diastolic murmur")):
        if kind in heard:
            wave += murmur(scene, heard[kind], scene.find(kind).region, scene.grade(kind), purpose, t)
    for _ in range(round(6 * scene.muffle)):  # tissue and tube take out the heights: 1 2 1, again and again
        wave = 0.5 * wave + 0.25 * (torch.roll(wave, 1) + torch.roll(wave, -1))
    wave = (wave + disturbance(scene, t)) * (0.42 * 2.0 ** (0.8 * scene.gain))
    return torch.tanh(wave)  # a loud recording clips softly


def ring(t: Tensor, begin: float, hz: float, decay_s: float) -> Tensor:
    """A valve that snaps shut: a tone that starts within a few milliseconds and dies away, its pitch falling."""
    after = (t - begin).clamp(min=0)
    rise = 1 - torch.exp(after * (-1 / 0.004))
    turns = hz * (after - 1.2 * after * after)
    return 1.5 * rise * torch.exp(after * (-1 / decay_s)) * torch.sin((2 * math.pi) * turns)


def murmur(scene: SoundScene, sound: Sound, shape: str, grade: int, purpose: int, t: Tensor) -> Tensor:
    """Noise that swells and fades as the flow does."""
    envelope = torch.zeros_like(t)
    for begin, end in sound.times:
        x = (t - begin) * (1 / (end - begin))  # 0 to 1 over the murmur
        inside = ((x >= 0) & (x <= 1)).float()
        edge = (x * 8).clamp(0, 1) * ((1 - x) * 8).clamp(0, 1)
        if shape == "crescendo-decrescendo":
            envelope += inside * (1 - (2 * x - 0.95).abs() * (1 / 1.05)).clamp(0, 1) * 1.35
        elif shape == "holosystolic":
            envelope += inside * edge
        elif shape == "early":
            envelope += inside * edge * torch.exp(-2.2 * x) * 1.4
        else:  # a rumble that swells again as the atrium contracts
            envelope += inside * edge * (0.75 + 0.6 * ((x - 0.75) * 6).clamp(0, 1))
    turbulent = noise(scene, BANDS[shape], purpose, t.device)
    return envelope * turbulent * (QUIETEST * PER_GRADE ** (grade - 1))


def disturbance(scene: SoundScene, t: Tensor) -> Tensor:
    """Breath that comes and goes, the stethoscope's rubbing, and hiss."""
    phase = hashed(np.array([scene.seed], np.int64), 51, 9)[0] % 1000 / 1000
    cycle = torch.sin((2 * math.pi) * (t * (0.25 + 0.1 * phase[0]) + phase[1]))
    out = (0.045 * scene.breath) * (0.25 + cycle.clamp(min=0)) * noise(scene, (120.0, 420.0), 52, t.device)
    for k in range(3):
        center, width = SECONDS * phase[2 + k], 0.03 + 0.08 * phase[5 + k]
        bump = torch.exp(-(((t - center) * (1 / width)) ** 2))
        out = out + (0.10 * scene.rubbing) * bump * noise(scene, (25.0, 250.0), 53 + k, t.device)
    return out + (0.002 + 0.012 * scene.hiss) * noise(scene, (10.0, 990.0), 57, t.device)
