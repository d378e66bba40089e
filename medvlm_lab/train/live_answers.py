"""vit-bert-vqa's last parts, trained in seconds: which of them has to learn when questions of a new kind come?

    train, test = (Asked.of(model, part, n) for part, n in (("train", 24), ("validation", 16)))
    curve = fit_parts(model, train, test, "decoder", "output_norm")
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from medvlm_lab.models.vqa_answerer import VQAAnswerer
from medvlm_lab.phantoms import phantom
from medvlm_lab.train import recipe
from medvlm_lab.train.loop import optimizers

QUESTIONS = {
    "pleural effusion": "Is there a pleural effusion?", "cardiomegaly": "Is the heart enlarged?",
    "pacemaker": "Is there a pacemaker?",
}  # fmt: skip
BATCH, EVERY, WARMUP, SIZE = 32, 5, 5, 128  # questions a step; steps between two measurements; steps; pixels


@dataclass(frozen=True)
class Asked:
    """What the frozen towers make of pictures and questions, and the true answers: start, "yes" or "no", end."""

    image: Float[Tensor, "n i d"]
    words: Float[Tensor, "n q e"]
    real: Bool[Tensor, "n q"]
    answers: Int[Tensor, "n 3"]

    @classmethod
    @torch.no_grad()
    def of(cls, model: VQAAnswerer, part: str, count: int, seed: int = 12) -> Asked:
        """Each of `QUESTIONS` about `count` simulated patients who have the finding and `count` who do not."""
        chest, module, tokenizer = phantom("chest-xray"), model.module, model.tokenizer
        drawn = chest.sample(seed, 400, part=part)
        with_it = {(kind, there): [s for s in drawn if bool(s.find(kind)) == there][:count]
                   for kind in QUESTIONS for there in (True, False)}  # fmt: skip
        pairs = [(scene, kind, there) for (kind, there), scenes in with_it.items() for scene in scenes]
        pixels = model.pixels([chest.image(scene, SIZE) for scene, *_ in pairs]).to(model.device)
        ids = tokenizer.batch([QUESTIONS[kind] for _, kind, _ in pairs], module.config.question_context)
        answers = tokenizer.batch(["yes" if there else "no" for *_, there in pairs], 3)
        image = torch.cat([module.image_encoder(some) for some in pixels.split(BATCH)])
        return cls(image, *module.encode_question(ids.to(model.device)), answers.to(model.device))

    def __len__(self) -> int:
        return len(self.image)

    def rows(self, rows) -> Asked:
        return Asked(self.image[rows], self.words[rows], self.real[rows], self.answers[rows])


def fit_parts(
    model: VQAAnswerer, train: Asked, test: Asked, *parts: str, steps: int = 30, seed: int = 0
) -> dict[int, float]:
    """Trains these parts of a copy, named as in the module; percent right of the test's answers after so many steps."""
    torch.manual_seed(seed)
    net, rng, curve = copy.deepcopy(model.module).requires_grad_(False), np.random.default_rng(seed), {}
    for part in parts:
        net.get_submodule(part).requires_grad_(True)
    both = optimizers(net, recipe(model.name))
    factor = lambda step: min(1, (step + 1) / WARMUP, 2 * (1 - step / steps))  # noqa: E731
    schedules = [torch.optim.lr_scheduler.LambdaLR(one, factor) for one in both]
    for step in range(steps + 1):
        if step % EVERY == 0:
            with torch.no_grad():
                memory, keep = net.eval().fuse(test.image, test.words, test.real)
                said = net.decode(test.answers[:, :1], memory, keep)[:, 0].argmax(-1)
            curve[step] = 100 * (said == test.answers[:, 1]).double().mean().item()
        some = train.rows(rng.choice(len(train), min(BATCH, len(train)), replace=False))
        memory, keep = net.train().fuse(some.image, some.words, some.real)
        logits = net.decode(some.answers[:, :-1], memory, keep)
        for one in both:
            one.zero_grad()
        cross_entropy(logits.flatten(0, 1), some.answers[:, 1:].flatten()).backward()
        for one in (*both, *schedules):
            one.step()
    return curve
