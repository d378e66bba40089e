"""AVI and MP4 through PyAV: its wheels carry FFmpeg, so that no codec has to be on the machine.

OpenCV reads the same files, but brings a whole library of computer vision; torchvision has given its reader up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medvlm_lab.errors import ImageReadError
from medvlm_lab.image import MedicalImage, check_size

GREY_SPREAD = 8  # between channels: what is grey comes back from a codec's luminance and colour a little tinted


def read_video(path: Path) -> MedicalImage:
    """Every frame of the first video stream: (frames, h, w) uint8 where all are grey, else (frames, h, w, 3) uint8 RGB.

    Raises ImageReadError for an oversized video, or without PyAV.
    """
    try:
        import av
    except ImportError:
        raise ImageReadError(f"{path.name} is a video; run `pip install \"medvlm-lab[video]\"` to read it.") from None

    frames = []
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        for frame in file.decode(stream):
            check_size(frame.height, frame.width, len(frames) + 1, path.name)  # what a header tells may be wrong
            frames.append(frame)
        aspect = float(stream.sample_aspect_ratio or 1)  # width over height
        fps = float(stream.average_rate) if stream.average_rate else None
    if not frames:
        raise ImageReadError(f"{path.name} holds no frame; copy or export it again.")
    pixels = np.stack([frame.to_ndarray(format="rgb24") for frame in frames])  # (frames, h, w, 3)
    grey = np.ptp(pixels, axis=-1).max() <= GREY_SPREAD
    if grey:
        pixels = np.stack([frame.to_ndarray(format="gray") for frame in frames])  # (frames, h, w)
    return MedicalImage(
        pixels=pixels, window=(127.5, 255.0) if grey else None, fps=fps, pixel_aspect=1 / aspect, name=path.stem,
        source=path.name,
    )
