"""PNG, JPEG, TIFF (and their kin) through Pillow; NumPy arrays saved with `np.save`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from medvlm_lab.arrays import compact, filled
from medvlm_lab.errors import ImageReadError
from medvlm_lab.image import MAX_FRAME_PIXELS, MODALITIES, SIMULATED_NOTE, MedicalImage, check_size

if TYPE_CHECKING:
    from PIL import Image

    from medvlm_lab.grey import Window

#: Only plain pixel formats: some others that Pillow knows start outside programs.
PILLOW_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP")
SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"BM", b"GIF8", b"RIFF")
WHITE_IS_ZERO = 0  # TIFF's PhotometricInterpretation
SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")


def read_raster(path: Path) -> MedicalImage:
    """Grey keeps its bit depth (8, 16, 32, float); palettes, CMYK and transparency become RGB; pages become frames.

    Of a TIFF in which 0 is white, low values are shown bright. Unequal dots per inch make pixels that are not square.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = Image.open(path, formats=PILLOW_FORMATS)
        except Image.DecompressionBombError:
            raise ImageReadError(
                f"{path.name} has more pixels than the limit of {MAX_FRAME_PIXELS:,} per frame; "
                "crop or downsample it first."
            ) from None
        except UnidentifiedImageError:
            return _unusual_tiff(path)
        with picture:
            pages = getattr(picture, "n_frames", 1)
            check_size(picture.height, picture.width, pages, path.name)
            frames, aspect = [], _aspect(picture.info.get("dpi"))
            for page in range(pages):
                if page:
                    picture.seek(page)
                check_size(picture.height, picture.width, pages, path.name)
                turned = ImageOps.exif_transpose(picture)
                frames.append(to_array(turned, getattr(picture, "tag_v2", {})))
            if turned.size != picture.size:
                aspect = 1 / aspect
            # Pillow turns the grey values of 8 bits itself
            inverted = getattr(picture, "tag_v2", {}).get(262) == WHITE_IS_ZERO and picture.mode not in ("1", "L")
    if (
        len({(frame.shape, frame.dtype) for frame in frames}) > 1
    ):  # thumbnails or pyramid levels: the first is the picture
        frames = frames[:1]
    pixels, window = _framed(np.stack(frames), path.name)
    simulated = str(picture.info.get("Comment", "")).startswith(SIMULATED_NOTE)
    modality = picture.info.get("Modality") if simulated else None
    duration_ms = picture.info.get("duration", 0)
    return MedicalImage(
        pixels=pixels, modality=modality if modality in MODALITIES else "unknown", window=window,
        fps=1000 / duration_ms if len(frames) > 1 and duration_ms > 0 else None, name=path.stem, source=path.name,
        simulated=simulated, inverted=inverted, pixel_aspect=aspect,
    )


def of_pillow(picture: Image.Image) -> MedicalImage:
    """A Pillow image's current frame, without a name."""
    check_size(picture.height, picture.width, name="The picture")
    tags = getattr(picture, "tag_v2", {})
    pixels, window = _framed(np.array(to_array(picture, tags))[None], "The picture")
    inverted = tags.get(262) == WHITE_IS_ZERO and picture.mode not in ("1", "L")
    return MedicalImage(pixels, window=window, inverted=inverted, pixel_aspect=_aspect(picture.info.get("dpi")))


def _framed(pixels: np.ndarray, name: str) -> tuple[np.ndarray, Window | None]:
    """Grey frames without NaN, and their window: eight-bit grey was windowed when it was saved, so it is kept."""
    if pixels.ndim == 3 and pixels.dtype.kind == "f":
        pixels, window = filled(pixels, name)
        return compact(pixels), window
    return pixels, (127.5, 255.0) if pixels.ndim == 3 and pixels.dtype == np.uint8 else None


def _unusual_tiff(path: Path) -> MedicalImage:
    """Grey TIFFs that Pillow does not know: 64 bits, and 0 as white of 16 signed or of 32 bits."""
    import tifffile

    with tifffile.TiffFile(path) as file:
        first = file.pages[0]
        check_size(first.imagelength, first.imagewidth, len(file.pages), path.name)
        if first.samplesperpixel != 1:
            raise ValueError(f"{first.dtype} colours")
        pages = [page for page in file.pages if (page.shape, page.dtype) == (first.shape, first.dtype)]
        pixels, window = _framed(np.stack([page.asarray() for page in pages]), path.name)
        return MedicalImage(
            pixels=pixels.astype(pixels.dtype.newbyteorder("="), copy=False), window=window, name=path.stem,
            source=path.name, inverted=first.photometric == WHITE_IS_ZERO,
        )


def _aspect(dots: tuple[float, float] | None) -> float:
    """A pixel's height over its width from (horizontal, vertical) dots per inch; 1 where they cannot be meant."""
    try:
        aspect = float(dots[0]) / float(dots[1])
    except (TypeError, ValueError, ZeroDivisionError):
        return 1.0
    return aspect if 0.1 <= aspect <= 10 else 1.0


def to_array(picture: Image.Image, tags: Mapping[int, Any] = MappingProxyType({})) -> np.ndarray:
    """(h, w) grey of the file's own type, or (h, w, 3) uint8; `tags` are a TIFF's, whose integers Pillow mixes up."""
    if picture.mode in ("1", "LA", "La"):
        picture = picture.convert("L")
    elif picture.mode not in ("L", "I", "F", "RGB") and not picture.mode.startswith("I;16"):
        picture = picture.convert("RGB")
    array = np.asarray(picture)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    bits, signed = tags.get(258, (0,))[0], tags.get(339, (1,))[0] == 2
    if picture.mode == "I" and bits == 32 and not signed:
        return array.view(np.uint32)
    return array.view(np.int8) if picture.mode == "L" and bits == 8 and signed else array


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
