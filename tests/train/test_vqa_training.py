"""The training loop on made-up features: it learns, it resumes exactly, what it writes loads again."""

import json

import numpy as np
import pytest
import torch

from medvlm_lab.errors import CheckpointError, MedVLMError, MissingDataError, UnknownNameError
from medvlm_lab.models import load
from medvlm_lab.models.store import WEIGHTS, load_weights, save_weights
from medvlm_lab.models.vit_bert_vqa import Config, ViTBertVQA
from medvlm_lab.text.tokenizer import Tokenizer
from medvlm_lab.train import recipe
from medvlm_lab.train.export import export, fit_confidence
from medvlm_lab.train.loop import Loop
from medvlm_lab.train.setup import VOCABULARY
from medvlm_lab.train.vqa import Table, VQATask, neighbours, question_features

RECIPE = {
    "seed": 0, "bf16": False, "epochs": 4, "batch_size": 8, "learning_rate": 3e-3, "matrix_learning_rate": 3e-3,
    "warmup_steps": 2, "ema_decay": 0.9, "questions_per_image": 2,
    "weight_decay": 0.01, "label_smoothing": 0.0, "validation_every": 2, "validation_fraction": 0.2,
    "splits": ["by_question"], "data": [{"name": "toy", "copies": 2}],
}  # fmt: skip


def toy_loop(folder, **changes):
    torch.manual_seed(0)
    tokenizer = Tokenizer.from_file(VOCABULARY)
    config = Config(
        vocabulary=len(tokenizer), image_size=64, width=24, heads=2, hidden=32, question_width=16, question_heads=2,
        question_hidden=32, question_layers=1, image_layers=1, fusion_layers=1, decoder_layers=1,
    )  # fmt: skip
    model = ViTBertVQA(config, tokenizer.pad)
    texts = ["yes", "no", "left lung", "right lung"] * 10
    asked = ["is it normal", "is it abnormal", "where is it", "which side is it"] * 10
    words, keep = question_features(model, tokenizer.batch(asked, 20))
    generator = torch.Generator().manual_seed(1)
    table = Table(
        rows=[],
        images=torch.randn(2, 5, 4, 320, generator=generator).half(),
        words=words,
        keep=keep,
        answers=tokenizer.batch(texts, 10),
        image_index=torch.arange(40) % 5,
        train=np.arange(32),
        validation=np.arange(32, 40),
        share=1.0,
        texts=texts,
        closed=np.array([t in ("yes", "no") for t in texts]),
    )
    folder.mkdir(exist_ok=True)
    recipe = {**RECIPE, **changes}
    return Loop(VQATask(model, tokenizer, [table], recipe), recipe, folder)


def test_a_stopped_run_resumes_to_the_same_weights(tmp_path):
    whole = toy_loop(tmp_path / "whole")
    whole.run()
    first = toy_loop(tmp_path / "parts")
    first.run(minutes=1e-9)  # stops after one epoch
    assert first.epoch == 1
    second = toy_loop(tmp_path / "parts")
    assert second.resume()
    second.run()
    for (name, a), (_, b) in zip(whole.learning, second.learning, strict=True):
        assert torch.equal(a, b), name
    assert all(torch.equal(whole.average[n], second.average[n]) for n in whole.average)


def test_the_loss_falls_and_the_log_says_so(tmp_path):
    run = toy_loop(tmp_path / "run", epochs=12)
    run.run()
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["loss"] < 0.6 * log[0]["loss"]
    assert {"toy_closed", "toy_open"} <= log[-1].keys()


def test_batches_hold_every_question_once_and_keep_an_images_questions_together(tmp_path):
    task = toy_loop(tmp_path / "run").task
    (table,) = task.tables
    batches = task.batches(3)
    assert sorted(np.concatenate([rows for _, rows in batches])) == list(range(32))
    assert all((a[1] == b[1]).all() for a, b in zip(batches, task.batches(3), strict=True))
    order = neighbours(table.train, table, np.random.default_rng(0), 4)
    assert sorted(order) == list(range(32))
    images = table.image_index[order].numpy()
    assert (images[1:] == images[:-1]).mean() > 0.6  # groups of four: up to three of four neighbours agree


def test_frozen_layers_stay_as_they_were(tmp_path):
    run = toy_loop(tmp_path / "run", epochs=1)
    before = {n: p.clone() for n, p in run.model.named_parameters() if not p.requires_grad}
    run.run()
    assert before and all(torch.equal(p, before[n]) for n, p in run.model.named_parameters() if n in before)


def test_an_exported_model_loads_and_answers_alike(tmp_path):
    from medvlm_lab.image import MedicalImage

    run = toy_loop(tmp_path / "run")
    run.run()
    export({"by_question": run}, run.recipe, tmp_path / "model")
    card = (tmp_path / "model" / "README.md").read_text()
    assert "Not for clinical use" in card and "by_question" in card
    torch.manual_seed(5)
    model = load("vit-bert-vqa", checkpoint=tmp_path / "model", device="cpu")
    assert torch.rand(1) == torch.rand(1, generator=torch.Generator().manual_seed(5))  # loading draws nothing
    image = MedicalImage.from_array(np.arange(4096, dtype=np.uint8).reshape(64, 64))
    answer = model.answer(image, "is it normal?")
    assert 0 <= answer.confidence <= 1 and answer.alternatives[0] == (answer.text, answer.confidence)
    assert sum(p for _, p in answer.alternatives) <= 1 + 1e-9
    assert len(answer.tokens) == len(answer.token_logprobs) and all(p <= 0 for p in answer.token_logprobs)


def test_eight_bits_cost_little(tmp_path):
    weights = {"w": torch.randn(40, 30) * torch.logspace(-3, 2, 40)[:, None], "b": torch.randn(7), "n": torch.tensor(3)}
    save_weights(tmp_path, weights, {})
    loaded = load_weights(tmp_path)
    error = (loaded["w"] - weights["w"]).abs().amax(1) / weights["w"].abs().amax(1)
    assert error.max() < 0.005
    assert loaded["n"] == 3 and torch.allclose(loaded["b"], weights["b"], rtol=1e-3)


def test_a_truncated_checkpoint_is_refused(tmp_path):
    run = toy_loop(tmp_path / "run", epochs=1)
    run.run()
    export({"by_question": run}, run.recipe, tmp_path / "model")
    file = tmp_path / "model" / WEIGHTS
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="damaged"):
        load("vit-bert-vqa", checkpoint=tmp_path / "model")
    file.unlink()
    with pytest.raises(MissingDataError, match="missing"):
        load("vit-bert-vqa", checkpoint=tmp_path / "model")


def test_confidence_is_fitted_to_how_often_it_is_right():
    rng = np.random.default_rng(0)
    logs = -rng.exponential(1.0, 20_000)
    right = rng.random(20_000) < 1 / (1 + np.exp(-(1.5 * logs + 0.7)))
    assert fit_confidence(logs, right) == pytest.approx((1.5, 0.7), abs=0.1)


def test_unknown_or_broken_recipes_are_one_sentence(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'vit-bert-vqa'"):
        recipe("vit-bert-vqq")
    (tmp_path / "r.toml").write_text("epochs = ")
    with pytest.raises(MedVLMError, match="not valid TOML"):
        recipe(tmp_path / "r.toml")
