"""WordPiece tokenizer over a small vocabulary file (the `tokenizers` library does the work)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import accumulate
from pathlib import Path
from string import punctuation

from medvlm_lab.errors import CheckpointError, MissingDataError

PAD, UNKNOWN, START, END = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
WORDS = "words.txt"  # beside a vocabulary of pieces: the words of the training text


class Tokenizer:
    """Text ↔ ids. Lower-cases; `[CLS]` opens and `[SEP]` closes every sequence, as in BERT.

    known: the words of the training text, where a vocabulary of pieces does not tell; by default its whole words.
    """

    def __init__(self, vocabulary: Iterable[str], known: Iterable[str] | None = None):
        from tokenizers import Tokenizer as Library
        from tokenizers import decoders, models, normalizers, pre_tokenizers

        self.vocabulary = list(vocabulary)
        self._ids = {token: i for i, token in enumerate(self.vocabulary)}
        self.known = frozenset(self._ids if known is None else known)
        self._library = Library(models.WordPiece(vocab=self._ids, unk_token=UNKNOWN, max_input_chars_per_word=64))
        self._library.normalizer = normalizers.BertNormalizer(lowercase=True)
        self._library.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        self._library.decoder = decoders.WordPiece(prefix="##")
        self.pad, self.start, self.end = self._ids[PAD], self._ids[START], self._ids[END]

    @classmethod
    def from_file(cls, path: Path) -> Tokenizer:
        """Reads a vocabulary of one token a line.

        Raises:
            MissingDataError: no such file. CheckpointError: it is not UTF-8, or lacks a special token.
        """
        try:
            vocabulary = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")  # an editor may have added one
        except FileNotFoundError as error:
            raise MissingDataError(
                f"No vocabulary in {path.parent}: {path.name} is missing; name another folder or retrain."
            ) from error
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{path} is damaged: {error}; restore or retrain the checkpoint.") from error
        if missing := {PAD, UNKNOWN, START, END}.difference(vocabulary):
            raise CheckpointError(f"{path} lacks {', '.join(sorted(missing))}; restore or retrain the checkpoint.")
        words = path.with_name(WORDS)
        return cls(vocabulary, words.read_text(encoding="utf-8").split() if words.is_file() else None)

    def __len__(self) -> int:
        return len(self.vocabulary)

    def digest(self) -> str:
        """SHA-256 of the tokens in their order, the same on every system."""
        return hashlib.sha256("\n".join(self.vocabulary).encode()).hexdigest()

    def encode(self, text: str, limit: int) -> list[int]:
        """At most `limit` ids, start and end tokens included."""
        return [self.start, *self.words(text)[: limit - 2], self.end]

    def words(self, text: str) -> list[int]:
        """The ids of the text alone, without start and end."""
        return self._library.encode(_whole(text), add_special_tokens=False).ids

    def split(self, text: str) -> list[str]:
        """The words and signs of a text in the form in which the vocabulary has them."""
        plain = self._library.normalizer.normalize_str(_whole(text))
        return [word for word, _ in self._library.pre_tokenizer.pre_tokenize_str(plain)]

    def unknown_words(self, text: str) -> tuple[str, ...]:
        """The words that the training text never held, each once; numbers only where no piece of them is known."""
        unknown = self._ids[UNKNOWN]
        lost = lambda w: w not in self.known and not w.isdigit() and w not in punctuation  # noqa: E731
        found = (word for word in self.split(text) if lost(word) or (word.isdigit() and unknown in self.words(word)))
        return tuple(dict.fromkeys(found))

    def words_read(self, text: str, limit: int | None) -> tuple[int, int]:
        """How many words of a text fit `limit` tokens, start and end among them, and how many it has."""
        words = self.split(text)
        ends = accumulate(len(self.words(word)) for word in words)
        return sum(end <= limit - 2 for end in ends) if limit else len(words), len(words)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of `ids`; special tokens leave no trace."""
        special = {self.pad, self.start, self.end}
        return self._library.decode([i for i in ids if i not in special], skip_special_tokens=False)

    def batch(self, texts: list[str], limit: int):
        """Ids padded on the right to the longest: int64 tensor `(n, t)`."""
        import torch

        rows = [self.encode(text, limit) for text in texts]
        longest = max(len(row) for row in rows)
        return torch.tensor([row + [self.pad] * (longest - len(row)) for row in rows])


def _whole(text: str) -> str:
    """The text with "?" for halves of characters, as a terminal passes on bytes that are no UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")
