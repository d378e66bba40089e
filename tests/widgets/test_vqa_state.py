"""What the widget shows is a pure function of its state."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import FakeAnswerer

from medvlm_lab.errors import MedVLMError
from medvlm_lab.models.base import Answer
from medvlm_lab.widgets import vqa_state as logic
from medvlm_lab.widgets.vqa_card import card_png, render_card


@pytest.fixture
def state(image):
    return logic.VQAState(image, "fake")


def last(states):
    return list(states)[-1]


def test_answer_grows_word_by_word(state):
    states = list(logic.ask(state, FakeAnswerer(), " Where is it? "))
    assert [s.partial for s in states] == ["", "right", "right upper", "right upper lobe", ""]
    assert "right upper" in logic.render_html(states[2]) and "confidence" not in logic.render_html(states[2])
    turn = states[-1].last
    assert (turn.question, turn.answer.text, turn.device) == ("Where is it?", "right upper lobe", "CPU")
    html = logic.render_html(states[-1])
    assert "80 percent" in html and "left lower lobe" in html


def test_history_and_transcript(state):
    state = last(logic.ask(state, FakeAnswerer(), "Is it round?"))
    state = last(logic.ask(state, FakeAnswerer(), "Where is it?"))
    assert len(state.history) == 2
    assert logic.render_history(state).index("Where is it?") < logic.render_history(state).index("Is it round?")
    text = logic.transcript(state)
    assert "Q: Where is it?\nA: right upper lobe (80%, 10 ms)" in text and "Not for clinical use." in text


def test_everything_is_escaped(state):
    class Hostile(FakeAnswerer):
        def stream(self, image, question):
            yield "<script>"
            yield Answer("<script>", 2.0, (("<i>", 0.1),))

    for shown in logic.ask(replace(state, model_name="<u>"), Hostile(), "<img src=x>"):
        for html in (logic.render_html(shown), logic.render_history(shown), logic.render_title(shown)):
            assert not any(tag in html for tag in ("<script>", "<img", "<i>", "<u>"))
    assert "width:100.0%" in logic.render_html(shown)


@pytest.mark.parametrize("question", ["", "  \n"])
def test_empty_question_is_said(state, question):
    shown = last(logic.ask(state, FakeAnswerer(), question))
    assert "empty" in logic.render_html(shown) and 'role="alert"' in logic.render_html(shown)
    assert not shown.history


def test_failures_become_sentences(state):
    class Broken(FakeAnswerer):
        def stream(self, image, question):
            yield "so far"
            raise RuntimeError("out of memory")

    class Silent(FakeAnswerer):
        def stream(self, image, question):
            yield "so far"

    assert "out of memory" in last(logic.ask(state, Broken(), "Why?")).error
    assert "without an answer" in last(logic.ask(state, Silent(), "Why?")).error


def test_model_without_the_capability_is_refused():
    with pytest.raises(MedVLMError, match=r"'embedder' cannot answer.*answer\(\) and stream\(\)"):
        logic.require_answerer(type("Embedder", (), {"name": "embedder"})())


def test_image_of_the_wrong_kind_is_refused():
    with pytest.raises(MedVLMError, match="from_array"):
        logic.resolve_image(np.zeros((3, 3)))
    with pytest.raises(MedVLMError, match="head-ct"):
        logic.resolve_image("head-cr")


def test_volume_opens_in_its_middle_and_the_model_sees_that_slice(state):
    volume = logic.resolve_image("head-ct")
    shown = logic.show(state, volume)
    assert shown.frame == 4 and logic.view(shown).frames == 1
    np.testing.assert_array_equal(logic.view(shown).pixels[0], volume.pixels[4])
    assert "lung" in logic.windows(volume)
    assert logic.picture(shown) != logic.picture(replace(shown, window="lung"))


def test_card_before_and_after(state):
    answered = last(logic.ask(state, FakeAnswerer(), "Where is it?"))
    long = last(logic.ask(state, FakeAnswerer(), "Where is it? " * 80))
    pictures = [card_png(s) for s in (state, answered, long, replace(state, error="Broken. " * 60))]
    assert all(png.startswith(b"\x89PNG") for png in pictures) and len(set(pictures)) == 4
    assert render_card(answered).size == (960, 420)
