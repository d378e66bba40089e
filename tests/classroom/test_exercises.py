"""Exercises: right answers are right, wrong ones are explained."""

import json
import re
from decimal import Decimal

import numpy as np
import pytest
import torch
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


def printed(name):
    """Every way in which the right number may be printed: as in the explanation, and with up to six digits more."""
    exercise = EXERCISES[name]
    truth = exercise.truth()
    numbers = [text for text in re.findall(r"[+−-]?\d+(?:,\d{3})*(?:\.\d+)?", exercise.why)]
    texts = [f"{truth:.{k}f}" for k in range(1, 7)] if isinstance(truth, float) else [str(truth)]
    close = [n for n in numbers if abs(float(n.replace(",", "").replace("−", "-")) - truth) < 0.005 * abs(truth)]
    return [text for text in texts if abs(float(text) - truth) <= 0.005 * abs(truth)] + close


@pytest.mark.parametrize("name", [name for name in EXERCISES if not isinstance(EXERCISES[name].answer, str)])
def test_what_is_printed_is_right_in_every_way_to_write_it(name):
    truth, many = EXERCISES[name].truth(), printed(name)
    assert all(check(name, text).right for text in many), many
    for value in (truth, np.float64(truth), np.array(truth), np.array([truth]), torch.tensor(truth).double(),
                  Decimal(str(truth)), f" {truth} ", f"{truth:,}", f"= {truth}"):  # fmt: skip
        assert check(name, value).right, value
    for other in (True, "yes", None if truth else "none", [truth], float("nan"), truth + max(1, abs(truth) / 5)):
        assert not check(name, other).right, other


@pytest.mark.parametrize("name", [name for name in EXERCISES if isinstance(EXERCISES[name].answer, str)])
def test_words_are_right_in_every_way_to_write_them(name):
    truth = EXERCISES[name].truth()
    for given_word in (truth.upper(), f"{truth}.", f"'{truth}'", f" {truth.title()}! ", f"({truth})"):
        assert check(name, given_word).right
    if truth in ("yes", "no"):
        for answer in (truth == "yes", np.bool_(truth == "yes"), str(truth == "yes")):
            assert check(name, answer).right
        assert not check(name, truth != "yes").right
    assert not check(name, f"not {truth}").right and not check(name, 1).right


@pytest.mark.parametrize(
    ("name", "answer"),
    [("09.3", 0.775), ("09.3", 0.8), ("07.1", 31), ("07.1", "31 %"), ("07.2", "4/7"), ("06.3", "74,112"), ("03.3", 67),
     ("15.1", "14 GB"), ("15.1", "14 gigabytes"), ("02.1", "12mm"), ("02.2", "−150 HU"), ("11.2", "10,742.5"),
     ("01.1", "60 %"), ("06.3", "74 112"), ("06.3", "74_112")],
)  # fmt: skip
def test_numbers_that_a_chapter_prints(name, answer):
    assert check(name, answer).right


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("07.1", 0.31, "As a share, yes"), ("12.3", 0.607, "As a share, yes"), ("10.3", 0.476, "As a share, yes"),
        ("01.1", 60, "In percent, yes"), ("05.1", 80, "In percent, yes"), ("17.2", 50, "In percent, yes"),
        ("02.2", 150, "look at the sign"), ("16.3", -48, "look at the sign"), ("15.1", "14 MB", "not the unit"),
        ("02.1", "12 cm", "not the unit"), ("15.1", "14 million", "not the unit"), ("15.1", 14000, "thousand times"),
        ("12.3", 61, "rounded too far"), ("09.4", 2.6, "rounded too far"), ("00.2", [30], "in brackets"),
        ("06.3", 74000, EXERCISES["06.3"].hint), ("00.1", "many", "where a number is expected"),
        ("04.2", 5, "where a word is expected"),
    ],
)  # fmt: skip
def test_slips_are_called_by_their_name_in_every_exercise(name, answer, said):
    verdict = check(name, answer)
    assert verdict.right is False and said in verdict.text
