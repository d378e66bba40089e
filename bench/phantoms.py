"""Simulated studies per second on this machine, and how exactly masks measure what the scenes say.

    python bench/phantoms.py [threads]     # exits 1 below 500 chest X-rays/s at 128 pixels or above 3 % error, or below
                                           # 40 MR slices/s on one core
"""

from __future__ import annotations

import sys
from time import perf_counter, process_time

import torch

import medvlm_lab as lab

SIZE, COUNT, ROUNDS = 128, 512, 5


def main(threads: int = 2) -> int:
    torch.set_num_threads(threads)
    xray = lab.phantom("chest-xray")
    started = perf_counter()
    scenes = xray.sample(0, COUNT)
    drawn = COUNT / (perf_counter() - started)
    started = perf_counter()
    xray.render(scenes[:32], SIZE)
    print(f"first 32 images, patterns included: {perf_counter() - started:.2f} s; scenes drawn: {drawn:,.0f}/s")
    rates, work = [], []
    for _ in range(ROUNDS):
        started, busy = perf_counter(), process_time()
        xray.render(scenes, SIZE)
        rates.append(COUNT / (perf_counter() - started))
        work.append(COUNT / (process_time() - busy))
    print(f"{SIZE} px, {threads} threads: best {max(rates):,.0f} images/s, per second of one core {max(work):,.0f}")
    masks = xray.masks(scenes[:64], 512)
    measured = xray.measure(scenes[:64], masks)
    stated = torch.tensor([s.cardiothoracic_ratio for s in scenes[:64]])
    errors = [(measured["cardiothoracic_ratio"] / stated - 1).abs().max().item()]
    for side in ("right", "left"):
        sizes = torch.tensor([f.measurement if (f := s.find("nodule", side)) else torch.nan for s in scenes[:64]])
        errors.append((measured[f"{side}_nodule_mm"] / sizes - 1).abs().nan_to_num().max().item())
    print(f"largest error of cardiothoracic ratio {errors[0]:.2%}, of nodule diameter {max(errors[1:]):.2%}")
    points = echocardiogram()
    heart_sounds()
    histology()
    slices = brain_mr()
    return int(max(rates) < 500 or max(errors) > 0.03 or points > 1.5 or slices < 40)


def echocardiogram(count: int = 24) -> float:
    """Cines of 32 frames per second; returns the largest error of the ejection fraction in percentage points."""
    echo = lab.phantom("echocardiogram")
    scenes = echo.sample(0, count)
    echo.render(scenes[:2], SIZE)
    started, busy = perf_counter(), process_time()
    echo.render(scenes, SIZE)
    rate, work = count / (perf_counter() - started), count / (process_time() - busy)
    measured = echo.measure(scenes[:12], echo.masks(scenes[:12], 256))["ejection_fraction_percent"]
    stated = torch.tensor([s.ejection_fraction_percent for s in scenes[:12]])
    worst = (measured - stated).abs().max().item()
    print(f"echocardiograms, {SIZE} px x 32 frames: {rate:.1f} cines/s, per second of one core {work:.1f}; ", end="")
    print(f"largest error of the ejection fraction {worst:.2f} points")
    return worst


def histology(count: int = 64) -> None:
    """Micrographs per second, and how exactly mitoses and necrosis are measured on their masks."""
    slides = lab.phantom("histology")
    scenes = slides.sample(0, count)
    slides.render(scenes[:2], SIZE)
    started, busy = perf_counter(), process_time()
    slides.render(scenes, SIZE)
    rate, work = count / (perf_counter() - started), count / (process_time() - busy)
    measured = slides.measure(scenes, slides.masks(scenes, 256))
    miscounted = sum(int(n) != s.mitoses for n, s in zip(measured["mitoses"], scenes, strict=True))
    stated = torch.tensor([100 * s.necrotic or torch.nan for s in scenes])
    worst = (measured["necrosis_percent"] / stated - 1).abs().nan_to_num().max().item()
    print(f"micrographs, {SIZE} px: {rate:.1f} images/s, per second of one core {work:.1f}; ", end="")
    print(f"{miscounted} mitotic counts wrong, largest error of necrosis {worst:.2%}")


def heart_sounds(count: int = 128) -> None:
    """Waveforms of 3 s, and their pictures, per second."""
    sounds = lab.phantom("heart-sounds")
    scenes = sounds.sample(0, count)
    sounds.render(scenes[:4], SIZE)
    started = perf_counter()
    sounds.audio(scenes)
    heard = perf_counter()
    sounds.render(scenes, SIZE)
    spent = (heard - started, perf_counter() - heard)
    print(f"heart sounds, 3 s: {count / spent[0]:,.0f} recordings/s, {count / spent[1]:,.0f} pictures/s at {SIZE} px")


def brain_mr(count: int = 96) -> float:
    """MR slices of the head per second of one core, which it returns, and the largest error of a lesion's size."""
    mr = lab.phantom("brain-mr")
    scenes = mr.sample(0, count)
    mr.render(scenes[:4], SIZE)
    busy = process_time()
    mr.render(scenes, SIZE)
    rate = count / (process_time() - busy)
    measured = mr.measure(scenes[:48], mr.masks(scenes[:48], 512))
    errors = [
        abs(measured[f"{f.mask_name.replace(' ', '_')}_mm"][i].item() / f.measurement - 1)
        for i, s in enumerate(scenes[:48]) for f in s.all_findings if f.measurement and f.kind != "midline shift"
    ]
    print(f"brain MR, {SIZE} px: {rate:.0f} slices/s per second of one core; largest error of a size {max(errors):.2%}")
    return rate


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
