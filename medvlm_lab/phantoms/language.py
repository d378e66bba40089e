"""A small grammar for reports and questions: sentence patterns as data, expanded by a seeded choice.

    "There is (a|evidence of a) <size> <side> pleural effusion[ with a blunted angle]."

`(x|y)` is a choice, `[x]` may be left out, `<slot>` is filled in. Groups nest. A form is a pattern with every choice
made and the slots still open; `forms` lists them, so that they can be counted.
"""

from __future__ import annotations

import re
import tomllib
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from medvlm_lab.errors import MedVLMError, UnknownNameError

WORDING = Path(__file__).parent / "wording"
WORDINGS = ("usual", "held-out")  # no form belongs to both
TAUGHT = "taught"  # the usual forms and more: only models in training are asked in these words

Node = str | tuple["Node", ...]  # text, or alternatives; a pattern is a sequence of nodes


@lru_cache(maxsize=4096)
def parse(pattern: str) -> tuple:
    """The pattern as a tree: a tuple of texts and of ("|", alternatives), each alternative such a tuple."""
    tokens = re.findall(r"[()\[\]|]|[^()\[\]|]+", pattern)
    tree, rest = _sequence(tokens, 0, pattern)
    if rest != len(tokens):
        raise MedVLMError(f"Pattern {pattern!r} has an unmatched {tokens[rest]!r}; close every group that is opened.")
    return tree


def _sequence(tokens: list[str], at: int, pattern: str) -> tuple[tuple, int]:
    parts: list[Any] = []
    while at < len(tokens) and tokens[at] not in ")]|":
        if tokens[at] in "([":
            close = ")" if tokens[at] == "(" else "]"
            options = [()] if close == "]" else []
            at += 1
            while True:
                option, at = _sequence(tokens, at, pattern)
                options.append(option)
                if at < len(tokens) and tokens[at] == "|":
                    at += 1
                    continue
                break
            if at >= len(tokens) or tokens[at] != close:
                raise MedVLMError(f"Pattern {pattern!r} lacks a {close!r}; close every group that is opened.")
            parts.append(("|", tuple(options)))
        else:
            parts.append(tokens[at])
        at += 1
    return tuple(parts), at


def choose(pattern: str, rng: np.random.Generator) -> str:
    """One form of the pattern, slots still open."""

    def walk(tree: tuple) -> str:
        return "".join(p if isinstance(p, str) else walk(p[1][int(rng.integers(len(p[1])))]) for p in tree)

    return walk(parse(pattern))


def forms(pattern: str) -> Iterator[str]:
    """Every form of the pattern."""

    def walk(tree: tuple) -> list[str]:
        parts = [[p] if isinstance(p, str) else [t for option in p[1] for t in walk(option)] for p in tree]
        return ["".join(chosen) for chosen in product(*parts)]

    yield from dict.fromkeys(walk(parse(pattern)))


def insert(form: str, facts: Mapping[str, str]) -> str:
    """A form with its slots filled. Raises MedVLMError for a slot that has no fact."""

    def fact(match: re.Match) -> str:
        if match[1] not in facts:
            raise MedVLMError(f"Sentence {form!r} needs <{match[1]}>; known: {', '.join(sorted(facts))}.")
        return facts[match[1]]

    return re.sub(r"<([^>]+)>", fact, form)


def fill(form: str, facts: Mapping[str, str]) -> str:
    """A form as a sentence: slots filled, blanks tidied, "a" before a vowel made "an", first letter upper case.

    Raises MedVLMError for a slot that has no fact.
    """
    text = re.sub(r"\s+", " ", insert(form, facts)).strip()
    text = re.sub(r"\s+([.,?;])", r"\1", text)
    text = re.sub(r"\b([Aa]) (?=[aeiou]|8|11\b|18\b)", r"\1n ", text)
    return text[:1].upper() + text[1:]


def listed(words: Sequence[str], last: str = "or") -> str:
    """ "a, b or c" """
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


class Grammar:
    """The wording of one modality, out of `wording/NAME.toml`; an `author` has one favourite form for each place."""

    def __init__(self, data: dict[str, Any], author: int | None = None):
        self.data, self.author = data, author

    @classmethod
    @lru_cache(maxsize=16)
    def of(cls, name: str) -> Grammar:
        """The grammar of a phantom by its name."""
        return cls(tomllib.loads((WORDING / f"{name}.toml").read_text(encoding="utf-8")))

    def by(self, author: int | None) -> Grammar:
        """The same wording in one author's habits; None draws every sentence anew."""
        return Grammar(self.data, author)

    def place(self, kind: str) -> dict[str, str]:
        """Slots that depend on where a finding is, such as the half of the body that has it."""
        return self.data.get("places", {}).get(self.data["nouns"][kind].get("place", "lung"), {})

    def patterns(self, place: Sequence[str], wording: str) -> list[str]:
        """The patterns at a place in the file; an empty list where it has none."""
        if wording not in (*WORDINGS, TAUGHT):
            raise UnknownNameError("wording", wording, WORDINGS)
        node: Any = self.data
        for key in place:
            node = node.get(key, {})
        if not isinstance(node, dict):
            return []
        return node.get("usual", []) + node.get(TAUGHT, []) if wording == TAUGHT else node.get(wording, [])

    def say(
        self, place: Sequence[str], facts: Mapping[str, str], rng: np.random.Generator, wording: str
    ) -> str | None:
        """One sentence from the patterns at a place, None where there are none."""
        patterns = self.patterns(place, wording)
        if not patterns:
            return None
        if self.author is not None:
            rng = np.random.default_rng((self.author, zlib.crc32("/".join(place).encode())))
        return fill(choose(patterns[int(rng.integers(len(patterns)))], rng), facts)

    def all_patterns(self, wording: str, branch: str = "") -> Iterator[str]:
        """Every pattern of a wording, of one top-level branch or of all."""

        def walk(node: Any) -> Iterator[str]:
            if isinstance(node, dict):
                yield from node.get(wording, ())
                for child in node.values():
                    yield from walk(child)

        yield from walk(self.data[branch] if branch else self.data)
