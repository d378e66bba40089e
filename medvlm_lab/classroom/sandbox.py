"""Bubblewrap around a program: no network, nothing to write to but one folder, no other process to be seen."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from medvlm_lab.errors import MedVLMError

GUARDED = (
    "Guarded: time, memory and file size are limited, each submission runs in a copy of its own, without a network, "
    "without writing anywhere else and without seeing other processes. Not guarded: it can read this machine's files, "
    "the answers in the package among them."
)
UNGUARDED = (
    "Guarded: time, memory and file size are limited, and each submission runs in a copy of its own. Not guarded "
    "without --sandbox: a submission can read, change and delete whatever this user can, end this user's processes and "
    "use the network."
)


def bubblewrap(box: Path) -> list[str]:
    """The beginning of a command whose rest can write to `box` only."""
    return [
        "bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--ro-bind", "/", "/", "--dev", "/dev",
        "--proc", "/proc", "--tmpfs", "/run", "--bind", str(box), str(box), "--chdir", str(box), "--",
    ]  # fmt: skip


def check_bubblewrap(box: Path) -> None:
    """Raises MedVLMError where bubblewrap is missing, or may not make a sandbox here."""
    instead = "leave out --sandbox to grade without it"
    if shutil.which("bwrap") is None:
        raise MedVLMError(f"--sandbox needs bubblewrap; install it (apt install bubblewrap), or {instead}. {UNGUARDED}")
    tried = subprocess.run([*bubblewrap(box), "true"], capture_output=True, text=True)
    if tried.returncode:
        why = " ".join(tried.stderr.split())
        raise MedVLMError(f"bubblewrap cannot make a sandbox here ({why}); {instead}. {UNGUARDED}")
