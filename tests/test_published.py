"""The scoreboard quotes papers and reads cards; it types nothing in twice."""

import json
import re

import pytest
from typer.testing import CliRunner

import medvlm_lab as lab
from medvlm_lab.cli import app
from medvlm_lab.errors import MissingDataError
from medvlm_lab.models import CATALOGUE
from medvlm_lab.published import SIMULATED, cell, tables, twins

BOARD = lab.scoreboard()
SYSTEMS = {
    "ClinicalBLIP", "PathologyVLM", "Flamingo-CXR", "EchoCLIP", "ViT + BERT VQA", "CheXzero", "LLaVA-Med", "Med-PaLM",
}  # fmt: skip


def test_every_reviewed_system_is_there_with_its_source():
    assert {f.system for f in BOARD.figures} == SYSTEMS
    assert all(re.search(r"20\d\d", f.source) for f in BOARD.figures)


@pytest.mark.parametrize("figure", [f for f in BOARD.figures if f.measured], ids=lambda f: f"{f.model} {f.score}")
def test_what_was_measured_stands_in_the_card_with_interval_and_count(figure):
    assert figure.model in CATALOGUE and figure.measured_on
    value, low, high = map(float, re.findall(r"\d+(?:\.\d+)?", figure.measured.split("n =")[0]))
    assert low <= value <= high and re.search(r"n = \d+", figure.measured)
    assert any(figure.measured in cells for _, _, rows in tables(figure.model) for cells in rows)


def test_real_and_simulated_are_told_apart():
    on = {f.model: {g.measured_on for g in BOARD.figures if g.model == f.model} for f in BOARD.figures if f.measured}
    assert SIMULATED not in on["vit-bert-vqa"]
    assert on["echo-clip"] == on["chexzero"] == on["clinical-blip"] == {SIMULATED}
    both = {f.measured_on: f.measured for f in BOARD.figures if f.model == "pathology-vlm"}
    assert len(both) == 2 and len({*both.values()}) == 2


def test_claims_without_a_source_are_marked_and_quote_no_paper():
    claims = [f for f in BOARD.figures if f.claim]
    assert {f.system for f in claims} == {"ClinicalBLIP", "CheXzero", "LLaVA-Med", "Med-PaLM"}
    assert all(not f.paper for f in claims if f.system != "ClinicalBLIP")
    html = BOARD._repr_html_()
    assert html.count("<b>no source</b>") == len(claims) and "<script" not in html


def test_a_score_that_a_card_lacks_is_named():
    with pytest.raises(MissingDataError, match="card of echo-clip has no row 'Dice' with a column 'value'"):
        cell("echo-clip", "Dice", "value")


def test_the_command_prints_the_same_table():
    printed = CliRunner().invoke(app, ["models", "scoreboard", "--json"])
    assert printed.exit_code == 0 and json.loads(printed.stdout) == json.loads(BOARD.to_json())
    assert "[no source" in CliRunner().invoke(app, ["models", "scoreboard"]).stdout


def test_every_model_that_is_trained_has_its_twin_beside_it():
    found = twins()
    assert {model for model, _ in found} == {*CATALOGUE} - {"chexzero", "echo-clip"}  # AUC 0.5 without a picture
    for (model, score), (seen, blind) in found.items():
        low, other = (float(re.findall(r"\d+(?:\.\d+)?", cell)[k]) for cell, k in ((seen, 1), (blind, 0)))
        assert "real" in score or low > other, (model, score)  # its interval lies above the twin's value
