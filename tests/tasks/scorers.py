"""Models that can do every task, badly and always alike, at the cost of a hash of the pixels."""

import time

import numpy as np
import torch
from torch.nn import functional as F

from medvlm_lab.models.base import Answer, Mask, Report

CHEST, ECHO = "phantom:chest-xray", "phantom:echocardiogram"
TASKS = {  # task → data set, studies
    "vqa": (CHEST, 2), "zero-shot": (CHEST, 8), "retrieval": (CHEST, 6), "identification": (CHEST, 6),
    "regression": (ECHO, 4), "report": (CHEST, 6), "segmentation": (CHEST, 4),
}  # fmt: skip


def chance(image, *words):
    """A number in [0, 1) that follows from the picture and the words."""
    return abs(hash((round(float(image.pixels.astype(np.float64).sum()), 3), *map(len, words)))) % 997 / 997


class Guesser:
    """Every capability. `calls` counts pictures; with `fails_after`, that many are answered before it breaks."""

    name = "guesser"

    def __init__(self, fails_after=None, pause=0.0):
        self.calls, self.fails_after, self.pause = 0, fails_after, pause

    def _see(self, images):
        self.calls += len(images)
        time.sleep(self.pause)
        if self.fails_after is not None and self.calls > self.fails_after:
            raise RuntimeError("interrupted")

    def answer_batch(self, images, questions):
        self._see(images)
        return [Answer("yes", chance(i, q)) for i, q in zip(images, questions, strict=True)]

    def score_findings(self, images):
        self._see(images)
        names = ("cardiomegaly", "pleural effusion", "unicorn")
        return {name: torch.tensor([chance(image, name) for image in images]) for name in names}

    def encode_images(self, images):
        self._see(images)
        return F.normalize(torch.tensor([[chance(i), chance(i, "a"), 1.0] for i in images]), dim=-1)

    def encode_texts(self, texts):
        return F.normalize(torch.tensor([[len(t) % 7.0, len(t) % 5.0, 1.0] for t in texts]), dim=-1)

    def regress(self, images):
        self._see(images)
        return {"ejection_fraction_percent": torch.tensor([100 * chance(image) for image in images])}

    def report_batch(self, images):
        self._see(images)
        return [Report("The heart is enlarged." if chance(i) < 0.5 else "The lungs are clear.") for i in images]

    def segment_batch(self, images, phrases):
        self._see(images[:1])  # one study
        return [self.segment(image, phrase) for image, phrase in zip(images, phrases, strict=True)]

    def segment(self, image, phrase):
        mask = np.zeros((image.height, image.width), bool)
        mask[:, : int(chance(image, phrase) * image.width)] = len(phrase) % 2
        return Mask(mask, mask.astype(np.float32), phrase)
