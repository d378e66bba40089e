"""Who a DICOM header is about: names, dates, numbers and identifiers, and whether a text holds one of them."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterator
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydicom import Dataset

#: Text elements that identify, by the standard's keyword; descriptions do not: "CHEST" may stand in them.
_IDENTIFIES = re.compile(
    r"(ID|IDs|Number|Names?|Occupation|Comments)$|Serial|Institution|Station|Address|Telephone|Issuer|Operator|Telecom"
)
_COUNTS = re.compile(
    r"(Series|Instance|Acquisition|Frame|Item|Overlay|Temporal|Stack)\w*Number$|(Protocol|Model|Sequence)Name$"
)
_KINDS = ("name", "birth", "date", "uid", "id", "private")
_TEXT = {"LO", "SH", "ST", "LT", "UT", "UC", "UN", "AE"}
SUFFIXES = (".dcm", ".dicom", ".ima")
LONGEST = 1024  # bytes of a text that may identify: longer ones are tables and coded pictures
_NEAR_ENDS = 8  # items looked at from either end of a long sequence: one for each frame repeats the same person
_MONTHS = {
    name: number
    for number, names in enumerate(
        ("jan", "feb", "mar mrz mär", "apr", "may mai", "jun", "jul", "aug", "sep", "oct okt", "nov", "dec dez"), 1
    )
    for name in names.split()
}
_DATE, _NO_DIGIT = re.compile(r"(\d{4})[.\-]?(\d\d)[.\-]?(\d\d)"), re.compile(r"\D")
_LETTERS = str.maketrans({"ß": "ss", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "a", "œ": "o", "ı": "i"})


class Identity:
    """What names the patient, the staff or the place in a header, at every depth, private elements included.

    Attributes:
        names, others: folded words of people's names, and of places and identifiers.
        digits: of numbers, UIDs and dates, the latter in each usual order; of the birth date the year, too.
    """

    def __init__(self, dataset: Dataset | None = None):
        self._found: dict[str, set[str]] = {kind: set() for kind in _KINDS}
        for kind, value in _elements(dataset) if dataset is not None else ():
            self._found[kind].add(value)

    @cached_property
    def names(self) -> set[str]:
        return {word for value in self._found["name"] for word in _name_words(value)}

    @cached_property
    def others(self) -> set[str]:
        return {word for value in self._found["id"] for word in _words(value) if len(word) > 1}

    @cached_property
    def digits(self) -> set[str]:
        dates = self._found["date"] | self._found["birth"]
        days = {match.groups() for value in dates if (match := _DATE.match(value))}
        digits = {part for day in days for part in _orders(*day)} | {value[:4] for value in self._found["birth"]}
        digits.update(_NO_DIGIT.sub("", value) for value in self._found["uid"] if len(value) > 9)
        for value in self._found["id"] | self._found["private"]:
            digits.update(re.findall(r"\d{4,}", value))
            # of a private element only a number tells that it is an identifier
            if value in self._found["id"] or sum(map(str.isdigit, value)) > 3:
                digits.add(_NO_DIGIT.sub("", value))
        return {part for run in digits for part in (run, run.lstrip("0")) if len(part) > 2 and part.strip("0")}

    def stands_in(self, sentence: str) -> bool:
        """Whether a sentence holds a name or a long number; short ones may be ordinary words and sizes."""
        words, numbers = set(_words(sentence)), re.findall(r"\d{5,}", sentence)
        return any(len(name) > 3 and name in words for name in self.names) or any(map(self.numbered, numbers))

    def inside(self, text: str) -> bool:
        """Whether a text holds one of them, however it is written: accents, punctuation and case do not count.

        Words of four letters and more are found inside others, shorter ones only alone.
        """
        tokens = _words(text)
        joined = "".join(tokens)
        return self.numbered(text) or any(
            word in joined if len(word) > 3 or not word.isascii() else word in tokens
            for word in self.names | self.others
        )

    def numbered(self, text: str) -> bool:
        """Whether a text holds one of the numbers or dates: three digits or more; under five they must stand alone."""
        text = re.sub(r"^(\d+\.\d*?)0+$", r"\1", text)  # 6.000000 is 6
        runs = {_NO_DIGIT.sub("", text), *re.findall(r"\d+", text), *_spelled(text)} - {""}
        if not runs.isdisjoint(self.digits):
            return True
        return any(len(part) > 4 and part in run for run in runs if len(run) > 4 for part in self.digits)


def fold(text: str) -> str:
    """Lower case without accents; "Müller", "Mueller" and "MULLER" become one."""
    plain = unicodedata.normalize("NFKD", text.casefold().translate(_LETTERS))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return re.sub(r"(?<=[aou])e", "", plain)


def identity_of(path: Path) -> Identity:
    """The identity in a DICOM file's header; empty for another file, or where the header cannot be read."""
    import pydicom

    try:
        with path.open("rb") as file:
            dicom = file.read(132)[128:] == b"DICM" or path.suffix.lower() in SUFFIXES
        if not dicom:
            return Identity()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Identity(pydicom.dcmread(path, stop_before_pixels=True, force=True))
    except Exception:  # a damaged header: nothing to compare with
        return Identity()


def _elements(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """(kind, text) of each value that may identify, from the stored bytes where they are plain text.

    A value that cannot be decoded is passed over.
    """
    for tag, element in dataset.items():
        kind, vr = _kind(int(tag), element.VR)
        if not kind:
            continue
        value = element.value
        if vr == "SQ" or type(value) is not bytes or not value.isascii() or b"\x1b" in value:
            try:
                value = dataset[tag].value
            except Exception:  # broken values are common in real files
                continue
        if vr == "SQ":
            items = list(value or ())
            for item in items if len(items) <= 2 * _NEAR_ENDS else items[:_NEAR_ENDS] + items[-_NEAR_ENDS:]:
                yield from _elements(item)
        elif isinstance(value, bytes):
            if len(value) < LONGEST:
                yield from ((kind, part.strip(" \0")) for part in value.decode("latin-1").split("\\"))
        elif value is not None:
            yield from ((kind, str(part)) for part in (value if type(value).__name__ == "MultiValue" else (value,)))


@lru_cache(maxsize=4096)
def _kind(tag: int, vr: str | None) -> tuple[str, str]:
    """(what an element says of a person, value representation); ("", …) where it says nothing."""
    from pydicom.datadict import dictionary_VR, keyword_for_tag

    keyword = keyword_for_tag(tag)
    if vr is None or vr == "UN":
        vr = dictionary_VR(tag) if keyword else "UN"
    if tag >= 0x7FE00000 or (not keyword and tag & 0xFFFF < 0x100):  # pixels, and who made a private block
        return "", vr
    kinds = {"PN": "name", "DA": "date", "DT": "date", "UI": "uid", "SQ": "sequence"}
    if keyword == "PatientBirthDate":
        return "birth", vr
    if vr not in _TEXT:
        return kinds.get(vr, ""), vr
    if not keyword:
        return "private", vr
    return "id" if _IDENTIFIES.search(keyword) and not _COUNTS.search(keyword) else "", vr


def _name_words(value: str) -> Iterator[str]:
    """Family, given and middle names in each writing; titles and single letters say nothing."""
    for group in value.split("="):
        yield from (w for w in _words(" ".join(group.split("^")[:3])) if len(w) > 1 or not w.isascii())


def _words(text: str) -> list[str]:
    return [word for word in re.split(r"[\W\d_]+", fold(text)) if word]


def _orders(year: str, month: str, day: str) -> Iterator[str]:
    """A date's digits in each usual order."""
    for y, m, d in {(year, month, day), (year[2:], month, day), (year, month.lstrip("0"), day.lstrip("0"))}:
        yield from (y + m + d, d + m + y, m + d + y)


def _spelled(text: str) -> Iterator[str]:
    """Dates whose month is a word, as digits: day, month, year."""
    words = re.findall(r"[^\W\d_]+|\d+", text.casefold())
    for three in zip(words, words[1:], words[2:], strict=False):
        month = next((_MONTHS[word[:3]] for word in three if word[:3] in _MONTHS), None)
        numbers = sorted((word for word in three if word.isdigit()), key=len)
        if month and len(numbers) == 2:
            yield f"{int(numbers[0])}{month}{numbers[1]}"
            yield f"{int(numbers[0]):02d}{month:02d}{numbers[1]}"
