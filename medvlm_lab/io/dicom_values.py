"""Values that a DICOM header keeps at its top, or, in enhanced files, in functional groups shared or for each frame."""

from __future__ import annotations

import math

from medvlm_lab.io.deidentify import Header, as_texts

PER_FRAME = "PerFrameFunctionalGroupsSequence"


def group(header: Header, sequence: str, keyword: str, frame: int = 0) -> list[str]:
    """Values at the top level, else in the shared, else in one frame's functional groups; empty where absent."""
    if keyword in header:
        return header.values(keyword)
    for holder, index in (("SharedFunctionalGroupsSequence", 0), (PER_FRAME, frame)):
        groups = header.dataset.get(holder) if header.holds(holder, keyword) else None
        if groups and index < len(groups) and groups[index].get(sequence):
            value = groups[index][sequence].value[0].get(keyword)
            if value is not None:
                return as_texts(value)
    return []


def each(header: Header, sequence: str, keyword: str, frames: int) -> list[list[str]]:
    """`group` of every frame where frames have values of their own, else of the first alone."""
    if keyword in header or not header.holds(PER_FRAME, keyword):
        return [group(header, sequence, keyword)]
    groups, found = header.dataset.get(PER_FRAME) or (), []
    for frame in range(frames):
        held = groups[frame].get(sequence) if frame < len(groups) else None
        value = held[0].get(keyword) if held else None
        found.append(group(header, sequence, keyword, frame) if value is None else as_texts(value))
    return found


def numbers(values: list[str]) -> list[float]:
    """Header values as finite floats, empty where absent or unreadable."""
    try:
        found = [float(value) for value in values]
    except ValueError:
        return []
    return found if all(map(math.isfinite, found)) else []
