"""Processor time of `lab.read` over pydicom's own `dcmread(...).pixel_array`, per file; exits 1 above 1.1 for any.

    python bench/dicom.py            # every readable file of pydicom's and pydicom-data's test files
    python bench/dicom.py MR_small   # those whose name contains a word

The two calls take turns in one process, so that both see the same caches. `pixel_array` holds stored numbers: where the
picture is something else, colours from a palette or a fractional rescale, pydicom's side makes that too
(`apply_color_lut`, `apply_rescale`) and the line ends with the ratio over `pixel_array` alone.
"""

from __future__ import annotations

import statistics
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import pydicom
from pydicom.data import get_testdata_file
from pydicom.errors import InvalidDicomError
from pydicom.pixels import apply_color_lut, apply_rescale

import medvlm_lab as lab
from medvlm_lab.errors import ImageReadError

UNREADABLE = AttributeError, KeyError, ValueError, RuntimeError, NotImplementedError, ImageReadError, InvalidDicomError
LIMIT = 1.1
SECONDS = 0.25  # per file and side, within 15 to 400 turns
TINY = 64 * 64  # pixels: up to here reading is all header, and ours also reads modality, spacing, window and safe tags


def files(word: str = ""):
    """(path, data set, its pixels, our image) of the test files that both sides read."""
    folders = {Path(get_testdata_file(name, download=False)).parent for name in ("CT_small.dcm", "RG1_UNCI.dcm")}
    for path in sorted(path for folder in folders for path in folder.rglob("*.dcm") if word in path.name):
        try:
            data = pydicom.dcmread(path)
            pixels, image = data.pixel_array, lab.read(path)
        except UNREADABLE:
            continue
        if pixels.nbytes < 5e7:
            yield path, data, pixels, image


def theirs(path: Path, finish=None):
    """pydicom's pixels, finished where the stored numbers are not the picture."""
    data = pydicom.dcmread(path)
    return finish(data.pixel_array, data) if finish else data.pixel_array


def seconds(call, path: Path) -> float:
    """Processor time of one call: other work on the machine does not count."""
    start = time.process_time()
    call(path)
    return time.process_time() - start


def compare(path: Path, finish=None) -> tuple[float, float, float]:
    """(ours, theirs, ratio): medians in seconds, and the median of the turns' ratios."""
    other = partial(theirs, finish=finish)
    turns = int(min(400, max(15, SECONDS / seconds(other, path))))
    pairs = [(seconds(lab.read, path), seconds(other, path)) for _ in range(turns)]
    return (*(statistics.median(side) for side in zip(*pairs, strict=True)), statistics.median(a / b for a, b in pairs))


def main(word: str = "") -> int:
    """One line per file, the highest ratio last, then the totals."""
    warnings.simplefilter("ignore")
    rows = []
    for path, data, pixels, image in files(word):
        floats = image.pixels.dtype.kind == "f" and pixels.dtype.kind != "f"
        finish = apply_color_lut if data.PhotometricInterpretation == "PALETTE COLOR" else apply_rescale
        finish = finish if floats or finish is apply_color_lut else None
        ours, other, ratio = compare(path, finish)
        area = image.frames * image.height * image.width
        note = ("  over" if area > TINY else "  tiny: all header") if ratio > LIMIT else ""
        if finish:
            note += f"  ({compare(path)[2]:.2f} over pixel_array alone)"
        syntax = pydicom.uid.UID(data.file_meta.get("TransferSyntaxUID", "")).name[:28]
        shape = f"{image.frames} x {image.height} x {image.width}"
        line = (
            f"{path.name[:34]:34} {syntax:28} {shape:>15} {ours * 1e3:7.2f} ms {other * 1e3:7.2f} ms  ratio {ratio:.2f}"
        )
        rows.append((ratio, area, ours, other, line + note))
    for *_, line in sorted(rows):
        print(line)
    worst = max((ratio for ratio, area, *_ in rows if area > TINY), default=0.0)
    total = sum(row[2] for row in rows) / sum(row[3] for row in rows)
    print(f"{len(rows)} files, total ratio {total:.3f}, worst above {TINY:,} pixels {worst:.3f} (at most {LIMIT})")
    return int(worst > LIMIT)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
