"""PromptCAM's pointing game on simulated test patients: one pass, and the mean of moved pictures.

    python bench/pointing.py [patients]    # 400 by default, about 3 minutes; exits 1 below 90 %

Asked of chest findings that cover 1 % of the picture or more. Devices in echocardiograms are all smaller.
"""

from __future__ import annotations

import sys

import medvlm_lab as lab

TARGET = 90.0  # per cent
SHOWN = ("pointing_large", "pointing_near_large", "pointing", "pointing_near", "chance")


def main(patients: int = 400) -> int:
    reached = 0.0
    for name, phantom in {"chexzero": "chest-xray", "echo-clip": "echocardiogram"}.items():
        model, data = lab.load(name), lab.dataset(f"phantom:{phantom}", "test")
        for shifts in (1, 4):
            found = lab.explain.grade("prompt-cam", model, data, n=patients, shifts=shifts)
            print(f"{name}, {shifts} x {shifts} pictures")
            for key in SHOWN:
                print(f"  {found.titles[key]}: {found.scores[key]}")
            if name == "chexzero":
                reached = max(reached, found.scores["pointing_large"].value)
    return int(reached < TARGET)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
