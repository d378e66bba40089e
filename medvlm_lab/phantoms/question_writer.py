"""From a scene to questions with answers: presence, side, severity, place, size, and what the picture is.

A modality's `wording/NAME.toml` has the branch `ask`: `presence`, `side`, `choice`, `severity`, `grade`, `region`,
`measurement`, `normal`, `only`, and under `general` questions whose answer never changes
or is one of the scene's facts ("<rate> bpm"), with the `mask` that justifies it.
"""

from __future__ import annotations

import numpy as np

from medvlm_lab.phantoms.base import Phantom, Question
from medvlm_lab.phantoms.language import Grammar, insert
from medvlm_lab.phantoms.report_writer import facts_of
from medvlm_lab.phantoms.scene import Finding, Scene


def write_questions(phantom: Phantom, scene: Scene, rng: np.random.Generator, wording: str) -> list[Question]:
    """See `Phantom.questions`."""
    grammar = Grammar.of(phantom.name)
    kinds = list(scene.kinds)
    present = [k for k in kinds if scene.find(k)]
    absent = [k for k in kinds if not scene.find(k)]
    denied = [absent[i] for i in rng.permutation(len(absent))[: max(4, len(present))]]
    asked: list[Question] = []
    for kind in present + denied:
        asked.append(_presence(grammar, scene, kind, rng, wording))
        if scene.kinds[kind].sides and rng.random() < 0.6:
            asked.append(_presence(grammar, scene, kind, rng, wording, ("left", "right")[int(rng.integers(2))]))
    for kind in present:
        found = [f for f in scene.all_findings if f.kind == kind]
        asked += _details(phantom, grammar, scene, found, rng, wording)
    diseases = [f for f in scene.all_findings if not scene.kinds[f.kind].device]
    if diseases or not scene.all_findings:  # with nothing but a device the answer is a matter of opinion
        text, mask = grammar.say(("ask", "normal"), {}, rng, wording), diseases[0].mask_name if diseases else ""
        asked.append(Question(text, "no" if diseases else "yes", True, "ABN", mask))
    if len(diseases) == 1:
        text, f = grammar.say(("ask", "only"), {}, rng, wording), diseases[0]
        asked.append(Question(text, f.mask_name, False, "ABN", f.mask_name))
    numbers = phantom.facts(scene)
    for name, fixed in grammar.data["ask"]["general"].items():
        text = grammar.say(("ask", "general", name), {}, rng, wording)
        asked.append(Question(text, insert(fixed["answer"], numbers), False, fixed["type"], fixed.get("mask", "")))
    return [asked[i] for i in rng.permutation(len(asked))]


def _presence(
    grammar: Grammar, scene: Scene, kind: str, rng: np.random.Generator, wording: str, side: str = ""
) -> Question:
    noun = grammar.data["nouns"][kind]
    facts = {"is": "are" if noun.get("plural") else "is", "noun": noun["one"], "a noun": noun["a"], "side": side}
    facts |= grammar.place(kind)
    place = ("ask", "presence", "side") if side else ("ask", "presence", kind)
    if not grammar.patterns(place, wording):
        place = ("ask", "presence")
    found = scene.find(kind, side or None)
    mask = found.mask_name if found else ""
    return Question(grammar.say(place, facts, rng, wording), "yes" if found else "no", True, "PRES", mask)


def _details(
    phantom: Phantom, grammar: Grammar, scene: Scene, found: list[Finding], rng: np.random.Generator, wording: str
) -> list[Question]:
    """Side, severity, region and size; where both sides differ, the side is part of the question."""
    asked = []
    for f in found:
        facts = facts_of(phantom, scene, f)
        facts["the"] = f"{f.side} {facts['noun']}".strip() if len(found) > 1 else facts["noun"]
        if f.side and len(found) == 1:
            kind, closed = ("choice", True) if rng.random() < 0.5 else ("side", False)
            asked.append(Question(grammar.say(("ask", kind), facts, rng, wording), f.side, closed, "POS", f.mask_name))
        if f.severity:
            kind, closed = ("grade", True) if rng.random() < 0.4 else ("severity", False)
            text = grammar.say(("ask", kind), facts, rng, wording)
            asked.append(Question(text, f.severity, closed, "ATTRIB", f.mask_name))
        if f.region:
            text = grammar.say(("ask", "region"), facts, rng, wording)
            asked.append(Question(text, facts["place"], False, "POS", f.mask_name))
        if f.measurement is not None:
            text = grammar.say(("ask", "measurement"), facts, rng, wording)
            asked.append(Question(text, facts["measurement"], False, "SIZE", f.mask_name))
    return asked
