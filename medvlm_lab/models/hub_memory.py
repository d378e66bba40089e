"""Memory that runs out, in one sentence that says what to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from medvlm_lab.errors import OutOfMemoryError


@contextmanager
def memory_hint(model) -> Iterator[None]:
    """Turns a device's or the machine's lack of memory into `OutOfMemoryError`."""
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _explained(model) from error
    except RuntimeError as error:
        if "can't allocate memory" not in str(error) and "out of memory" not in str(error):
            raise
        raise _explained(model) from error


def _explained(model) -> OutOfMemoryError:
    return OutOfMemoryError(
        f"{model.device} has too little memory for {model.name}; lower model.batch (now {model.batch}), "
        "load it with dtype='bfloat16', or with device='cpu'."
    )
