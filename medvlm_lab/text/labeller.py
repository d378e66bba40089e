"""A rule labeller: which findings a report states, denies or leaves open.

    label("Small left effusion. No pneumothorax.")   # {"pleural effusion": "positive", "pneumothorax": "negative"}

Findings are known by the words of `findings.toml`. Cues before or after such a word decide what is said about it, as
far as its clause reaches (NegEx: Chapman et al., 2001; ConText: Harkema et al., 2009). On simulated chest reports its
statements equal the scene's findings. On the 3,927 reports of IU X-ray they agree with the MeSH codes that people gave
(nine findings, micro F1 .88; .81 before the rules were mended after reading some errors there): look at some labels of
your own reports before you count them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

from medvlm_lab.errors import UnknownNameError

Label = Literal["positive", "negative", "uncertain"]
CHEST, CHEXPERT = "chest", "chexpert"
NO_FINDING, DEVICES = "No Finding", "Support Devices"

RANK = ("positive", "uncertain", "negative", "hypothesis")  # what is said about a finding twice, best first
_GAP = r"(\s(?!and\b|but\b)[\w.%-]+){0,4}?"
_SEEN = "(seen|identified|visuali[sz]ed|visible|present|evident|demonstrated|appreciated|noted|observed|detected|there)"
_BE = "((is|are|was|were|be|been|has|have|had|now|completely|fully|entirely|since) )"
_END = r"(?=\W*$| (in|on|at|given|as)\b)"
_OUT = r"(be )?(\w+ly )?(excluded?|ruled? out)"

#: (what it says, whether it stands before the finding or after it, patterns). The first that fits at a place is taken,
#: so that "no increase" is not read as "no", nor "not excluded" as "not".
CUES = (
    ("nothing", "", (
        r"(no|without) (\w+ ){0,2}(increase|decrease|change|progression|improvement|worsening|enlargement)", "no doubt",
        r"(not|never) (only|just|merely|(\w+ly )?(changed|increased|decreased|progressed|resolved|cleared))",
        f"not {_SEEN} (on|in|at) the (prior|previous|earlier|last)",
        "(near|nearly|almost|partial|partially|incomplete)[ -](complete |completely )?(resolution|resolved|cleared)",
    )),
    ("uncertain", "both", (f"(not|cannot|can't|difficult to|hard to) {_OUT}",)),
    ("uncertain", "after", (
        "(may|might|could) be (present|there|seen)",
        f"({_BE}(possible|probable|likely|unlikely)|suspected|questioned){_END}",
    )),
    ("uncertain", "before", (
        "not (clear|certain|sure) (whether|if)", "may", "might", "could", "vs", "versus", "worrisome for",
        "possib(le|ly|ility of)", "probabl[ey]", "likely", "suspected", "suspicio(us|n) (for|of)", "concern(ing)? for",
        "questionabl[ey]", "question( of)?", "equivocal", "suggest(s|ed|ing|ive)?( of)?", "presum(ed|ably)",
    )),
    ("hypothesis", "before", (
        "(to |please )?rule out", "r/o", "to exclude", "if", r"correlat\w+( \w+)? for",
        r"(evaluat\w+|assess\w*|check|look|screen\w*) (for|of)",
    )),
    ("history", "before", ("history of", "h/o")),
    ("negative", "after", (
        f"{_BE}+(absent|gone|resolved|removed|cleared|excluded|ruled out|disappeared)", f"{_BE}*no longer", "none",
        rf"(cannot|not) (be )?(\w+ly )?{_SEEN}",
    )),
    ("negative", "both", ("resolved",)),
    ("negative", "before", (
        "no", "not", "without", "neither", "nor", "never", "nothing", "negative for", "(free|clear|absence|lack) of",
        "absent", "rather than", "denies", "excludes?", "ruled out", "removal of", "resolution of",
    )),
)  # fmt: skip

_SENTENCE = re.compile(r"(?<=[.?!])\s+|;|\n\s*(?:\n|[-•*])")  # lines may be wrapped inside a sentence
_HARD = re.compile(
    r"\b(?:but|however|although|though|while|whereas|yet|except(?: for)?|apart from|aside from|other than|besides|"
    r"which|despite|after|following|in the setting of|status post|s/p)\b"
)
_SOFT = re.compile(r"(,\s*(?:and\s+|with\s+)?|\s+and\s+|\s+with\s+)")
_VERB = re.compile(r"\b(is|are|was|were|has|have|shows?|appears?|remains?|demonstrates?|may|can|cannot|could)\b")
_OPENING = re.compile(
    r"(an?|small|tiny|trace|minimal|mild|moderate|large|massive|severe|marked|stable|unchanged|new|persistent|residual|"
    r"possible|probable|likely|suspected|questionable|worsening|increas\w+|improv\w+|left|right|bilateral|patchy)\b"
)


class Cue(NamedTuple):
    """What words say about the findings that they stand before, after, or on both sides of."""

    says: str
    side: str
    start: int


def label(report: str, vocabulary: str = CHEST) -> dict[str, Label]:
    """Each finding that the report speaks of: "positive", "negative" or "uncertain"; others are left out.

    What is said twice counts in that order: positive, uncertain, negative. A finding only looked for is uncertain.

    Args:
        vocabulary: `CHEST`, the findings of simulated chest X-rays, or `CHEXPERT`, the 14 of CheXpert.

    Raises UnknownNameError for another vocabulary.
    """
    words = _vocabulary(vocabulary)
    said: dict[str, set[str]] = {name: set() for name in words}
    for part in _SENTENCE.split(report.lower()):
        for name, found in _read(" ".join(part.split()), vocabulary):
            said[name] |= found
    labels = {name: next((r for r in RANK if r in found), "") for name, found in said.items()}
    labels = {name: "uncertain" if found == "hypothesis" else found for name, found in labels.items() if found}
    if NO_FINDING in words and not any(v != "negative" for k, v in labels.items() if k != DEVICES):
        labels[NO_FINDING] = "positive"
    return labels


@lru_cache(maxsize=2**14)  # reports repeat their sentences
def _read(sentence: str, vocabulary: str) -> list[tuple[str, set[str]]]:
    """(finding, what a lower-case sentence says about it) for each that it speaks of."""
    said, parts = [], [(clause, list(_cues(clause))) for clause in clauses(sentence)]
    for name, (says, denies) in _vocabulary(vocabulary).items():
        about = {_said(cues, *f.span()) for clause, cues in parts for f in (says.finditer(clause) if says else ())}
        if denies and (found := denies.search(sentence)) and not re.search(r"\b(?:not|no longer)\b", found[0]):
            about.add("negative")
        if about:
            said.append((name, about))
    return said


def positive(report: str, vocabulary: str = CHEST) -> frozenset[str]:
    """The findings that the report states."""
    return frozenset(name for name, found in label(report, vocabulary).items() if found == "positive")


def names(vocabulary: str = CHEST) -> tuple[str, ...]:
    """The findings that a vocabulary knows."""
    return tuple(_vocabulary(vocabulary))


def clauses(sentence: str) -> Iterator[str]:
    """Parts of a lower-case sentence out of which no cue reaches: lists stay whole, statements are parted."""
    for part in _HARD.split(sentence):
        pieces = _SOFT.split(part)
        clause = pieces[0]
        for i in range(1, len(pieces), 2):
            mark, piece, rest = pieces[i], pieces[i + 1], "".join(pieces[i + 1 :])
            if _opens(clause, mark, piece, rest):
                yield clause
                clause = piece
            else:
                clause += mark + piece
        yield clause


def _opens(clause: str, mark: str, piece: str, rest: str) -> bool:
    """Whether a piece begins a statement of its own instead of going on with a list."""
    if piece.startswith("there ") or (_OPENING.match(piece) and not re.search(r"\bn?or\b|/", rest)):
        return True
    alone = mark.strip() == "," and not re.search(r"\b(?:or|and)\b", rest) and not re.search(r"\bno\b", clause)
    return bool(_VERB.search(piece) and (_VERB.search(clause) or alone or piece.startswith("the ")))


def _cues(clause: str) -> Iterator[Cue]:
    for found in _cue_pattern().finditer(clause):
        says, side, _ = CUES[int(found.lastgroup[1:])]
        if side:
            yield Cue(says, side, found.start())


def _said(cues: list[Cue], start: int, end: int) -> str:
    """What the cues of a clause say about the finding named from `start` to `end`; one may stand inside the name."""
    reach = {c.says for c in cues if (c.side != "after" and c.start < end) or (c.side != "before" and c.start > start)}
    return next((s for s in ("history", "hypothesis", "negative", "uncertain") if s in reach), "positive")


@lru_cache(maxsize=1)
def _cue_pattern() -> re.Pattern:
    kinds = (f"(?P<k{i}>{'|'.join(patterns)})" for i, (*_, patterns) in enumerate(CUES))
    return re.compile(rf"(?<![\w-])(?:{'|'.join(kinds)})(?![\w-])")


@lru_cache(maxsize=4)
def _vocabulary(name: str) -> dict[str, tuple[re.Pattern | None, re.Pattern | None]]:
    data = tomllib.loads(Path(__file__).with_name("findings.toml").read_text(encoding="utf-8"))
    if name not in data:
        raise UnknownNameError("vocabulary", name, data)
    terms = {k: data[CHEST][v["same"]] if "same" in v else v for k, v in data[name].items()}
    return {k: (_pattern(v.get("says")), _pattern(v.get("denies"))) for k, v in terms.items()}


def _pattern(patterns: list[str] | None) -> re.Pattern | None:
    return re.compile(rf"(?<![\w-])(?:{'|'.join(patterns)})(?![\w-])".replace("~", _GAP)) if patterns else None
