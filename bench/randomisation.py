"""The randomisation test (Adebayo et al. 2018) for every method on every bundled model that gives what it needs.

    python bench/randomisation.py [studies] [models or methods…]

A map that stays alike while the upper half of the layers is shuffled shows the picture, not what the model has learned.
"""

from __future__ import annotations

import sys

import medvlm_lab as lab
from medvlm_lab.explain.grading import present
from medvlm_lab.explain.registry import METHODS, met

DATA = {"echo-clip": "echocardiogram", "pathology-vlm": "histology"}  # chest X-rays for the others
STEPS = 5  # of the cascade; the verdict looks at the lower half of them


def main(studies: int = 4, *names: str) -> int:
    methods = [name for name in METHODS if name in names] or METHODS
    print(f"{'model':17}{'method':22}{'verdict':9}rank correlation, random from the top down to ever lower layers")
    for name in [name for name in names if name not in METHODS] or lab.models.CATALOGUE:
        model, data = lab.load(name, device="cpu"), lab.dataset(f"phantom:{DATA.get(name, 'chest-xray')}", "test", n=40)
        trace = next(trace for i in range(data.studies) for _, trace, _ in present(model, data, i).values())
        for method in methods:
            if not met(method, trace):
                print(f"{name:17}{method:22}{'-':9}needs what the model does not give", flush=True)
                continue
            test = lab.explain.randomisation(method, model, data, studies, groups=STEPS, resamples=100)
            verdict = "passes" if test.passes else "fails"
            steps = " ".join(f"{score.value:5.2f}" for score in test.scores.values())
            print(f"{name:17}{method:22}{verdict:9}{steps}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2]), *sys.argv[2:]))
