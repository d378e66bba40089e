"""Simulated studies as files: PNG or DICOM, masks, sound, one JSON line per study, and a question file.

A study's line is written after its files, so that an interrupted export goes on after the last whole line and ends with
the very bytes that an uninterrupted one writes.
"""

from __future__ import annotations

import io
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medvlm_lab import phantoms
from medvlm_lab.errors import CannotWriteError, MedVLMError, UnknownNameError
from medvlm_lab.image import SIMULATED_NOTE
from medvlm_lab.io.whole import cannot_write, whole, write_whole
from medvlm_lab.phantoms.base import Phantom, check_count, check_hospital, check_size
from medvlm_lab.phantoms.scene import Scene, scene_seed

FORMATS = {"png": ".png", "dicom": ".dcm"}
CHUNK = 16
STUDIES, UNFINISHED, SETTINGS = "studies.jsonl", "studies.jsonl.part", "simulation.json"


@dataclass(frozen=True)
class Export:
    """What to write, and where. Raises UnknownNameError or SceneError for what cannot be made."""

    name: str
    n: int
    out: Path
    format: str = "png"
    size: int = 512
    masks: bool = True
    seed: int = 0
    split: str = "train"
    hospital: int = 0

    def __post_init__(self) -> None:
        phantoms.phantom(self.name)
        check_count(self.n)
        check_size(self.size)
        if self.format not in FORMATS:
            raise UnknownNameError("format", self.format, FORMATS)
        check_hospital(self.hospital)
        scene_seed(self.split, self.seed, self.n - 1)
        object.__setattr__(self, "out", Path(self.out).expanduser())

    def run(self, progress: bool = True) -> Path:
        """Write what is missing, and return the folder.

        Raises:
            MedVLMError: the folder cannot be written to, or holds something else.
        """
        try:
            return self._run(progress)
        except CannotWriteError:
            raise
        except OSError as error:
            raise cannot_write(self.out, error) from error

    def _run(self, progress: bool) -> Path:
        from medvlm_lab.progress import tqdm

        self.out.mkdir(parents=True, exist_ok=True)
        self._claim()
        done, whole = self._resume()
        simulator = phantoms.phantom(self.name)
        with (
            tqdm(total=self.n, initial=done, unit="study", desc=f"simulating {self.name}", disable=not progress) as bar,
            open(self.out / UNFINISHED, "r+b") as file,
        ):
            file.truncate(whole)
            file.seek(whole)
            for start in range(done, self.n, CHUNK):
                for line in self._studies(simulator, range(start, min(start + CHUNK, self.n))):
                    file.write(line.encode())
                    file.flush()
                    bar.update()
        self._write_questions()
        os.replace(self.out / UNFINISHED, self.out / STUDIES)
        return self.out

    def _claim(self) -> None:
        """The folder belongs to one simulation: another's studies must not end up in it."""
        wanted = {k: v for k, v in asdict(self).items() if k not in ("out", "n")}
        path = self.out / SETTINGS
        if path.exists():
            try:
                found = json.loads(path.read_text(encoding="utf-8"))
            except ValueError:
                found = {}
            if found != wanted:
                other = next((k for k in wanted if found.get(k) != wanted[k]), "name")
                raise MedVLMError(
                    f"{self.out} holds another simulation ({other} is {found.get(other)!r}, not {wanted[other]!r}); "
                    "name another folder with --out."
                )
        elif any(self.out.iterdir()):
            raise MedVLMError(f"{self.out} is not empty and holds no simulation; name another folder with --out.")
        else:
            write_whole(path, (json.dumps(wanted, indent=1) + "\n").encode())

    def _resume(self) -> tuple[int, int]:
        """(whole lines, their bytes) of an earlier run; a line that was cut off does not count."""
        finished, part = self.out / STUDIES, self.out / UNFINISHED
        if finished.exists():
            os.replace(finished, part)
        part.touch()
        lines = whole = 0
        with open(part, "rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    lines, whole = lines + 1, whole + len(line)
        if lines > self.n:
            os.replace(part, finished)
            raise MedVLMError(f"{self.out} holds {lines:,} studies already; ask for at least as many with --n.")
        return lines, whole

    def _studies(self, simulator: Phantom, numbers: range) -> Iterator[str]:
        """Writes the files of these studies and yields their lines."""
        scenes = [simulator.draw(scene_seed(self.split, self.seed, i), self.hospital) for i in numbers]
        pixels = simulator.render(scenes, self.size).numpy()  # (n, c, h, w)
        masks = simulator.masks(scenes, self.size)
        measured = simulator.measure(scenes, masks)
        for row, (number, scene) in enumerate(zip(numbers, scenes, strict=True)):
            name = f"{number:07d}"
            image = Path("images", name + FORMATS[self.format])
            encode = png if self.format == "png" else dicom
            write_whole(self.out / image, encode(pixels[row], simulator, scene, self.size))
            files = {}
            if self.masks:
                for key, mask in masks.items():
                    if bool(mask[row].any()):
                        files[key] = str(Path("masks", name, key.replace(" ", "-") + ".png"))
                        write_whole(self.out / files[key], mask_png(mask[row].numpy(), simulator, scene))
            if simulator.sampling_hz:
                write_whole(self.out / "audio" / f"{name}.wav", simulator.wav(scene))
            numbers_read = {k: round(float(v[row]), 4) for k, v in measured.items() if not np.isnan(float(v[row]))}
            yield json.dumps(self._line(simulator, scene, image, files, numbers_read), ensure_ascii=False) + "\n"

    def _line(self, simulator: Phantom, scene: Scene, image: Path, files: dict, measured: dict) -> dict[str, Any]:
        wording = "held-out" if self.split == "test" else "usual"
        heard = {"audio": str(Path("audio", image.stem + ".wav"))} if simulator.sampling_hz else {}
        return heard | {
            "image": str(image), "simulated": True, "report": asdict(simulator.report(scene, wording=wording)),
            "findings": [asdict(f) | {"severity": f.severity, "mask": f.mask_name} for f in scene.all_findings],
            "questions": [asdict(q) for q in simulator.questions(scene, wording=wording)],
            "measurements": measured, "masks": files, "scene": scene.to_dict(),
        }

    def _write_questions(self) -> None:
        """The questions in VQA-RAD's layout, so that `lab.dataset(folder)` reads them."""
        target = self.out / ("testset.json" if self.split == "test" else "trainset.json")
        with (
            whole(target) as part, open(self.out / UNFINISHED, encoding="utf-8") as lines,
            open(part, "w", encoding="utf-8") as file,
        ):  # fmt: skip
            separator = "[\n"
            for line in lines:
                study = json.loads(line)
                for q in study["questions"]:
                    row = {"image_name": Path(study["image"]).name, "question": q["question"], "answer": q["answer"]}
                    row |= {"answer_type": "CLOSED" if q["closed"] else "OPEN", "question_type": q["question_type"]}
                    file.write(separator + json.dumps(row, ensure_ascii=False))
                    separator = ",\n"
            file.write("\n]\n")


def export_scene(simulator: Phantom, scene: Scene, out: str | Path, size: int = 512) -> Path:
    """One study of the reader's own making, in a new folder inside `out`: image.png, masks, report and scene.

    Raises:
        MedVLMError: the folder cannot be written to.
    """
    out = Path(out).expanduser()
    taken = (out / f"{simulator.name}-{number:03d}" for number in range(1, 1000))
    folder = next((path for path in taken if not path.exists()), None)
    if folder is None:
        raise MedVLMError(f"{out} holds 999 studies already; name another folder.")
    pixels, masks = simulator.render([scene], size).numpy(), simulator.masks([scene], size)
    present = {name: mask[0].numpy() for name, mask in masks.items() if bool(mask[0].any())}
    study = {
        "simulated": True, "report": asdict(simulator.report(scene)), "scene": scene.to_dict(),
        "questions": [asdict(q) for q in simulator.questions(scene)],
        "masks": {name: f"masks/{name.replace(' ', '-')}.png" for name in present},
    }
    if simulator.sampling_hz:
        write_whole(folder / "audio.wav", simulator.wav(scene))
    write_whole(folder / "image.png", png(pixels[0], simulator, scene, size))
    for name, mask in present.items():
        write_whole(folder / study["masks"][name], mask_png(mask, simulator, scene))
    write_whole(folder / "study.json", json.dumps(study, indent=1, ensure_ascii=False) + "\n")
    return folder


def mask_png(mask: np.ndarray, simulator: Phantom, scene: Scene) -> bytes:
    """PNG of a mask (h, w), of a cine's (f, h, w): 255 where it is true."""
    return _png(255 * mask.astype(np.uint8).reshape(-1, *mask.shape[-2:]), simulator, scene)


def png(pixels: np.ndarray, simulator: Phantom, scene: Scene, size: int) -> bytes:
    """8-bit PNG of one picture (c, h, w) in its window, saying that it is simulated; animated if it is a cine."""
    center, width = simulator.window if pixels.shape[0] != 3 else (0.5, 1.0)
    eight = np.clip(np.rint((pixels - (center - width / 2)) / width * 255), 0, 255).astype(np.uint8)
    if simulator.inverted:
        eight = 255 - eight
    return _png(eight.transpose(1, 2, 0)[None] if pixels.shape[0] == 3 else eight, simulator, scene)


def _png(frames: np.ndarray, simulator: Phantom, scene: Scene) -> bytes:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    note, buffer = PngInfo(), io.BytesIO()
    note.add_text("Comment", f"{SIMULATED_NOTE} ({simulator.name}, seed {scene.seed}). Not for clinical use.")
    note.add_text("Modality", simulator.modality)
    first, *others = (Image.fromarray(frame) for frame in frames)
    cine = {"save_all": True, "append_images": others, "duration": 1000 / (simulator.fps or 10)} if others else {}
    first.save(buffer, "PNG", pnginfo=note, **cine)
    return buffer.getvalue()


def dicom(pixels: np.ndarray, simulator: Phantom, scene: Scene, size: int) -> bytes:
    """DICOM of one picture (c, h, w), grey in 12 bits or colour in 8, its identifiers derived from the seed."""
    from medvlm_lab.phantoms.export_dicom import encode

    return encode(pixels, simulator, scene, size)
