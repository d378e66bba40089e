"""What a map costs: PromptCAM beside captum's LayerGradCam, and 32 prompts at once beside captum's one by one.

    python bench/explain.py [rounds]      # aims: at most 1.0 of captum's time and memory, at least 10 times faster
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

    calls = {
        "captum": captum,
        "one": lambda: lab.explain.explain("prompt-cam", model, image, text),
        "each": lambda: [captum(each) for each in TEXTS],
        "many": lambda: lab.explain.explain_many("prompt-cam", model, image, TEXTS),
    }
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds + 1):
        for name, call in calls.items():
            started = process_time()
            call()
            times[name].append(process_time() - started)
    ratio = lambda a, b: median(x / y for x, y in zip(times[a][1:], times[b][1:], strict=True))  # noqa: E731
    single, gain = ratio("one", "captum"), ratio("each", "many")
    print(f"torch {torch.__version__}, {SIZE} x {SIZE} pixels, {rounds} rounds; the first is not counted")
    print(f"one map {1e3 * median(times['one']):.1f} ms, captum {1e3 * median(times['captum']):.1f} ms: {single:.2f}")
    many, each = 1e3 * median(times["many"]), 1e3 * median(times["each"])
    print(f"32 prompts {many:.0f} ms, captum one by one {each:.0f} ms: {gain:.1f}")
    peaks = {name: peak(call) for name, call in calls.items()}  # the maps themselves count, too
    print("memory: one map {one:.1f} MB, captum {captum:.1f}; 32 maps {many:.1f}, captum {each:.1f}".format(**peaks))
    return int(single > 1.0 or gain < 10.0 or peaks["one"] > peaks["captum"])


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
