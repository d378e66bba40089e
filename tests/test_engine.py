"""Work spread over threads, or over a Ray cluster that loses a worker half-way: the same results."""

import os
import signal
import sys
import threading
import time
from pathlib import Path
from uuid import uuid4

import nbformat
import numpy as np
import pytest
from fakes import FakeEncoder

from medvlm_lab.classroom.grade import grade
from medvlm_lab.classroom.run import run
from medvlm_lab.embed import embed
from medvlm_lab.engine import spread
from medvlm_lab.errors import ImageReadError, MedVLMError, MissingDataError, UnknownNameError
from medvlm_lab.image import MedicalImage


def test_threads_give_every_result_once_and_are_as_many_as_asked():
    at_once, most, lock = 0, 0, threading.Lock()

    def work(item):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.02)
        with lock:
            at_once -= 1
        return item * item

    assert dict(spread(work, range(9), jobs=3)) == {n: n * n for n in range(9)} and most == 3
    assert list(spread(work, [])) == []


def test_what_work_raises_is_raised():
    def work(item):
        raise ImageReadError("damaged")

    with pytest.raises(ImageReadError, match="damaged"):
        list(spread(work, [1]))


def test_an_interruption_stops_what_is_under_way_and_starts_nothing_more():
    stopped, begun = threading.Event(), []

    def work(item):
        begun.append(item)
        assert item == 0 or stopped.wait(20)
        return item

    results = spread(work, range(9), jobs=2, stop=stopped.set)
    assert next(results) == (0, 0)
    results.close()
    assert stopped.is_set() and set(begun) <= {0, 1, 2}


def test_engines_are_named_and_ray_may_be_missing(monkeypatch):
    with pytest.raises(UnknownNameError, match="did you mean 'ray'"):
        spread(len, [], engine="Ray")
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDataError, match=r"medvlm-lab\[scale\]"):
        list(spread(len, [], engine="ray"))


@pytest.fixture(scope="module")
def cluster():
    """A Ray cluster of two worker processes on this machine."""
    quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": "ERROR"}
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("RAY_USAGE_STATS_ENABLED", "0")  # it would ask the internet
        patched.setenv("RAY_AUTH_MODE", "token")
        patched.setenv("RAY_AUTH_TOKEN", uuid4().hex)  # it would write one into the reader's home
        patched.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)  # for this module and `fakes`
        ray = pytest.importorskip("ray", reason="the extra 'scale' is not installed")  # reads the variables
        ray.init("local", num_cpus=2, object_store_memory=100 << 20, **quiet)
    yield
    ray.shutdown()


class Dying(FakeEncoder):
    """Kills the process in which it sees a certain picture for the first time."""

    def __init__(self, mark: Path):
        super().__init__()
        self.mark = mark

    def encode_images(self, images):
        if not self.mark.exists() and any(image.name == "5" for image in images):
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode_images(images)


def test_embedding_on_a_cluster_survives_a_lost_worker(cluster, tmp_path):
    rng = np.random.default_rng(0)
    images = [MedicalImage.from_array(rng.integers(0, 255, (16, 16)), name=str(n)) for n in range(12)]
    here = embed(FakeEncoder(), images, batch_size=2, progress=False)
    there = embed(Dying(tmp_path / "died"), images, tmp_path / "out", 2, progress=False, engine="ray")
    assert (tmp_path / "died").exists()
    assert np.array_equal(here.vectors, there.vectors) and here.table.equals(there.table)


def test_grading_on_a_cluster_gives_the_same_grades(cluster, tmp_path):
    ask = "from medvlm_lab.classroom.exercises import check\ncheck('05.1', {})"
    for name, answer in (("a", 0.8), ("b", 0.64)):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(ask.format(answer))])
        (tmp_path / "in").mkdir(exist_ok=True)
        nbformat.write(notebook, tmp_path / "in" / f"{name}.ipynb")
    runs = [grade(tmp_path / "in", tmp_path / engine, jobs=2, engine=engine) for engine in ("local", "ray")]
    here, there = ([(row.submission, row.content, row.verdicts, row.error) for row in rows] for rows in runs)
    assert here == there and [row.right for row in runs[1]] == [1, 0]


def test_chapters_on_a_cluster_survive_a_lost_worker(cluster, tmp_path):
    """The first chapter kills the worker that runs it, once: papermill's parent."""
    kill = f"""import os, pathlib, psutil
mark = pathlib.Path({str(tmp_path / "died")!r})
if not mark.exists():
    mark.touch()
    psutil.Process(os.getppid()).parent().kill()"""
    root = tmp_path / "notebooks"
    (root / "src").mkdir(parents=True)
    for number, code in (("00", kill), ("01", "1 / 0")):
        (root / "src" / f"{number}_small.py").write_text("")
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
        nbformat.write(notebook, root / f"{number}_small.ipynb")
    runs = [run(["00", "01", "77"], root=root, engine=engine) for engine in ("ray", "local")]
    assert (tmp_path / "died").exists()
    there, here = ([(row.chapter, row.cell, row.error) for row in rows] for rows in runs)
    assert here == there and runs[0][0].ok and runs[0][1].error == "ZeroDivisionError: division by zero"


def test_errors_of_a_cluster_are_those_of_the_work(cluster, monkeypatch):
    def work(item):
        if item == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ImageReadError("damaged")

    with pytest.raises(ImageReadError, match="damaged"):
        list(spread(work, ["x"], engine="ray"))
    monkeypatch.setattr("medvlm_lab.engine.RETRIES", 1)
    with pytest.raises(MedVLMError, match="lost a worker 2 times"):
        list(spread(work, ["dies"], engine="ray"))


def test_no_cluster_is_one_sentence(monkeypatch):
    ray = pytest.importorskip("ray", reason="the extra 'scale' is not installed")

    def none(**_):
        raise ConnectionError("no cluster")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", none)
    with pytest.raises(MissingDataError, match="ray start --head"):
        list(spread(len, ["a"], engine="ray"))
