"""`Scene` and `Finding`: what a simulated patient is, validated on construction.

A modality subclasses `Scene`, adds its own numbers with `number(...)`, and lists what can be found in `kinds`.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from medvlm_lab.errors import SceneError, UnknownNameError

SEEDS = 2**52  # JSON and JavaScript keep integers exact up to 2**53
HOSPITALS = 4
PARTS = ("train", "validation", "test")
INDICES = 2**28  # scenes of one stream
_STREAMS = 2**22


def scene_seed(part: str, seed: int, index: int) -> int:
    """The scene seed of item `index` of stream `seed`: three ranges that never meet, one per part of a data set.

    Raises SceneError where `seed` or `index` lies outside its range, UnknownNameError for another part.
    """
    if part not in PARTS:
        raise UnknownNameError("split", part, PARTS)
    if not 0 <= seed < _STREAMS:
        raise SceneError(f"seed is {seed}; it must be a whole number from 0 to {_STREAMS - 1:,}.")
    if not 0 <= index < INDICES:
        raise SceneError(f"Item {index} does not exist; a simulated data set holds items 0 to {INDICES - 1:,}.")
    return (PARTS.index(part) * _STREAMS + seed) * INDICES + index


@dataclass(frozen=True)
class Kind:
    """What one kind of finding may look like.

    Attributes:
        sides: of which a finding has exactly one; empty for a finding without a side.
        regions: of which a finding has exactly one; empty for a finding without a region.
        graded: has an `amount`, and so a severity.
        unit, low, high: of its measurement; no measurement where `unit` is empty.
        device: something put in, not a disease.
        derived: follows from the scene's numbers (`Scene.all_findings`) and is never given explicitly.
    """

    sides: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    graded: bool = False
    unit: str = ""
    low: float = 0.0
    high: float = math.inf
    device: bool = False
    derived: bool = False


@dataclass(frozen=True)
class Finding:
    """One finding. Its kind decides which of the other fields it has.

    Attributes:
        kind: a name out of the scene's `kinds`, as a report writes it: "pleural effusion".
        side: the patient's own, "left" or "right"; both sides are two findings.
        region: such as "upper lobe".
        amount: extent in (0, 1]; `severity` is its third in words.
        measurement: in the kind's unit.
        at: where inside its region, two fractions in [0, 1].
    """

    kind: str
    side: str = ""
    region: str = ""
    amount: float | None = None
    measurement: float | None = None
    at: tuple[float, float] = (0.5, 0.5)

    @property
    def severity(self) -> str:
        """ "mild", "moderate" or "severe"; empty for a finding that is not graded."""
        if self.amount is None:
            return ""
        return "mild" if self.amount <= 1 / 3 else "moderate" if self.amount <= 2 / 3 else "severe"

    @property
    def mask_name(self) -> str:
        """The name under which `Phantom.masks` returns where it is."""
        return f"{self.side} {self.kind}".strip()


def number(default: float, low: float, high: float, unit: str = "", about: str = "") -> Any:
    """A scene field with its range: checked on construction, and the slider that a widget shows for it."""
    return field(default=default, metadata={"low": low, "high": high, "unit": unit, "about": about})


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Everything that decides a simulated study; equal scenes give equal pixels.

    Attributes:
        seed: of this study: pose, noise, wording.
        patient: of the person, kept over their studies: vessel and bone pattern.
        visit: 0 for the first study.
        hospital: 0 is where models are trained; others shift exposure, contrast, noise, collimation and markers.
        findings: what is given explicitly; `all_findings` adds what follows from the numbers.
    """

    seed: int = field(default=0, metadata={"low": 0, "high": SEEDS - 1, "unit": "", "about": "study"})
    patient: int = field(default=0, metadata={"low": 0, "high": SEEDS - 1, "unit": "", "about": "patient"})
    visit: int = field(default=0, metadata={"low": 0, "high": 1000, "unit": "", "about": "visit"})
    hospital: int = field(default=0, metadata={"low": 0, "high": HOSPITALS - 1, "unit": "", "about": "hospital"})
    findings: tuple[Finding, ...] = ()

    kinds: ClassVar[dict[str, Kind]] = {}

    def __post_init__(self) -> None:
        for spec in dataclasses.fields(self):
            if "low" in spec.metadata:
                _check_number(spec, getattr(self, spec.name))
        object.__setattr__(self, "findings", tuple(self.findings))
        for finding in self.findings:
            _check_finding(finding, self.kinds)
        places = [finding.mask_name for finding in self.findings]
        if twice := sorted({place for place in places if places.count(place) > 1}):
            raise SceneError(f"findings holds {twice[0]!r} twice; give each kind at most once per side.")

    @property
    def all_findings(self) -> tuple[Finding, ...]:
        """Every finding that a report of this scene has to state; a modality adds those that its numbers imply."""
        return self.findings

    def find(self, kind: str, side: str | None = None) -> Finding | None:
        """The finding of that kind (and side, if one is named), or None."""
        match = (f for f in self.all_findings if f.kind == kind and side in (None, f.side))
        return next(match, None)

    def with_(self, **changes: Any) -> Scene:
        """A copy with some fields replaced, checked again."""
        return dataclasses.replace(self, **changes)

    def showing(self, finding: Finding) -> dict[str, Any]:
        """Numbers to change so that the scene can show a finding; a modality that shows one slice moves it."""
        return {}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` reads them back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Scene:
        """The scene that `to_dict` wrote. Raises SceneError for unknown fields."""
        known = {spec.name for spec in dataclasses.fields(cls)}
        if unknown := sorted(values.keys() - known):
            raise SceneError(f"{unknown[0]!r} is no field of {cls.__name__}; known: {', '.join(sorted(known))}.")
        findings = [Finding(**{**f, "at": tuple(f.get("at", (0.5, 0.5)))}) for f in values.get("findings", ())]
        return cls(**{**values, "findings": tuple(findings)})


def _check_number(spec: dataclasses.Field, value: Any) -> None:
    low, high, unit = spec.metadata["low"], spec.metadata["high"], spec.metadata["unit"]
    whole = isinstance(spec.default, int)
    right_type = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not right_type or not low <= value <= high:
        what = "a whole number" if whole else "a number"
        raise SceneError(f"{spec.name} is {value!r}; it must be {what} from {low} to {high}{unit and ' ' + unit}.")


def _check_finding(finding: Finding, kinds: dict[str, Kind]) -> None:
    if finding.kind not in kinds:
        raise UnknownNameError("finding", finding.kind, kinds)
    kind, name = kinds[finding.kind], finding.kind
    if kind.derived:
        raise SceneError(f"{name} follows from the scene's numbers; set those instead of listing it in findings.")
    for what, given, allowed in (("side", finding.side, kind.sides), ("region", finding.region, kind.regions)):
        if given not in (allowed or ("",)):
            choice = " or ".join(map(repr, allowed)) if allowed else "left empty"
            raise SceneError(f"{what} of {name} is {given!r}; it must be {choice}.")
    _check_value(f"amount of {name}", finding.amount, kind.graded, 0.0, 1.0, "")
    _check_value(f"measurement of {name}", finding.measurement, bool(kind.unit), kind.low, kind.high, kind.unit)
    if finding.amount == 0:
        raise SceneError(f"amount of {name} is 0; leave the finding out instead.")
    if len(finding.at) != 2 or not all(0 <= a <= 1 for a in finding.at):
        raise SceneError(f"at of {name} is {finding.at!r}; it must be two numbers from 0 to 1.")


def _check_value(what: str, value: float | None, wanted: bool, low: float, high: float, unit: str) -> None:
    if not wanted:
        if value is not None:
            raise SceneError(f"{what} is {value!r}; this kind has none.")
        return
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        raise SceneError(f"{what} is {value!r}; it must be a number from {low:g} to {high:g}{unit and ' ' + unit}.")
