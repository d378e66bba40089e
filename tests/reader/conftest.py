"""Small cases with known findings, written by hand: no picture is rendered and no model loaded."""

import pytest

from medvlm_lab.phantoms.scene import Finding
from medvlm_lab.reader import Case

EFFUSION = Finding("pleural effusion", "left", amount=0.5)
NODULE = Finding("nodule", "right", "upper zone", measurement=12.0)
HUMAN = "Findings: There is a moderate left pleural effusion.\nImpression: Moderate left pleural effusion."
WRONG_SIDE = HUMAN.replace("left", "right")
NORMAL = "Findings: The lungs are clear. No pleural effusion.\nImpression: Normal chest."


@pytest.fixture
def cases():
    return (
        Case("c1", {"human": HUMAN, "AI": WRONG_SIDE}, findings=(EFFUSION,)),
        Case("c2", {"human": HUMAN, "AI": NORMAL}, findings=(EFFUSION,)),
        Case("c3", {"human": NORMAL, "AI": NORMAL}, findings=()),
        Case("c4", {"human": NORMAL, "AI": "Findings: A nodule.\nImpression: Nodule."}, findings=(NODULE,)),
    )
