"""PNG, JPEG, TIFF (and their kin) through Pillow; NumPy arrays saved with `np.save`."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from medvlm_lab.errors import ImageReadError
from medvlm_lab.image import MAX_FRAME_PIXELS, MODALITIES, SIMULATED_NOTE, MedicalImage, check_size

#: Only plain pixel formats: some others that Pillow knows start outside programs.
PILLOW_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"GIF8", b"RIFF")
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")


def read_raster(path: Path) -> MedicalImage:
    """Grey keeps its bit depth (8, 16, 32, float); palettes, CMYK and transparency become RGB; pages become frames."""
    from PIL import Image, ImageOps

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = Image.open(path, formats=PILLOW_FORMATS)
        except Image.DecompressionBombError:
            raise ImageReadError(
                f"{path.name} has more pixels than the limit of {MAX_FRAME_PIXELS:,} per frame; "
                "crop or downsample it first."
            ) from None
        with picture:
            pages = getattr(picture, "n_frames", 1)
            check_size(picture.height, picture.width, pages, path.name)
            frames = []
            for page in range(pages):
                if page:
                    picture.seek(page)
                check_size(picture.height, picture.width, pages, path.name)
                frames.append(_to_array(ImageOps.exif_transpose(picture)))
    if (
        len({(frame.shape, frame.dtype) for frame in frames}) > 1
    ):  # thumbnails or pyramid levels: the first is the picture
        frames = frames[:1]
    # eight-bit grey was windowed when it was saved: show it as it is
    window = (127.5, 255.0) if frames[0].ndim == 2 and frames[0].dtype == np.uint8 else None
    simulated = str(picture.info.get("Comment", "")).startswith(SIMULATED_NOTE)
    modality = picture.info.get("Modality") if simulated else None
    duration_ms = picture.info.get("duration", 0)
    return MedicalImage(
        pixels=np.stack(frames), modality=modality if modality in MODALITIES else "unknown", window=window,
        fps=1000 / duration_ms if len(frames) > 1 and duration_ms > 0 else None, name=path.stem, source=path.name,
        simulated=simulated,
    )


def _to_array(picture) -> np.ndarray:
    """(h, w) grey of the file's own type, or (h, w, 3) uint8."""
    if picture.mode in ("1", "LA", "La"):
        picture = picture.convert("L")
    elif picture.mode not in ("L", "I", "F", "RGB") and not picture.mode.startswith("I;16"):
        picture = picture.convert("RGB")
    array = np.asarray(picture)
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def read_npy(path: Path) -> MedicalImage:
    """One array saved with `np.save`: (h, w), (h, w, 3), (frames, h, w) or (frames, h, w, 3); pickles are refused."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.ndim in (2, 3, 4) and array.dtype.kind in "buif":
        color = array.ndim >= 3 and array.shape[-1] in (3, 4)
        height, width = array.shape[-3:-1] if color else array.shape[-2:]
        check_size(
            height, width, max(1, array.size // max(1, height * width * (array.shape[-1] if color else 1))), path.name
        )
        array = np.array(array)  # leave the file
    return MedicalImage.from_array(array, name=path.stem, source=path.name)
