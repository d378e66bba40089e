"""Memory that runs out in a teaching model, in one sentence that says what to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from inspect import isfunction

from medvlm_lab.errors import OutOfMemoryError
from medvlm_lab.models.hub_memory import ran_out


@contextmanager
def room(name: str, device) -> Iterator[None]:
    """`hub_memory.memory_hint` for models whose weights are small: what fills the memory is what they are given."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        raise OutOfMemoryError(
            f"{device} has too little memory for {name}; give it fewer images, questions or texts at once, end what "
            "else fills the memory, or load it on another device."
        ) from error


class Roomy:
    """Whatever a subclass, which has a `name` and a `device`, computes in a public method, it computes in `room`."""

    def __init_subclass__(cls):
        super().__init_subclass__()
        for name, method in list(vars(cls).items()):
            if isfunction(method) and not name.startswith("_"):
                setattr(cls, name, _hinted(method))


def _hinted(method):
    @wraps(method)
    def hinted(self, *args, **options):
        with room(self.name, self.device):
            return method(self, *args, **options)

    return hinted
