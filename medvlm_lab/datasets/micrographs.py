"""Telling stained micrographs from photographs, drawings and scans by their colour alone."""

from __future__ import annotations

import numpy as np

# Share of full scale. Chosen on 871 micrographs of PathVQA, of which 99.7 % pass; radiology images, photographs and
# simulated specimens on coloured cloth are refused (tests/datasets/test_micrographs.py holds the figures).
BRIGHTNESS = 0.45  # a slide is lit from behind: its mean is bright ...
DARK, DARK_SHARE = 0.2, 0.06  # ... and next to nothing on it is dark, unlike a specimen on black or blue cloth
RED_OVER_GREEN = 0.055
BLUE_OVER_GREEN = 0.02  # flesh, blood and fat reflect red, but more green than blue
GREEN_LEAST_SHARE = 0.45


def is_stained_micrograph(rgb: np.ndarray) -> bool:
    """Whether a picture looks like a section stained with haematoxylin and eosin, seen in transmitted light.

    Both stains absorb green most, eosin around 520 nm and haematoxylin around 560 nm, so on such a slide green is the
    weakest channel nearly everywhere, whether a spot is pink or purple. A colour rule errs: it lets other pink and
    purple stains pass, and now and then a coloured drawing or a pink photograph.

    Args:
        rgb: `(h, w, 3)`, uint8.
    """
    colour = np.asarray(rgb, dtype=np.float32) / 255  # (h, w, 3)
    red, green, blue = colour[..., 0], colour[..., 1], colour[..., 2]  # (h, w)
    lit_from_behind = colour.mean() >= BRIGHTNESS and (colour.max(axis=-1) < DARK).mean() < DARK_SHARE
    absorbs_green = (
        (red - green).mean() >= RED_OVER_GREEN
        and (blue - green).mean() >= BLUE_OVER_GREEN
        and ((green < red) & (green < blue)).mean() >= GREEN_LEAST_SHARE
    )
    return bool(lit_from_behind and absorbs_green)
