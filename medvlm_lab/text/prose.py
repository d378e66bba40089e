"""Words of a word-level vocabulary → a text that reads well, and a report's sections and sentences."""

from __future__ import annotations

import re

_KINDS = {
    "findings": r"findings?", "impression": r"impressions?|conclusions?|opinion|summary|interpretation|assessment",
}  # fmt: skip
_NAMES = "|".join(_KINDS.values())
_MORE = r"(?:[ \t]*(?:,|/|&|\band\b|\bor\b)[ \t]*[a-z]+|[ \t]+impressions?|[ \t]*\([a-z]+\))*"
_FIRST = r"(?:(?:provisional|preliminary|final|additional|chest|radiographic|radiological|overall|imaging)[ \t]+)*"
#: Headings of findings or impression, with a colon in any case ("Findings:", "IMPRESSION AND RECOMMENDATION:").
HEADING = re.compile(rf"\b{_FIRST}(?:{_NAMES})\b{_MORE}[ \t]*\**[ \t]*:[ \t]*\**\s*", re.IGNORECASE)
_MESSAGES = (  # what somebody was told, or has still to do: never findings, never impression
    r"notifications?|communications?|recommendations?|addendum|signed|dictated|attestation|attending|resident|"
    r"radiologist|physician|critical|discussed"
)
_OTHER = (
    rf"{_MESSAGES}|techniques?|comparisons?|indications?|history|examinations?|exam|study|reasons?|wet read|dose|"
    r"contrast|procedures?|views?|clinical|information|limitations?|patient|date|final report"
)
_LINE = r"(?:^|(?<=\n))[ \t*#]*"
_HEADINGS = re.compile(
    rf"(?:^|(?<=[\n.!?:*#]))[ \t*#]*(?P<known>{_FIRST}(?:{_NAMES})\b{_MORE})[ \t]*\**[ \t]*:[ \t]*\**"  # in any case
    r"|(?<=\s)(?P<inline>(?-i:F(?:inding|INDING)|I(?:mpression|MPRESSION)|C(?:onclusion|ONCLUSION))s?)[ \t]*:"
    rf"|{_LINE}(?P<alone>{_FIRST}(?:{_NAMES}){_MORE})[ \t]*\**[ \t]*(?:-+[ \t]|(?=\n|$))"  # without a colon
    rf"|{_LINE}(?P<capitals>(?-i:(?:FINDING|IMPRESSION|CONCLUSION)S?(?:[ /]+[A-Z]{{3,}})*))[ \t]+(?=[A-Z0-9])"
    rf"|(?:{_LINE}|(?<=[.!?][ \t]))(?P<other>(?:[\w/&()-]+[ \t]+){{0,3}}?\b(?:{_OTHER})\b(?:\(s\))?"
    r"(?:[ \t]+[\w/&()-]+){0,4})[ \t]*\**:",
    re.IGNORECASE,
)
_MESSAGE = re.compile(rf"\b(?:{_MESSAGES})\b", re.IGNORECASE)
_CAPITALS = re.compile(r"^[ \t]*([A-Z][A-Z ,/()&-]*):", re.MULTILINE)
SENTENCE = re.compile(r"\S.*?(?:[.!?](?=\s|$)|$)", re.DOTALL)


def tidy(text: str) -> str:
    """Lower-case words with blanks between all tokens → sentences: "ct ratio is 0 . 40 ." → "Ct ratio is 0.40."."""
    text = re.sub(r"(?<=\d)\s*\.\s*(?=\d)", ".", text)
    text = re.sub(r"\s*([-/])\s*", r"\1", text)
    text = re.sub(r"\s+([.,:;?%)])", r"\1", text)
    text = re.sub(r"\bx-ray\b", "X-ray", text)
    return re.sub(r"(^|[.?:]\s+)([a-z])", lambda m: m[1] + m[2].upper(), text).strip()


def sections(text: str) -> dict[str, str]:
    """What stands under each heading of a report; what stands before the first one is findings."""
    return _under(text)


def report_sections(text: str) -> dict[str, str]:
    """Findings and impression of a whole report, in one line each.

    "Conclusion" is an impression; notifications, comparisons and the like are neither, nor is what stands before the
    first heading. A report without such a heading has as findings what its last other heading holds.
    """
    found = _under(text, before=False)
    if not any(found.values()):
        before, *rest = _CAPITALS.split(text)
        held = [("", before), *zip(rest[::2], rest[1::2], strict=True)]
        found["findings"] = next((body for heading, body in reversed(held) if not _MESSAGE.search(heading)), "")
    return {kind: " ".join(body.split()) for kind, body in found.items()}


def kind_of(heading: str) -> str:
    """ "findings" or "impression", whichever a heading names first; "" for another one."""
    kinds = "|".join(f"(?P<{kind}>{names})" for kind, names in _KINDS.items())
    named = re.search(rf"\b(?:{kinds})\b", heading, re.IGNORECASE)
    return named.lastgroup if named else ""


def _under(text: str, before: bool = True) -> dict[str, str]:
    """What stands under the headings of findings and impression; `before`: findings begin with the text."""
    found, kind, start, message = {"findings": "", "impression": ""}, "findings" if before else "", 0, False
    for heading in [*_HEADINGS.finditer(text), None]:
        if heading and message and text[: heading.start()].rpartition("\n")[2].strip():
            continue  # "NOTIFICATION: Findings: ..." on one line
        body = text[start : heading.start() if heading else len(text)].strip()
        if kind:
            found[kind] = f"{found[kind]} {body}".strip()
        if heading:
            kind, start = "" if heading["other"] else kind_of(heading[0]), heading.end()
            message = bool(heading["other"] and _MESSAGE.search(heading["other"]))
    return found
