"""The contrastive task: it learns which report belongs to which study, and what it writes loads and scores."""

import json

import numpy as np
import pytest
import torch

import medvlm_lab as lab
from medvlm_lab.errors import MedVLMError, MissingDataError, UnknownNameError
from medvlm_lab.phantoms import phantom
from medvlm_lab.text.labeller import positive
from medvlm_lab.train import RECIPES, recipe, shortened, train
from medvlm_lab.train.contrastive import Studies, embedded, rendered, spread, varied
from medvlm_lab.train.contrastive_setup import prepare, task
from medvlm_lab.train.loop import Loop
from medvlm_lab.train.outlines import coverage
from medvlm_lab.train.prompts import first, prompt_cam
from medvlm_lab.train.statements import Statements

SMALL = {
    "studies": 512, "validation_studies": 48, "test_studies": 24, "batch_size": 64, "epochs": 12, "warmup_steps": 4,
    "bf16": False, "ema_decay": 0.8, "excerpts": 0.0, "word_dropout": 0.0, "frozen": [],
    "model": {"image_size": 32, "frames": 1, "depths": [1, 1], "widths": [16, 32], "embedding": 32, "text_width": 32,
              "text_depth": 1},
}  # fmt: skip


def staged(settings, data, stage, folder):
    """The loop of one stage, its predecessor's checkpoint in place."""
    numbers = settings | settings["stages"][stage] | SMALL
    (folder / stage).mkdir(exist_ok=True)
    return Loop(task(numbers, data, stage), numbers, folder / stage)


def test_pictures_are_those_that_a_reader_sees():
    for name, frames in (("chest-xray", 1), ("echocardiogram", 4)):
        simulator = phantom(name)
        scene = simulator.draw(3)
        image = simulator.image(scene, 64)
        shown = np.stack([image.display(int(i)).mean(-1) for i in np.linspace(0, image.frames - 1, frames).round()])
        made = rendered(simulator, [scene], frames, 64)[0].numpy()
        assert np.abs(made.astype(float) - shown).max() <= 1.0  # rounding


def test_it_learns_and_its_checkpoint_scores(tmp_path):
    settings = recipe("chexzero") | SMALL
    data = prepare(settings, tmp_path)
    first = staged(settings, data, "outline", tmp_path)
    blank = first.task.validate(first.model.eval())["cell_error_percent"]
    first.run()
    assert first.task.validate(first.averaged())["cell_error_percent"] < blank / 4
    loop = staged(settings, data, "contrast", tmp_path)
    tower = first.averaged().encoder.image_encoder.state_dict()
    assert all(torch.equal(v, tower[k]) for k, v in loop.model.image_encoder.state_dict().items())
    before = loop.task.validate(loop.model.eval())["mcmrr_percent"]
    loop.run()
    after = loop.task.validate(loop.averaged())["mcmrr_percent"]
    assert before > 40 and after < before - 15
    folder = train("chexzero", out=tmp_path / "run", **{**SMALL, "epochs": 1})
    model = lab.load("chexzero", checkpoint=folder)
    assert model.classify(lab.sample("chest-xray-nodules")).keys() >= {"nodule", "pneumothorax"}
    card = (folder / "README.md").read_text()
    assert "Not for clinical use" in card and "simulated" in card and "| zero-shot | Area under the ROC curve |" in card
    assert json.loads((folder / "config.json").read_text())["architecture"] == "chexzero"


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path):
    settings = recipe("chexzero") | SMALL | {"epochs": 2, "studies": 64}
    settings |= settings["stages"]["outline"] | SMALL | {"epochs": 2, "studies": 64}

    def fresh(folder):
        folder.mkdir(exist_ok=True)
        return Loop(task(settings, prepare(settings, folder), "outline"), settings, folder)

    whole = fresh(tmp_path / "whole")
    whole.run()
    stopped = fresh(tmp_path / "parts")
    stopped.run(minutes=1e-9)
    again = fresh(tmp_path / "parts")
    assert again.resume() and again.epoch == 1
    again.run()
    for (name, a), (_, b) in zip(whole.model.state_dict().items(), again.model.state_dict().items(), strict=True):
        assert torch.equal(a, b), name


def test_texts_change_from_epoch_to_epoch_and_stay_true_to_the_seed(tmp_path):
    settings = recipe("chexzero") | SMALL | {"studies": 8, "validation_studies": 4, "figures": 0.0}
    made = task(settings | {"stages": {"contrast": {"learns": "contrast"}}}, prepare(settings, tmp_path), "contrast")
    one, two = (made.excerpt(3, np.random.default_rng(s)) for s in (1, 2))
    assert one != two and one == made.excerpt(3, np.random.default_rng(1))
    images, texts = embedded(made.model, made.tokenizer, made.validation, "held-out")
    assert images.shape == texts.shape == (4, 32)


def test_variation_moves_all_frames_of_a_study_alike():
    still = torch.rand(3, 1, 32, 32).expand(3, 5, 32, 32)
    moved = varied(still, np.random.default_rng(0))
    assert moved.shape == still.shape and torch.equal(moved[:, :1].expand_as(moved), moved)
    assert not torch.allclose(moved, still) and moved.min() >= 0 and moved.max() <= 1


def test_validation_never_holds_a_training_patient():
    simulator = phantom("chest-xray")
    train_part, held = (Studies(simulator, part, 30, 1, 32, 0) for part in ("train", "validation"))
    assert not {s.patient for s in train_part.scenes} & {s.patient for s in held.scenes}


def test_covered_shares_are_the_masks_averaged_over_cells():
    simulator = phantom("echocardiogram")
    studies = Studies(simulator, "validation", 3, 4, 64, 0)
    shares = coverage(studies, 8, None)  # (n, f, p, k)
    masks = simulator.masks(studies.scenes, 64)
    assert shares.shape == (3, 4, 64, len(masks))
    k = sorted(masks).index("left ventricle")
    full = masks["left ventricle"][1, 0].float()  # the cine's first frame is kept
    cells = torch.stack([full[8 * i : 8 * i + 8, 8 * j : 8 * j + 8].mean() for i in range(8) for j in range(8)])
    assert (shares[1, 0, :, k].float() / 255 - cells).abs().max() <= 0.5 / 255 + 1e-6 and cells.max() == 1


def test_frames_of_a_step_lie_spread_over_the_beat_and_none_comes_twice():
    rng = np.random.default_rng(0)
    for _ in range(50):
        chosen = spread(12, 4, rng)
        assert len(set(chosen.tolist())) == 4 and chosen.min() >= 0 and chosen.max() < 12
        gaps = np.diff(np.sort(chosen.numpy()), append=chosen.min().item() + 12)
        assert gaps.max() <= 5  # a step of three frames, moved by up to two
    assert spread(3, 8, rng).tolist() == [0, 1, 2]


def test_figures_of_a_report_are_learned_for_themselves(tmp_path):
    settings = recipe("echo-clip") | SMALL | {"studies": 4, "validation_studies": 2, "figures": 1.0}
    made = task(settings | {"stages": {"contrast": {"learns": "contrast"}}}, prepare(settings, tmp_path), "contrast")
    for seed in range(20):
        row = seed % 4
        parts = made.excerpt(row, np.random.default_rng(seed)).split(", ")
        assert len(parts) <= 2 and all(any(c.isdigit() for c in part) for part in parts)


def test_a_stage_without_its_predecessor_says_what_to_train(tmp_path):
    settings = recipe("chexzero") | SMALL | {"studies": 8, "validation_studies": 4}
    with pytest.raises(MissingDataError, match="'outline' has left no checkpoint"):
        task(settings, prepare(settings, tmp_path), "contrast")


def test_unknown_task_suggests_the_nearest(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('task = "contrastiv"\nsplits = ["patients"]\n')
    with pytest.raises(UnknownNameError, match="did you mean 'contrastive'"):
        train("chexzero", recipe_file=path, out=tmp_path / "run")


def test_a_quick_run_takes_the_numbers_of_its_recipe_s_table(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('task = "contrastive"\nsplits = ["patients"]\nquick = { task = "contrastiv" }\n')
    with pytest.raises(UnknownNameError, match="did you mean 'contrastive'"):
        train("chexzero", recipe_file=path, quick=True, out=tmp_path / "run")
    path.write_text('task = "contrastive"\nsplits = ["patients"]\n')
    with pytest.raises(MedVLMError, match=r"no table \[quick\]; those with one: .*chexzero"):
        train("chexzero", recipe_file=path, quick=True, out=tmp_path / "run")


def test_every_recipe_s_quick_table_changes_what_the_recipe_has():
    for path in RECIPES.glob("*.toml"):
        whole = recipe(path.stem)
        quick, stages = whole["quick"], whole.get("stages", {})
        assert {*quick} - {"without"} <= {*whole}
        assert {*quick.get("without", ()), *quick.get("stages", {})} <= {*stages}
        short = shortened(whole, quick)
        assert {*short["stages"]} == {*stages} - {*quick.get("without", ())} if stages else "stages" not in short
        left = short.get("stages", {})
        assert all(stage["after"] in left for stage in left.values() if "after" in stage)
        assert short.get("keeps") is None or short["keeps"] in left


def test_a_quick_table_changes_numbers_of_stages_and_leaves_some_out():
    stages = {"a": {"epochs": 5, "rate": 1}, "b": {"epochs": 3}, "c": {"epochs": 1}}
    whole = {"studies": 9, "keeps": "c", "stages": stages}
    short = shortened(whole, {"studies": 2, "keeps": "b", "without": ["c"], "stages": {"a": {"epochs": 1}}})
    assert short == {"studies": 2, "keeps": "b", "stages": {"a": {"epochs": 1, "rate": 1}, "b": {"epochs": 3}}}
    assert whole["stages"]["a"]["epochs"] == 5


def test_a_true_and_a_false_sentence_speak_of_one_finding():
    simulator = phantom("chest-xray")
    scenes = simulator.sample(0, 200)
    statements, rng = Statements(simulator, scenes), np.random.default_rng(0)
    for scene in scenes[:100]:
        true, false = (positive(text) for text in statements.pair(scene, rng))
        there = {f.kind for f in scene.all_findings}
        assert true <= there and not false & there  # what is said to be there, is; what is not, is not
        assert bool(true) != bool(false) or not (true or false)


def prompted(settings, folder):
    """A prompt task from the start, without the stages before it."""
    only = {"words": {k: v for k, v in settings["stages"]["words"].items() if k != "after"}}
    settings = settings | only["words"] | SMALL | {"stages": only, "studies": 64, "validation_studies": 4}
    return task(settings, prepare(settings, folder), "words")


def test_prompt_cam_in_closed_form_is_the_gradients(tmp_path):
    tower = prompted(recipe("chexzero"), tmp_path).model.image_encoder.double()
    features = torch.randn(3, 32, 2, 2, dtype=torch.float64, requires_grad=True)
    towards = torch.randn(3, 32, dtype=torch.float64)
    (gradient,) = torch.autograd.grad((tower.embed(features) * towards).sum(), features)
    cam = (gradient.mean((2, 3))[..., None, None] * features).sum(1)
    assert (4 * cam - prompt_cam(tower, features, towards)).abs().max() < 1e-12  # 4 cells


def test_right_images_have_to_come_first():
    right = torch.tensor([[True, False, True], [False, True, False], [True, True, True]])
    good, bad = torch.tensor([[9.0, 0, 9], [0, 9, 0], [0, 5, 9]]), torch.tensor([[9.0, 9, 0], [9, 0, 9], [5, 5, 5]])
    assert first(good, right) < 0.001  # one right image before all others would not be enough
    wanted = np.mean([np.mean([np.log(2), np.log1p(np.exp(9))]), np.log1p(2 * np.exp(9))])
    assert first(bad, right).item() == pytest.approx(wanted, rel=1e-5)
    assert first(good[2:], right[2:]) == 0  # everybody has it: nothing to find


def test_every_number_is_asked_for_in_a_reports_own_words(tmp_path):
    made = prompted(recipe("echo-clip"), tmp_path)
    for seed in range(5):
        texts = made.every_percent(np.random.default_rng(seed))
        assert len(set(texts)) == 101 and all(f"{n}%" in text.replace(" %", "%") for n, text in enumerate(texts))
        assert "fraction" in texts[0] or "EF" in texts[0]


def test_findings_are_placed_where_their_masks_are(tmp_path):
    made = prompted(recipe("chexzero"), tmp_path)
    scene = next(i for i, s in enumerate(made.train.scenes) if s.find("pleural effusion"))
    masks = made.train.simulator.masks([made.train.scenes[scene]], 32)
    cells = made.cells[scene, 0, :, made.kinds.index("pleural effusion")].view(4, 4).float() / 255
    both = (masks["left pleural effusion"] | masks["right pleural effusion"])[0].float()
    assert ((both.view(4, 8, 4, 8).amax((1, 3)) > 0) == (cells > 0.002)).all()
    assert cells.max() > 0


def test_a_map_outside_its_finding_costs_and_so_does_a_wrong_number(tmp_path):
    made = prompted(recipe("chexzero"), tmp_path)
    features, towards = torch.randn(1, 32, 4, 4), torch.randn(1, 32)
    frame = made.model.image_encoder.embed(features)
    cam = prompt_cam(made.model.image_encoder, features, towards).flatten()
    at = lambda cell: torch.eye(16)[cell][None]  # noqa: E731
    costs = [made.placed(features, frame, towards, at(cell)).item() for cell in (cam.argmax(), cam.argmin())]
    assert costs[0] < costs[1]
    assert made.placed(features, frame, towards, torch.zeros(1, 16)) == 0  # the frame does not show it
    echo = prompted(recipe("echo-clip"), tmp_path / "echo")
    echo.values, rng = torch.full_like(echo.values, 50.0), np.random.default_rng(0)
    echo.every_percent = lambda own: [f"ejection fraction {n}%" for n in range(101)]
    with torch.no_grad():
        texts = echo.embedded(echo.every_percent(None), rng)
        frames = texts[[30, 30]][:, None]  # two studies whose one frame says 30
        right, wrong = (echo.numbered(frames, torch.tensor([v, v]), rng, rng) for v in (30.0, 90.0))
    assert right < wrong
