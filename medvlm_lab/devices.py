"""Which device to run on."""

from __future__ import annotations

import os

from medvlm_lab.errors import MedVLMError


def device(name: str | None = None):
    """The torch device to use: `name`, else `MEDVLM_DEVICE`, else CUDA, then MPS, then CPU.

    Raises:
        MedVLMError: the device asked for is not on this machine.
    """
    import torch

    name = name or os.environ.get("MEDVLM_DEVICE") or None
    if name is None:
        if torch.cuda.is_available():
            name = "cuda"
        elif torch.backends.mps.is_available():
            name = "mps"
        else:
            name = "cpu"
    try:
        chosen = torch.device(name)
        torch.empty(1, device=chosen).tolist()  # "meta" has no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise MedVLMError(
            f"Device {name!r} is not available here; use 'cpu', or unset MEDVLM_DEVICE to choose the best one."
        ) from error
    return chosen


def computes_bfloat16(device) -> bool:
    """Whether a device has bfloat16 arithmetic of its own; another one imitates it, slower than float32."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    known = getattr(torch.cpu, "get_capabilities", dict)() if device.type == "cpu" else {}  # torch 2.9 or later
    return not known or any(known.get(name) for name in ("avx512_bf16", "amx_bf16", "avx_ne_convert", "bf16"))


def device_label() -> str:
    """The device in words, as a kernel or a widget footer shows it."""
    import torch

    chosen = device()
    if chosen.type == "cuda":
        return torch.cuda.get_device_name(chosen)
    return {"cpu": f"CPU, {os.cpu_count()} cores", "mps": "Apple GPU"}.get(chosen.type, str(chosen))
