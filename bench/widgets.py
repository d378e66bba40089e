"""How long a widget takes to react: a new map after a change of text, method or layer; a patient changed.

    python bench/widgets.py [rounds] [models…]     # aims: 200 ms for a map by a quick method, 500 ms for a patient
"""

from __future__ import annotations

import sys
from statistics import median
from time import process_time  # on one thread the time of an idle core, however busy the machine is

import torch

import medvlm_lab as lab
from medvlm_lab.widgets import explain_state as logic

CASES = {
    "chexzero": ("chest-xray", "nodule"), "echo-clip": ("echocardiogram", "TAVR valve"),
    "vit-bert-vqa": ("chest-xray", "Is there a nodule?"), "clinical-blip": ("chest-xray", "Is there a nodule?"),
    "flamingo-cxr": ("chest-xray", "Is there a nodule?"), "pathology-vlm": ("histology", "Is there necrosis?"),
    "prompt-segmenter": ("chest-xray", "the heart"),
}  # fmt: skip
MAP_MS, PATIENT_MS = 200, 500


def spent(call, rounds: int) -> float:
    """Milliseconds, the median of the rounds; one before them is not counted."""
    times = []
    for _ in range(rounds + 1):
        started = process_time()
        call()
        times.append(1e3 * (process_time() - started))
    return median(times[1:])


def reactions(name: str, phantom: str, text: str, rounds: int) -> tuple[dict[str, float], float]:
    """Milliseconds of each quick method and of another layer's map, and of a changed patient."""
    model = lab.load(name, device="cpu")
    counter = lab.widgets.counterfactual(model, phantom, patients=8)
    explain = lab.widgets.explain(model, counter.now.seen.image, text)

    def ask(method: str, layer: str = "") -> None:
        state = logic.look(logic.change(explain.state, layer=layer), model, [method])
        logic.view(state, [method])

    methods = [method for method in logic.able(explain.state) if method not in logic.SLOW]
    maps = {method: spent(lambda: ask(method), rounds) for method in methods}  # noqa: B023 (called at once)
    maps["grad-cam of another layer"] = spent(lambda: ask("grad-cam", explain.state.layers[-1]), rounds)
    box = counter.controls.findings.children[0].children[0]
    return maps, spent(lambda: setattr(box, "value", not box.value), rounds)


def main(rounds: int = 5, *names: str) -> int:
    torch.set_num_threads(1)
    late = 0
    for name in names or CASES:
        maps, patient = reactions(name, *CASES[name], rounds)
        told = ", ".join(f"{method} {ms:.0f}" for method, ms in maps.items())
        print(f"{name}: {told}; a changed patient {patient:.0f} ms")
        late += sum(ms > MAP_MS for ms in maps.values()) + (patient > PATIENT_MS)
    return int(late > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2]), *sys.argv[2:]))
