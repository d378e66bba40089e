"""The reader-study widget without a browser: what messages do, what is shown, when it is saved."""

import base64
import io
import json

import pytest
from fakes import FakeReporter
from PIL import Image

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError
from medvlm_lab.models.base import Report
from medvlm_lab.phantoms.scene import Finding
from medvlm_lab.reader import Case, Study, panel, simulated_cases
from medvlm_lab.widgets import reader_state as logic

HUMAN = "Findings: Moderate left pleural effusion.\nImpression: <b>Effusion</b>."
AI = "Findings: The lungs are clear.\nImpression: Normal."


@pytest.fixture
def cases(image):
    truth = (Finding("pleural effusion", "left", amount=0.5),)
    return tuple(Case(f"c{i}", {"human": HUMAN, "AI": AI}, image, truth) for i in range(2))


@pytest.fixture
def state(cases):
    return logic.start(Study(cases), panel(3))


def do(state, *messages):
    for message in messages:
        state = logic.act(state, message)
    return state


def test_segments_join_to_the_report(state):
    state = do(
        state,
        {"do": "mark", "letter": "A", "start": 10, "end": 18, "kind": "other"},
        {"do": "mark", "letter": "B", "start": 0, "end": 4, "kind": "other"},
        {"do": "mark", "letter": "A", "start": 0, "end": 5, "kind": "other"},
        *[{"do": "mark", "letter": "B", "start": 9, "end": 9, "kind": "omission"}] * 2,
    )
    view = logic.view(state)
    for report in view["reports"]:
        assert "".join(piece for piece, _ in report["segments"]) == state.study.reports()[report["letter"]]
    numbers = [[number for _, number in report["segments"] if number] for report in view["reports"]]
    assert numbers == [[3, 1], [2, 4, 5]]
    assert [m["text"] for m in view["marks"]] == [state.study.reports()[r][a:b] for r, a, b in (
        ("A", 10, 18), ("B", 0, 4), ("A", 0, 5), ("B", 9, 9), ("B", 9, 9))]  # fmt: skip
    json.dumps(view)


def test_the_view_stays_blinded_until_every_case_is_answered(state):
    assert "human" not in json.dumps(logic.view(state)) and '"AI"' not in json.dumps(logic.view(state))
    early = do(state, {"do": "prefer", "step": 1}, {"do": "show", "results": True})
    assert not early.results and "remaining 1 case first" in early.error
    done = do(early, {"do": "go", "position": 1}, {"do": "prefer", "step": 0}, {"do": "show", "results": True})
    assert done.results and not done.error


def test_every_answer_is_saved_and_a_failure_is_a_sentence(cases, tmp_path):
    path = tmp_path / "study.json"
    state = do(logic.start(Study(cases), (), path), {"do": "prefer", "step": -1}, {"do": "go", "position": 1})
    again = logic.start(Study(cases), (), path)
    assert again.study == state.study and again.study.position == 1
    lost = logic.start(Study(cases), (), path / "below-a-file.json")
    lost = do(lost, {"do": "prefer", "step": 1})
    assert "cannot be saved" in lost.error


@pytest.mark.parametrize(
    "message", [{"do": "fly"}, {}, {"do": "prefer", "step": 9}, {"do": "go", "to": 1}, {"do": "unmark", "number": 4},
                {"do": "mark", "letter": "A", "start": 5, "end": 5, "kind": "other"}]
)  # fmt: skip
def test_what_cannot_be_done_is_a_sentence_and_changes_nothing(state, message):
    after = logic.act(state, message)
    assert after.error and after.study == state.study
    assert not logic.act(after, {"do": "prefer", "step": 0}).error


def test_shell_from_the_first_answer_to_results_and_export(cases):
    widget, sent = lab.widgets.reader_study(cases, readers=3), []
    widget.send = lambda content, buffers=None: sent.append(content)
    widget._on_message(None, {"do": "export", "form": "csv"}, [])
    assert "answer a case first" in widget.view["error"] and not sent
    for position in range(2):
        widget._on_message(None, {"do": "go", "position": position}, [])
        widget._on_message(None, {"do": "prefer", "step": 2}, [])
    widget._on_message(None, {"do": "show", "results": True}, [])
    assert "3 simulated readers" in widget.results and "your choice" in widget.results
    assert logic.ABOUT_PANEL in widget.results
    widget._on_message(None, {"do": "export", "form": "json"}, [])
    assert sent[0]["name"] == "reader-study-reader-1.json"
    assert [r["case"] for r in json.loads(sent[0]["content"])["readings"]] == ["c0", "c1"]
    png = base64.b64decode(widget.picture.removeprefix("data:image/png;base64,"))
    assert Image.open(io.BytesIO(png)).size == (30, 40)
    found = widget._repr_mimebundle_()
    bundle = found[0] if isinstance(found, tuple) else found
    assert Image.open(io.BytesIO(base64.b64decode(bundle["image/png"]))).size == (1080, 400)


def test_cases_of_unknown_truth_have_no_panel():
    cases = (Case("real", {"first": "One.", "second": "Two."}),)
    widget = lab.widgets.reader_study(cases)
    widget._on_message(None, {"do": "prefer", "step": 0}, [])
    widget._on_message(None, {"do": "show", "results": True}, [])
    assert "No simulated panel" in widget.results and widget.picture == ""


def test_simulated_cases_look_alike_and_know_their_truth():
    class Batched(FakeReporter):
        def report_batch(self, images):
            return [self.reports] * len(images)

    cases = simulated_cases(2, Batched(Report("Clear lungs.", "Normal.")), progress=False)
    for case in cases:
        assert list(case.reports) == ["simulated clinician", "AI"]
        assert case.findings is not None and case.image.simulated
        assert all(text.startswith("Findings: ") and "\nImpression: " in text for text in case.reports.values())
    with pytest.raises(MedVLMError, match="give its source away"):
        simulated_cases(1, Batched(Report("Clear lungs.")), progress=False)
    with pytest.raises(MedVLMError, match="does not write reports"):
        simulated_cases(1, object(), progress=False)
