"""Which true places a text speaks of: "left effusion", "both kidneys", "effusion or consolidation", "no effusion".

    places("effusion or nodule", masks)      # ("left pleural effusion", "right pleural effusion", "right nodule")

Names are those of the simulators' masks. The longest name that fits at a place of the text counts, so that "liver cyst"
is not the liver; a text without a side means both sides; what the text denies has no place.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

import medvlm_lab
from medvlm_lab.phantoms.language import forms
from medvlm_lab.text.labeller import label, mentions
from medvlm_lab.text.labeller import names as report_names
from medvlm_lab.text.phrases import PLURAL, SPOKEN

ANATOMY = {
    "lung", "heart", "thorax", "aorta", "body", "gallbladder", "kidney", "liver", "spleen", "brain", "cerebellum",
    "grey matter", "head", "hemisphere", "ventricles", "white matter", "aortic root", "left atrium", "left ventricle",
    "left ventricular wall", "mitral valve", "right atrium", "right ventricle", "tricuspid valve", "epithelial nuclei",
    "epithelium", "fat", "lumen", "nuclei", "stroma", "tissue", "bladder", "first heart sound", "second heart sound",
}  # fmt: skip
ALSO = {  # other words for kinds, in the singular and in American spelling
    "pacemaker": ("pacemaker", "pacemaker lead"), "pacemaker lead": ("pacemaker", "pacemaker lead"),
    "cancer": ("invasive carcinoma", "in situ carcinoma"), "tumor": ("invasive carcinoma", "in situ carcinoma"),
    "lymph node": ("lymphadenopathy",), "adenopathy": ("lymphadenopathy",), "cholelithiasis": ("gallstones",),
    "renal stone": ("kidney stone",), "nephrolithiasis": ("kidney stone",), "kidney cyst": ("renal cyst",),
    "kidney mass": ("renal mass",), "stroke": ("cerebral infarct",), "infarction": ("cerebral infarct",),
    "infarction of the brain": ("cerebral infarct",), "bleed": ("intracerebral haemorrhage",),
    "lv": ("left ventricle",), "rv": ("right ventricle",), "la": ("left atrium",), "ra": ("right atrium",),
    "white matter lesion": ("white matter hyperintensities",), "mitotic figure": ("mitoses",), "cardiac": ("heart",),
    "lesion in the liver": ("hypervascular liver lesion", "hypermetabolic liver lesion"), "stone": ("kidney stone",),
    "lesion in the lung": ("hypermetabolic lung lesion",), "pulmonary": ("lung",), "renal": ("kidney",),
}  # fmt: skip
GENERIC = {"matter", "wall", "root", "sound", "fraction", "line", "air", "wire", "uptake", "shift", "heart sound"}
CHAMBERS = ("ventricle", "atrium", "ventricular", "atrial")  # "left" and "right" are part of their names
IRREGULAR = {
    "metastases": "metastasis", "mitoses": "mitosis", "nuclei": "nucleus", "atria": "atrium", "calculi": "calculus",
    "pneumothoraces": "pneumothorax", "epithelia": "epithelium", "necroses": "necrosis", "lumina": "lumen",
    "diagnoses": "diagnosis", "stenoses": "stenosis",
}  # fmt: skip
SPELLING = (("oedema", "edema"), ("haem", "hem"), ("tumour", "tumor"), ("gray", "grey"), ("centre", "center"))
STAND_INS = ("pneumothorax", "consolidation", "hyperinflation", "nodule", "cardiomegaly", "pacemaker", "hydrothorax")
_WORD = re.compile(r"[a-z0-9]+")
_SIDE = re.compile(r"\b(?:(left|right)(?!\s+(?:ventric|atri))|(bilateral(?:ly)?|both|either))\b")
_SHORT = re.compile(r"\b(?:(l|lt|lll|lul)|(r|rt|rll|rml|rul))\b(?=\s)")
_BOTH = re.compile(  # "left and right", "left greater than right", "on the left or on the right"
    r"\b(?:left|right)(?: side| lung)?(?:/|,? (?:and|or|and/or|(?:greater|larger|more|less|smaller|worse) than) )"
    r"(?:(?:on|in|at) )?(?:the )?(?:left|right)\b"
)
_BREAK = re.compile(r"[.;:?!,]|\b(?:and|or|but|with|without|no)\b")
_LISTED = re.compile(r"\s*(?:,|,?\s*\b(?:and|or|nor)\b)\s*")
_ASKED = re.compile(r"\b((?:is|are|was|were) there )(?:no|not any)\b|\b((?:is|are|was|were)n['’]?t there )")


class Named(NamedTuple):
    """Where a text names something: characters, and the kinds that it may be."""

    start: int
    end: int
    kinds: frozenset[str]  # none: a name of something else, such as "lung mass" beside "renal mass"

    @property
    def anatomy(self) -> bool:
        return bool(self.kinds) and self.kinds <= ANATOMY


def place(masks: Mapping[str, Any], text: str, frame: int = 0) -> Bool[np.ndarray, "h w"]:
    """The union, in one frame, of all that the text speaks of; empty where it names nothing that has a mask.

    masks: `([frames], h, w)` by name, arrays or tensors.
    """
    every = {name: np.asarray(mask.cpu() if hasattr(mask, "cpu") else mask) != 0 for name, mask in masks.items()}
    flat = {name: mask[frame] if mask.ndim == 3 else mask for name, mask in every.items()}
    found = [flat[name] for name in places(text, flat)]
    return np.any(found, 0) if found else np.zeros_like(next(iter(flat.values())))


def places(text: str, names: Iterable[str]) -> tuple[str, ...]:
    """The masks, among `names`, of what the text speaks of, in their order; none where it denies or names nothing."""
    return _places(text, tuple(names))


@lru_cache(maxsize=2**12)
def _places(text: str, names: tuple[str, ...]) -> tuple[str, ...]:
    text = _SHORT.sub(lambda m: "left" if m[1] else "right", " ".join(text.lower().split()))
    text = re.sub(r"\b(left|right) (and|or) (left|right) ((?:ventric|atri)\w+)", r"\1 \4 \2 \3 \4", text)
    if exact := [name for name in names if name.lower() == text]:
        return tuple(exact)
    split = {name: sided(name) for name in names}
    named = list(_named(text, frozenset(kind for _, kind in split.values())))
    findings = [one for one in named if not one.anatomy]
    named = findings or named  # "a nodule in the lung" is not about the lung
    sides, found = _sides(text, named), set()
    for one, own, denied in zip(named, sides, _denied(text, named), strict=True):
        if not denied:
            found |= {name for name, (side, kind) in split.items() if kind in one.kinds and (not side or side in own)}
    return tuple(name for name in names if name in found)


def sided(name: str) -> tuple[str, str]:
    """("left", "lung") of "left lung"; ("", name) of what has no side."""
    side, _, kind = name.partition(" ")
    split = side in ("left", "right") and kind and kind.split()[0] not in CHAMBERS
    return (side, kind) if split else ("", name)


def _named(text: str, own: frozenset[str]) -> Iterable[Named]:
    """The longest names first, none of which overlap, in the order of the text."""
    words = [(m.start(), m.end(), singular(m[0])) for m in _WORD.finditer(text)]
    chest = own & {*report_names(), "lung", "heart", "thorax"}
    told = list(mentions(text)) if chest else []  # the labeller knows that a "knee effusion" is not pleural
    found = [Named(start, end, frozenset({kind})) for kind, start, end, elsewhere in told if not elsewhere]
    known, away = lexicon(own), [row[:3] for row in told if row[3]]
    for i in range(len(words)):
        for j in range(i + 1, min(i + 6, len(words)) + 1):
            form = tuple(word for *_, word in words[i:j])
            if form in known:
                kinds, before = known[form], words[i - 1][2] if i else ""
                if before in _modifiers():  # "lung mass" is no renal mass
                    kinds = frozenset(k for k in kinds if before in normal(k) or normal(k) == form)
                start, end = words[i][0], words[j - 1][1]
                found.append(Named(start, end, kinds - {kind for kind, *span in away if span == [start, end]}))
    taken: list[Named] = []
    for one in sorted(found, key=lambda n: (n.start - n.end, n.start)):
        same = next((k for k, t in enumerate(taken) if (t.start, t.end) == (one.start, one.end)), None)
        if same is not None:
            taken[same] = taken[same]._replace(kinds=taken[same].kinds | one.kinds)
        elif all(one.end <= t.start or one.start >= t.end for t in taken):
            taken.append(one)
    return sorted(taken)


def _sides(text: str, named: list[Named]) -> list[set[str]]:
    """The sides that the text gives to each name; both where it gives none. Listed names share theirs."""
    both = _BOTH.sub(lambda m: "both".ljust(len(m[0])), text)
    spoken: list[set[str] | None] = []
    for k, one in enumerate(named):
        before = _BREAK.split(both[named[k - 1].end if k else 0 : one.start])[-1]
        until = named[k + 1].start if k + 1 < len(named) else len(both)
        after = re.sub(r"^\s*,\s*(?=(?:left|right|both)\b)", " ", both[one.end : until])
        within = _SIDE.findall(both[one.start : one.end]) if not one.anatomy else []
        said = _SIDE.findall(before)[-1:] or within or _SIDE.findall(_BREAK.split(after)[0])[:1]
        spoken.append({side or "both" for side, _ in said} or None)
    for order in (range(1, len(named)), range(len(named) - 2, -1, -1)):  # "left effusion and nodule", then backwards
        step = 1 if order.step > 0 else -1
        for k in order:
            low, high = sorted((k - step, k))
            if spoken[k] is None and _LISTED.fullmatch(both[named[low].end : named[high].start]):
                spoken[k] = spoken[k - step]
    return [{"left", "right"} if said is None or "both" in said else said for said in spoken]


def _denied(text: str, named: list[Named]) -> list[bool]:
    """Whether the report labeller reads each name as denied; each stands there under a name that it surely knows."""
    said, last, words = "", 0, {}
    for k, one in enumerate(named):
        words[k] = STAND_INS[k % len(STAND_INS)]
        said, last = said + text[last : one.start] + words[k], one.end
    said = _ASKED.sub(lambda m: m[1] or "is there ", said + text[last:])  # "Is there no effusion?" asks about it
    labels = label(said)
    names = {"hydrothorax": "pleural effusion"}
    return [labels.get(names.get(words[k], words[k])) == "negative" for k in range(len(named))]


def singular(word: str) -> str:
    """A lower-case word in the singular and in American spelling."""
    for british, american in SPELLING:
        word = word.replace(british, american)
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "ches")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "is", "us")) and len(word) > 3 else word


def normal(name: str) -> tuple[str, ...]:
    """The words of a name as the text's are compared."""
    return tuple(singular(word) for word in _WORD.findall(name.lower()))


@lru_cache(maxsize=256)
def lexicon(own: frozenset[str] = frozenset()) -> dict[tuple[str, ...], frozenset[str]]:
    """Every form in which a text may name a kind, with the kinds that it may be; `own`: a picture's, perhaps new."""
    found: dict[tuple[str, ...], set[str]] = {}
    organs = {normal(text) for kind, said in _kinds().items() if kind in ANATOMY for text in said}
    for kind, said in _kinds().items():
        for text in said:
            found.setdefault(normal(text), set()).add(kind)
        words = normal(kind)
        for i in range(1, len(words)):  # "cyst" may be any cyst, but the "left atrium" is not a dilated one
            if words[i:] not in organs and " ".join(words[i:]) not in GENERIC:
                found.setdefault(words[i:], set()).add(kind)
    for kind in own:
        found.setdefault(normal(kind), set()).add(kind)
    for text, kinds in ALSO.items():
        ends = tuple(map(normal, kinds))
        every = (kind for kind in _kinds() if any(normal(kind)[-len(end) :] == end for end in ends))
        found.setdefault(normal(text), set()).update(every)
    return {words: frozenset(kinds) for words, kinds in found.items() if words}


@lru_cache(maxsize=1)
def _kinds() -> dict[str, set[str]]:
    """Every kind of mask of the simulators and what it is called."""
    found = {kind: {kind} for kind in ANATOMY}
    for path in (Path(medvlm_lab.__file__).parent / "phantoms" / "wording").glob("*.toml"):
        for kind, nouns in tomllib.loads(path.read_text(encoding="utf-8"))["nouns"].items():
            found.setdefault(kind, {kind}).update(nouns[key] for key in ("one", "denied"))
    for kind, pattern in [*SPOKEN.items(), *PLURAL.items()]:
        found.setdefault(kind, {kind}).update(forms(pattern))
    return found


@lru_cache(maxsize=1)
def _modifiers() -> frozenset[str]:
    """Words that tell kinds apart: "renal", "liver"."""
    return frozenset(word for kind in _kinds() for word in normal(kind)[:-1]) - {"left", "right"} | {"lung", "kidney"}
