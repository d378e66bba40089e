"""CheXbert F1 and RadGraph F1 by their authors' packages, where these and their weights are on this machine.

Neither is a dependency. Both read pickled weights: install them only if you trust their source. Nothing is downloaded
here; each package fetches its weights itself when it is first used outside of this module.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any
from unittest.mock import patch

import numpy as np
from jaxtyping import Float

from medvlm_lab.errors import MedVLMError
from medvlm_lab.metrics import guard
from medvlm_lab.metrics.generation import F1


def chexbert_f1(written: Sequence[str], references: Sequence[str]) -> dict[str, F1]:
    """Micro and macro F1 over CheXbert's 14 labels and over 5 of them (Smit et al., EMNLP 2020), by `f1chexbert`.

    Raises MedVLMError for unequal lengths, and where the package or its weights are not here.
    """
    scorer = _load("f1chexbert", "F1CheXbert", written, references)
    *_, fourteen, five = scorer(hyps=list(written), refs=list(references))
    return {
        name: F1(*(float(found[f"{mean} avg"]["f1-score"]) for mean in ("micro", "macro")))
        for name, found in (("chexbert14", fourteen), ("chexbert5", five))
    }


def radgraph_f1(written: Sequence[str], references: Sequence[str]) -> dict[str, Float[np.ndarray, " n"]]:
    """RadGraph F1 of each report, in [0, 1], by `radgraph` (Delbrouck et al., Findings of EMNLP 2022).

    "simple" compares entities, "partial" also whether they have relations, "complete" the relations themselves.
    Raises as `chexbert_f1`.
    """
    scorer = _load("radgraph", "F1RadGraph", written, references, reward_level="all")
    _, rewards, *_ = scorer(hyps=list(written), refs=list(references))
    return dict(zip(("simple", "partial", "complete"), map(np.asarray, rewards), strict=True))


def _load(package: str, cls: str, written: Sequence[str], references: Sequence[str], **options: Any) -> Any:
    written, references = guard.texts(written), guard.texts(references, "references")
    if not 0 < len(written) == len(references):
        raise MedVLMError(f"{len(written)} texts cannot be scored against {len(references)} references; give pairs.")
    try:  # offline for what is imported now, and for a hub client that was imported before
        with patch.dict("os.environ", HF_HUB_OFFLINE="1"), patch("huggingface_hub.constants.HF_HUB_OFFLINE", True):
            return getattr(importlib.import_module(package), cls)(**options)
    except ImportError as error:
        raise MedVLMError(f"{cls} needs the package {package}; run `pip install {package}`.") from error
    except OSError as error:
        raise MedVLMError(
            f"The weights of {cls} are not on this machine; call {package}.{cls}() once where the hub can be reached."
        ) from error
