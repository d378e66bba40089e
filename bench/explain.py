"""What a map costs: PromptCAM beside captum's LayerGradCam and pytorch-grad-cam, 32 prompts beside theirs one by one.

    python bench/explain.py [rounds]      # aims: at most 1.0 of their time and memory, at least 10 times faster

Memory is that of torch's tensors; pytorch-grad-cam, left out where it is not installed, keeps its maps elsewhere.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from statistics import median
from time import process_time  # a busy machine does not change it

import torch
from captum.attr import LayerAttribution, LayerGradCam

import medvlm_lab as lab
from medvlm_lab.models.chexzero import FINDINGS, POSITIVE

try:
    import cv2
    from pytorch_grad_cam import GradCAM
except ImportError:
    GradCAM = None

TEXTS = [template.format(name) for name in FINDINGS for template in (*POSITIVE, "No {} is seen.")][:32]
SIZE = 256  # of the simulated data sets; larger maps cost more to draw, however they were computed


def peak(call: Callable) -> float:
    """The most memory that torch's tensors took at a time, above what was there before, in MB."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        call()
    with tempfile.TemporaryDirectory() as folder:
        profile.export_chrome_trace(str(file := Path(folder) / "trace.json"))
        events = json.loads(file.read_text())["traceEvents"]
    changes = sorted((event["ts"], event["args"]["Bytes"]) for event in events if event["name"] == "[memory]")
    return max(accumulate(change for _, change in changes)) / 1e6


class Images(torch.nn.Module):
    """The image half of a dual encoder, as pytorch-grad-cam calls a network."""

    def __init__(self, module: torch.nn.Module):
        super().__init__()
        self.module = module

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.module.encode_image(pixels)


def main(rounds: int = 15) -> int:
    phantom, model = lab.phantom("chest-xray"), lab.load("chexzero", device="cpu")
    image, text = phantom.image(phantom.draw(3), SIZE), TEXTS[0]
    tower = model.module.image_encoder

    def captum(text=text):
        """The same way from image and text to a map in the image's own pixels."""
        towards = model.encode_texts([text])[0].clone()
        cam = LayerGradCam(lambda pixels: model.module.encode_image(pixels) @ towards, tower.stages)
        found = cam.attribute(model.pixels([image]), relu_attributions=True)
        return LayerAttribution.interpolate(found, (SIZE, SIZE), "bicubic").detach().numpy()

    def library(text=text):
        towards = model.encode_texts([text])[0].clone()
        with GradCAM(Images(model.module), [tower.stages]) as cam:
            found = cam(model.pixels([image]), [lambda embedding: embedding @ towards])[0]
        return cv2.resize(found, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)

    theirs = {"captum": captum, **({"pytorch-grad-cam": library} if GradCAM else {})}
    calls = {
        "one": lambda: lab.explain.explain("prompt-cam", model, image, text),
        "many": lambda: lab.explain.explain_many("prompt-cam", model, image, TEXTS),
    }
    for name, call in theirs.items():
        calls |= {name: call, f"{name} each": lambda call=call: [call(each) for each in TEXTS]}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            started = process_time()
            call()
            times[name].append(process_time() - started)
    ratio = lambda a, b: median(x / y for x, y in zip(times[a][1:], times[b][1:], strict=True))  # noqa: E731
    peaks = {name: peak(call) for name, call in calls.items()}  # the maps themselves count, too
    print(f"torch {torch.__version__}, {SIZE} x {SIZE} pixels, {rounds} rounds; the first is not counted")
    ms = {name: 1e3 * median(spent) for name, spent in times.items()}
    behind = False
    for name in theirs:
        single, gain = ratio("one", name), ratio(f"{name} each", "many")
        print(f"one map {ms['one']:.1f} ms, {name} {ms[name]:.1f} ms: {single:.2f}")
        print(f"32 prompts {ms['many']:.0f} ms, {name} one by one {ms[f'{name} each']:.0f} ms: {gain:.1f}")
        print(f"memory: one map {peaks['one']:.1f} MB, {name} {peaks[name]:.1f}; "
              f"32 maps {peaks['many']:.1f}, {name} {peaks[f'{name} each']:.1f}")  # fmt: skip
        heavier = peaks["one"] > peaks[name] or peaks["many"] > peaks[f"{name} each"]
        behind |= single > 1.0 or gain < 10.0 or heavier
    return int(behind)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
