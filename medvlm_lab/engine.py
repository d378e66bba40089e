"""One function for many pieces of work: in threads of this process, or on a Ray cluster that is already running."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

from medvlm_lab.errors import MedVLMError, MissingDataError, UnknownNameError

RETRIES = 3  # times that Ray starts a piece of work again whose worker is lost


def spread(
    work: Callable[[Any], Any], items: Sequence[Any], jobs: int = 1, engine: str = "local", gpu: bool = False,
    stop: Callable[[], None] = lambda: None,
) -> Iterator[tuple[int, Any]]:
    """(number of the item, `work(item)`) for each item, as they are finished.

    Args:
        jobs: pieces at a time; a cluster decides this by its own size.
        engine: "local", or "ray": every node needs this package and the same paths to files, a lost worker's piece is
            done again elsewhere, and `work` and its results travel between the nodes.
        stop: called on an interruption, to end the pieces that threads are working on; they are waited for.
        gpu: each piece needs a GPU of the cluster; elsewhere its programs see what this one sees.

    Raises:
        UnknownNameError: another engine. MissingDataError: Ray or its cluster is not there.
        MedVLMError: a node has another medvlm-lab, or a piece's worker was lost once more than it is started again.
            Whatever `work` itself raises.
    """
    if engine == "local":
        return _threads(work, items, jobs, stop)
    if engine == "ray":
        return _cluster(work, items, gpu)
    raise UnknownNameError("engine", engine, ("local", "ray"))


def _threads(work: Callable, items: Sequence, jobs: int, stop: Callable) -> Iterator[tuple[int, Any]]:
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            numbers = {pool.submit(work, item): number for number, item in enumerate(items)}
            for done in as_completed(numbers):
                yield numbers.pop(done), done.result()
        except BaseException:  # the reader's Ctrl-C among them
            pool.shutdown(wait=False, cancel_futures=True)
            stop()
            raise


def _cluster(work: Callable, items: Sequence, gpu: bool) -> Iterator[tuple[int, Any]]:
    ray = _connected()
    shared = ray.put(work)  # once for all nodes, a model inside it too
    remote = ray.remote(num_cpus=1, num_gpus=int(gpu), max_retries=RETRIES)(lambda work, item: work(item))
    numbers = {remote.remote(shared, item): number for number, item in enumerate(items)}
    try:
        while numbers:
            (done,), _ = ray.wait(list(numbers), num_returns=1)
            yield numbers.pop(done), ray.get(done)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ray.exceptions.RayError):
            raise MedVLMError("A node cannot load the work; install the same medvlm-lab on every node.") from error
        raise error.cause from error
    except ray.exceptions.RayError as error:
        raise MedVLMError(f"The Ray cluster lost a worker {RETRIES + 1} times ({type(error).__name__}).") from error
    finally:
        for waiting in numbers:
            ray.cancel(waiting, force=True)


def _connected() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingDataError("engine='ray' needs Ray; install it with: pip install 'medvlm-lab[scale]'") from error
    if not ray.is_initialized():
        try:
            ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
        except ConnectionError as error:
            raise MissingDataError(
                "No Ray cluster is running here; start one with 'ray start --head', or name its address in RAY_ADDRESS."
            ) from error
    return ray
