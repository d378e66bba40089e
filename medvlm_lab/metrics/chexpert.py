"""F1 over CheXpert's labels, read out of reports by this project's rule labeller.

    label_scores(written, references)["chexpert14"].micro

The rule labeller is not CheXbert: its F1 must not stand beside a CheXbert F1 (`clinical.chexbert_f1`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from medvlm_lab.metrics.generation import F1, label_f1
from medvlm_lab.text.labeller import CHEXPERT, DEVICES, NO_FINDING, names, positive

#: The five on which CheXpert's competition was decided (Irvin et al., AAAI 2019).
COMPETITION = ("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Pleural Effusion")
#: This project's chest findings among the 14. "hyperinflation" is none of them; no finding here is an enlarged
#: cardiomediastinum, atelectasis, pneumonia, another lung opacity or another pleural finding.
MATCHES = {
    "cardiomegaly": "Cardiomegaly", "nodule": "Lung Lesion", "pulmonary edema": "Edema",
    "consolidation": "Consolidation", "pneumothorax": "Pneumothorax", "pleural effusion": "Pleural Effusion",
    "rib fracture": "Fracture",
    **dict.fromkeys(
        ("pacemaker", "central line", "endotracheal tube", "nasogastric tube", "sternotomy wires"), DEVICES
    ),
}  # fmt: skip


def sets() -> dict[str, tuple[str, ...]]:
    """The labels that are counted, by the name of the score."""
    return {"chexpert14": names(CHEXPERT), "chexpert5": COMPETITION}


def chexpert_names(findings: Iterable[str]) -> frozenset[str]:
    """CheXpert's names of this project's findings; what has none is left out.

    "No Finding" where nothing is left but devices, as CheXpert has it.
    """
    found = {MATCHES[name] for name in findings if name in MATCHES}
    return frozenset(found if found - {DEVICES} else found | {NO_FINDING})


def label_scores(written: Sequence[str], references: Sequence[str]) -> dict[str, F1]:
    """F1 of what each report states against what its reference states, over 14 labels and over the 5 of `COMPETITION`.

    What is left uncertain counts as not stated. Raises as `generation.label_f1`.
    """
    said, there = ([positive(text, CHEXPERT) for text in texts] for texts in (written, references))
    return {name: label_f1(said, there, labels) for name, labels in sets().items()}
