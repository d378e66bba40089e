"""A new connector between a frozen encoder and a frozen language model, in seconds: PA-LLaVA's second stage.

    train, test = (Patients.of(model, scenes) for scenes in (some, others))
    curve = fit_connector(model, train, test, views=slice(1, None))     # slice(0, 1): the whole view alone
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from medvlm_lab.image import MedicalImage
from medvlm_lab.models.generative import Seen, lesson
from medvlm_lab.models.pathology_vlm import Looked, PathologyVLM, picture
from medvlm_lab.models.writer import QUESTION
from medvlm_lab.nn.connector import ScalingFreeConnector, resize
from medvlm_lab.nn.layers import init_weights
from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.histology_scene import HistologyScene
from medvlm_lab.progress import tqdm

RATE, BATCH = 1e-3, 16  # AdamW; patients a step
ROUNDS, EVERY = 4, 15  # questions to each patient in an exam; steps between two exams
TOGETHER = 16  # pictures looked at together


@dataclass(frozen=True)
class Patients:
    """Simulated patients, their pictures, and what the frozen encoder sees of all views of these."""

    scenes: Sequence[HistologyScene]
    images: Sequence[MedicalImage]
    looked: Looked

    @classmethod
    def of(cls, model: PathologyVLM, scenes: Sequence[HistologyScene], size: int = 384) -> Patients:
        """Pictures of `size` pixels per side, each looked at once."""
        simulator = phantom(model.modality)
        images = [simulator.image(scene, size) for scene in tqdm(scenes, desc="staining", unit="slide")]
        return cls(scenes, images, look(model, images))

    def lesson(self, model: PathologyVLM, rows: Sequence[int], rng: np.random.Generator) -> tuple[Tensor, ...]:
        """A question to each of these patients and its answer, as `generative.lesson` gives them."""
        simulator, prompts, answers = phantom(model.modality), [], []
        for row in rows:
            asked = simulator.questions(self.scenes[row], rng)
            one = asked[int(rng.integers(len(asked)))]
            prompts.append(model.ids(QUESTION.format(one.question)))
            answers.append([*model.tokenizer.words(one.answer), model.tokenizer.end])
        return lesson(prompts, answers, model.tokenizer.pad, model.module.config.context)

    def soft(self, connector: ScalingFreeConnector, rows: Sequence[int], views: slice) -> Float[Tensor, "n p e"]:
        """Soft tokens of these patients, `views` being what the whole view's patches look at."""
        tokens, keep = self.looked
        return connector(tokens[rows, 0, 1:], tokens[rows, views, 1:], keep[rows, views])


def look(model: PathologyVLM, images: Sequence[MedicalImage]) -> Looked:
    """What the frozen encoder sees of all views, without those that no image has."""
    parts = [model.look(images[i : i + TOGETHER]) for i in range(0, len(images), TOGETHER)]
    tokens, keep = (torch.cat(part) for part in zip(*parts, strict=True))
    most = int(keep.any(-1).sum(1).max())
    return Looked(tokens[:, :most].clone(), keep[:, :most].clone())  # clones may be trained on


class Looking(PathologyVLM):
    """The model before pictures that were looked at once: what follows the encoder can be tried again and again."""

    def __init__(self, model: PathologyVLM, images: Sequence[MedicalImage], looked: Looked):
        super().__init__(model.module, model.tokenizer, model.device)
        self.place, self.looked = {id(image): i for i, image in enumerate(images)}, looked

    def look(self, images: Sequence[MedicalImage]) -> Looked:
        return Looked(*(part[[self.place[id(image)] for image in images]] for part in self.looked))


def shrunk(image: MedicalImage, side: int) -> MedicalImage:
    """A colour picture of `side` × `side` pixels."""
    small = resize(picture(image), (side, side)).clamp(0, 1).permute(1, 2, 0)
    return image.with_(pixels=(small[None] * 255).round().byte().numpy(), spacing_mm=None)


@torch.no_grad()
def exam(model: PathologyVLM, patients: Patients, soft: Float[Tensor, "n p e"] | None) -> float:
    """Mean loss in nats a token on the same questions every time; `soft` None: asked without any picture."""
    rows = range(len(patients.scenes))
    rounds = [patients.lesson(model, rows, np.random.default_rng(k)) for k in range(ROUNDS)]
    return float(np.mean([float(model.module.loss(Seen(prefix=soft), *part)) for part in rounds]))


def fit_connector(
    model: PathologyVLM, train: Patients, test: Patients, views: slice, steps: int = 60, seed: int = 0
) -> dict[int, float]:
    """A connector trained from nothing: the exam's loss on `test` after so many steps."""
    torch.manual_seed(seed)
    net, rng, curve = model.module, np.random.default_rng(seed), {}
    depth = net.config.connector_depth
    connector = ScalingFreeConnector(net.config.width, net.config.width, depth, net.config.heads, net.config.hidden)
    optimizer = torch.optim.AdamW(connector.apply(init_weights).parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, 2 * (1 - step / steps)))
    everyone = range(len(test.scenes))
    for step in tqdm(range(steps + 1), desc="connector", unit="step"):
        if step % EVERY == 0:
            with torch.no_grad():
                curve[step] = exam(model, test, test.soft(connector, everyone, views))
        if step < steps:
            rows = rng.choice(len(train.scenes), BATCH).tolist()
            loss = net.loss(Seen(prefix=train.soft(connector, rows, views)), *train.lesson(model, rows, rng))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return curve
