"""EchoCLIP (Christensen et al., Nat Med 2024) at a laptop's size: echocardiograms and reports in one space.

    model = lab.load("echo-clip")
    model.devices(lab.sample("echo-cine"))           # how much the video agrees with a prompt for each device
    model.ejection_fraction(lab.sample("echo-cine"))  # by asking for every per cent from 0 to 100

It reads evenly spaced frames of a cine and averages what they give, as the paper's does; of a volume the middle slice.
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
from medvlm_lab.models.prompt_sweep import AGGREGATIONS, binary

#: Prompts of the zero-shot tasks, worded as reports are.
DEVICES: dict[str, tuple[str, ...]] = {
    "pacemaker lead": (
        "A pacemaker lead is seen in the right heart.", "There is a pacing lead in the right ventricle.",
        "A pacemaker wire crosses the tricuspid valve.",
    ),
    "MitraClip": ("A MitraClip is in place on the mitral valve.", "Status post MitraClip implantation."),
    "TAVR valve": (
        "A TAVR valve is in place in the aortic position.", "There is a transcatheter aortic valve.",
        "A well seated bioprosthetic aortic valve is seen.",
    ),
}  # fmt: skip
EJECTION_FRACTION = (
    "The left ventricular ejection fraction is estimated at {}%.", "LV systolic function, LVEF {}%.",
)  # fmt: skip


class EchoTasks:
    """What EchoCLIP does with the rows of any `ImageTextEncoder` that also encodes frames."""

    def devices(self, image: MedicalImage) -> dict[str, float]:
        """Mean cosine over frames and prompts for each device, as EchoCLIP scores them; not a probability."""
        return {name: float(scores[0]) for name, scores in self.score_findings([image]).items()}

    def score_findings(self, images: Sequence[MedicalImage]) -> dict[str, Float[Tensor, " n"]]:
        """`devices` of many videos."""
        frames = self.encode_frames(images)  # (n, f, d)
        return {name: binary(frames @ self.encode_texts(prompts).T) for name, prompts in DEVICES.items()}

    def ejection_fraction(self, image: MedicalImage, aggregation: str = "code") -> float:
        """LVEF in per cent by prompt sweep; `aggregation` "code" or "paper", which differ (see `prompt_sweep`).

        Raises UnknownNameError for another aggregation.
        """
        if aggregation not in AGGREGATIONS:
            raise UnknownNameError("aggregation", aggregation, AGGREGATIONS)
        return float(self.regress([image], aggregation)["ejection_fraction_percent"][0])

    def regress(self, images: Sequence[MedicalImage], aggregation: str = "code") -> dict[str, Float[Tensor, " n"]]:
        """`ejection_fraction` of many videos, under the name that data sets give it."""
        values = torch.arange(101.0).repeat(len(EJECTION_FRACTION))
        prompts = [template.format(i) for template in EJECTION_FRACTION for i in range(101)]
        similarity = self.encode_frames(images) @ self.encode_texts(prompts).T  # (n, f, p)
        return {"ejection_fraction_percent": AGGREGATIONS[aggregation](similarity, values)}


class EchoCLIP(EchoTasks, ImageTextModel):
    """Capability `ImageTextEncoder` for echocardiograms."""

    name: ClassVar[str] = "echo-clip"
    modality: ClassVar[str] = "echo"
