"""What the VQA widget knows and how it looks: pure functions, no ipywidgets."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

from medvlm_lab.errors import MedVLMError
from medvlm_lab.models.base import Answer

DISCLAIMER = "Not for clinical use."
DEFAULT_WINDOW, OWN_WINDOW = "from the file", "as set below"
SHOWN_PIXELS = 768  # longest side of the picture sent to the browser: a slider must not wait for 4 megapixels
_CAPABILITIES = ("answer", "stream")


@dataclass(frozen=True)
class Turn:
    """One question and its answer; `seconds` is the wall time of the answer on `device`."""

    image_name: str
    question: str
    answer: Answer
    seconds: float
    device: str
    simulated: bool = False

    @property
    def about(self) -> str:
        """The image's name, and whether it is simulated."""
        return f"{self.image_name}{' (simulated)' if self.simulated else ''}"


@dataclass(frozen=True)
class VQAState:
    """Everything that the widget shows.

    Attributes:
        image: the `MedicalImage` in view.
        frame: index of the frame or slice shown.
        window: a preset's name, a (center, width) pair, or None for the image's own window.
        question, partial: the question being answered, "" when none is, and its answer so far.
        history: finished turns, oldest first.
        error: one sentence to show the reader, or "".
    """

    image: object
    model_name: str
    device: str = "CPU"
    frame: int = 0
    window: str | tuple[float, float] | None = None
    question: str = ""
    partial: str = ""
    history: tuple[Turn, ...] = ()
    error: str = ""

    @property
    def last(self) -> Turn | None:
        """The latest turn, if it was about the image in view."""
        if self.history and self.history[-1].image_name == self.image.name:
            return self.history[-1]
        return None


def require_answerer(model) -> None:
    """Raises MedVLMError, naming what is missing, unless `model` can answer and stream."""
    missing = [name for name in _CAPABILITIES if not callable(getattr(model, name, None))]
    if missing:
        raise MedVLMError(
            f"{getattr(model, 'name', None) or type(model).__name__!r} cannot answer questions: the widget needs the "
            f"Answerer capability and misses {' and '.join(f'{name}()' for name in missing)}; "
            "pass a model such as lab.load('vit-bert-vqa')."
        )


def resolve_image(image):
    """A `MedicalImage` from itself, a sample's name or a path. Raises MedVLMError."""
    if not isinstance(image, str | Path):
        if hasattr(image, "pixels") and hasattr(image, "display"):
            return image
        raise MedVLMError(
            f"A {type(image).__name__} is no image; pass a MedicalImage, a sample's name or a path, "
            "or wrap an array with MedicalImage.from_array."
        )
    if isinstance(image, Path) or "/" in image or "\\" in image or Path(image).is_file():
        from medvlm_lab.io import read

        return read(image)
    from medvlm_lab.catalogue import sample

    return sample(image)


def show(state: VQAState, image) -> VQAState:
    """The state with another image in view, at the frame that a model reads."""
    return replace(state, image=image, frame=image.reading_frame, window=None, question="", partial="", error="")


def windows(image) -> list[str]:
    """Choices for the window dropdown: the image's own first, then the presets of its modality."""
    return [DEFAULT_WINDOW, *image.presets, OWN_WINDOW]


def grey_range(state: VQAState) -> tuple[float, float, float, float]:
    """(least, most, black, white): bounds of the grey-range slider and its two handles, in the image's units."""
    center, width = state.image.resolve_window(state.window, state.frame)
    black, white = center - width / 2, center + width / 2
    least, most = state.image.bounds
    return min(least, black), max(most, white), black, white


def choices(images: dict) -> list[tuple[str, str]]:
    """(label, name) pairs for the image picker: the reader's own images, then the catalogue's samples."""
    from medvlm_lab.catalogue import catalogue

    samples = {name: f"{entry.title} ({entry.modality})" for name, entry in catalogue().items()}
    return [(name, name) for name in images if name not in samples] + [(label, name) for name, label in samples.items()]


def picture(state: VQAState) -> bytes:
    """PNG of the frame in view, no larger than a screen shows."""
    buffer, shown = io.BytesIO(), state.image.pil(state.frame, state.window)
    shown.thumbnail((SHOWN_PIXELS, SHOWN_PIXELS))
    shown.save(buffer, "PNG")
    return buffer.getvalue()


def render_picture(state: VQAState) -> str:
    """The frame in view as an <img> that carries its own pixels and an alternative text."""
    data = base64.b64encode(picture(state)).decode("ascii")
    simulated = state.image.simulated
    alt = escape(f"{state.image.modality}: {state.image.name}{', simulated' if simulated else ''}")
    badge = '<span class="mv-badge">simulated</span>' if simulated else ""
    return f'<img src="data:image/png;base64,{data}" alt="{alt}">{badge}'


def view(state: VQAState):
    """The image that the model gets: the frame in view under the window in view, so that both see the same."""
    image = state.image
    if state.window is not None:
        image = image.with_(window=image.resolve_window(state.window))
    return image if image.frames == 1 else image.still(state.frame)


def ask(state: VQAState, model, question: str) -> Iterator[VQAState]:
    """Yields the state as the answer grows; the last one has the finished turn in its history, or an error."""
    question = question.strip()
    state = replace(state, question=question, partial="", error="")
    if not question:
        empty = "The question is empty; type one, such as “Is there a fracture?”, and press Enter."
        yield replace(state, error=empty)
        return
    yield state
    started = time.perf_counter()
    answer = None
    try:
        for piece in model.stream(view(state), question):
            if isinstance(piece, Answer):
                answer = piece
            else:
                state = replace(state, partial=state.partial + piece)
                yield state
    except MedVLMError as error:
        yield replace(state, question="", partial="", error=error.kept)
        return
    except Exception as error:  # a widget that dies in a callback says nothing: show it instead
        message = f"The model failed on this question ({type(error).__name__}: {error}); try another image or question."
        yield replace(state, question="", partial="", error=message)
        return
    if answer is None:
        yield replace(state, question="", partial="", error=f"{state.model_name} ended without an answer; ask again.")
        return
    seconds = answer.seconds or time.perf_counter() - started
    turn = Turn(state.image.name, question, answer, seconds, state.device, state.image.simulated)
    yield replace(state, question="", partial="", history=(*state.history, turn))


def answered(now: VQAState, state: VQAState) -> VQAState:
    """What is in view now, with the question and the answer of `state`."""
    return replace(
        now, question=state.question, partial=state.partial, history=state.history, error=state.error
    )


def transcript(state: VQAState) -> str:
    """Plain text of all turns, for copying."""
    lines = [f"{state.model_name} on {state.device}. {DISCLAIMER}"]
    for turn in state.history:
        lines += [
            "",
            f"Image: {turn.about}",
            f"Q: {turn.question}",
            f"A: {turn.answer.text} ({confidence(turn.answer)}, {turn.seconds * 1000:.0f} ms)",
        ]
    return "\n".join(lines)


def _bar(label: str, share: float, main: bool) -> str:
    percent = max(0.0, min(1.0, share)) * 100
    name = f"{escape(label)}: {percent:.0f} percent"
    return (
        f'<div class="mv-row{" mv-main" if main else ""}"><span class="mv-label">{escape(label)}</span>'
        f'<span class="mv-track" role="img" aria-label="{escape(name)}">'
        f'<span class="mv-fill" style="width:{percent:.1f}%"></span></span>'
        f'<span class="mv-num">{percent:.0f} %</span></div>'
    )


def said(state: VQAState) -> str:
    """The line below everything: whether the image is simulated, and what it is not for."""
    return f"{'Simulated. ' if state.image.simulated else ''}{DISCLAIMER}"


def render_footer(state: VQAState) -> str:
    """The same as HTML."""
    return f'<div class="mv-footer" role="note">{said(state)}</div>'


def render_title(state: VQAState) -> str:
    """The heading: which model answers, and where it runs."""
    return f'<div class="mv-title">Ask {escape(state.model_name)} <span>on {escape(state.device)}</span></div>'


def render_html(state: VQAState) -> str:
    """The answer panel: question, answer so far or finished, confidence, alternatives, or the error; all escaped."""
    if state.error:
        return f'<div class="mv-error" role="alert">{escape(state.error)}</div>'
    turn = state.last
    if state.question:
        words = f"{escape(state.partial)}<span class='mv-cursor'>▍</span>"
        return _answer(state.question, words, "")
    if turn is None:
        return '<div class="mv-hint">Ask a question about the image: type it and press Enter, or choose one.</div>'
    answer, below = turn.answer, sub_lines(turn)
    bars = "" if answer.note else _bar("confidence", answer.confidence, True)
    others = "".join(_bar(text, share, False) for text, share in other_shares(turn))
    bars += f'<div class="mv-sub">Alternatives</div>{others}' if others else ""
    bars += "".join(f'<div class="mv-sub">{escape(line)}</div>' for line in below)
    return _answer(turn.question, escape(answer.text), bars)


def other_shares(turn: Turn) -> list[tuple[str, float]]:
    """The other answers whose shares can be shown: no or yes of a closed question, what an uncalibrated model gives."""
    answer = turn.answer
    shown = answer.alternatives if answer.ranks_with_shares(turn.question) else ()
    return [(text, share) for text, share in shown if text != answer.text][:3]


def sub_lines(turn: Turn) -> list[str]:
    """What stands below the bars: why no confidence is shown, the order of other answers, what the network says."""
    answer, lines = turn.answer, []
    if answer.note:
        lines.append(f"Confidence withheld. {answer.note}")
    ranked = [text for text, _ in answer.alternatives if text != answer.text][:3]
    if ranked and not answer.note and not other_shares(turn):
        lines.append(f"Next in the ranking: {', '.join(ranked)}.")
    if answer.probabilities and not answer.note:
        own = zip(answer.alternatives, answer.probabilities, strict=True)
        told = ", ".join(f"{text} {p:.0%}" for (text, _), p in list(own)[: 1 + len(other_shares(turn))])
        lines.append(f"The network's own probability, before calibration: {told}.")
    return lines


def confidence(answer: Answer) -> str:
    """The confidence as it may be shown."""
    return "withheld" if answer.note else f"{answer.confidence:.0%}"


def _answer(question: str, words: str, bars: str) -> str:
    return (
        f'<div class="mv-answer" role="status" aria-live="polite"><div class="mv-q">{escape(question)}</div>'
        f'<div class="mv-a">{words}</div>{bars}</div>'
    )


def render_history(state: VQAState) -> str:
    """A table of the finished turns, newest first."""
    if not state.history:
        return '<div class="mv-hint">No question asked yet.</div>'
    rows = "".join(
        f"<tr><td>{escape(turn.about)}</td><td>{escape(turn.question)}</td><td><b>{escape(turn.answer.text)}</b></td>"
        f"<td>{confidence(turn.answer)}</td><td>{turn.seconds * 1000:.0f} ms</td><td>{escape(turn.device)}</td></tr>"
        for turn in reversed(state.history)
    )
    head = "".join(f"<th>{name}</th>" for name in ("Image", "Question", "Answer", "Conf.", "Time", "Device"))
    return f'<table class="mv-history" aria-label="Questions asked so far"><tr>{head}</tr>{rows}</table>'
