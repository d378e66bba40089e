"""The contact sheet: which errors it shows, in which order, and what stands below."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from scorers import TASKS, Guesser

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError
from medvlm_lab.tasks import Result
from medvlm_lab.tasks.sheet import Tile, sheet

BLACK = np.zeros((20, 30, 3), np.uint8)


def words(figure):
    return [text.get_text() for text in figure.texts]


@pytest.mark.parametrize("task", TASKS)
def test_every_task_shows_its_worst_errors(task):
    name, n = TASKS[task]
    result = lab.evaluate(task, Guesser(), lab.dataset(name, "test", n=n, size=32), resamples=10, progress=False)
    figure = result.worst(3)
    assert isinstance(figure, Figure) and len(figure.axes) in (3, 9)
    said = words(figure)
    assert said[0].startswith("guesser on phantom:") and said[1] == "Simulated patients. Not for clinical use."
    assert sum(line.startswith("Truth:") for line in said) == sum(line.startswith("Model:") for line in said) == 3


def test_the_surest_wrong_answer_comes_first():
    data = lab.dataset("phantom:chest-xray", "test", n=4, size=32)
    result = lab.evaluate("vqa", Guesser(), data, progress=False)
    wrong = sorted((row.confidence for row in result.rows if not row.correct), reverse=True)
    shown = [line for line in words(result.worst(5)) if line.startswith("Wrong")]
    assert shown == [f"Wrong, and {value:.0%} sure" for value in wrong[:5]]


def test_nothing_wrong_is_an_empty_sheet():
    data = lab.dataset("phantom:chest-xray", "test", n=2, size=32)
    answers = {item.question: item.answer for item in data}
    model = Guesser()
    model.answer_batch = lambda images, questions: [lab.models.base.Answer(answers[q], 0.9) for q in questions]
    items = {item.question: item for item in data}
    figure = lab.evaluate("vqa", model, list(items.values()), progress=False).worst()
    assert not figure.axes and words(figure)[0].endswith("nothing wrong")


def test_texts_are_wrapped_cut_and_never_overlap():
    tiles = [Tile([BLACK], "A heading " * 8, "word " * 200, "short", "a question?"), Tile([BLACK], "b", "c", "d")]
    figure = sheet(tiles, "title", "note")
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.texts]
    assert all(box.x1 <= figure.bbox.x1 and box.y0 >= 0 for box in boxes)
    pairs = ((a, b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert not any(a.shrunk(0.98, 0.8).overlaps(b.shrunk(0.98, 0.8)) for a, b in pairs)
    assert any(line.endswith("…") for line in words(figure))


def test_what_has_no_pictures_is_a_sentence():
    with pytest.raises(MedVLMError, match="make them with lab.evaluate"):
        Result("a", "b", {}, ()).worst()
    with pytest.raises(MedVLMError, match="k is 0"):
        Result("a", "b", {}, ()).worst(0)
