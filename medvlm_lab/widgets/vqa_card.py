"""The picture that a saved notebook shows in place of the live VQA widget."""

from __future__ import annotations

import io
import textwrap

from medvlm_lab import style
from medvlm_lab.widgets.vqa_state import VQAState, confidence, other_shares, said, sub_lines

_INK, _DIM, _PAPER, _TRACK = "#1b1f24", "#5c6670", "#ffffff", "#e3e7eb"
_WIDTH, _HEIGHT, _SIDE = 960, 420, 380


def render_card(state: VQAState):
    """Pillow image, 960 × 420: the picture beside the question, the answer, its confidence and the alternatives."""
    from PIL import Image, ImageDraw

    card = Image.new("RGB", (_WIDTH, _HEIGHT), _PAPER)
    draw = ImageDraw.Draw(card)
    font = {size: style.font(size) for size in (13, 15, 17, 28)}

    draw.rectangle((0, 0, _SIDE + 39, _HEIGHT), fill="black")
    picture = state.image.pil(state.frame, state.window)
    scale = min(_SIDE / picture.width, _SIDE / picture.height)
    size = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    picture = picture.resize(size, Image.Resampling.BILINEAR)
    card.paste(picture, ((_SIDE + 40 - size[0]) // 2, (_HEIGHT - size[1]) // 2))

    left, right, y = _SIDE + 70, _WIDTH - 30, 30

    def write(text: str, size: int, fill: str, width: int, lines: int = 3) -> None:
        nonlocal y
        for line in textwrap.wrap(text, width, max_lines=lines, placeholder=" …") or [""]:
            draw.text((left, y), line, font=font[size], fill=fill)
            y += round(size * 1.35)

    def bar(label: str, share: float, fill: str) -> None:
        nonlocal y
        share = max(0.0, min(1.0, share))
        draw.text((left, y), textwrap.shorten(label, 24, placeholder=" …"), font=font[15], fill=_INK)
        draw.rounded_rectangle((left + 190, y + 4, right - 60, y + 16), 6, fill=_TRACK)
        if share > 0.02:
            end = left + 190 + share * (right - 60 - left - 190)
            draw.rounded_rectangle((left + 190, y + 4, max(end, left + 202), y + 16), 6, fill=fill)
        draw.text((right, y), f"{share:.0%}", font=font[15], fill=_INK, anchor="ra")
        y += 26

    write(f"{state.model_name} · {state.image.name}{' (simulated)' if state.image.simulated else ''}", 13, _DIM, 70, 1)
    y += 14
    turn = state.last
    if state.error:
        write(state.error, 17, style.VERMILION, 52, 6)
    elif turn is None:
        write("Run this cell to ask questions about the image.", 17, _INK, 52)
        if state.image.questions:
            y += 12
            write("For example:", 15, _DIM, 60, 1)
            for question in state.image.questions[:4]:
                write(f"•  {question}", 15, _INK, 60, 2)
    else:
        answer = turn.answer
        write(turn.question, 17, _DIM, 52)
        y += 4
        write(answer.text, 28, _INK, 32, 3)
        y += 14
        if not answer.note:
            bar("confidence", answer.confidence, style.COLORS["decoder"])
        others = other_shares(turn)
        if others:
            y += 6
            write("Alternatives", 13, _DIM, 40, 1)
            y += 4
        for text, share in others:
            bar(text, share, style.SKY)
        for line in sub_lines(turn):
            write(line, 13, _DIM, 68, 3)
        y += 6
        write(f"{turn.seconds * 1000:.0f} ms on {turn.device}", 13, _DIM, 60, 1)
    draw.text((left, _HEIGHT - 34), said(state), font=font[13], fill=_DIM)
    return card


def describe(state: VQAState) -> str:
    """The card in words."""
    turn, image = state.last, state.image
    about = f"{state.model_name} asked about {image.name}, {image.modality}{', simulated' if image.simulated else ''}"
    if state.error:
        return f"{about}: {state.error}"
    words = f": {turn.question} {turn.answer.text}, confidence {confidence(turn.answer)}." if turn else "."
    return f"{about}{words} {said(state)}"


def card_png(state: VQAState) -> bytes:
    """The card as PNG bytes."""
    buffer = io.BytesIO()
    render_card(state).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
