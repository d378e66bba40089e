"""`chapters run` against the papermill command itself, chapter by chapter, and two jobs against one.

    python bench/chapters.py            # overhead; exits 1 above 1.05 times papermill's time
    python bench/chapters.py parallel   # also --jobs 2 on two idle cores; exits 1 below 1.7 times as fast

Both run the same small chapters in turns, from one process; each ratio is the median of the rounds. CPU seconds count
all processes that were started, so that other work on the machine does not. A chapter's own work uses one core: what
uses several (products of large matrices) is as fast in one job as in two, whatever runs them.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

from medvlm_lab.classroom.build import chapters, from_source
from medvlm_lab.classroom.execute import environment
from medvlm_lab.classroom.run import run

CHAPTERS, ROUNDS = 2, 5
SOURCE = """# %% [markdown]
# # A chapter

# %%
import time
import matplotlib.pyplot as plt
import numpy as np

# %%
end = time.process_time() + 3
while time.process_time() < end:
    np.random.default_rng(0).normal(size=1000).sort()

# %%
plt.plot(range(9))
plt.show()
"""


def cpu() -> float:
    """CPU seconds of this process and of all that it waited for."""
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in used)


def timed(work) -> tuple[float, float]:
    """(seconds by the clock, CPU seconds)."""
    start, spent = perf_counter(), cpu()
    work()
    return perf_counter() - start, cpu() - spent


def book(folder: Path) -> Path:
    """A book of small chapters, not executed."""
    import nbformat

    (folder / "src").mkdir()
    for number in range(CHAPTERS):
        (folder / "src" / f"{number:02d}_small.py").write_text(SOURCE)
    for chapter in chapters(root=folder):
        nbformat.write(from_source(chapter), chapter.notebook)
    return folder


def ours(root: Path, jobs: int = 1) -> None:
    results = run(root=root, jobs=jobs)
    assert all(result.ok for result in results), results


def bare(root: Path) -> None:
    """What one would type without this package."""
    for chapter in chapters(root=root):
        command = [sys.executable, "-m", "papermill", str(chapter.notebook), str(root / "out.ipynb")]
        subprocess.run([*command, "--cwd", str(root)], env=environment(), check=True, capture_output=True)


def main(parallel: bool) -> int:
    with tempfile.TemporaryDirectory() as folder:
        root = book(Path(folder))
        rounds = [(timed(lambda: ours(root)), timed(lambda: bare(root))) for _ in range(ROUNDS)]
        clock, spent = (median(mine[k] / other[k] for mine, other in rounds) for k in (0, 1))
        print(f"overhead: {clock:.3f} times papermill's time by the clock, {spent:.3f} by CPU time (at most 1.05)")
        if not parallel:
            return int(min(clock, spent) > 1.05)
        pairs = [(timed(lambda: ours(root))[0], timed(lambda: ours(root, 2))[0]) for _ in range(ROUNDS)]
        faster = median(one / two for one, two in pairs)
        print(f"two jobs: {faster:.2f} times as fast as one (at least 1.7)")
        return int(min(clock, spent) > 1.05 or faster < 1.7)


if __name__ == "__main__":
    sys.exit(main("parallel" in sys.argv[1:]))
