"""What a model says of one image, whatever it can: answer, report, scores, place among other images. No ipywidgets."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from medvlm_lab.errors import MedVLMError
from medvlm_lab.image import MedicalImage

if TYPE_CHECKING:
    from jaxtyping import Float32

READOUT_CSS = """
.mv-says .mv-a { font-size: 18px; line-height: 1.4; }
.mv-says .mv-report { font-size: 13px; line-height: 1.45; }
.mv-says mark { background: #f0e442; color: #000; }
.mv-says .mv-values { border-collapse: collapse; font-size: 13px; line-height: 1.5; }
.mv-says .mv-values th { text-align: left; font-weight: 400; padding-right: 14px; }
.mv-says .mv-values td { text-align: right; padding: 0 8px; font-variant-numeric: tabular-nums; }
.mv-says .mv-up { color: #d55e00; }
.mv-says .mv-down { color: #0072b2; }
.mv-says .mv-error { border-left: 4px solid #d55e00; padding: 6px 10px; line-height: 1.4; }
.mv-says .mv-footer { font-size: 12px; color: var(--jp-ui-font-color2, #5c6670); }
"""
SENTENCES = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, eq=False)
class Readout:
    """What a model says of an image.

    Attributes:
        answer: to the question, "" of a model that answers none. report: likewise.
        values: answers with their probabilities; or scores of findings and numbers read by prompts; or of an outline
            the share of the picture that it covers, in per cent.
        row: of the image in the space of images and texts, of unit length; None of a model without one.
        error: one sentence in place of what is missing, or "". note: one beside what is there.
    """

    answer: str = ""
    report: str = ""
    values: dict[str, float] = field(default_factory=dict)
    row: Float32[np.ndarray, " d"] | None = None
    error: str = ""
    note: str = ""


def readout(model: Any, image: MedicalImage, text: str) -> Readout:
    """Everything that the model can say; `text` is the question or the phrase, for models that take one."""
    can, found = (lambda name: callable(getattr(model, name, None))), {"values": {}}
    try:
        if can("answer"):
            answer = model.answer(image, text)
            found["answer"] = answer.text
            found["note"] = answer.note
            if not answer.note:  # else the confidence is withheld
                shown = answer.alternatives if answer.ranks_with_shares(text) else ()
                found["values"] |= dict(shown or ((answer.text, answer.confidence),))
        if can("report"):
            report = model.report(image)
            found["report"] = f"{report.findings} {report.impression}".strip()
        for method in ("score_findings", "regress"):
            if can(method):
                found["values"] |= {name: float(score[0]) for name, score in getattr(model, method)([image]).items()}
        if can("segment"):
            mask = model.segment(image, text)
            found["values"][f"{text}, % of the picture"] = 100 * float(mask.pixels.mean())
            found["note"] = mask.note or found.get("note", "")
        if can("encode_images"):
            found["row"] = np.asarray(model.encode_images([image])[0], np.float32)
    except MedVLMError as error:
        found["error"] = error.kept
    except Exception as error:  # a widget that dies in a callback says nothing: show it instead
        found["error"] = f"The model failed on this image ({type(error).__name__}: {error}); try another."
    return Readout(**found)


def render_values(now: Readout, before: Readout | None = None) -> str:
    """A table of the values, with what they were before and how they changed."""
    names = list(dict.fromkeys([*now.values, *(before.values if before else ())]))
    if not names:
        return ""
    said = lambda value: "–" if value is None else f"{value:.3g}" if abs(value) < 10 else f"{value:.1f}"  # noqa: E731
    rows = ""
    for name in names:
        new, old = now.values.get(name), before.values.get(name) if before else None
        cells = [said(old)] if before else []
        cells.append(f"<b>{said(new)}</b>")
        if before:
            moved = (new or 0) - (old or 0)
            sign = "" if abs(moved) < 5e-3 else f'<span class="mv-{"up" if moved > 0 else "down"}">'
            cells.append(f"{sign}{'▲' if moved > 0 else '▼'} {said(abs(moved))}</span>" if sign else "")
        rows += f"<tr><th scope='row'>{escape(name)}</th>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
    head = "<tr><th></th><th>before</th><th>now</th><th>change</th></tr>" if before else ""
    return f'<table class="mv-values" aria-label="What the model says">{head}{rows}</table>'


def render_note(now: Readout) -> str:
    """What the model could not read of the text, above what it says of it."""
    return f'<div class="mv-error" role="alert">{escape(now.note)}</div>' if now.note else ""


def render_words(now: Readout, before: Readout | None = None) -> str:
    """Answer and report; sentences that were not said before are marked."""
    parts = [render_note(now)]
    if now.answer:
        was = f"{escape(before.answer)} → " if before and before.answer != now.answer else ""
        parts.append(f'<div class="mv-a" role="status">{was}<b>{escape(now.answer)}</b></div>')
    if now.report:
        old = set(SENTENCES.split(before.report)) if before else None
        written = " ".join(
            f"<mark>{escape(sentence)}</mark>" if old is not None and sentence not in old else escape(sentence)
            for sentence in SENTENCES.split(now.report)
        )
        gone = [escape(s) for s in SENTENCES.split(before.report) if s not in now.report] if before else []
        struck = f"<p><s>{' '.join(gone)}</s></p>" if gone else ""
        parts.append(f'<div class="mv-report"><p>{written}</p>{struck}</div>')
    return "".join(parts)
