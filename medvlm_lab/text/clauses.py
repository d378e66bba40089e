"""A report → sentences → clauses → pieces, and which pieces a cue reaches.

A cue ("no", "cannot be excluded") speaks of the findings of its own clause. Inside a clause, lists stay whole ("no
nodule, consolidation or edema"), and statements are parted ("no nodule, the heart is large").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from textwrap import wrap
from typing import NamedTuple

LONGEST = 600  # characters: a longer sentence is cut, so that time grows with the length of the report only
WRAPPED = 50  # characters: only a longer line may have been wrapped inside a sentence

_NOTHING = "no|none|nil|yes|absent|present|not seen"
_PLAIN = (  # long runs first: they would cost quadratic time
    (r"[^\S\n]+", " "), (r"(?: ?\n){2,} ?", "\n\n"), (r"([?!.,;:()=/-])\1{2,}", r"\1\1"),
    (r"[’‘ʼ´`]", "'"), (r"[–—−]|--+", " - "),
    (r"\( ?- ?\)|(?<!\w)- ?ve\b|\bneg\b(?!-)", " negative "),
    (r"\( ?\+ ?\)|\+ ?ve\b", " present "), (r"\bpos\b", "positive"),
    (r"(?<=[\w:]) ?-(?= ?(?:[,.;]|$))", " negative"), (r"(?<=[\w:]) ?\+(?= ?(?:[,.;]|$))", " present"),
    (rf"\?\s+(?=(?:{_NOTHING})(?: seen| identified| visible| evident)?\s*(?:[.;,\n]|$))", ": "),
    (r"\s=\s", ": "), (r"\(\?\)", " ?"), (r"\?(?=\w)", "? "),
    (r"\((s|es|ies)\)", r"\1"), (r"\s*[()]\s*", ", "), (r", ([.;:,])", r"\1"), (r"^, ", ""),
    (r"\bcan't\b|\bcan not\b", "cannot"), (r"\bwon't\b", "will not"), (r"n't\b", " not"),
    (r"\b(there|it|that|here)'s\b", r"\1 is"),
    (r"\bw/o\b", "without"), (r"\bw/(?=\s|\w)", "with "), (r"\bvs\.", "vs"),
    (r"\b(\w{4,30})-free\b", r"\1 absent"), (r"\bst\. ", "st "),
)  # fmt: skip
_WRITTEN_OUT = [(re.compile(pattern, re.IGNORECASE), instead) for pattern, instead in _PLAIN]
_GOES_ON = re.compile(  # the end of a line that was wrapped inside a sentence
    r"(?:(?:^|[\s,/])(?:no|not|nor|or|and|of|the|an?|in|on|at|to|with|without|for|from|by|is|are|was|were|any|be|than|as|"
    r"which|that|left|right|focal|acute|pleural|pulmonary|small|large|new|upper|lower)|[,/])$",
    re.IGNORECASE,
)
_CONTINUES = re.compile(r"(?:or|and|nor|but|of|in|on|at|with|without|is|are|was|were|has|have|seen|identified)\b")
_STOP = re.compile(r"(?<=[.!])\s+|(?<=\S\?)\s+|\s*;\s*|(?<=[a-z)])\.(?=[A-Z])")
_BULLET = re.compile(r"\s*(?:[-•*]|\d+[.)])\s+")

_HARD = re.compile(
    r"\b(?:but(?! clear)|however|although|though|while|whilst|whereas|yet|except(?:ing)?(?: for)?|apart from|"
    r"aside from|other than|besides|despite|in spite of|because(?: of)?|so|after|following|post|"
    r"in the (?:setting|presence|context) of|"
    r"in (?:this|a|an|the) (?:[\w-]+ ){0,4}?(?:patients?|wom[ae]n|m[ae]n|(?:fe)?male|child|infant|boy|girl|person)"
    r"(?: with| who)?|"
    r"given|instead(?! of)|status post|s/p|(?<!not )(?:only|merely|just|solely|simply))\b"
)
_LABEL = re.compile(r"\s*:(?!\d)\s*|\s+-\s+")
_MARK = re.compile(r"\s*,\s*(?:(?:and|or|nor|with|which)\s+)?|\s+(?:and|or|nor|with|which)\s+|\s*/\s*")
_VERB = re.compile(
    r"\b(?:is|are|was|were|has|have|had|shows?|appears?|remains?|demonstrates?|may|can|cannot|could|might|contains?|"
    r"measures?|seems?|looks?|persists?)\b"
)
_SUBJECTLESS = re.compile(
    r"(?:(?:(?!cardiomegaly)\w+ly|now|since|also|then|yet) )*(?:is|are|was|were|has|have|had|may|can|cannot|could|"
    r"might|appears?|remains?|seems?|not|no longer|none|resolved|gone|absent|removed|cleared|"
    r"(?:un)?likely|possible|probable|suspected|if)\b|\?"
)
_SEEN = re.compile(
    r"\b(?:seen|identified|visuali[sz]ed|visible|present|evident|demonstrated|appreciated|noted|observed|detected|found|shown)\b"
)
_STATE = re.compile(
    r"\b(?:stable|unchanged|larger|smaller|increased|decreased|improved|improving|worse|worsened|resolved|gone|absent|"
    r"moderate|mild|small|tiny|as before|intact)\W*$|\bagain\b|\bnoted (?:on|in|at)\b|"
    r"\b(?:in place|in (?:\w+ )?position)\b"
)
_OPENING = re.compile(
    r"(?:an?|one|small|tiny|trace|minimal|mild|moderate|large|massive|severe|marked|stable|unchanged|new|persistent|"
    r"residual|possib\w+|probabl\w+|likely|perhaps|maybe|potential|suspected|questionable|worsening|increas\w+|improv\w+|"
    r"left|right|bilateral|patchy|known|old|healed|chronic|again|there|definite|definitely|obvious|positive)\b|\?"
)


class Piece(NamedTuple):
    """A part of a clause: where it begins and ends, and the groups that share the cues before and after them.

    `ends` is the conjunction in which the list ends that the piece goes on with, "" without such a list.
    """

    start: int
    end: int
    forward: int
    backward: int
    ends: str = ""


def plain(text: str) -> str:
    """The text with contractions, shorthand and typographic marks written out; case and line ends stay."""
    for pattern, instead in _WRITTEN_OUT:
        text = pattern.sub(instead, text)
    return text


def sentences(report: str) -> Iterator[str]:
    """The sentences of a report in plain lower case, none longer than `LONGEST` characters."""
    for line in _lines(plain(report)):
        for sentence in _STOP.split(line.lower()):
            for part in wrap(sentence, LONGEST, break_on_hyphens=False):
                yield re.sub(r"(?<=\S)\?$", " ?", part)


def _lines(text: str) -> Iterator[str]:
    """Lines, where those that a writer wrapped inside a sentence are joined."""
    held: list[str] = []
    for line in text.split("\n"):
        bullet = _BULLET.match(line)
        line = line[bullet.end() if bullet else 0 :].strip()
        if held and (bullet or not line or not _wrapped(held[-1], line)):
            yield " ".join(held)
            held = []
        held += [line] if line else []
    yield " ".join(held)


def _wrapped(before: str, line: str) -> bool:
    """Whether a line goes on with the sentence of the line before it."""
    goes_on = _GOES_ON.search(before) or _CONTINUES.match(line)
    return bool(goes_on) or (line[0].islower() and len(before) >= WRAPPED)


def statements(sentence: str, finding: re.Pattern) -> Iterator[str]:
    """Parts of a sentence out of which no cue reaches; a label and its answer ("pneumothorax: none") are one.

    Args:
        finding: what names a finding; an answer names none.
    """
    for part in _HARD.split(sentence):
        held = ""
        for piece in _LABEL.split(part):
            answer, comma, rest = piece.partition(",")
            if held and piece and not finding.search(answer):
                held = f"{held} is {answer}"
                if comma and not finding.search(rest):
                    held, rest = f"{held},{rest}", ""
                if not rest:
                    continue
                piece = rest.strip()
            if held:
                yield held
            held = piece
        if held.strip():
            yield held.strip()


def pieces(clause: str, finding: re.Pattern) -> list[Piece]:
    """The pieces of a clause between commas, slashes, "and", "or" and "with"."""
    marks = list(_MARK.finditer(clause))
    starts, ends = [0, *(m.end() for m in marks)], [*(m.start() for m in marks), len(clause)]
    texts = [clause[a:b] for a, b in zip(starts, ends, strict=True)]
    said = ["", *("," if m[0] == " / " else m[0].strip() for m in marks)]  # a slash between blanks parts statements
    listed = _listed(said, texts)
    parts, forward, backward, verb = [], 0, 0, False
    for i, text in enumerate(texts):
        if i and _opens(said[i], text, listed[i], verb):
            forward, verb = forward + 1, False
        if i and not _shares(said[i], texts[i - 1], text, listed[i], finding):
            backward += 1
        verb = verb or bool(_VERB.search(text))
        parts.append(Piece(starts[i], ends[i], forward, backward, listed[i]))
    return parts


def _listed(marks: list[str], texts: list[str]) -> list[str]:
    """The conjunction ("or", "nor", "and", "/") in which a list ends that goes on at each mark; "" where none does."""
    found = [""] * len(marks)
    for i in range(len(marks) - 1, 0, -1):
        last = marks[i].strip(", ")
        goes_on = i + 1 < len(marks) and not _VERB.search(texts[i])
        found[i] = last if last in ("or", "nor", "and", "/") else found[i + 1] if last == "" and goes_on else ""
    return found


def _opens(mark: str, piece: str, listed: str, verb: bool) -> bool:
    """Whether a piece begins a statement of its own, which the cues before it do not reach."""
    mark = mark.strip()
    if mark.endswith("which") or piece.startswith(("there ", "the patient ", "no ", "without ")):
        return True
    if listed in ("or", "nor", "/"):
        return False
    if _OPENING.match(piece) or (mark.endswith("with") and piece.startswith("the ")):
        return True
    if _SUBJECTLESS.match(piece):
        return False
    if _VERB.search(piece) or _STATE.search(piece):
        return not _SEEN.search(piece) or bool(_STATE.search(piece)) or verb or piece.startswith("the ")
    return False


def _shares(mark: str, before: str, piece: str, listed: str, finding: re.Pattern) -> bool:
    """Whether what is said after a piece speaks of the one before it, too."""
    mark = mark.strip()
    if not finding.search(piece):
        return mark.endswith("which") or bool(_SUBJECTLESS.match(piece)) or not _VERB.search(piece)
    if not listed or _VERB.search(before) or _STATE.search(before) or _SEEN.search(before):
        return False
    return mark in ("and", "or", "nor", "/") or not re.search(r"\b(?:in|on|at|of)\b", before)


def clauses(sentence: str) -> Iterator[str]:
    """Parts of a lower-case sentence that share the cues before them: lists stay whole, statements are parted."""
    parts = pieces(sentence, re.compile("$^"))
    for i, part in enumerate(parts):
        if not i or part.forward != parts[i - 1].forward:
            last = max(p.end for p in parts if p.forward == part.forward)
            yield sentence[part.start : last]
