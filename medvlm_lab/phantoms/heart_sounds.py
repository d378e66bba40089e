"""Simulated heart sounds: three seconds of a stethoscope, to listen to and to look at."""

from __future__ import annotations

import io
import wave
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch

from medvlm_lab.phantoms import sound_picture, sound_scene
from medvlm_lab.phantoms.base import Phantom, check_hospital, check_size, rng_of
from medvlm_lab.phantoms.sound_cycle import SAMPLING_HZ, SECONDS
from medvlm_lab.phantoms.sound_scene import SITES, SoundScene
from medvlm_lab.phantoms.sound_synth import SAMPLES, waveform

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

OVERSAMPLING = 4  # of a WAV file: browsers refuse less than 3,000 Hz


class HeartSounds(Phantom):
    """Phonocardiogram.

    >>> sounds = lab.phantom("heart-sounds")
    >>> IPython.display.Audio(sounds.wav(sounds.draw(7)))
    """

    name: ClassVar[str] = "heart-sounds"
    modality: ClassVar[str] = "heart sounds"
    anatomy: ClassVar[str] = "heart"
    scene: ClassVar[type[SoundScene]] = SoundScene
    sampling_hz: ClassVar[int] = SAMPLING_HZ

    def draw(self, seed: int, hospital: int = 0) -> SoundScene:
        """The patient of that seed."""
        check_hospital(hospital)
        return sound_scene.draw(seed, hospital, rng_of(seed, 1))

    @torch.no_grad()  # not inference_mode: what it makes could not be trained on
    def audio(
        self, scenes: SoundScene | Sequence[SoundScene], device: str | torch.device | None = None
    ) -> Float[Tensor, "n t"]:
        """Waveforms from -1 to 1, `sampling_hz` samples a second; one scene gives one row."""
        scenes = [scenes] if isinstance(scenes, SoundScene) else scenes
        device = torch.device(device or "cpu")
        out = torch.empty(len(scenes), SAMPLES, device=device)
        for i, scene in enumerate(scenes):
            out[i] = waveform(scene, device)
        return out

    def wav(self, scene: SoundScene) -> bytes:
        """One recording as a 16-bit WAV file, at a rate that browsers play; equal scenes give equal bytes."""
        samples = self.audio(scene)[0].cpu().numpy()
        n = OVERSAMPLING * len(samples)
        fine = np.fft.irfft(np.fft.rfft(samples), n) * OVERSAMPLING  # band-limited: no frequency is added
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(OVERSAMPLING * SAMPLING_HZ)
            file.writeframes(np.rint(fine.clip(-1, 1) * 32767).astype("<i2").tobytes())
        return buffer.getvalue()

    @torch.no_grad()
    def render(
        self, scenes: Sequence[SoundScene], size: int = 224, device: str | torch.device | None = None
    ) -> Float[Tensor, "n 1 h w"]:
        """Waveform above spectrogram, grey values from 0 to 1."""
        check_size(size)
        waves = self.audio(scenes, device)
        out = torch.empty(len(waves), 1, size, size, device=waves.device)
        for i, recording in enumerate(waves):
            out[i, 0] = sound_picture.picture(recording, size)
        return out

    def masks(
        self, scenes: Sequence[SoundScene], size: int = 224, device: str | torch.device | None = None
    ) -> dict[str, Bool[Tensor, "n h w"]]:
        """Time and frequency of each sound in the spectrogram."""
        check_size(size)
        each = [sound_picture.masks(scene, size, torch.device(device or "cpu")) for scene in scenes]
        return {name: torch.stack([masks[name] for masks in each]) for name in each[0]} if each else {}

    def measure(
        self, scenes: Sequence[SoundScene], masks: dict[str, Bool[Tensor, "n h w"]]
    ) -> dict[str, Float[Tensor, " n"]]:
        """`heart_rate_bpm` from first sound to first sound, `systole_ms` from first to second."""
        rates, systoles = [], []
        for first, second in zip(masks["first heart sound"], masks["second heart sound"], strict=True):
            one, two = _starts(first), _starts(second)
            rates.append(60 * (len(one) - 1) / (one[-1] - one[0]) if len(one) > 1 else np.nan)
            after = [min(two[two > t] - t) for t in one if (two > t).any()]
            systoles.append(1000 * float(np.median(after)) if after else np.nan)
        return {"heart_rate_bpm": torch.tensor(rates), "systole_ms": torch.tensor(systoles)}

    def facts(self, scene: SoundScene) -> dict[str, str]:
        return {
            "rate": f"{scene.heart_rate_bpm:.0f}", "site": SITES[scene.site],
            "systolic grade": f"{scene.grade('systolic murmur')} of 6",
            "diastolic grade": f"{scene.grade('diastolic murmur')} of 6",
        }

    def progress(self, scene: SoundScene, rng: np.random.Generator) -> SoundScene:
        return sound_scene.progress(scene, rng)

    def pixel_mm(self, scene: SoundScene, size: int) -> None:
        return None


def _starts(mask: Bool[Tensor, "h w"]) -> np.ndarray:
    """Seconds at which a sound begins inside the picture; one that was already there is left out."""
    on = mask.any(0).cpu().numpy()
    return np.flatnonzero(on[1:] & ~on[:-1]) * (SECONDS / len(on)) + 1.5 * SECONDS / len(on)


PHANTOM = HeartSounds()
