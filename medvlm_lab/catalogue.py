"""Real sample images out of installed packages, described in `data_samples/catalogue.toml`; nothing is downloaded."""

from __future__ import annotations

import io
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from medvlm_lab.errors import MissingDataError, UnknownNameError
from medvlm_lab.image import MedicalImage

if TYPE_CHECKING:
    from PIL import Image

CATALOGUE = Path(__file__).resolve().parent.parent / "data_samples" / "catalogue.toml"


@dataclass(frozen=True)
class Sample:
    """One catalogue entry. `package` and `file` say where the picture lies;"""

    name: str
    title: str
    modality: str
    anatomy: str
    look_for: str
    questions: tuple[str, ...]
    source: str
    licence: str
    package: str
    file: str
    window: str | tuple[float, float] | None = None

    def path(self) -> Path:
        """The file inside its installed package; raises MissingDataError where the package lacks it."""
        spec = find_spec(self.package)  # located, not imported: some of these packages take seconds to import
        folder = next(iter(spec.submodule_search_locations or ()), None) if spec else None
        path = Path(folder or "") / self.file
        if folder is None or not path.is_file():
            raise MissingDataError(
                f"Sample {self.name!r} needs {self.file} from {self.package}; reinstall the project's dependencies."
            )
        return path


@cache
def catalogue() -> dict[str, Sample]:
    """Every sample by name, in teaching order."""
    if not CATALOGUE.is_file():
        raise MissingDataError(
            f"The sample catalogue {CATALOGUE} is missing; install the project from its checkout with pip install -e ."
        )
    entries = tomllib.loads(CATALOGUE.read_text(encoding="utf-8"))
    found = {}
    for name, entry in entries.items():
        window = entry.pop("window", None)
        entry["window"] = tuple(window) if isinstance(window, list) else window
        found[name] = Sample(name=name, questions=tuple(entry.pop("questions")), **entry)
    return found


def sample(name: str) -> MedicalImage:
    """One real image of the catalogue; raises UnknownNameError with the nearest name."""
    from medvlm_lab.image import WINDOW_PRESETS
    from medvlm_lab.io import read

    known = catalogue()
    if name not in known:
        raise UnknownNameError("sample", name, known)
    entry = known[name]
    image = read(entry.path(), modality=entry.modality)
    window = WINDOW_PRESETS[entry.modality][entry.window] if isinstance(entry.window, str) else entry.window
    return image.with_(
        name=name, anatomy=entry.anatomy, questions=entry.questions, source=entry.source, window=window or image.window
    )


class Samples:
    """The catalogue as names; in a notebook, a contact sheet."""

    def __iter__(self) -> Iterator[str]:
        return iter(catalogue())

    def __len__(self) -> int:
        return len(catalogue())

    def __getitem__(self, name: str) -> MedicalImage:
        return sample(name)

    def __repr__(self) -> str:
        return "\n".join(f"{s.name:24} {s.modality:17} {s.title}" for s in catalogue().values())

    def pil(self, tile: int = 200, columns: int = 5) -> Image.Image:
        """The contact sheet: every sample at its own proportions on black, its name and modality below."""
        from PIL import Image, ImageDraw

        caption, entries = 34, list(catalogue().values())
        rows = -(-len(entries) // columns)
        sheet = Image.new("RGB", (columns * tile, rows * (tile + caption)), "black")
        draw = ImageDraw.Draw(sheet)
        for i, entry in enumerate(entries):
            image = sample(entry.name)
            picture = image.pil(image.reading_frame)
            picture.thumbnail((tile - 8, tile - 8))
            x, y = (i % columns) * tile, (i // columns) * (tile + caption)
            sheet.paste(picture, (x + (tile - picture.width) // 2, y + (tile - picture.height) // 2))
            draw.text((x + 6, y + tile), f"{entry.name}\n{entry.modality}", fill=(235, 235, 235))
        return sheet

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.pil().save(buffer, "PNG")
        return buffer.getvalue()


def samples() -> Samples:
    """The sample images: iterate for names, show for a contact sheet."""
    return Samples()
