"""What the image viewer shows: frames for the browser, presets, tags, a picture for saved notebooks. No ipywidgets."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from medvlm_lab.image import MedicalImage
from medvlm_lab.orientation import edges, marked
from medvlm_lab.widgets.captioned import captioned
from medvlm_lab.widgets.vqa_state import DISCLAIMER

MOST_PIXELS = 4_194_304  # per frame in the browser: larger frames are thinned out, their values stay exact
FILE_WINDOW = "from the file"


def facts(image: MedicalImage) -> dict[str, Any]:
    """What the browser has to know once: frames, units, spacing, bounds, presets, what to call it."""
    return {
        "name": image.name or "image",
        "modality": image.modality,
        "simulated": image.simulated,
        "frames": image.frames,
        "color": image.color,
        "inverted": image.inverted,
        "units": image.units,
        "spacing": list(image.spacing_mm) if image.spacing_mm else None,
        "fps": image.fps,
        "bounds": None if image.color else list(image.bounds),
        "stretch": [image.picture_size[1] / image.width, image.picture_size[0] / image.height],
        "edges": edges(image.orientation) if image.orientation else {},
        "function": image.voi.function,
        "padding": list(image.padding) if image.padding else None,
        "frame_windows": [list(window) for window in image.voi.windows],
        "first": image.voi.first,
        "table": image.voi.table.tolist() if image.voi.table is not None else None,
        "presets": {name: list(pair) for name, pair in presets(image).items()},
        "burned_in": [list(box) for box in image.burned_in],
        "disclaimer": DISCLAIMER,
    }


def presets(image: MedicalImage) -> dict[str, tuple[float, float]]:
    """(center, width) by name: the image's own first, then those of its modality; none for colour."""
    if image.color:
        return {}
    return {FILE_WINDOW: image.resolve_window(None, image.reading_frame), **image.presets}


def frame_buffer(image: MedicalImage, frame: int) -> tuple[dict[str, Any], bytes]:
    """One frame's raw values, little-endian, for the browser, and how to read them: type, sizes, thinning step."""
    pixels = image.pixels[frame]
    step = 1
    while -(-image.height // step) * -(-image.width // step) > MOST_PIXELS:
        step += 1
    pixels = pixels[::step, ::step]
    if pixels.dtype.kind == "f" or pixels.dtype.itemsize > 4:
        pixels = pixels.astype(np.float32 if pixels.dtype.itemsize <= 4 else np.float64)
    pixels = np.ascontiguousarray(pixels).astype(pixels.dtype.newbyteorder("<"), copy=False)
    about = {"frame": frame, "type": pixels.dtype.name, "rows": pixels.shape[0], "columns": pixels.shape[1]}
    return about | {"step": step}, pixels.tobytes()


def render_tags(image: MedicalImage) -> str:
    """The header that was kept, as a table; the provenance first."""
    rows = {"source": image.source, **image.tags}
    body = "".join(f"<tr><th scope='row'>{escape(k)}</th><td>{escape(str(v))}</td></tr>" for k, v in rows.items() if v)
    return f"<table>{body}</table>" if body else "<p>This file says nothing about itself.</p>"


def describe(image: MedicalImage, frame: int, window: tuple[float, float] | None) -> str:
    """One line below the picture."""
    parts = [image.name or "image", image.modality + (", simulated" if image.simulated else "")]
    if image.frames > 1:
        parts.append(f"{'frame' if image.fps else 'slice'} {frame + 1} of {image.frames}")
    if window is not None and not image.color:
        parts.append(f"window {window[0]:.4g} / {window[1]:.4g} {image.units}".rstrip())
    return " · ".join(parts)


def card_png(image: MedicalImage, frame: int, window: tuple[float, float] | None) -> bytes:
    """The frame in view on black with its line below, for pages on which no kernel runs."""
    return captioned(marked(image.pil(frame, window), image.orientation), [describe(image, frame, window)], DISCLAIMER)
