"""AVI and MP4 through PyAV: its wheels carry FFmpeg, so that no codec has to be on the machine.

OpenCV reads the same files, but brings a whole library of computer vision; torchvision has given its reader up.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from medvlm_lab.errors import ImageReadError
from medvlm_lab.image import MedicalImage, check_size


def read_video(path: Path) -> MedicalImage:
    """Every frame of the first video stream: (frames, h, w) uint8 where all are grey, else (frames, h, w, 3) uint8 RGB.

    Raises ImageReadError for an oversized video, or without PyAV.
    """
    try:
        import av
    except ImportError:
        raise ImageReadError(f"{path.name} is a video; run `pip install \"medvlm-lab[video]\"` to read it.") from None

    frames: list[np.ndarray] = []
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        for frame in file.decode(stream):
            check_size(frame.height, frame.width, len(frames) + 1, path.name)  # what a header tells may be wrong
            frames.append(frame.to_ndarray(format="rgb24"))  # (h, w, 3)
        fps = float(stream.average_rate) if stream.average_rate else None
    if not frames:
        raise ImageReadError(f"{path.name} holds no frame; copy or export it again.")
    pixels = np.stack(frames)
    grey = bool((pixels == pixels[..., :1]).all())
    return MedicalImage(
        pixels=pixels[..., 0] if grey else pixels, window=(127.5, 255.0) if grey else None, fps=fps, name=path.stem,
        source=path.name,
    )  # fmt: skip
