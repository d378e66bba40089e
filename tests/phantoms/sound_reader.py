"""Reads reports on heart sounds by rules of its own, knowing nothing of the grammar that wrote them."""

import re

KINDS = {
    "systolic murmur": r"systolic murmur|(murmur|is heard) (in|during) systole|in systole a|"
    r"systole (contains|carries|holds)|between s1 and s2",
    "diastolic murmur": r"diastolic murmur|(murmur|is heard|fills) (in |during |)diastole|"
    r"diastole (contains|carries|holds|is filled)",
    "third heart sound": r"third heart sound|\bs3\b",
    "fourth heart sound": r"fourth heart sound|\bs4\b",
    "wide splitting": r"split|s1 and s2 are normal|second heart sound (is|are) (unremarkable|normal)",
    "tachycardia": r"tachycardia|too fast|fast at|rate is (fast|increased)",
    "bradycardia": r"bradycardia|too slow|slow at|rate is (slow|decreased)",
}
MURMURS = ("systolic murmur", "diastolic murmur")
SUMMARIES = (
    (r"^(no|there are no) murmurs|systole and diastole are free|neither systole nor", MURMURS),
    (r"^systole is silent|^nothing is heard (between|during systole)", ("systolic murmur",)),
    (r"^diastole is free", ("diastolic murmur",)),
    (r"extra heart sounds|gallops|without extra sounds|beside s1", ("third heart sound", "fourth heart sound")),
    (r"rate is normal|regular r|normal rate|which is normal", ("tachycardia", "bradycardia")),
    (
        r"heart sounds( at the \w+ area)?(, rate \d+ bpm)?\.$|no (murmur|abnormality) on|auscultation without|"
        r"nothing abnormal",
        tuple(KINDS),
    ),
)
DENIALS = r"\b(no|not|without|negative|free of|normal|normally|unremarkable|resolved|gone)\b"


def sentences(text):
    return [s for s in re.split(r"(?<=[.?])\s+(?=[A-Z0-9])", text) if s]


def claims(sentence):
    """(kind, present, grade, shape, rate, site) for each finding that the sentence names."""
    text = sentence.lower()
    grade, rate = re.search(r"(\d) of 6", text), re.search(r"(\d+) (bpm|beats|times)", text)
    site = re.search(r"(\w+) area", text)
    details = (int(rate[1]) if rate else None, site[1] if site else None)
    for pattern, kinds in SUMMARIES:
        named = re.search(r"^(no|there is no) (evidence|sign)|negative for|as far as", text)
        if re.search(pattern, text) and not named and (len(kinds) < 7 or not re.search(r"third|fourth|second", text)):
            return [(kind, False, None, "", *details) for kind in kinds]
    present = not re.search(DENIALS, text) or bool(re.search(r"was not (present|heard) in the prior", text))
    shape = re.search(r"holosystolic|crescendo-decrescendo|\bearly\b|\bmid\b", text)
    found = [kind for kind, pattern in KINDS.items() if re.search(pattern, text)]
    if "third heart sound" in found or "fourth heart sound" in found:  # "after S2", "in early diastole"
        shape = None
    return [(k, present, int(grade[1]) if grade else None, shape[0] if shape else "", *details) for k in found]


def disagreement(claim, scene, sites):
    """Why the claim is wrong about the scene; empty if it is right."""
    kind, present, grade, shape, rate, site = claim
    finding = scene.find(kind)
    if rate is not None and abs(rate - scene.heart_rate_bpm) > 0.51:
        return f"rate {scene.heart_rate_bpm}"
    if site is not None and site != sites[scene.site]:
        return f"site {sites[scene.site]}"
    if present != (finding is not None):
        return f"there is {finding}"
    if finding and grade not in (None, finding.measurement):
        return f"grade {finding.measurement}"
    return "" if not finding or shape in ("", finding.region) else f"it is {finding.region}"
