"""CheXzero (Tiu et al., Nat Biomed Eng 2022) at a laptop's size: chest X-rays classified by sentences.

    model = lab.load("chexzero")
    model.classify(lab.sample("chest-xray-nodules"))   # {"pneumothorax": 0.08, ...}

A disease is present as far as the image agrees more with "pneumothorax" than with "no pneumothorax". CheXzero writes
no reports. The paper's model learned from reports alone; this one also from outlines and statements (its card).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from medvlm_lab.errors import UnknownNameError
from medvlm_lab.image import MedicalImage
from medvlm_lab.models.dual_encoder import ImageTextModel

POSITIVE, NEGATIVE = ("There is {}.", "{} is present."), ("There is no {}.", "No {} is seen.")
FINDINGS = (
    "cardiomegaly", "pleural effusion", "pneumothorax", "consolidation", "nodule", "pulmonary edema", "hyperinflation",
    "rib fracture", "pacemaker", "central line", "endotracheal tube", "nasogastric tube", "sternotomy wires",
)  # fmt: skip


class CheXzero(ImageTextModel):
    """Capability `ImageTextEncoder` for frontal chest X-rays, and its zero-shot classifier."""

    name: ClassVar[str] = "chexzero"
    modality: ClassVar[str] = "X-ray"

    def classify(self, image: MedicalImage, findings: Sequence[str] = FINDINGS) -> dict[str, float]:
        """Probability in [0, 1] of each finding, or of any words that can follow "there is".

        softmax over the cosines with the positive and the negative prompt, averaged over the prompts' wordings.
        Raises UnknownNameError for an empty name.
        """
        if blank := [name for name in findings if not name.strip()]:
            raise UnknownNameError("finding", blank[0], FINDINGS)
        return {name: float(scores[0]) for name, scores in self.score_findings([image], findings).items()}

    def score_findings(
        self, images: Sequence[MedicalImage], findings: Sequence[str] = FINDINGS
    ) -> dict[str, Float[Tensor, " n"]]:
        """`classify` for many images."""
        pictures, scale = self.encode_images(images), float(self.module.logit_scale.detach().exp())
        found = torch.zeros(len(images), len(findings))
        for positive, negative in zip(POSITIVE, NEGATIVE, strict=True):
            agree = [pictures @ self.encode_texts([t.format(n) for n in findings]).T for t in (positive, negative)]
            found += torch.stack(agree).mul(scale).softmax(0)[0] / len(POSITIVE)
        return dict(zip(findings, found.T, strict=True))
