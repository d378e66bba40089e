"""MedVLM Lab: build, train, question and break vision-language models in medical image analysis.

>>> import medvlm_lab as lab
>>> image = lab.sample("chest-xray-nodules")
>>> model = lab.load("vit-bert-vqa")
>>> model.answer(image, "Is there cardiomegaly?")
>>> lab.widgets.vqa(model, image)

Importing the package loads neither torch nor matplotlib: each name is fetched when it is first used.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0"

_LAZY = {
    "MedicalImage": "image",
    "read": "io",
    "sample": "catalogue",
    "samples": "catalogue",
    "load": "models",
    "models": None,
    "device": "devices",
    "dataset": "datasets",
    "datasets": None,
    "phantom": "phantoms",
    "phantoms": None,
    "embed": None,
    "evaluate": "tasks",
    "explain": None,
    "scoreboard": "published",
    "metrics": None,
    "reader": None,
    "widgets": None,
    "check": "classroom.exercises",
    "style": None,
    "errors": None,
}
__all__ = sorted(_LAZY)


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module 'medvlm_lab' has no attribute {name!r}")
    target = _LAZY[name]
    if target is None:
        return importlib.import_module(f"medvlm_lab.{name}")
    return getattr(importlib.import_module(f"medvlm_lab.{target}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
