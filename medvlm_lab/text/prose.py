"""Words of a word-level vocabulary → a text that reads well, and a report's sections and sentences."""

from __future__ import annotations

import re

HEADING = re.compile(r"\b(findings|impression)\s*:\s*", re.IGNORECASE)
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
    found = {"findings": "", "impression": ""}
    before, *rest = HEADING.split(text)
    for heading, body in [("findings", before), *zip(rest[::2], rest[1::2], strict=True)]:
        key = heading.lower()
        found[key] = f"{found[key]} {body}".strip()
    return found
