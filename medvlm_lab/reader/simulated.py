"""Simulated readers: a stated model of how readers differ, err and prefer, for a class without a panel of its own.

No figure here was measured on people. A reader reads one case in four steps, each with its own random numbers, which
depend on reader and case alone:

1. seeing: a finding that is there is seen with chance `sees[f][0]`, its sensitivity; one that is not there is believed
   with chance 1 - `sees[f][1]`, its specificity. The belief is the same for both reports.
2. comparing: `faults(report, belief)`; where the reader errs, so does the comparison.
3. noticing: a fault of kind k is marked with chance `notices[k][0]`; a place or severity that is right is marked as
   wrong with chance 1 - `notices[k][1]`.
4. preferring: step = round(GAIN (W₁ - W₂) + noise · N(0, 1)), cut to -2 … 2; W₁ and W₂ are the weights of the faults
   marked in the first and in the second report (weights: see `truth`).

Corrections say in plain sentences what the reader believes.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from medvlm_lab.errors import MedVLMError
from medvlm_lab.phantoms.chest_scene import ChestScene
from medvlm_lab.phantoms.scene import Finding
from medvlm_lab.reader.marks import FALSE, LOCATION, OMISSION, SEVERITY, Mark, corrected
from medvlm_lab.reader.study import Case, Reading
from medvlm_lab.reader.truth import Fault, faults, said, statement, weight

GAIN = 0.5  # steps of the scale per unit of weight
FINDINGS = tuple(ChestScene.kinds)
NOTICED = (OMISSION, FALSE, LOCATION, SEVERITY)
Skill = Mapping[str, tuple[float, float]]  # name → (sensitivity, specificity)


@dataclass(frozen=True)
class SimulatedReader:
    """See the module. Raises MedVLMError for a probability outside [0, 1], or a skill that is missing."""

    code: str
    seed: int = 0
    sees: Skill = field(default_factory=lambda: dict.fromkeys(FINDINGS, (0.93, 0.99)))
    notices: Skill = field(default_factory=lambda: dict.fromkeys(NOTICED, (0.9, 0.98)))
    noise: float = 0.5

    def __post_init__(self) -> None:
        for skill, names in ((self.sees, FINDINGS), (self.notices, NOTICED)):
            if missing := [name for name in names if name not in skill]:
                raise MedVLMError(f"Simulated reader {self.code} has no skill for {missing[0]!r}; give each one.")
            for name, pair in skill.items():
                if len(pair) != 2 or not all(0 <= p <= 1 for p in pair):
                    raise MedVLMError(f"Skill for {name!r} is {pair}; give sensitivity and specificity from 0 to 1.")

    def belief(self, case: Case) -> tuple[Finding, ...]:
        """What the reader believes to be in the picture. Raises MedVLMError where nobody knows the truth."""
        if case.findings is None:
            raise MedVLMError(f"Case {case.name} is not simulated: a simulated reader needs to know what is there.")
        there = {f.kind for f in case.findings}
        lucky = dict(zip(FINDINGS, self._rng(case, "see").random(len(FINDINGS)).tolist(), strict=True))
        seen = [f for f in case.findings if lucky[f.kind] < self.sees[f.kind][0]]
        made_up = [Finding(name) for name in FINDINGS if name not in there and lucky[name] >= self.sees[name][1]]
        return (*seen, *made_up)

    def read(self, case: Case) -> Reading:
        """The reader's preference, marks and corrections; the same for the same case, whichever others there are."""
        belief, weights, marks = self.belief(case), {}, []
        for source, report in case.reports.items():
            found = self._noticed(case, source, report, belief)
            weights[source] = sum(fault.weight for fault in found)
            marks += [replace(m, report=source) for m in _marks(report, found, belief)]
        first, second = case.reports
        z = self._rng(case, "prefer").standard_normal()
        step = int(np.clip(np.rint(GAIN * (weights[first] - weights[second]) + self.noise * z), -2, 2))
        texts = {s: corrected(text, [m for m in marks if m.report == s]) for s, text in case.reports.items()}
        reason = ", ".join(f"{source}: faults of weight {w:g}" for source, w in weights.items())
        return Reading(self.code, case.name, (first, second), step, f"simulated; {reason}", tuple(marks), texts, True)

    def _noticed(self, case: Case, source: str, report: str, belief: Sequence[Finding]) -> list[Fault]:
        chance = self._rng(case, source).random((len(NOTICED), len(FINDINGS)))
        lucky = lambda kind, name: chance[NOTICED.index(kind), FINDINGS.index(name)]  # noqa: E731
        real = faults(report, belief)
        found = [f for f in real if lucky(f.kind, f.finding) < self.notices[f.kind][0]]
        wrong = {(f.kind, f.finding) for f in real}
        for name, words in said(report).items():
            own = [f for f in belief if f.kind == name]
            for kind, named in ((LOCATION, words.sides | words.regions), (SEVERITY, words.grades)):
                alarm = own and named and (kind, name) not in wrong and lucky(kind, name) >= self.notices[kind][1]
                if alarm:
                    found.append(Fault(kind, name, weight(own) if kind == LOCATION else 1, words.spans))
        return found

    def _rng(self, case: Case, purpose: str) -> np.random.Generator:
        return np.random.default_rng((self.seed, zlib.crc32(f"{self.code}/{case.name}/{purpose}".encode())))


def panel(n: int = 5, seed: int = 0) -> list[SimulatedReader]:
    """`n` readers "simulated-1" … of different skill, drawn evenly: findings seen with sensitivity .85 to .99 and
    specificity .98 to 1, faults noticed with sensitivity .75 to .98 and specificity .97 to 1, noise .3 to .8 steps.

    Raises MedVLMError for n below 1.
    """
    if n < 1:
        raise MedVLMError(f"A panel of {n} readers cannot read; it must have at least 1.")
    readers = []
    for i in range(n):
        rng = np.random.default_rng((seed, i))
        draw = lambda a, b, rng=rng: (float(rng.uniform(*a)), float(rng.uniform(*b)))  # noqa: E731
        sees = {name: draw((0.85, 0.99), (0.98, 1.0)) for name in FINDINGS}
        notices = {kind: draw((0.75, 0.98), (0.97, 1.0)) for kind in NOTICED}
        readers.append(SimulatedReader(f"simulated-{i + 1}", seed, sees, notices, float(rng.uniform(0.3, 0.8))))
    return readers


def readings(readers: Sequence[SimulatedReader], cases: Sequence[Case]) -> list[Reading]:
    """Every reader's reading of every case."""
    return [reader.read(case) for reader in readers for case in cases]


def _marks(report: str, found: Sequence[Fault], belief: Sequence[Finding]) -> list[Mark]:
    """One mark a sentence, of its gravest fault, corrected to what is believed of all findings that it states."""
    gravest: dict[tuple[int, int], Fault] = {}
    for fault in sorted(found, key=lambda f: f.weight):
        if fault.kind != OMISSION:
            gravest |= dict.fromkeys(fault.spans, fault)
    end = len(report)
    marks = [
        Mark("", end, end, OMISSION, f.significant, _believed(f.finding, belief)) for f in found if f.kind == OMISSION
    ]
    for span, fault in gravest.items():
        stated = sorted(name for name, words in said(report).items() if span in words.spans)
        text = " ".join(_believed(name, belief) for name in stated)
        marks.append(Mark("", *span, fault.kind, fault.significant, text))
    return marks


def _believed(name: str, belief: Sequence[Finding]) -> str:
    own = [statement(f) for f in belief if f.kind == name]
    return " ".join(own) or f"No {name}."
