"""Simulated patients: image, masks, measurements, report and questions out of one description, with the exact truth.

>>> xray = lab.phantom("chest-xray")
>>> scene = xray.draw(seed=7)
>>> xray.image(scene), xray.report(scene).impression

Nothing here is a real patient, and every image says so (`MedicalImage.simulated`). Importing this package loads no
torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from medvlm_lab.errors import UnknownNameError

if TYPE_CHECKING:
    from medvlm_lab.phantoms.base import Phantom

#: name → module in this package; the module's `PHANTOM` is the one instance
MODULES = {
    "chest-xray": "chest_xray",
    "abdominal-ct": "abdominal_ct",
    "brain-mr": "brain_mr",
    "pet": "pet",
    "histology": "histology",
    "echocardiogram": "echocardiogram",
    "heart-sounds": "heart_sounds",
}


def names() -> tuple[str, ...]:
    """Names that `phantom` knows."""
    return tuple(MODULES)


def phantom(name: str) -> Phantom:
    """The simulator of one modality. Raises UnknownNameError, with the nearest name, for another."""
    if name not in MODULES:
        raise UnknownNameError("phantom", name, MODULES)
    return importlib.import_module(f"medvlm_lab.phantoms.{MODULES[name]}").PHANTOM
