"""Simulated patients as a question-answer data set: nothing is stored, every item is made when it is asked for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from medvlm_lab import phantoms
from medvlm_lab.datasets.base import Study, VQAItem
from medvlm_lab.errors import SceneError, UnknownNameError
from medvlm_lab.phantoms.base import WORDINGS, Question, Report, check_count, check_hospital, check_size, rng_of
from medvlm_lab.phantoms.scene import INDICES, PARTS, Scene, scene_seed

if TYPE_CHECKING:
    import torch
    from jaxtyping import Bool, Float
    from torch import Tensor

    from medvlm_lab.image import MedicalImage

TRAINING_AUTHORS = 2**20  # numbers below it are authors whose reports models may learn from
PER_IMAGE = 6  # a fixed number of questions per study, so that any item is found without making those before it


@dataclass(frozen=True)
class PhantomItem(VQAItem):
    """A question about a simulated study. `image_path` names the study; there is no such file."""

    phantom: str = ""
    scene: Scene | None = field(default=None, repr=False)
    size: int = 256
    mask_name: str = ""

    def image(self) -> MedicalImage:
        """The picture, rendered now."""
        return phantoms.phantom(self.phantom).image(self.scene, self.size)

    def mask(self) -> Bool[Tensor, "*frames h w"] | None:
        """What in the picture, or in a cine's frames, justifies the answer; None where nothing does."""
        if not self.mask_name:
            return None
        return phantoms.phantom(self.phantom).masks([self.scene], self.size)[self.mask_name][0]


class PhantomDataset(Sequence[PhantomItem]):
    """`n` simulated studies with `PER_IMAGE` questions each, in the shape of `VQADataset`.

    Memory does not grow with `n`. Training and validation are worded alike, the test split uses held-out wording.

    Args:
        phantom: such as "chest-xray".
        split: train, validation or test; the three share no patient.
        n: number of studies. seed: which ones. size: pixels per side. hospital: 0 to 3, shifts the appearance.
        wording: "usual" or "held-out", if it shall be another than the split's.
        authors: how many take turns in writing the reports, each with habits of wording that no training report has;
            by default every sentence is drawn anew.

    Raises:
        UnknownNameError: no such phantom, split or wording. SceneError: n, seed, size or hospital out of range.
    """

    def __init__(
        self, phantom: str, split: str, n: int = 1000, seed: int = 0, size: int = 256, hospital: int = 0,
        wording: str | None = None, authors: int = 0,
    ):
        self.simulator = phantoms.phantom(phantom)
        check_count(n)
        check_size(size)
        scene_seed(split, seed, n - 1)
        check_hospital(hospital)
        self.phantom, self.split, self.studies, self.seed, self.size, self.hospital = (
            phantom, split, n, seed, size, hospital,
        )
        self.name = f"phantom:{phantom}"
        self.wording = wording or ("held-out" if split == PARTS[2] else "usual")
        if self.wording not in WORDINGS:
            raise UnknownNameError("wording", self.wording, WORDINGS)
        self.authors = authors
        self._indices: Sequence[int] = range(n * PER_IMAGE)
        self._study = lru_cache(maxsize=256)(self._make)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_study"}

    def __setstate__(self, state: dict[str, Any]) -> None:  # in another process: a cache of its own
        self.__dict__.update(state)
        self._study = lru_cache(maxsize=256)(self._make)

    def _make(self, number: int) -> tuple[Scene, list[Question]]:
        scene = self.simulator.draw(scene_seed(self.split, self.seed, number), self.hospital)
        return scene, self.simulator.questions(scene, wording=self.wording)[:PER_IMAGE]

    def scene(self, number: int) -> Scene:
        """The scene of study `number`."""
        return self._study(number)[0]

    def study(self, number: int) -> Study:
        """Study `number` without its questions, its report worded as the split is."""
        return self._as_study(number, self.scene(number), self._report(number))

    def later(self, number: int) -> Study:
        """The next study of the patient of study `number`: the same anatomy, findings that have changed."""
        before = self.scene(number)
        # seeds from the far end of the stream: no study of the data set has the same noise
        own = {"seed": scene_seed(self.split, self.seed, INDICES - 1 - number), "visit": 1}
        scene = self.simulator.progress(before, rng_of(before.seed, 1)).with_(**own)
        report = self.simulator.report(scene, wording=self.wording, prior=before)
        return self._as_study(number, scene, report, "-later")

    def _as_study(self, number: int, scene: Scene, report: Report, end: str = "") -> Study:
        numbers = {f.name: getattr(scene, f.name) for f in dataclasses.fields(scene) if "low" in f.metadata}
        return Study(
            f"{self.phantom}-{self.split}-{self.seed}-{number:06d}{end}", f"{report.findings} {report.impression}",
            frozenset(f.kind for f in scene.all_findings), numbers, lambda: self.simulator.image(scene, self.size),
            impression=report.impression,
        )

    def _report(self, number: int) -> Report:
        author = TRAINING_AUTHORS + number % self.authors if self.authors else None
        return self.simulator.report(self.scene(number), wording=self.wording, author=author)

    def examples(self, number: int, count: int) -> list[tuple[MedicalImage, str]]:
        """Images and reports of `count` other patients by the author of study `number`, for few-shot prompts.

        Raises SceneError where the author has written fewer, or where reports have no authors.
        """
        own = range(number % self.authors, self.studies, self.authors) if self.authors else ()
        others = sorted(set(own) - {number}, key=lambda i: (i < number, i))[:count]  # the next ones, in a circle
        if len(others) < count:
            raise SceneError(
                f"{self.name} has fewer than {count} other reports by the author of study {number}; make it with "
                f"authors=1 or more, and n at least {count + 1} times as many."
            )
        reports = [self._report(other) for other in others]
        return [
            (self.simulator.image(self.scene(other), self.size), f"findings: {r.findings} impression: {r.impression}")
            for other, r in zip(others, reports, strict=True)
        ]

    def masks(self, number: int) -> dict[str, Bool[Tensor, "*frames h w"]]:
        """Where everything in study `number` is; every name of the phantom, empty where the patient lacks it."""
        return {name: mask[0] for name, mask in self.simulator.masks([self.scene(number)], self.size).items()}

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return self.select(range(len(self))[index])
        position = self._indices[index]
        scene, asked = self._study(position // PER_IMAGE)
        q = asked[position % PER_IMAGE]
        name = f"{self.phantom}-{self.split}-{self.seed}-{position // PER_IMAGE:06d}"
        return PhantomItem(
            Path(self.name) / name, q.question, q.answer, q.closed, q.question_type, name, self.simulator.modality,
            self.phantom, scene, self.size, q.mask_name, public=True,
        )  # fmt: skip

    def __iter__(self) -> Iterator[PhantomItem]:
        return (self[i] for i in range(len(self)))

    def select(self, indices: Sequence[int], split: str | None = None) -> PhantomDataset:
        """The items at `indices`, in that order; `split` renames the part that is shown, not the wording."""
        part = PhantomDataset(
            self.phantom, self.split, self.studies, self.seed, self.size, self.hospital, self.wording, self.authors
        )
        own = self._indices
        whole = isinstance(indices, range) and isinstance(own, range)
        part._indices = own[indices.start : indices.stop : indices.step] if whole and indices else [
            own[i] for i in indices
        ]
        part.title = split or self.split
        return part

    def batches(
        self, batch_size: int = 32, size: int | None = None, device: str | torch.device | None = None
    ) -> Iterator[tuple[Float[Tensor, "n c h w"], list[PhantomItem]]]:
        """Pixels and items, `batch_size` items at a time, each study of a batch rendered once, on `device`."""
        check_count(batch_size, "batch_size")
        for start in range(0, len(self), batch_size):
            items = [self[i] for i in range(start, min(start + batch_size, len(self)))]
            studies = {item.image_name: item.scene for item in items}
            where = {name: i for i, name in enumerate(studies)}
            pixels = self.simulator.render(list(studies.values()), size or self.size, device)
            yield pixels[[where[item.image_name] for item in items]], items

    @property
    def items(self) -> PhantomDataset:
        """Itself: `VQADataset` keeps its items in a tuple, here they are made."""
        return self

    @property
    def rows(self) -> Sequence[dict[str, Any]]:
        """The rows that a question file in VQA-RAD's layout would hold, made when asked for."""
        return _Rows(self)

    @property
    def closed(self) -> int:
        """How many questions are closed; makes every study once."""
        return sum(item.closed for item in self)

    @property
    def image_names(self) -> tuple[str, ...]:
        """Each study's name once, in order of first use."""
        return tuple(dict.fromkeys(item.image_name for item in self))

    def __str__(self) -> str:
        return f"{self.name} ({self.split}): {len(self):,} questions on simulated studies, made on demand"

    def __repr__(self) -> str:
        return f"<PhantomDataset {self}>"


class _Rows(Sequence):
    def __init__(self, data: PhantomDataset):
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        item = self.data[index]
        return {
            "image_name": item.image_name, "question": item.question, "answer": item.answer,
            "answer_type": "CLOSED" if item.closed else "OPEN", "question_type": item.question_type,
        }
