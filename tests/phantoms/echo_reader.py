"""Reads echocardiography reports by rules of its own, knowing nothing of the grammar that wrote them."""

import re

VENTRICLE = ("reduced ejection fraction", "dilated left ventricle", "left ventricular hypertrophy")
DEVICES = {"pacemaker lead", "MitraClip", "TAVR valve"}
KINDS = {
    "pacemaker lead": r"\blead\b|pacemaker wire",
    "MitraClip": r"mitraclip|\bclip\b",
    "TAVR valve": r"tavr|prosthesis|prosthetic|transcatheter",
    "pericardial effusion": r"pericardi|around the heart",
    "dilated left atrium": r"left atri|\bla\b|atria\b|atrial size",
    "left ventricular hypertrophy": r"hypertrophy|thick",
    "reduced ejection fraction": r"ejection fraction|lvef|systolic|contract|ejects",
    "dilated left ventricle": r"(ventricle|lv|ventricular cavity) is (\w+ly )?(dilated|"
    r"enlarged|not dilated|normal in size|of normal size)|(ventricular|lv) (size|volume|enlargement|dilatation)|"
    r"dilatation of the left ventricle|dilated left ventricle|size of the left ventricle|end-diastolic",
}
EVERYTHING = tuple(k for k in KINDS if k not in DEVICES)
SEVERITIES = {
    "mild": r"\b(mild|mildly|small)\b", "moderate": r"\bmoderate(ly)?\b", "severe": r"\b(severe|severely|large)\b",
}
DENIALS = r"\b(no|not|without|negative|free of|normal|normally|preserved|unremarkable|resolved|gone|nothing)\b"


def sentences(text):
    return [s for s in re.split(r"(?<=[.?])\s+(?=[A-Z0-9])", text) if s]


def claims(sentence):
    """(kind, present, severity, numbers) for each finding that the sentence names."""
    text = sentence.lower()
    numbers = {unit: int(v) for v, unit in re.findall(r"(\d+) ?(%|ml|mm|beats)", text)}
    present = not re.search(DENIALS, text) or bool(re.search(r"was not (present|seen) on the prior", text))
    severity = next((s for s, p in SEVERITIES.items() if re.search(p, text)), "")
    if re.search(r"^(measure|dimensions|figures)", text):
        volumes = re.findall(r"(ventricle|diastolic volume|atri\w+|atrial volume)(?: holds)? (\d+) ml", text)
        assert len(volumes) == 2, text
        named = [("atrium" if what[0] == "a" else "ventricle", True, "", {"ml": int(ml)}) for what, ml in volumes]
        return [("rate", True, "", {k: v for k, v in numbers.items() if k != "ml"}), *named]
    if re.search(r"^heart rate", text):
        return [("rate", True, "", numbers)]
    if re.search(r"echocardiogra|cardiac ultrasound|cardiac abnormality|abnormal in the heart", text):
        return [(kind, False, "", numbers) for kind in EVERYTHING]
    if re.search(r"ventricle.*in size.*(function|contraction)|ventricular size and systolic", text):
        return [(kind, False, "", numbers) for kind in VENTRICLE]
    found = [kind for kind, pattern in KINDS.items() if re.search(pattern, text)]
    if "MitraClip" in found or "TAVR valve" in found or "pacemaker lead" in found:
        found = found[:1]
    return [(kind, present, severity, numbers) for kind in found]


def disagreement(claim, scene):
    """Why the claim is wrong about the scene; empty if it is right."""
    kind, present, severity, numbers = claim
    finding = scene.find(kind) if kind not in ("rate", "ventricle", "atrium") else None
    ml = scene.atrium_ml if kind in ("dilated left atrium", "atrium") else scene.ventricle_ml
    right = {"%": scene.ejection_fraction_percent, "mm": scene.wall_mm, "beats": scene.heart_rate_bpm, "ml": ml}
    for unit, value in numbers.items():
        if abs(value - right[unit]) > 0.51:
            return f"{unit} {right[unit]}"
    if kind in ("rate", "ventricle", "atrium"):
        return ""
    if present != (finding is not None):
        return f"there is {finding}"
    return "" if not finding or severity in ("", finding.severity) else f"it is {finding.severity}"
