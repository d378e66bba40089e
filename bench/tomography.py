"""CT projection and reconstruction of a batch against scikit-image's `radon` and `iradon`, in one process.

    python bench/tomography.py [threads]     # exits 1 where it is not 10 times as fast at an error at least as small
"""

from __future__ import annotations

import resource
import sys
from time import process_time

import numpy as np
import torch
from skimage.transform import iradon, radon

import medvlm_lab as lab
from medvlm_lab.phantoms.tomography import Scanner

SIZE, ANGLES, BATCH, ROUNDS = 256, 320, 32, 3


def main(threads: int = 1) -> int:
    torch.set_num_threads(threads)
    ct = lab.phantom("abdominal-ct")
    scenes = ct.sample(0, BATCH)
    started = process_time()
    truth = (ct.truth(scenes, SIZE) * 0.001 + 1).clamp(min=0)
    print(f"painting anatomy: {(process_time() - started) / BATCH * 1000:.0f} ms per slice of {SIZE} pixels")
    scanner = Scanner(SIZE, ANGLES)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        started = process_time()
        made = scanner.reconstruct(scanner.project(truth))
        ours.append((process_time() - started) / BATCH)
        degrees = np.rad2deg(scanner.theta.numpy())
        started = process_time()
        other = iradon(radon(truth[0].numpy(), degrees, circle=False), degrees, circle=False, output_size=SIZE)
        theirs.append(process_time() - started)
    error = [float(np.sqrt(np.square(np.asarray(x) - truth[0].numpy()).mean())) for x in (made[0], other)]
    ratio = min(theirs) / min(ours)
    times = f"{min(ours) * 1000:.1f} ms of CPU per slice, scikit-image {min(theirs) * 1000:.0f} ms"
    print(f"{SIZE} px, {ANGLES} angles: {times}")
    print(f"{ratio:.1f} times as fast; root mean square error {error[0]:.4f}, scikit-image {error[1]:.4f}")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = process_time()
    ct.render(ct.sample(1, 4 * BATCH), 128)
    print(f"whole simulation at 128 px: {(process_time() - started) / (4 * BATCH) * 1000:.0f} ms per slice")
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"memory grew by {grown:.0f} MB over {4 * BATCH} slices")
    measured, worst = ct.measure(scenes, ct.masks(scenes, 512)), 0.0
    for i, scene in enumerate(scenes):
        stated = {"aorta_mm": scene.aorta_mm, "spleen_mm": scene.spleen_mm}
        stated |= {f"{f.mask_name.replace(' ', '_')}_mm": f.measurement for f in scene.findings if f.measurement}
        worst = max(worst, *(abs(float(measured[k][i]) / mm - 1) for k, mm in stated.items()))
    print(f"largest error of a length measured on masks: {worst:.2%}")
    return int(ratio < 10 or error[0] > error[1] or worst > 0.03)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
