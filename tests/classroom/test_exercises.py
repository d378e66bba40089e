"""Exercises: right answers are right, wrong ones are explained."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medvlm_lab.classroom.answers import EXERCISES
from medvlm_lab.classroom.exercises import ANSWERS, check
from medvlm_lab.errors import UnknownNameError


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answer_and_every_known_mistake(name):
    exercise = EXERCISES[name]
    assert check(name, exercise.truth()).right is True
    mistakes = exercise.mistakes() if callable(exercise.mistakes) else exercise.mistakes
    for mistake, explanation in mistakes.items():
        verdict = check(name, mistake)
        assert verdict.right is False and verdict.text == explanation


@pytest.mark.parametrize("nothing", [None, "", ...])
def test_no_answer_asks_the_question(nothing):
    verdict = check("00.2", nothing)
    assert verdict.right is None and verdict.text == EXERCISES["00.2"].question


@pytest.mark.parametrize("answer", [30, 30.0, "30", "30 %", " 30,0 "])
def test_numbers_may_be_written_in_several_ways(answer):
    assert check("00.2", answer).right


@pytest.mark.parametrize("answer", [31, float("nan"), "thirty", True, [30]])
def test_other_answers_get_the_hint(answer):
    verdict = check("00.2", answer)
    assert verdict.right is False and EXERCISES["00.2"].hint in verdict.text


def test_words_ignore_case():
    assert check("00.3", " Yes ").right


def test_rounding_is_accepted():
    assert check("12.3", 60.7).right and check("12.3", "60.65").right and not check("12.3", 62).right


def test_unknown_exercise_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="00.1"):
        check("00.11", 3)


def test_verdict_is_shown_escaped_and_announced():
    shown = check("00.1", "<script>")._repr_html_()
    assert "<script>" not in shown and 'role="status"' in shown


@pytest.mark.parametrize("name", EXERCISES)
def test_the_hint_is_shown_after_a_wrong_answer(name):
    number = isinstance(EXERCISES[name].truth(), (int, float))
    verdict = check(name, -123456.75 if number else "neither")
    assert verdict.right is False and verdict.text == EXERCISES[name].hint != ""


@given(st.one_of(st.integers(), st.floats(), st.text(), st.booleans(), st.lists(st.integers()), st.none()))
def test_a_noted_answer_gets_the_verdict_of_the_answer(tmp_path_factory, answer):
    journal = tmp_path_factory.mktemp("answers") / "answers"
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv(ANSWERS, str(journal))
        given_now = check("00.2", answer)
        words = check("00.3", answer)
    notes = [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []
    assert len(notes) == (0 if given_now.right is None else 2)
    for note, verdict in zip(notes, (given_now, words), strict=False):
        assert note["exercise"] == verdict.exercise and check(note["exercise"], note["answer"]).right == verdict.right


def test_long_words_are_noted_short(tmp_path, monkeypatch):
    monkeypatch.setenv(ANSWERS, str(tmp_path / "answers"))
    check("00.3", "a" * 10**6)
    check("00.2", 10**400)
    assert (tmp_path / "answers").stat().st_size < 1000


def test_nothing_is_noted_without_a_grader(tmp_path, monkeypatch):
    monkeypatch.delenv(ANSWERS, raising=False)
    monkeypatch.chdir(tmp_path)
    check("00.2", 30)
    assert list(tmp_path.iterdir()) == []
