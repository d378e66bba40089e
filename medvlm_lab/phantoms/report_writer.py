"""From a scene to a report: each finding stated once, absent ones denied, in varying order and wording.

A modality's `wording/NAME.toml` has the branches `sections` (which finding is reported where), `nouns`, `present`,
`absent`, `normal`, `change` and `impression`, and may have `measured`, one line of numbers that closes the findings.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from medvlm_lab.phantoms.base import Phantom, Report
from medvlm_lab.phantoms.language import Grammar, listed
from medvlm_lab.phantoms.scene import Finding, Scene

SEVERITY = {
    "mild": {"severity": "mild", "severely": "mildly", "size": "small"},
    "moderate": {"severity": "moderate", "severely": "moderately", "size": "moderate"},
    "severe": {"severity": "severe", "severely": "severely", "size": "large"},
    "": {},
}


def facts_of(phantom: Phantom, scene: Scene, finding: Finding | None) -> dict[str, str]:
    """What fills the slots of a sentence about one finding (or about none)."""
    facts = dict(phantom.facts(scene))
    if finding is None:
        return facts
    grammar = Grammar.of(phantom.name)
    facts |= {"noun": grammar.data["nouns"][finding.kind]["one"], **grammar.place(finding.kind)}
    facts |= SEVERITY[finding.severity]
    facts |= {"side": finding.side, "region": finding.region, "place": f"{finding.side} {finding.region}".strip()}
    if finding.measurement is not None:
        facts |= {"measurement": f"{finding.measurement:g} {scene.kinds[finding.kind].unit}"}
    return facts


def write_report(
    phantom: Phantom, scene: Scene, rng: np.random.Generator, wording: str, prior: Scene | None,
    author: int | None = None,
) -> Report:
    """See `Phantom.report`."""
    grammar = Grammar.of(phantom.name).by(author)
    paragraphs = [
        _section(phantom, grammar, scene, name, kinds, rng, wording) for name, kinds in grammar.data["sections"].items()
    ]
    order = rng.permutation(len(paragraphs)) if rng.random() < 0.5 else range(len(paragraphs))
    sentences = [s for i in order for s in paragraphs[i]]
    if grammar.patterns(("measured",), wording):
        sentences.append(grammar.say(("measured",), facts_of(phantom, scene, None), rng, wording))
    if prior is not None:
        sentences += _changes(phantom, grammar, scene, prior, rng, wording)
    return Report(" ".join(sentences), " ".join(_impression(phantom, grammar, scene, rng, wording)))


def _section(
    phantom: Phantom, grammar: Grammar, scene: Scene, name: str, kinds: Sequence[str], rng: np.random.Generator,
    wording: str,
) -> list[str]:
    """One region's sentences: what is there, then what is not."""
    sentences = []
    for kind in kinds:
        sentences += _present(phantom, grammar, scene, kind, rng, wording, "present")
    absent = [k for k in kinds if not scene.find(k) and not scene.kinds[k].device]
    if not sentences and grammar.patterns(("normal", name), wording) and rng.random() < 0.5:
        return [grammar.say(("normal", name), facts_of(phantom, scene, None), rng, wording)]
    own = [k for k in absent if grammar.patterns(("absent", k), wording)]
    for kind in own:
        if rng.random() < 0.6:
            sentences.append(grammar.say(("absent", kind), facts_of(phantom, scene, None), rng, wording))
            absent.remove(kind)
    if absent and rng.random() < 0.75:
        some = [absent[i] for i in rng.permutation(len(absent))[: int(rng.integers(1, 4))]]
        nouns = listed([grammar.data["nouns"][k]["denied"] for k in some])
        sentences.append(grammar.say(("absent", "list"), {"list": nouns}, rng, wording))
    one_sided = [f for k in kinds for f in scene.all_findings if f.kind == k and f.side and not scene.kinds[k].device]
    for f in one_sided:
        other = {"left": "right", "right": "left"}[f.side]
        if not scene.find(f.kind, other) and rng.random() < 0.2:
            noun = grammar.data["nouns"][f.kind]["one"]
            sentences.append(grammar.say(("absent", "side"), {"side": other, "noun": noun}, rng, wording))
    return sentences


def _present(
    phantom: Phantom, grammar: Grammar, scene: Scene, kind: str, rng: np.random.Generator, wording: str, branch: str
) -> list[str]:
    """Sentences for each finding of a kind; equal findings on both sides may share one."""
    found = [f for f in scene.all_findings if f.kind == kind]
    both = len(found) == 2 and found[0].severity == found[1].severity and found[0].measurement is None
    if both and found[0].region == found[1].region and grammar.patterns((branch, kind, "both"), wording):
        return [grammar.say((branch, kind, "both"), facts_of(phantom, scene, found[0]), rng, wording)]
    return [grammar.say((branch, kind), facts_of(phantom, scene, f), rng, wording) for f in found]


def _impression(
    phantom: Phantom, grammar: Grammar, scene: Scene, rng: np.random.Generator, wording: str
) -> list[str]:
    kinds = list(dict.fromkeys(f.kind for f in scene.all_findings if not scene.kinds[f.kind].device))
    if not kinds:
        # with a device in place there may be nothing acute, but "normal" would be untrue
        summary = "devices" if scene.all_findings else "normal"
        return [grammar.say(("impression", summary), facts_of(phantom, scene, None), rng, wording)]
    sentences = []
    for kind in kinds:
        sentences += _present(phantom, grammar, scene, kind, rng, wording, "impression")
    return [sentences[i] for i in rng.permutation(len(sentences))]


def _changes(
    phantom: Phantom, grammar: Grammar, scene: Scene, prior: Scene, rng: np.random.Generator, wording: str
) -> list[str]:
    """What has changed since the prior study: larger, smaller, unchanged, new, resolved."""
    now = {f.mask_name: f for f in scene.all_findings if not scene.kinds[f.kind].device}
    then = {f.mask_name: f for f in prior.all_findings if not prior.kinds[f.kind].device}
    sentences = []
    for name, f in {**then, **now}.items():
        if name not in now:
            change = "resolved"
        elif name not in then:
            change = "new"
        else:
            ratio = _extent(f) / _extent(then[name])
            change = "larger" if ratio > 1.15 else "smaller" if ratio < 1 / 1.15 else "unchanged"
        sentences.append(grammar.say(("change", change), facts_of(phantom, scene, f), rng, wording))
    return sentences


def _extent(finding: Finding) -> float:
    return finding.measurement or finding.amount or 1.0
