"""De-identification by an allow-list: only acquisition facts that name nobody leave a DICOM header."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from medvlm_lab.io.defined_terms import MEASURES, RANGES, TERMS, plain
from medvlm_lab.io.identity import Identity, fold

if TYPE_CHECKING:
    from pydicom import Dataset

_TEXT_VR = {"CS", "DS", "IS", "LO", "SH", "PN", "DA"}


class Header:
    """A data set's plain elements as text, straight from the stored bytes.

    pydicom builds and checks an object per element on first access, which takes longer than reading a small picture;
    everything but plain ASCII text and 16-bit numbers still goes through it.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        # plain integers as keys: comparing pydicom's tags is a Python call each
        self.elements = {int(tag): element for tag, element in dataset.items()}

    def __contains__(self, keyword: str) -> bool:
        return _entry(keyword)[0] in self.elements

    def holds(self, sequence: str, keyword: str) -> bool:
        """Whether a sequence may hold an element: searching its bytes is cheaper than taking it apart."""
        element = self.elements.get(_entry(sequence)[0])
        if element is None or type(element.value) is not bytes:
            return element is not None
        order, tag = "little" if element.is_little_endian else "big", _entry(keyword)[0]
        return (tag >> 16).to_bytes(2, order) + (tag & 0xFFFF).to_bytes(2, order) in element.value

    def read(self, keyword: str) -> tuple[str, list[str]]:
        """(value representation, values as text without padding); ("", []) where absent."""
        tag, known_vr = _entry(keyword)
        element = self.elements.get(tag)
        if element is None:
            return "", []
        vr, value = element.VR, element.value
        if vr is None or vr == "UN":  # implicit, or copied by software that did not know the element
            vr = known_vr
        if type(value) is bytes:
            if vr in _TEXT_VR and value.isascii() and b"\x1b" not in value:
                return vr, [part.strip(" \0") for part in value.decode("ascii").split("\\")] if value else []
            if vr == "US" and len(value) == 2:
                return vr, [str(int.from_bytes(value, "little" if element.is_little_endian else "big"))]
        return vr, as_texts(self.dataset[tag].value)

    def values(self, keyword: str) -> list[str]:
        """The element's values as text; empty where absent or empty."""
        return self.read(keyword)[1]

    def text(self, keyword: str, default: str = "") -> str:
        """The first value as text."""
        values = self.read(keyword)[1]
        return values[0] if values and values[0] else default

    def number(self, keyword: str, default: int | None = None) -> int:
        """The first value as a whole number; ValueError where it is absent and has no default."""
        text = self.text(keyword)
        if not text and default is None:
            raise ValueError(f"its header has no {keyword}")
        return int(float(text)) if text else default


def as_texts(value: object) -> list[str]:
    """A value that pydicom converted, single or multiple, as a list of texts."""
    if value is None or value == "":
        return []
    return [str(value)] if isinstance(value, str | bytes) or not hasattr(value, "__iter__") else [str(v) for v in value]


def allowed_tags(header: Header) -> dict[str, str]:
    """The elements that name nobody, as text: the standard's own terms and numbers in a plausible range.

    A number that stands among the header's identifiers or dates is left out too, as is a term that is somebody's name.
    A window, spacing or rate that holds a long identifier is none: the header forgets it.
    """
    tags, person = {}, Identity(header.dataset)
    kept = {keyword: header.values(keyword) for keyword in (*TERMS, *RANGES)}
    kept = {keyword: values for keyword, values in kept.items() if values and all(plain(keyword, v) for v in values)}
    known = person.numbered(" ".join(v for keyword, values in kept.items() if keyword in RANGES for v in values))
    for keyword, values in kept.items():
        if keyword in TERMS and any(len(value) > 2 and fold(value) in person.names for value in values):
            continue
        if known and keyword in RANGES and any(map(person.numbered, values)):
            continue
        tags[keyword] = values[0]
        if len(values) > 1:
            tags[keyword] = str(values) if keyword in TERMS else f"[{', '.join(values)}]"
    for keyword in MEASURES:
        if any(sum(map(str.isdigit, value)) > 5 and person.numbered(value) for value in header.values(keyword)):
            header.elements.pop(_entry(keyword)[0])
    return tags


@cache
def _entry(keyword: str) -> tuple[int, str]:
    """(tag, value representation) of a keyword in the standard's dictionary."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword

    tag = tag_for_keyword(keyword)
    return int(tag), dictionary_VR(tag)
