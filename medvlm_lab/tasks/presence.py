"""How sure a model is that a finding is there, whatever the model can do: rank sentences, write reports, or answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from medvlm_lab.errors import MedVLMError
from medvlm_lab.image import MedicalImage
from medvlm_lab.tasks.embeddings import numbers_of
from medvlm_lab.tasks.result import model_name


def presence(model: Any, images: Sequence[MedicalImage], finding: str) -> Float[np.ndarray, " n"]:
    """A number in [0, 1] for each image.

    Of a zero-shot classifier its probability; of a model that reports, 1 where the rule labeller finds it stated in the
    report; of a model that only answers, the probability of yes to "Is there ...?", 1 - p for another answer.
    Raises MedVLMError for a model that does none of these.
    """
    if callable(getattr(model, "score_findings", None)):
        return numbers_of(model, model.score_findings(images, [finding])[finding], f"scores of {finding}")
    if callable(getattr(model, "report_batch", None)):
        from medvlm_lab.text.labeller import positive

        return np.array([float(finding in positive(str(report))) for report in model.report_batch(images)])
    if callable(getattr(model, "answer_batch", None)):
        answers = model.answer_batch(images, [f"Is there {finding}?"] * len(images))
        return np.array([a.confidence if a.text == "yes" else 1 - a.confidence for a in answers])
    raise MedVLMError(f"Model {model_name(model)!r} neither classifies nor reports nor answers; choose another.")
