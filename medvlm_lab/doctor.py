"""What this machine offers: packages, device, data, weights, browser."""

from __future__ import annotations

import platform
import re
import shutil
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Report:
    """What `medvlm-lab doctor` found; `problems` holds one sentence for each thing to put right."""

    python: str
    torch: str | None
    device: str
    packages: dict[str, str | None]
    data: dict[str, str]
    chromium: str | None
    weights: dict[str, float]
    problems: tuple[str, ...]

    def as_dict(self) -> dict:
        return asdict(self)

    def lines(self) -> list[tuple[str, str]]:
        """(name, value) pairs, as a reader sees them."""
        weights = ", ".join(f"{name} ({size:.1f} MB)" for name, size in self.weights.items())
        return [
            ("python", self.python),
            ("torch", self.torch or "missing"),
            ("device", self.device),
            ("packages", f"{sum(map(bool, self.packages.values()))} of {len(self.packages)} installed"),
            ("data", ", ".join(self.data) or "none; set MEDVLM_DATA, or 'medvlm-lab data fetch vqa_rad'"),
            ("chromium", self.chromium or "not found (only the browser tests need it)"),
            ("weights", weights or "none"),
            *(("problem", problem) for problem in self.problems),
        ]


def version(package: str) -> str | None:
    """The installed version of a distribution, None where it is missing."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def versions(*packages: str) -> dict[str, str | None]:
    """The installed versions of these distributions."""
    return {package: version(package) for package in packages}


def requirements() -> list[str]:
    """The distributions that this package depends on, extras left out."""
    try:
        lines = metadata.requires("medvlm-lab") or []
    except metadata.PackageNotFoundError:
        return []
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines if "extra ==" not in line]


def data_found() -> dict[str, str]:
    """The data sets on this machine, by the names that `lab.dataset` knows: name → folder."""
    from medvlm_lab.datasets import LAYOUTS, data_root

    root = data_root()
    if root is None:
        return {}
    folders = {name: root / layout.folder for name, layout in LAYOUTS.items()}
    return {name: str(folder) for name, folder in folders.items() if folder.is_dir()}


def examine() -> Report:
    """Looks at this machine; never raises for something missing, but names it in `problems`."""
    packages = versions(*requirements())
    problems = [f"{name} is not installed; run 'make lab' again." for name, found in packages.items() if not found]
    device = "unknown"
    try:
        from medvlm_lab.devices import device_label

        device = device_label()
    except Exception as error:  # a broken torch build is exactly what this command has to report
        problems.append(" ".join(str(error).split()))
    weights = {
        str(path.relative_to(WEIGHTS).with_suffix("")): path.stat().st_size / 1e6
        for path in sorted(WEIGHTS.rglob("*.safetensors"))
    }
    return Report(
        python=platform.python_version(),
        torch=version("torch"),
        device=device,
        packages=packages,
        data=data_found(),
        chromium=next(filter(None, map(shutil.which, BROWSERS)), None),
        weights=weights,
        problems=tuple(problems),
    )
