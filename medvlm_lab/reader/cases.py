"""Cases for a reader study out of what the package brings: simulated patients and a bundled model's reports."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from medvlm_lab.datasets.phantom import PhantomDataset
from medvlm_lab.errors import MedVLMError
from medvlm_lab.phantoms.base import Scene, rng_of
from medvlm_lab.reader.study import Case
from medvlm_lab.tasks.studies import batches, needs

HUMAN, AI = "simulated clinician", "AI"
SIZE = 384  # pixels per side


def simulated_cases(
    n: int = 6, model: Any = None, seed: int = 0, slips: float = 0.15, progress: bool = True
) -> tuple[Case, ...]:
    """`n` simulated chest X-rays of the test part; "simulated clinician" and "AI", the model's.

    Both are laid out alike and worded as reports of the training part are, so that neither layout nor vocabulary tells
    them apart.

    Args:
        model: any model with `report_batch`; by default `lab.load("flamingo-cxr")`.
        slips: chance that the clinician misjudges a finding, see `slipped`; 0 for reports that are always true. An
            invented figure: nobody was measured.

    Raises MedVLMError where the model writes no reports, n is below 1, or slips is no probability.
    """
    from medvlm_lab.models import load

    if not 0 <= slips <= 1:
        raise MedVLMError(f"slips is {slips}; it is a probability, from 0 to 1.")
    model = model or load("flamingo-cxr")
    needs(model, "report_batch", "write reports")
    data = PhantomDataset("chest-xray", "test", n, seed, SIZE, wording="usual")
    cases = []
    studies = [data.study(i) for i in range(n)]
    for part, images in batches(studies, 3, f"{model.name} writes", progress):
        for study, image, report in zip(part, images, model.report_batch(images), strict=True):
            scene = data.scene(len(cases))
            human = data.simulator.report(slipped(scene, slips))
            reports = {HUMAN: _laid_out(human), AI: _laid_out(report)}
            cases.append(Case(study.name, reports, image, scene.all_findings))
    return tuple(cases)


def slipped(scene: Scene, share: float) -> Scene:
    """What a clinician takes the patient for; the same every time.

    Each finding that the scene is given is misjudged with chance `share`: a graded one is taken for a grade more or
    less (a third of its amount) in one of three such cases; all others are overlooked.
    """
    rng, believed = rng_of(scene.seed, 4), []
    for finding in scene.findings:
        wrong, kind, way = rng.random(3)
        if wrong >= share:
            believed.append(finding)
        elif kind > 2 / 3 and finding.amount is not None:
            amount = finding.amount + (1 / 3 if way < 0.5 else -1 / 3)
            believed.append(replace(finding, amount=amount if 0 < amount <= 1 else 2 * finding.amount - amount))
    return scene.with_(findings=tuple(believed))


def _laid_out(report: Any) -> str:
    if not report.impression:
        raise MedVLMError("A report without an impression would give its source away; use a model that writes one.")
    return f"Findings: {report.findings}\nImpression: {report.impression}"
