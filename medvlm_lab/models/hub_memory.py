"""Memory that is too small or runs out, in one sentence that says what to lower."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from medvlm_lab.errors import OutOfMemoryError

ADVICE = "load it with dtype='bfloat16', on a larger device, or choose a smaller model"


def check_room(name: str, device, needed: int, hint: str) -> None:
    """Raises OutOfMemoryError, its message ending with `hint`, where `needed` bytes do not fit what is free."""
    if device.type == "cuda":
        import torch

        free = torch.cuda.mem_get_info(device)[0]
    else:
        import psutil  # comes with ipykernel

        free = psutil.virtual_memory().available
    if needed > free:
        raise OutOfMemoryError(
            f"{name} takes {needed / 1e9:.1f} GB of memory, but {device} has {free / 1e9:.1f} GB free; {ADVICE}. {hint}"
        )


def ran_out(error: Exception) -> bool:
    """Whether an error says that memory is full."""
    import torch

    said = str(error)
    full = "can't allocate memory" in said or "out of memory" in said
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (isinstance(error, RuntimeError) and full)


@contextmanager
def memory_hint(name: str, device, batch: int | None = None) -> Iterator[None]:
    """Turns a device's or the machine's lack of memory into `OutOfMemoryError`."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        lower = f"lower model.batch (now {batch}), or " if batch and batch > 1 else ""
        raise OutOfMemoryError(f"{device} has too little memory for {name}; {lower}{ADVICE}.") from error
