"""True and false sentences about one finding of a patient: hard negatives in text (NegCLIP, Yuksekgonul et al. 2023).

A report differs from another in many words, so a rare finding, or a "no" before it, teaches a contrast little.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medvlm_lab.phantoms.base import Phantom, Scene
from medvlm_lab.phantoms.language import Grammar
from medvlm_lab.phantoms.report_writer import facts_of


class Statements:
    """Writes them for the patients of one phantom.

    Attributes:
        having: for each finding that somebody has, who has it.
        own: slots that stay the patient's own in a false sentence.
    """

    def __init__(self, simulator: Phantom, scenes: Sequence[Scene], own: Sequence[str] = ()):
        self.simulator, self.own = simulator, tuple(own)
        having = {kind: [s for s in scenes if s.find(kind)] for kind in scenes[0].kinds}
        self.having = {kind: some for kind, some in having.items() if some}

    def pair(self, scene: Scene, rng: np.random.Generator) -> tuple[str, str]:
        """A true and a false sentence about a finding."""
        kind, there, absent = self.about(scene, rng)
        return (there, absent) if scene.find(kind) else (absent, there)

    def about(self, scene: Scene, rng: np.random.Generator) -> tuple[str, str, str]:
        """A finding, a sentence that it is there, and one that it is not."""
        kind = list(self.having)[int(rng.integers(len(self.having)))]
        other = scene if scene.find(kind) else self.having[kind][int(rng.integers(len(self.having[kind])))]
        grammar, facts = Grammar.of(self.simulator.name), self.simulator.facts(scene)
        borrowed = facts_of(self.simulator, other, other.find(kind)) | {key: facts[key] for key in self.own}
        there = grammar.say(("present", kind), borrowed, rng, "usual")
        named = {"list": grammar.data["nouns"][kind]["denied"]}
        alone = rng.random() < 0.5 and grammar.patterns(("absent", kind), "usual")
        absent = grammar.say(("absent", kind), facts, rng, "usual") if alone else None
        return kind, there, absent or grammar.say(("absent", "list"), named, rng, "usual")
