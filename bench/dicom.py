"""Time of `lab.read` over pydicom's own `dcmread(...).pixel_array`, interleaved in one process; exits 1 above 1.1."""

from __future__ import annotations

import statistics
import sys
import time
import warnings

import pydicom
from pydicom.data import get_testdata_file

import medvlm_lab as lab

FILES = ("RG1_UNCI.dcm", "693_UNCI.dcm", "MR2_UNCI.dcm", "explicit_VR-UN.dcm", "JPEG-LL.dcm", "examples_ybr_color.dcm")


def seconds(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(repeats: int = 15, limit: float = 1.1) -> int:
    """Medians per file in milliseconds, then the ratio of their sums."""
    warnings.simplefilter("ignore")
    ours, theirs = [], []
    for name in FILES:
        path = get_testdata_file(name, download=False)
        pairs = [
            (seconds(lambda p=path: lab.read(p)), seconds(lambda p=path: pydicom.dcmread(p).pixel_array))
            for _ in range(repeats + 1)
        ][1:]
        ours.append(statistics.median(a for a, _ in pairs))
        theirs.append(statistics.median(b for _, b in pairs))
        print(f"{name:26} {ours[-1] * 1e3:8.2f} ms {theirs[-1] * 1e3:8.2f} ms  ratio {ours[-1] / theirs[-1]:.2f}")
    ratio = sum(ours) / sum(theirs)
    print(f"total ratio {ratio:.3f} (at most {limit})")
    return int(ratio > limit)


if __name__ == "__main__":
    sys.exit(main())
