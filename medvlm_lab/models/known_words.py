"""What a model cannot read of a text: words that its training never held, and what is beyond its context."""

from __future__ import annotations

from typing import Any
from unicodedata import bidirectional

from medvlm_lab.text.tokenizer import Tokenizer

NAMED = 4  # words that a sentence quotes


class ReadsWords:
    """Mixin: says of a text which words are unknown to `tokenizer`, and how much of it fits `text_limit` tokens."""

    name: str
    tokenizer: Tokenizer

    @property
    def text_limit(self) -> int | None:
        """Tokens that are read of a text, start and end included; None where all are."""
        return None

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """The words of a text that training never held, each once, in their order."""
        return self.tokenizer.unknown_words(text)

    def text_note(self, text: str) -> str:
        """One sentence or two on what the model cannot read of a text; "" where it can read all."""
        note = unknown_note(self.name, self.unknown_words(text))
        read, count = self.tokenizer.words_read(text, self.text_limit)
        if read < count:
            note += f" {self.name} read only the first {read:,} of {count:,} words; shorten the text."
        return note.strip()


class ReadsPieces:
    """Mixin for published models: their large vocabularies spell nearly any word, so that only what is lost is marked.

    A word that is misspelt, or of another language, is read in pieces and cannot be told from one that was learned.
    """

    name: str

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """The words of which the tokenizer can make nothing but its mark for the unknown, or U+FFFD."""
        tokenizer = getattr(getattr(self, "processor", None), "tokenizer", None)
        return unknown_to(tokenizer, text) if tokenizer is not None else ()

    def text_note(self, text: str) -> str:
        """One sentence on what is lost of a text; "" where nothing is."""
        return unknown_note(self.name, self.unknown_words(text))


def unknown_note(name: str, unknown: tuple[str, ...]) -> str:
    """The sentence that marks unknown words."""
    if not unknown:
        return ""
    quoted = [apart(f"“{word if len(word) <= 24 else word[:24] + '…'}”") for word in unknown[:NAMED]]
    more = len(unknown) - NAMED
    rest = f" and {more} more word{'s' if more > 1 else ''}" if more > 0 else ""
    return f"{name} does not know {', '.join(quoted)}{rest}: do not trust what it says or shows of this text."


def apart(quoted: str) -> str:
    """A quoted word of a script that runs from the right is marked, lest the list that holds it be turned round."""
    return f"\u2068{quoted}\u2069" if any(bidirectional(letter) in ("R", "AL") for letter in quoted) else quoted


def note(model: Any, text: str) -> str:
    """What any model says that it cannot read of a text; "" of a model that cannot tell."""
    tell = getattr(model, "text_note", None)
    return tell(text) if callable(tell) else ""


def unknown_words(model: Any, text: str) -> tuple[str, ...]:
    """The words of a text that any model says it does not know; none of a model that cannot tell."""
    tell = getattr(model, "unknown_words", None)
    return tell(text) if callable(tell) else ()


def unknown_to(tokenizer: Any, text: str) -> tuple[str, ...]:
    """Words of which a published model's tokenizer can make nothing but its mark for the unknown, or U+FFFD."""
    mark = getattr(tokenizer, "unk_token_id", None)
    found = []
    for word in text.split():
        ids = tokenizer(word, add_special_tokens=False).input_ids
        # byte-level vocabularies spell anything; where they name a mark for the unknown, it is the end's
        lost = mark is not None and mark != getattr(tokenizer, "eos_token_id", None) and mark in ids
        if lost or "\ufffd" in word:
            found.append(word)
    return tuple(dict.fromkeys(found))
