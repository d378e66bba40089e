"""What a report gets wrong about a patient whose findings are known.

The rule labeller says which findings a report states; words beside them say where and how severe. On the simulator's
own reports, in either wording, nothing is found to be wrong.

A fault weighs as much as its finding is severe: mild 1, moderate 2, severe 3; one without severity (nodule, rib
fracture) 2, a device 1; a wrong severity as many steps as it is off. From a weight of 2 on it counts as clinically
significant. This is a rule for teaching, not a clinical standard.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from medvlm_lab.phantoms.chest_scene import ChestScene
from medvlm_lab.phantoms.report_writer import SEVERITY as WORDS
from medvlm_lab.phantoms.scene import Finding
from medvlm_lab.reader.marks import FALSE, LOCATION, OMISSION, SEVERITY
from medvlm_lab.text.labeller import positive
from medvlm_lab.text.prose import HEADING, SENTENCE

SIGNIFICANT = 2
GRADES = tuple(level for level in WORDS if level)  # mild, moderate, severe
_GRADE = {word: level for level, words in WORDS.items() for word in words.values()}
_SIDES = {"left": {"left"}, "right": {"right"}, "bilateral": {"left", "right"}, "both": {"left", "right"}}
_REGIONS = sorted({region for kind in ChestScene.kinds.values() for region in kind.regions})


@dataclass(frozen=True)
class Said:
    """What a report says about a finding that it states. spans: characters of each sentence that states it."""

    sides: frozenset[str]
    regions: frozenset[str]
    grades: frozenset[str]
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Fault:
    """One error: its kind, the finding that it is about, its weight, and the sentences in which it stands."""

    kind: str
    finding: str
    weight: float
    spans: tuple[tuple[int, int], ...]

    @property
    def significant(self) -> bool:
        """Whether the rule above calls it clinically significant."""
        return self.weight >= SIGNIFICANT


@lru_cache(maxsize=4096)
def said(report: str) -> dict[str, Said]:
    """Each finding that the report states, with its places and severities in words."""
    found: dict[str, list[tuple[int, int]]] = {}
    for start, end in sentences(report):
        for name in positive(report[start:end]):
            found.setdefault(name, []).append((start, end))
    return {name: _said([report[a:b].lower() for a, b in spans], tuple(spans)) for name, spans in found.items()}


def faults(report: str, findings: Iterable[Finding]) -> list[Fault]:
    """The report's errors against what is there, or against what somebody believes to be there.

    Per kind of finding: stated or not; where it is stated, whether all sides and regions named are the true ones and
    none is missing; whether every severity named is a true one. A measurement is not compared.
    """
    there: dict[str, list[Finding]] = {}
    for finding in findings:
        there.setdefault(finding.kind, []).append(finding)
    stated, end = said(report), ((len(report), len(report)),)
    found = [Fault(OMISSION, name, weight(own), end) for name, own in there.items() if name not in stated]
    for name, words in stated.items():
        if name not in there:
            found.append(Fault(FALSE, name, weight([], name, words.grades), words.spans))
            continue
        own = there[name]
        sides, regions, grades = ({getattr(f, k) for f in own} - {""} for k in ("side", "region", "severity"))
        if any(true and named and named != true for true, named in ((sides, words.sides), (regions, words.regions))):
            found.append(Fault(LOCATION, name, weight(own), words.spans))
        if grades and (wrong := words.grades - grades):
            steps = max(min(abs(GRADES.index(w) - GRADES.index(g)) for g in grades) for w in wrong)
            found.append(Fault(SEVERITY, name, steps, words.spans))
    return found


def weight(findings: Iterable[Finding], name: str = "", grades: Iterable[str] = ()) -> float:
    """The weight of a fault about these findings of one kind, or about one that is only named, with its severities."""
    findings = list(findings)
    grades = [f.severity for f in findings if f.severity] or list(grades)
    if ChestScene.kinds[findings[0].kind if findings else name].device:
        return 1
    return max((1 + GRADES.index(grade) for grade in grades), default=2)


def sentences(report: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, without the headings."""
    spans = []
    for found in SENTENCE.finditer(report):
        heading = HEADING.match(report, found.start(), found.end())
        start = heading.end() if heading else found.start()
        if start < found.end():
            spans.append((start, found.end()))
    return spans


def statement(finding: Finding) -> str:
    """A plain sentence that states the finding."""
    name = " ".join(word for word in (finding.severity, finding.side, finding.kind) if word)
    return f"{name} in the {finding.region}.".capitalize() if finding.region else f"{name}.".capitalize()


def _said(texts: list[str], spans: tuple[tuple[int, int], ...]) -> Said:
    words = {word for text in texts for word in re.findall(r"\w+(?! (?:atri|ventric))", text)}  # chambers are no places
    return Said(
        frozenset(side for word, sides in _SIDES.items() if word in words for side in sides),
        frozenset(region for region in _REGIONS if any(region in text for text in texts)),
        frozenset(level for word, level in _GRADE.items() if word in words), spans,
    )  # fmt: skip
