"""Exercises: right answers are right, wrong ones are explained."""

import pytest

from medvlm_lab.classroom.answers import EXERCISES
from medvlm_lab.classroom.exercises import check
from medvlm_lab.errors import UnknownNameError


@pytest.mark.parametrize("name", EXERCISES)
def test_right_answer_and_every_known_mistake(name):
    exercise = EXERCISES[name]
    truth = exercise.answer() if callable(exercise.answer) else exercise.answer
    assert check(name, truth).right is True
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
