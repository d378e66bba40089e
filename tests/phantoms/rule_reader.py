"""Reads the reports of any modality by rules of its own, knowing nothing of the grammar that wrote them."""

import re
from dataclasses import dataclass

DENIALS = r"\b(no|not|without|neither|nothing|negative|free of|absent|normal|normally|unremarkable|resolved|gone)\b"
STILL_THERE = r"was not (present|seen) on the prior"
SEVERITIES = {
    "mild": r"\b(mild|mildly|small)\b",
    "moderate": r"\bmoderate(ly)?\b",
    "severe": r"\b(severe|severely|large)\b",
}


@dataclass(frozen=True)
class Claim:
    kind: str
    present: bool
    side: str = ""
    severity: str = ""
    region: str = ""
    value: float | None = None


@dataclass(frozen=True)
class Rules:
    """What the words of one modality mean.

    kinds: finding → pattern that names it. summaries: pattern → findings that a sentence denies all at once.
    regions: pattern of places. value: pattern with one group, the number of a measurement.
    """

    kinds: dict[str, str]
    summaries: tuple[tuple[str, tuple[str, ...]], ...]
    regions: str = r"(?!)"
    value: str = r"(\d+) mm"
    both: str = r"bilateral|both sides|either side|neither kidney"

    def claims(self, sentence: str) -> list[Claim]:
        """What the sentence says, each finding that it names."""
        text = sentence.lower().strip()
        for pattern, kinds in self.summaries:
            if re.search(pattern, text):
                return [Claim(kind, False) for kind in kinds]
        text = (
            text.replace("free air", "pneumoperitoneum").replace("free fluid", "ascites").replace("no change", "stable")
        )
        present = not re.search(DENIALS, text) or bool(re.search(STILL_THERE, text))
        sides = [s for s in ("left", "right") if re.search(rf"\b{s}\b(?! (lobe|atrium|ventricle))", text)]
        if re.search(self.both, text):
            sides = ["left", "right"]
        severity = next((s for s, p in SEVERITIES.items() if re.search(p, text)), "")
        region, value = re.search(self.regions, text), re.search(self.value, text)
        return [
            Claim(kind, present, side, severity, region[0] if region else "", float(value[1]) if value else None)
            for kind, pattern in self.kinds.items()
            if re.search(pattern, text)
            for side in (sides if sides else [""])
        ]

    def kind_of(self, question: str) -> str:
        text = question.lower().replace("free air", "pneumoperitoneum").replace("free fluid", "ascites")
        return next(k for k, pattern in self.kinds.items() if re.search(pattern, text))


def sentences(text: str) -> list[str]:
    return [s for s in re.split(r"(?<=[.?])\s+(?=[A-Z0-9])", text) if s]


def disagreement(claim: Claim, scene) -> str:
    """Why the claim is wrong about the scene; empty if it is right."""
    found = [f for f in scene.all_findings if f.kind == claim.kind and claim.side in ("", f.side)]
    if not claim.present:
        return "it is there" if found else ""
    fitting = [
        f
        for f in found
        if claim.severity in ("", f.severity)
        and claim.region in ("", f.region)
        and (claim.value is None or f.measurement is None or abs(claim.value - f.measurement) < 0.051)
    ]
    return "" if fitting else f"there is {found or 'none'}"


def check_report(phantom, rules: Rules, scene, wording: str) -> None:
    """Every sentence is understood and true, every finding is stated, the conclusion names exactly the diseases."""
    report = phantom.report(scene, wording=wording)
    stated, concluded = set(), set()
    for paragraph in (report.findings, report.impression):
        for sentence in sentences(paragraph):
            read = rules.claims(sentence)
            assert read, f"not understood: {sentence}"
            for claim in read:
                wrong = disagreement(claim, scene)
                assert not wrong, f"{sentence!r} says {claim}, but {wrong}"
                if claim.present:
                    (stated if paragraph is report.findings else concluded).add((claim.kind, claim.side))
    for f in scene.all_findings:
        assert (f.kind, f.side) in stated, f"{f.mask_name} is missing from {report.findings!r}"
    diseases = {f.kind for f in scene.all_findings if not scene.kinds[f.kind].device}
    assert {kind for kind, _ in concluded} == diseases, report.impression


def check_questions(phantom, rules: Rules, scene, wording: str, own: dict[str, str] | None = None) -> None:
    """Closed answers are true; open ones come from the finding that they are about.

    own: questions of this modality alone, as pattern → the only right answer.
    """
    asked = phantom.questions(scene, wording=wording)
    by_mask = {f.mask_name: f for f in scene.all_findings}
    assert len(asked) >= 6
    for q in asked:
        if right := [answer for pattern, answer in (own or {}).items() if re.search(pattern, q.question.lower())]:
            assert q.answer in right, (q, right)
        elif q.question_type in ("POS", "SIZE") or (q.question_type == "ATTRIB" and q.mask_name):
            f = by_mask[q.mask_name]
            unit = scene.kinds[f.kind].unit
            size = f"{f.measurement:g} {unit}" if f.measurement else ""
            assert q.answer in {f.side, f.severity, f.region, f"{f.side} {f.region}".strip(), size} - {""}
        elif q.question_type == "ABN" and q.closed:
            sick = any(not scene.kinds[f.kind].device for f in scene.all_findings)
            assert q.answer == ("no" if sick else "yes")
        elif q.question_type == "PRES":
            text = q.question.lower()
            side = next((s for s in ("left", "right") if re.search(rf"\b{s}\b", text)), "")
            wrong = disagreement(Claim(rules.kind_of(text), q.answer == "yes", side), scene)
            assert not wrong, f"{q} but {wrong}"
            assert bool(q.mask_name) == (q.answer == "yes")


def check_changes(phantom, rules: Rules, now, before, wording: str) -> None:
    """What the report says about the prior study is true."""
    for sentence in sentences(phantom.report(now, wording=wording, prior=before).findings):
        for claim in rules.claims(sentence):
            assert not disagreement(claim, now), sentence
            if re.search("is new|was not|has appeared", sentence):
                assert not before.find(claim.kind, claim.side)
            if re.search("resolved|no longer|has gone", sentence):
                assert before.find(claim.kind, claim.side)
