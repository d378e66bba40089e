"""Cases for a reader study out of what the package brings: simulated patients and a bundled model's reports."""

from __future__ import annotations

from typing import Any

from medvlm_lab.datasets.phantom import PhantomDataset
from medvlm_lab.errors import MedVLMError
from medvlm_lab.reader.study import Case
from medvlm_lab.tasks.studies import batches, needs

HUMAN, AI = "human", "AI"
SIZE = 384  # pixels per side


def simulated_cases(n: int = 6, model: Any = None, seed: int = 0, progress: bool = True) -> tuple[Case, ...]:
    """`n` simulated chest X-rays of the test part; "human" is the simulator's report, "AI" the model's.

    The simulator's report is true to the picture. Both are laid out alike and worded as reports of the training part
    are, so that neither layout nor vocabulary tells them apart.

    Args:
        model: any model with `report_batch`; by default `lab.load("flamingo-cxr")`.

    Raises MedVLMError where the model writes no reports, or n is below 1.
    """
    from medvlm_lab.models import load

    model = model or load("flamingo-cxr")
    needs(model, "report_batch", "write reports")
    data = PhantomDataset("chest-xray", "test", n, seed, SIZE, wording="usual")
    cases = []
    studies = [data.study(i) for i in range(n)]
    for part, images in batches(studies, 3, f"{model.name} writes", progress):
        for study, image, report in zip(part, images, model.report_batch(images), strict=True):
            scene = data.scene(len(cases))
            human = data.simulator.report(scene)
            reports = {HUMAN: _laid_out(human), AI: _laid_out(report)}
            cases.append(Case(study.name, reports, image, scene.all_findings))
    return tuple(cases)


def _laid_out(report: Any) -> str:
    if not report.impression:
        raise MedVLMError("A report without an impression would give its source away; use a model that writes one.")
    return f"Findings: {report.findings}\nImpression: {report.impression}"
