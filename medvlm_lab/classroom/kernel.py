"""The Jupyter kernel `medvlm-lab`, whose display name says on which device it runs."""

from __future__ import annotations

import sys
from pathlib import Path


def install(prefix: str | None = None) -> dict[str, str]:
    """Registers the kernel in `prefix`, by default this virtual environment, or the user's folder outside of one.

    Returns:
        `name`, `display_name` and `folder` of the kernel.

    Raises:
        OSError: the folder cannot be written.
    """
    from ipykernel.kernelspec import install as register

    from medvlm_lab.devices import device_label

    if prefix is None and sys.prefix != sys.base_prefix:
        prefix = sys.prefix
    display_name = f"MedVLM Lab ({device_label()})"
    folder = register(
        kernel_name="medvlm-lab",
        display_name=display_name,
        prefix=prefix,
        user=prefix is None,
    )
    return {"name": "medvlm-lab", "display_name": display_name, "folder": str(Path(folder))}
