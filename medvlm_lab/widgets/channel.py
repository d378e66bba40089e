"""One channel for what a reader asks: a text with its number; the newest counts, and it can be stopped.

A request of the browser is computed in a thread, so that a newer one, and the stop button, are heard meanwhile; what
is drawn is drawn by the kernel's own thread. In a cell, and without a kernel, it is computed at once.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from medvlm_lab.errors import MedVLMError

AGAIN_S = 1.0  # the same once more within this time is a key held down or pressed twice
STOPPED, INTERRUPTED = "Stopped.", "The kernel was interrupted."
_turn = threading.RLock()  # widgets share models, and a model computes for one request at a time
_open: set[Channel] = set()  # channels with a request under way, for the kernel's interrupt
_signal: list[Any] = []  # the handler of interrupts that was there before


class Stopped(BaseException):
    """Ends a computation that nobody waits for any more; no `except Exception` holds it up."""


class Request:
    """What was asked: `job` yields what `draw` shows; `failed` shows the sentence that says why it ended early."""

    def __init__(
        self, key: Any, job: Callable[[], Iterable], draw: Callable[[Any], None], failed: Callable[[str], None]
    ):
        self.key, self.job, self.draw, self.failed, self.over = key, job, draw, failed, False

    def check(self, *_: Any) -> None:
        """Raises Stopped once nobody waits for the answer."""
        if self.over:
            raise Stopped


class Channel:
    """The requests of one widget.

    Args:
        send: takes a message for the browser: whether something is computed, and what is said of it.
    """

    def __init__(self, send: Callable[[dict[str, Any]], None]):
        self._send, self._now, self._number, self._done = send, None, 0, (None, 0.0)

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._now is not None

    def submit(self, request: Request, number: int = 0) -> None:
        """Computes what the browser asks beside the kernel's thread; an older request ends, an equal one goes on."""
        self._number = max(self._number, number)
        if self._now is not None and self._now.key == request.key:
            return self._tell("Computing …")
        if _in_cell():
            return self.run(request)
        key, ended = self._done
        if self._now is None and key == request.key and time.monotonic() - ended < AGAIN_S:
            return self._tell("", busy=False)
        loop = asyncio.get_running_loop()
        self._begin(request)
        if threading.current_thread() is threading.main_thread():
            _watch()
        work = partial(self._compute, request, loop.call_soon_threadsafe)
        threading.Thread(target=work, name="medvlm-lab-request", daemon=True).start()

    def run(self, request: Request) -> None:
        """Computes a request now, and returns when it is drawn. KeyboardInterrupt is told to the reader, and raised."""
        self._begin(request)
        try:
            with _turn:
                for made in request.job():
                    self._draw(request, made)
        except KeyboardInterrupt:
            self._end(request, INTERRUPTED)
            raise
        except BaseException:
            self._end(request)
            raise
        self._end(request)

    def stop(self, why: str = STOPPED) -> None:
        """Ends the request under way, if there is one."""
        if self._now is not None:
            self._end(self._now, why)
        else:
            self._tell("", busy=False)

    def _begin(self, request: Request) -> None:
        if self._now is not None:
            self._now.over = True
        self._now = request
        _open.add(self)
        self._tell("Computing …")

    def _compute(self, request: Request, later: Callable) -> None:
        why = ""
        try:
            with _turn, _interruptible(request):
                request.check()
                for made in request.job():
                    request.check()
                    later(self._draw, request, made)
        except Stopped:
            return
        except MedVLMError as error:
            why = str(error)
        except Exception as error:  # a widget that dies in a thread says nothing: show it instead
            why = f"The computation failed ({type(error).__name__}: {error}); try something else."
        later(self._end, request, why)

    def _draw(self, request: Request, made: Any) -> None:
        if request is self._now:
            request.draw(made)

    def _end(self, request: Request, why: str = "") -> None:
        request.over = True
        if request is not self._now:
            return
        self._now = None
        if not why:
            self._done = request.key, time.monotonic()
        _open.discard(self)
        _rest()
        if why:
            request.failed(why)
        self._tell(why if why in (STOPPED, INTERRUPTED) else "", busy=False)

    def _tell(self, note: str, busy: bool = True) -> None:
        self._send({"reply": "channel", "seq": self._number, "busy": busy, "note": note})


def _kernel() -> Any:
    """The kernel around this code, or None."""
    from IPython import get_ipython

    return getattr(get_ipython(), "kernel", None)


def _in_cell() -> bool:
    """Whether code of a cell, or of a script, waits for the result, and no reader in front of a page."""
    kernel = _kernel()
    return kernel is None or kernel.get_parent("shell").get("header", {}).get("msg_type") != "comm_msg"


@contextmanager
def _interruptible(request: Request) -> Iterator[None]:
    """Inside, every layer of a model that this thread computes looks first whether somebody still waits."""
    torch, here = sys.modules.get("torch"), threading.get_ident()
    if torch is None:
        yield
        return
    check = lambda *_: request.check() if threading.get_ident() == here else None  # noqa: E731
    handle = torch.nn.modules.module.register_module_forward_pre_hook(check)
    try:
        yield
    finally:
        handle.remove()


def computing() -> bool:
    """Whether a request of any widget is under way."""
    return bool(_open)


def interrupt(*_: Any) -> None:
    """Ends the requests of all widgets, and says in each that the kernel was interrupted."""
    for channel in [*_open]:
        channel.stop(INTERRUPTED)


def _watch() -> None:
    """While something is computed, an interrupt of the kernel ends it; an idle kernel ignores interrupts.

    The kernel puts back its saved handler once the message that it deals with is done: from then on that is ours.
    """
    kernel = _kernel()
    if not _signal and hasattr(kernel, "saved_sigint_handler"):
        _signal.append(kernel.saved_sigint_handler)
        kernel.saved_sigint_handler = interrupt


def _rest() -> None:
    """Nothing is computed any more: the kernel's handler comes back, now or after the message in hand."""
    if _open or not _signal or threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGINT) is interrupt:
        signal.signal(signal.SIGINT, _signal.pop())
    else:
        _kernel().saved_sigint_handler = _signal.pop()
