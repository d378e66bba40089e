"""How long a widget takes to react: a new map after a change of text, method or layer; a patient changed.

    python bench/widgets.py [rounds]     # aims: 200 ms for a map by a quick method, 500 ms for a changed patient
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
    "flamingo-cxr": ("chest-xray", "Is there a nodule?"),
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


def main(rounds: int = 5) -> int:
    torch.set_num_threads(1)
    late = 0
    for name, (phantom, text) in CASES.items():
        model = lab.load(name, device="cpu")
        counter = lab.widgets.counterfactual(model, phantom, patients=8)
        explain = lab.widgets.explain(model, counter.now.seen.image, text)
        methods = [method for method in logic.able(explain.state) if method not in logic.SLOW]

        def ask(method: str, layer: str = "", model=model, explain=explain) -> None:
            state = logic.look(logic.change(explain.state, layer=layer), model, [method])
            logic.view(state, [method])

        maps = {method: spent(lambda m=method: ask(m), rounds) for method in methods}
        layer = spent(lambda: ask("grad-cam", explain.state.layers[-1]), rounds)
        box = counter.controls.findings.children[0].children[0]
        patient = spent(lambda: setattr(box, "value", not box.value), rounds)
        print(f"{name}: " + ", ".join(f"{method} {ms:.0f}" for method, ms in maps.items())
              + f", grad-cam of another layer {layer:.0f}; a changed patient {patient:.0f} ms")  # fmt: skip
        late += sum(ms > MAP_MS for ms in (*maps.values(), layer)) + (patient > PATIENT_MS)
    return int(late > 0)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:2])))
