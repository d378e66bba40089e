"""What the explain widget knows and sends: one trace, maps by two methods, what the true mask says. No ipywidgets."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from textwrap import shorten
from typing import TYPE_CHECKING, Any

import numpy as np

from medvlm_lab.errors import MedVLMError
from medvlm_lab.explain.registry import METHODS, function, met
from medvlm_lab.image import MedicalImage
from medvlm_lab.widgets.studio_state import outline
from medvlm_lab.widgets.vqa_state import DISCLAIMER

if TYPE_CHECKING:
    from jaxtyping import Bool, Float32

    from medvlm_lab.explain import Explanation
    from medvlm_lab.models.trace import Trace

SHOWN_PIXELS = 512  # longest side sent to the browser; larger pictures are thinned out, their values stay exact
SLOW = tuple(name for name, need in METHODS.items() if need == "pixels")  # look at the picture again and again
BY_LAYER = ("grad-cam", "grad-cam-plus-plus", "prompt-cam", "score-cam")  # the others have no layer to choose
FAVOURITES = ("prompt-cam", "cross-attention", "chefer", "grad-cam", "grad-cam-plus-plus")
_BREAK = re.compile(r"Ġ|Ċ|\n|<0x0A>")  # spaces and lines as BPE and SentencePiece write them
_MARK = re.compile(r"\[\w+\]|<.+>")  # such as the end
NO_PLACE = "the text names nothing that has a true place in this picture: no outline, no grade"
WORDS = "cross-attention"  # the method that knows what each word looked at


@dataclass(frozen=True, eq=False)
class ExplainState:
    """One image and one text, looked into once.

    Attributes:
        masks: true places by name, each of the image's own size, one for each frame.
        layer: whose map is looked at; "" for the model's own. layers: those there are, None until they are known.
        grid, tiles: of the model's own map.
        shifts: 1, or n for maps that are the mean of n x n moved pictures; not of methods that are slow already.
        trace: what all maps share. found, problems: map or sentence of each method tried so far.
        error: one sentence to show the reader in place of all maps, or "".
    """

    image: MedicalImage
    text: str
    masks: Mapping[str, Bool[np.ndarray, "frames h w"]] = field(default_factory=dict)
    layer: str = ""
    layers: tuple[str, ...] | None = None
    shifts: int = 1
    grid: tuple[int, int] = (0, 0)
    tiles: tuple[int, int] = (1, 1)
    trace: Trace | None = None
    found: Mapping[str, Explanation] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)
    error: str = ""

    @property
    def frame(self) -> int:
        """The one that the model looks at."""
        return self.trace.view.frame if self.trace else self.image.reading_frame


def kind(model: Any) -> str:
    """What the model is asked with: a question, a prompt, or a phrase."""
    return "Question" if hasattr(model, "answer") else "Prompt" if hasattr(model, "encode_texts") else "Phrase"


def first_text(model: Any, image: MedicalImage) -> str:
    """What a new widget asks."""
    from medvlm_lab.explain.prompts import prompts

    if kind(model) == "Question":
        return image.questions[0] if image.questions else "Is there cardiomegaly?"
    if kind(model) == "Phrase":
        return "the heart"
    return "pleural effusion" if prompts(model, "pleural effusion")[0] else "pacemaker lead"


def named(model: Any, text: str) -> bool:
    """Whether a prompt is a finding's name and no sentence."""
    return kind(model) == "Prompt" and bool(text.strip()) and not text.rstrip().endswith(".")


def true_places(image: MedicalImage, masks: Mapping[str, Any] | None) -> dict[str, Bool[np.ndarray, "frames h w"]]:
    """Masks `([n], [frames], h, w)`, tensors or arrays, by frame; without empty ones. MedVLMError for another size."""
    found = {}
    for name, mask in (masks or {}).items():
        mask = np.asarray(mask).astype(bool)
        if mask.ndim < 2 or mask.size != image.frames * image.height * image.width or mask.shape[-1] != image.width:
            raise MedVLMError(
                f"The mask {name!r} has the shape {mask.shape}, but {image.name or 'the image'} has {image.frames} x "
                f"{image.height} x {image.width} pixels; give masks of the image's own size."
            )
        if mask.any():
            found[name] = mask.reshape(image.frames, image.height, image.width)
    return found


def asked_place(state: ExplainState) -> str:
    """What to call the place that the text speaks of: "pleural effusion" for both sides; "" without one."""
    from medvlm_lab.phantoms.places import places, sided

    names = places(state.text, state.masks)
    kinds = [sided(name)[1] for name in names]
    return " and ".join(dict.fromkeys(k if kinds.count(k) > 1 else n for n, k in zip(names, kinds, strict=True)))


def true_place(state: ExplainState, outlined: str) -> Bool[np.ndarray, "frames h w"] | None:
    """The mask of that name, or the union of all that the text speaks of where that is what is outlined."""
    from medvlm_lab.phantoms.places import places

    if outlined in state.masks:
        return np.asarray(state.masks[outlined])
    if outlined and outlined == asked_place(state):
        return np.any([state.masks[name] for name in places(state.text, state.masks)], 0)
    return None


def change(state: ExplainState, **values: Any) -> ExplainState:
    """Another image, text or layer: what was found is of the old one and goes."""
    image = values.get("image", state.image)
    if (image.height, image.width) != (state.image.height, state.image.width):  # perhaps another grid
        values["layers"] = None
    return replace(state, **values, trace=None, found={}, problems={}, error="")


def shift(state: ExplainState, shifts: int) -> ExplainState:
    """Maps of other moved pictures; the trace stays."""
    return replace(state, shifts=shifts, found={}, problems={})


def look(state: ExplainState, model: Any, methods: Sequence[str]) -> ExplainState:
    """The state with a map of each method, or with a sentence why there is none; nothing is computed twice."""
    if state.error:
        return state
    try:
        if state.trace is None:
            state = _traced(state, model)
    except MedVLMError as error:
        return replace(state, error=error.kept)
    except Exception as error:  # a widget that dies in a callback says nothing: show it instead
        return replace(state, error=f"The model failed on this text ({type(error).__name__}: {error}); try another.")
    found, problems = dict(state.found), dict(state.problems)
    for method in methods:
        if method in found or method in problems:
            continue
        try:
            options = {} if method in SLOW else {"shifts": state.shifts}
            seen = function(method)(model, state.image, state.text, trace=state.trace, **options)
            if not np.isfinite(seen.values).all():
                raise MedVLMError(f"{method} found no finite values for this text; try another method or text.")
            found[method] = seen
        except MedVLMError as error:
            problems[method] = error.kept
        except Exception as error:
            problems[method] = f"{method} failed ({type(error).__name__}: {error}); choose another method or layer."
    return replace(state, found=found, problems=problems)


def _traced(state: ExplainState, model: Any) -> ExplainState:
    """A dual encoder is asked about a finding by its own prompts, as it classifies; a sentence is left as it is."""
    from medvlm_lab.explain.base import behind, layers, traced
    from medvlm_lab.explain.prompts import asked, prompts

    if named(model, state.text) and prompts(model, state.text)[0]:
        trace = asked(model, state.image, [state.text], state.layer or None)[state.text]
    elif state.layer and state.layer in (state.layers or ()):  # known to be there: one pass instead of four
        trace = behind(model, state.image, state.text, state.layer, state.grid, tiles=state.tiles)
    else:
        trace = traced(model, state.image, state.text, state.layer or None)
    if state.layers is None:
        own = trace if not state.layer else model.trace(state.image, state.text)
        found = tuple(layers(model, state.image, state.text))
        state = replace(state, layers=found, grid=own.grid, tiles=own.tiles)
    return replace(state, trace=trace)


def able(state: ExplainState) -> list[str]:
    """The methods that this model can be explained by."""
    return [name for name in METHODS if state.trace is None or met(name, state.trace)]


def first_methods(state: ExplainState) -> list[str]:
    """Two quick ones to begin with."""
    return [name for name in FAVOURITES if name in able(state)][:2]


def words(state: ExplainState) -> list[tuple[str, list[int]]]:
    """What the model wrote, word by word, with the numbers of each word's tokens.

    Pieces are joined: WordPiece marks those that go on ("##"), BPE ("Ġ") and SentencePiece ("▁") those that begin.
    """
    said = [_BREAK.sub("▁", token) for token in (state.trace.words if state.trace else ())]
    begin = any("▁" in token for token in said)
    joined: list[tuple[str, list[int]]] = []
    for i, token in enumerate(said):
        if _MARK.fullmatch(token):
            continue
        inside = not (token.startswith("▁") or said[i - 1].endswith("▁")) if begin else token.startswith("##")
        part = token.removeprefix("##").strip("▁")
        if inside and joined:
            word, tokens = joined[-1]
            joined[-1] = word + part, [*tokens, i]
        else:
            joined.append((part, [i]))
    return [(word, tokens) for word, tokens in joined if word]


def values(state: ExplainState, method: str, word: int) -> Float32[np.ndarray, "h w"]:
    """A method's map; of the one that knows them, that of a word."""
    seen, said = state.found[method], words(state)
    if method == WORDS and seen.looks is not None and 0 <= word < len(said):
        return seen.looks[said[word][1]].mean(0)
    return seen.values


def what_it_is(trace: Trace, score: float) -> str:
    """What a score is; of a model that generates, with the probability that is not its calibrated confidence."""
    if trace.embedding is not None:
        return "similarity"
    if not trace.answer:
        return "log-odds that it is there"
    said = shorten(trace.answer, 40, placeholder=" …")
    return f"log-probability: the network itself gives “{said}” {np.exp(score):.0%}, not calibrated"


def captions(state: ExplainState, method: str, word: int, outlined: str) -> list[str]:
    """Below a map: the score, the word, whether the layer counts, how the map fits the true place."""
    from medvlm_lab.explain.grading import best_iou
    from medvlm_lab.explain.remove import mass

    seen, said = state.found[method], words(state)
    if seen.note and state.trace.answer:
        lines = [f"Confidence withheld. {seen.note}"]
    else:
        lines = [*filter(None, [seen.note]), f"score {seen.score:.3g} ({what_it_is(state.trace, seen.score)})"]
    if 0 <= word < len(said):
        lines.append(f"of the word “{said[word][0]}”" if method == WORDS else "of the whole text; no map for each word")
    if state.layer and method not in BY_LAYER:
        lines.append("the same at every layer")
    if state.shifts > 1:
        lines.append("one pass: slow enough" if method in SLOW else f"mean of {state.shifts**2} moved pictures")
    if (place := true_place(state, outlined)) is None:
        return [*lines, NO_PLACE] if state.masks and not asked_place(state) else lines
    mask, shown = place[state.frame], values(state, method, word)
    if not mask.any():
        return [*lines, f"{outlined} is not in this frame"]
    hit, (_, share) = mask[np.unravel_index(shown.argmax(), shown.shape)], mass(shown, mask)
    lines.append(f"largest value {'inside' if hit else 'outside'} {outlined}")
    lines.append(
        f"{share:.0%} of the map inside, which is {mask.mean():.1%} of the picture; best overlap (IoU) "
        f"{best_iou(shown, mask):.2f}"
    )
    return lines


def view(
    state: ExplainState, methods: Sequence[str], word: int = -1, outlined: str = ""
) -> tuple[dict[str, Any], list[bytes]]:
    """For the browser: what to write, and the picture (rows, columns, 3), the outline and each map as bytes."""
    step = -(-max(state.image.height, state.image.width) // SHOWN_PIXELS)
    picture = np.ascontiguousarray(state.image.covered(state.image.display(state.frame))[::step, ::step])
    mask, asked = true_place(state, outlined), asked_place(state)
    edge = b"" if mask is None else outline(mask[state.frame, ::step, ::step]).astype(np.uint8).tobytes()
    panes, maps = [], []
    for method in methods:
        if state.error or method not in state.found:
            panes.append({"problem": "" if state.error else state.problems.get(method, ""), "captions": []})
            maps.append(b"")
            continue
        shown = values(state, method, word)
        panes.append({
            "problem": "", "captions": captions(state, method, word, outlined), "most": float(np.abs(shown).max()),
            "signed": state.found[method].signed,
        })  # fmt: skip
        maps.append(np.ascontiguousarray(shown[::step, ::step], "<f4").tobytes())
    about = {
        "rows": picture.shape[0], "columns": picture.shape[1], "step": step,
        "stretch": [state.image.picture_size[1] / state.image.width, state.image.picture_size[0] / state.image.height],
        "simulated": state.image.simulated,
        "alt": f"{state.image.modality}: {state.image.name or 'image'}", "error": state.error, "panes": panes,
        "words": [label for label, _ in words(state)], "layers": list(state.layers or ()), "able": able(state),
        "masks": list(dict.fromkeys([*([asked] if asked else []), *state.masks])), "text": state.text,
    }  # fmt: skip
    return about, [picture.tobytes(), edge, *maps]


def facts(model: Any, name: str) -> dict[str, Any]:
    """What the browser has to know once. `report` asks a model that writes reports for one, in its own words."""
    report = ""
    if callable(getattr(model, "report", None)):
        from medvlm_lab.models.writer import REPORT

        report = getattr(model, "report_prompt", REPORT)
    return {
        "model": name, "kind": kind(model), "methods": list(METHODS), "slow": list(SLOW), "words": WORDS,
        "report": report, "disclaimer": DISCLAIMER,
    }  # fmt: skip
