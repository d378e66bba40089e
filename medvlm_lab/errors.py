"""Errors a reader may meet: each one sentence saying what, where, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path


class MedVLMError(Exception):
    """Base of every error that input, files or the machine can cause; the command line prints it and exits 1.

    Attributes:
        file: of an image that cannot be read: its path.
        kept: the sentence as it may be stored or passed on: it calls the image by its neutral name.
    """

    file: Path | None = None
    _kept: str | None = None

    @property
    def kept(self) -> str:
        return str(self) if self._kept is None else self._kept

    def about(self, file: Path, kept: str) -> MedVLMError:
        """Itself, with both attributes set."""
        self.file, self._kept = file, kept
        return self


class ImageReadError(MedVLMError):
    """A file is not an image that can be read, or is damaged."""


class ModalityError(MedVLMError):
    """An operation does not apply to this kind of image."""


class QuestionError(MedVLMError):
    """A question is empty or far too long."""


class MissingDataError(MedVLMError):
    """A data set, weights file or sample is not on this machine."""


class DownloadError(MedVLMError):
    """A download failed, or what came is not what was expected."""


class CheckpointError(MedVLMError):
    """A checkpoint is damaged or belongs to another architecture."""


class OutOfMemoryError(MedVLMError):
    """The device has too little memory for what was asked."""


class CannotWriteError(MedVLMError, OSError):
    """A file cannot be written: the disk is full, the place is no plain file, or it is not the user's to change."""


class SceneError(MedVLMError, ValueError):
    """A simulated patient is asked to have a value or a finding that does not exist."""


class ScoreError(MedVLMError, ValueError):
    """What is to be scored cannot be: numbers that are not finite, labels of three classes, masks of unlike shapes."""


class UnknownNameError(MedVLMError, KeyError):
    """A name that is not in a catalogue; the message suggests the nearest one."""

    def __init__(self, kind: str, name: str, known: Iterable[str]):
        known = sorted(known)
        near = get_close_matches(str(name), known, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}."
        super().__init__(f"Unknown {kind} {name!r}; {hint}")

    def __str__(self) -> str:  # KeyError would print the repr
        return self.args[0]
