"""The stages of pathology-vlm: true and false sentences, splits, the blinded twin, from a recipe to a checkpoint."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

import medvlm_lab as lab
from medvlm_lab.models.pathology_vlm import FINDINGS
from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.tasks.vqa import VQARow
from medvlm_lab.train import recipe, train
from medvlm_lab.train.lessons import reworded
from medvlm_lab.train.loop import Loop
from medvlm_lab.train.pathology_answers import DEGREE, questions
from medvlm_lab.train.pathology_export import difference, line
from medvlm_lab.train.pathology_pictures import varied
from medvlm_lab.train.pathology_plip import amounts, passes, standard, whole
from medvlm_lab.train.pathology_setup import prepare, task

SMALL = {
    "data": "", "studies": 16, "validation_studies": 8, "test_studies": 4, "copies": 1, "real_copies": 2, "size": 64,
    "warmup_steps": 2, "batch_size": 8, "epochs": 1, "bf16": False, "ema_decay": 0.8,
    "model": {"tile": 32, "width": 24, "heads": 2, "hidden": 32, "vision_depth": 1, "text_depth": 1,
              "connector_depth": 1, "embedding": 16, "language_depth": 1},
}  # fmt: skip
DENIED = re.compile(r"\b(no|without|neither)\b", re.IGNORECASE)


@pytest.fixture
def real(tmp_path, monkeypatch):
    """A data set of 12 micrographs with two questions each."""
    folder = tmp_path / "data" / "pathvqa_histology"
    (folder / "images").mkdir(parents=True)
    rows = []
    for i in range(12):
        pixels = np.full((40, 60, 3), (200, 20 * i, 180), np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i}.jpg")
        organ = "Skin" if i < 6 else "liver"
        for question, answer, kind in ((f"is tissue{i} present?", "yes", "CLOSED"), ("what is shown?", organ, "OPEN")):
            rows.append({"image": f"{i}.jpg", "question": question, "answer": answer, "answer_type": kind})
    (folder / "trainset.json").write_text(json.dumps(rows), encoding="utf-8")
    monkeypatch.setenv("MEDVLM_DATA", str(tmp_path / "data"))


def started(folder, stage, **changes):
    settings = recipe("pathology-vlm")
    numbers = settings | settings["stages"][stage] | SMALL | changes
    numbers["stages"] = settings["stages"] | {stage: {**settings["stages"][stage]}}
    numbers["stages"][stage].pop("after", None)
    return numbers, task(numbers, prepare(numbers, folder), stage)


def test_one_sentence_is_true_and_its_denial_false(tmp_path):
    _, made = started(tmp_path, "plip")
    for i, scene in enumerate(made.train.studies.scenes):
        for turn in range(10):
            true, false = made.statements.pair(scene, rng_of(i, turn))
            assert bool(DENIED.search(true)) != bool(DENIED.search(false)), (true, false)
            assert scene.all_findings or DENIED.search(true)


def test_it_learns_to_tell_them_apart(tmp_path):
    numbers, made = started(tmp_path, "plip", epochs=8, learning_rate=3e-3, word_dropout=0.0)
    loop = Loop(made, numbers, tmp_path)
    before = np.mean([float(made.loss(rows, np.random.default_rng(0)).detach()) for rows in made.batches(0)])
    loop.run()
    after = np.mean([float(made.loss(rows, np.random.default_rng(0)).detach()) for rows in made.batches(0)])
    assert after < before - 0.1


def test_patches_are_labelled_by_the_masks_that_reach_into_them(tmp_path):
    _, made = started(tmp_path, "plip", copies=2)
    studies, cells = made.train.studies, made.train.pictures.cells
    size, kept = made.model.config.tile, made.train.pictures.keep
    for i, scene in enumerate(studies.scenes[:4]):
        masks = studies.simulator.masks([scene], SMALL["size"])
        for k, name in enumerate(FINDINGS):
            mask = masks[name][0]
            tiles = [mask[a : a + size, b : b + size] for a in (0, size) for b in (0, size)]
            for tile, found in zip(tiles, cells[0, i, 1:], strict=False):
                assert bool(found[:, k].any()) == bool(tile.any()), (i, name)
    assert not cells[~kept].any()
    assert cells[1].any(), "the varied copies have their masks, too"


def test_patches_learn_what_they_show_and_the_whole_how_much(tmp_path):
    numbers, made = started(tmp_path, "plip", epochs=8, learning_rate=3e-3, word_dropout=0.0)
    rows = np.arange(len(made.train.studies))

    def missed():
        patches, keep, cells = made.train.pictures.outlined(rows, None)
        with torch.no_grad():
            looked = made.model.look(patches, keep)
            shown, told = made.model.cell_head(looked.tokens[:, :, 1:][keep]), made.model.number_head(whole(looked))
        return np.array([
            float(F.binary_cross_entropy_with_logits(shown, cells[keep].float())),
            float(F.smooth_l1_loss(told, made.truth)),
        ])  # fmt: skip

    before = missed()
    Loop(made, numbers, tmp_path).run()
    assert (missed() < np.array([0.7, 0.9]) * before).all()


def test_no_image_is_in_two_parts(tmp_path, real):
    _, made = started(tmp_path, "vqa", data="path_vqa")
    asked = made.asked
    images = {part: set(asked.image_index[rows]) for part, rows in asked.parts.items()}
    assert sum(map(len, images.values())) == len(set().union(*images.values())) == 12
    assert sum(map(len, asked.parts.values())) == len(asked.questions) == 24
    words = made.lessons.tokenizer.vocabulary
    held = {asked.questions[i].split()[1] for part in ("validation", "test") for i in asked.parts[part]} - {"is"}
    assert not held & set(words) and all(asked.questions[i].split()[1] in words for i in asked.parts["train"])


def test_the_twin_sees_nothing_and_the_stem_never_learns(tmp_path, real):
    numbers, made = started(tmp_path, "blind", data="path_vqa")
    kinds = {kind for kind, _ in made.batches(0)}
    assert kinds == {"question", "real"}
    model = made.model.eval()
    pairs = [("question: is necrosis seen? answer:", "no")] * 4
    losses = [
        float(made.lost(model, made.train.pictures, np.array(rows), np.arange(4), pairs, None).detach())
        for rows in ([0, 1, 2, 3], [4, 5, 6, 7])
    ]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    stem = {k: v.clone() for k, v in model.vision.stem.state_dict().items()}
    Loop(made, numbers, tmp_path).run()
    assert all(torch.equal(v, stem[k]) for k, v in made.model.vision.stem.state_dict().items())


def test_real_pictures_are_called_by_their_own_answers_in_training(tmp_path, real):
    numbers, made = started(tmp_path, "plip", data="path_vqa", named=2.5, epochs=10, learning_rate=3e-3)
    asked, captions = made.asked, made.captions
    known = set(asked.image_index[asked.parts["train"]].tolist())
    assert set(captions) == known and {text for told in captions.values() for text in told} == {"skin", "liver"}
    batches = [rows for kind, rows in made.batches(0) if kind == "real"]
    rows = np.concatenate(batches).tolist()
    assert set(rows) == known and {rows.count(row) for row in known} == {2, 3} and len(rows) == round(2.5 * len(known))
    lost = lambda: float(made.loss(("real", np.array(sorted(known))), np.random.default_rng(0)).detach())  # noqa: E731
    before = lost()
    Loop(made, numbers, tmp_path).run()
    assert lost() < before - 0.1
    assert 0 <= made.validate(made.model.eval())["real_rank_percent"] <= 50, "of two answers, first (0) or last (50)"


def test_degrees_and_numbers_are_asked_about_more_often(tmp_path):
    studies = prepare(recipe("pathology-vlm") | SMALL, tmp_path).train.studies

    def share(degrees):
        asked = [questions(studies, i, rng_of(i, turn), 4, degrees=degrees) for i in range(16) for turn in range(20)]
        assert all(len(set(some)) == 4 for some in asked), "none twice"
        return np.mean([bool(DEGREE.match(answer)) for some in asked for _, answer in some])

    assert 1.5 * share(1.0) < share(4.0) < share(1e9) < 1
    simulator, scene = studies.simulator, studies.scenes[0]
    told = [(f"question: {one.question} answer:", one.answer) for one in simulator.questions(scene, rng_of(5))[:3]]
    assert questions(studies, 0, rng_of(5), 3) == told, "in their own order where all are alike"


def test_rows_pass_as_often_as_asked():
    rng = np.random.default_rng(0)
    assert [len(rows) for rows in passes(np.arange(10), 2.3, rng)] == [10, 10, 3]
    assert [len(rows) for rows in passes(np.arange(10), 0.6, rng)] == [6] and passes(np.arange(10), 0.0, rng) == []
    assert all(sorted(rows) == list(range(10)) for rows in passes(np.arange(10), 2, rng))


def test_variations_keep_what_is_shown():
    picture = torch.rand(3, 40, 60)
    other = varied(picture, np.random.default_rng(3))
    assert other.shape[0] == 3 and 0 <= other.min() and other.max() <= 1
    assert sorted(other.shape[1:]) <= [40, 60] and min(other.shape[1:]) >= 32
    assert torch.equal(varied(picture, np.random.default_rng(3)), other)


def test_what_a_slide_holds_in_numbers():
    scenes = [lab.phantom("histology").draw(seed) for seed in range(12)]
    found = amounts(scenes, ["mitoses", "field_um"])
    kinds = list(scenes[0].kinds)
    assert found.shape == (12, len(kinds) + 2) and found[:, -1].tolist() == pytest.approx([s.field_um for s in scenes])
    assert torch.equal(found[:, kinds.index("mitoses")], found[:, -2])
    for row, scene in zip(found, scenes, strict=True):
        assert [bool(x) for x in row[: len(kinds)]] == [bool(scene.find(kind)) for kind in kinds]
    values = standard(found)
    assert values.mean(0).abs().max() < 1e-5 and values.isfinite().all()
    assert torch.equal(standard(torch.ones(3, 1)), torch.zeros(3, 1))


def test_a_question_in_another_form_holds_its_own_words_and_a_few_others():
    asked, others = "question: Is it benign or malignant? answer:", ["what", "now"]
    for strays in (0.0, 0.4):
        found = {reworded(asked, np.random.default_rng(seed), others, strays) for seed in range(20)}
        assert len(found) > 5
        assert any(set(others) & set(text.split()) for text in found) == bool(strays)
        for text in found:
            assert text.startswith("question:") and text.endswith("answer:")
            assert set(text.split()) <= {*asked.split(), *others}


def test_from_a_recipe_to_a_checkpoint(tmp_path, real):
    folder = train("pathology-vlm", out=tmp_path / "run", **SMALL | {"data": "path_vqa"})
    model = lab.load("pathology-vlm", checkpoint=folder)
    data = lab.dataset("phantom:histology", "test", n=2, size=64)
    assert model.answer(data[0].image(), data[0].question).token_logprobs
    card = (folder / "README.md").read_text()
    assert "Not for clinical use" in card and "Simulated: not to be compared" in card
    assert "| blinded twin |" in card and "`path_vqa`" in card and "vit-bert-vqa" in card
    assert "| pathology-vlm less its twin, question by question |" in card


def test_two_models_are_compared_question_by_question():
    def rows(closed, right):
        return [VQARow("a", "?", "yes", "no", 1.0, closed, bool(correct), 0.0) for correct in right]

    one = rows(True, [1, 1, 1, 0]) + rows(False, [1, 0])
    two = rows(True, [1, 0, 0, 0]) + rows(False, [1, 0])
    gain = difference("gain", one, two)
    assert gain.startswith("| gain | 50.0 (0.0–100.0, n = 4) | 0.0 (0.0–0.0, n = 2) | 33.3 (") and "n = 6) |" in gain
    assert difference("gain", one[:4], two[:4]).split(" | ")[2] == "nothing to score"
    assert re.fullmatch(r"\| model \| 75\.0 .*n = 4\) \| 50\.0 .*n = 2\) \| 66\.7 .*n = 6\) \|", line("model", one))
