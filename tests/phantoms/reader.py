"""Reads reports by rules of its own, knowing nothing of the grammar that wrote them."""

import re
from dataclasses import dataclass

KINDS = {
    "cardiomegaly": r"cardiomegaly|\bheart\b|cardiac|cardiothoracic",
    "hyperinflation": r"hyperinflat|lung volumes|normally expanded",
    "pulmonary edema": r"pulmonary edema",
    "consolidation": r"consolidation",
    "nodule": r"nodule",
    "pleural effusion": r"pleural effusion",
    "pneumothorax": r"pneumothorax",
    "rib fracture": r"fracture|break in the",
    "pacemaker": r"pacemaker",
    "central line": r"central line",
    "endotracheal tube": r"endotracheal tube|intubated",
    "nasogastric tube": r"nasogastric tube",
    "sternotomy wires": r"sternotomy",
}
DEVICES = {"pacemaker", "central line", "endotracheal tube", "nasogastric tube", "sternotomy wires"}
LUNGS = ("hyperinflation", "pulmonary edema", "consolidation", "nodule")
SUMMARIES = (
    (r"lungs?\b.*(clear|unremarkable|normal|abnormality)|clear lungs|lung fields are clear", LUNGS[1:]),
    (r"pleural (spaces|surfaces) are (clear|unremarkable|normal)", ("pleural effusion", "pneumothorax")),
    (r"costophrenic angles are sharp", ("pleural effusion",)),
    (r"(bones|thorax|structures) (is|are) (intact|unremarkable)|skeleton shows no|ribs are", ("rib fracture",)),
    (
        r"no acute (cardiopulmonary )?(abnormality|process)|^(normal|unremarkable) |without pathological|"
        r"nothing abnormal",
        tuple(k for k in KINDS if k not in DEVICES),
    ),
)
DENIALS = r"\b(no|not|without|neither|negative|free of|absent|normal|normally|unremarkable|resolved|gone)\b"
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
    mm: int | None = None
    ratio: float | None = None


def sentences(text: str) -> list[str]:
    return [s for s in re.split(r"(?<=[.?])\s+(?=[A-Z0-9])", text) if s]


def claims(sentence: str) -> list[Claim]:
    """What the sentence says, each finding that it names."""
    text = sentence.lower().strip()
    for pattern, kinds in SUMMARIES:
        other = re.search(r"lung volumes|not hyperinflated|normally expanded|fracture", text)
        if re.search(pattern, text) and not other:
            return [Claim(kind, False) for kind in kinds]
    text = re.sub(r"right (atrium|ventricle)", "", text)
    present = not re.search(DENIALS, text) or bool(re.search(STILL_THERE, text))
    sides = [s for s in ("left", "right") if re.search(rf"\b{s}\b", text)]
    if re.search(r"bilateral pleural|both sides|both costophrenic angles", text):
        sides = ["left", "right"]
    severity = next((s for s, p in SEVERITIES.items() if re.search(p, text)), "")
    region = re.search(r"(upper|middle|lower) lobe|lingula|(upper|mid|lower) zone|\dth rib", text)
    mm, ratio = re.search(r"(\d+) mm", text), re.search(r"\b(0\.\d\d)\b", text)
    found = [kind for kind, pattern in KINDS.items() if re.search(pattern, text)]
    if "pacemaker" in found and "cardiomegaly" in found:
        found.remove("cardiomegaly")  # leads project over the heart
    return [
        Claim(
            kind, present, side, severity, region[0] if region else "", int(mm[1]) if mm else None,
            float(ratio[1]) if ratio else None,
        )
        for kind in found
        for side in (sides or [""])
    ]


def disagreement(claim: Claim, scene) -> str:
    """Why the claim is wrong about the scene; empty if it is right."""
    found = [f for f in scene.all_findings if f.kind == claim.kind and claim.side in ("", f.side)]
    if claim.ratio is not None and abs(claim.ratio - scene.cardiothoracic_ratio) > 0.0051:
        return f"ratio {scene.cardiothoracic_ratio:.3f}"
    if not claim.present:
        return "it is there" if found else ""
    fitting = [
        f
        for f in found
        if claim.severity in ("", f.severity) and claim.region in ("", f.region) and claim.mm in (None, f.measurement)
    ]
    return "" if fitting else f"there is {found or 'none'}"
