"""A simulated recording as a WAV file that any player opens."""

from __future__ import annotations

import io
import wave
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from medvlm_lab.phantoms.base import Phantom
    from medvlm_lab.phantoms.scene import Scene


def encode(simulator: Phantom, scene: Scene) -> bytes:
    """16-bit mono at the phantom's `sampling_hz`; equal scenes give equal bytes."""
    samples = np.rint(simulator.audio([scene])[0].cpu().numpy() * 32767).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(simulator.sampling_hz)
        file.writeframes(samples.tobytes())
    return buffer.getvalue()
