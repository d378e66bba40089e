"""Training by the prompt segmenter's recipe, made small: scans, phrases, exact resume, the exported checkpoint."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import medvlm_lab as lab
from medvlm_lab.errors import MissingDataError
from medvlm_lab.phantoms import phantom
from medvlm_lab.text.tokenizer import UNKNOWN
from medvlm_lab.train import recipe, train
from medvlm_lab.train.loop import Loop
from medvlm_lab.train.scans import Scans, enriched
from medvlm_lab.train.segmentation import drawn, outline_loss, pair, varied
from medvlm_lab.train.segmentation_setup import prepare, task

SMALL = {
    "batch_size": 8, "test_patients": 3, "test_size": 32, "validation_patients": 4, "warmup_steps": 2,
    "bf16": False, "ema_decay": 0.8,
    "data": [{"phantom": "chest-xray", "patients": 24, "drawn": 48, "frames": 1},
             {"phantom": "echocardiogram", "patients": 2, "drawn": 2, "frames": 4}],
    "model": {"image_size": 32, "widths": [4, 8, 8, 16, 16], "depths": [0, 1, 1, 1, 1], "width": 16, "text_width": 16,
              "text_depth": 1, "text_heads": 2},
}  # fmt: skip
SETTINGS = recipe("prompt-segmenter") | SMALL | {"epochs": 2}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Scans, and what the tower's stage leaves beside them."""
    folder = tmp_path_factory.mktemp("scans")
    data = prepare(SETTINGS, folder)
    (folder / "tower").mkdir()
    Loop(task(SETTINGS, data, "tower"), SETTINGS, folder / "tower").run()
    return data


def test_scans_are_what_a_reader_sees_and_their_masks_the_phantom_s(tmp_path):
    for name, frames in (("chest-xray", 1), ("echocardiogram", 2)):
        simulator = phantom(name)
        for _ in range(2):  # made, then read back
            scans = Scans(simulator, "train", 2, frames, 32, 5, ("heart",), tmp_path)
            scene = simulator.sample(5, 2)[1]
            image, masks = simulator.image(scene, 32), simulator.masks([scene], 32)
            shown = image.display(0).mean(-1)
            assert np.abs(scans.pixels[frames].numpy().astype(float) - shown).max() <= 1.0  # rounding
            assert "heart" not in scans.names and set(scans.names) <= set(masks)
            for k, key in enumerate(scans.names):
                true = masks[key][0].numpy().reshape(-1, 32, 32)[0]
                assert (scans.mask(frames, k) == true).all() and scans.absent[frames, k] == (not true.any())


def test_rare_findings_become_less_rare_and_no_patient_comes_twice():
    scenes = phantom("chest-xray").sample(0, 1200)
    kept = enriched(scenes, 300)
    assert len({s.seed for s in kept}) == 300 and kept == sorted(kept, key=scenes.index)
    count = lambda some, name: sum(any(f.mask_name == name for f in s.all_findings) for s in some)  # noqa: E731
    for name in ("left rib fracture", "right pneumothorax"):
        assert count(kept, name) >= min(2 * 300 // 23, count(scenes, name)) > count(scenes[:300], name)
    assert enriched(scenes, len(scenes)) == scenes


def test_phrases_between_other_words_keep_the_name_whole(data):
    made = task(SETTINGS | {"surrounded": 1.0}, data, "phrases")
    rng = np.random.default_rng(0)
    texts = [made.surrounded("left lung", rng) for _ in range(60)]
    assert all("left lung" in text for text in texts) and len({*texts}) > 40
    assert {text.startswith("left") for text in texts} == {True, False} and any("☐" in text for text in texts)
    assert max(len(text.split()) for text in texts) <= 2 + 5 + 2
    plain = task(SETTINGS | {"surrounded": 0.0}, data, "phrases")
    assert plain.surrounded("left lung", rng) == "left lung"


def test_a_word_of_another_name_stands_apart_from_the_name_asked_for(data):
    made = task(SETTINGS | {"surrounded": 1.0, "parts": 1.0}, data, "phrases")
    assert "line" in made.parts and not {"heart", "left", "thorax"} & {*made.parts}  # none that names something alone
    rng = np.random.default_rng(0)
    texts = [made.surrounded("left lung", rng).split() for _ in range(200)]
    near = {text[i] for text in texts for k in [text.index("left")] for i in (k - 1, k + 2) if 0 <= i < len(text)}
    assert near == {"☐"} and all(text[text.index("left") + 1] == "lung" for text in texts)
    said = [{*text} - {"☐", "left", "lung"} for text in texts]
    assert {*map(len, said)} == {0, 1, 2} and set().union(*said) <= {*made.parts}
    assert max(map(len, texts)) <= made.model.config.context - 2  # its start and end


def test_phrases_say_what_is_there_and_what_is_not(data):
    made = task(SETTINGS, data, "phrases")
    pairs = made.batches(0)[0]
    asked = made.ask(pairs, np.random.default_rng(0))
    assert len(asked.phrases) == len(asked.rows) == len(asked.there) and asked.there.sum() == len(asked.masks)
    assert asked.masks.flatten(1).any(1).all() and (~asked.there).sum() >= len(pairs)
    assert made.ask(pairs, np.random.default_rng(0)).phrases == asked.phrases
    assert made.ask(pairs, np.random.default_rng(1)).phrases != asked.phrases
    unknown = made.tokenizer.vocabulary.index(UNKNOWN)
    assert not (made.tokenizer.batch(asked.phrases, 99) == unknown).any()


def test_the_tower_learns_every_structure_and_is_handed_on(data, tmp_path):
    made = task(SETTINGS, data, "tower")
    names = [name for scans, own in zip(data[1], made.columns, strict=True) for name in own]
    assert sorted(names) == list(range(len(names))) and made.model.places.out_features == len(names)
    learning = {n for n, p in made.model.named_parameters() if p.requires_grad and n.startswith("net.")}
    assert learning == {f"net.image_tower.{n}" for n, _ in made.model.net.image_tower.named_parameters()}
    first, last = [json.loads(line) for line in (data[3] / "tower" / "log.jsonl").read_text().splitlines()]
    assert last["loss"] < first["loss"] and 0 <= last["presence_auc"] <= 1
    left = load_file(data[3] / "tower" / "checkpoint.safetensors")
    for name, value in task(SETTINGS, data, "phrases").model.image_tower.state_dict().items():
        assert torch.equal(value, left[f"average.net.image_tower.{name}"]), name
    (data[3] / "phrases").mkdir()
    whole = Loop(task(SETTINGS, data, "phrases"), SETTINGS, data[3] / "phrases")
    for value in whole.average.values():
        value += 1  # not what the seed alone would make
    whole.save()
    for name, value in task(SETTINGS, data, "further").model.state_dict().items():
        assert torch.equal(value, whole.averaged().state_dict()[name]), name
    with pytest.raises(MissingDataError, match="Stage 'tower' has left no checkpoint"):
        task(SETTINGS, (*data[:3], tmp_path), "phrases")


def test_the_tower_s_loss_knows_the_truth(data):
    """Logits that tell what the masks tell cost little (cells that an edge crosses); those that deny it cost much."""
    made = task(SETTINGS, data, "tower")
    pairs, scans = np.array([[0, 0], [0, 1]]), data[1][0]

    class Told(torch.nn.Module):
        places = made.model.places

        def __init__(self, sign):
            super().__init__()
            self.sign = sign

        def forward(self, pixels, rows, names):
            place = {name: k for k, name in enumerate(made.columns[0])}
            whole = torch.zeros(2, made.model.places.out_features, 32, 32)
            for i in range(2):
                for name, k in place.items():
                    whole[i, name] = torch.from_numpy(scans.mask(i, k)).float()
            logits = self.sign * 20 * (2 * whole - 1)
            half, quarter = (torch.nn.functional.avg_pool2d(logits, size) for size in (2, 4))
            there = self.sign * 20 * (2 * whole.flatten(2).amax(2) - 1)
            return half[rows, names], quarter, there

    class Still:  # chance that moves nothing
        def uniform(self, low, high, size):
            return np.full(size, (low + high) / 2)

        def random(self, size):
            return np.linspace(0.2, 0.8, size)

    made.model = Told(1.0)
    right = made.loss(pairs, Still()).item()
    made.model = Told(-1.0)
    assert right < 1 < 30 < made.loss(pairs, Still()).item()


def test_a_stopped_run_resumes_to_the_same_weights(data, tmp_path):
    def fresh(folder):
        folder.mkdir(exist_ok=True)
        return Loop(task(SETTINGS, data, "phrases"), SETTINGS, folder)

    whole = fresh(tmp_path / "whole")
    first = float(np.mean([whole.task.loss(b, np.random.default_rng(0)).item() for b in whole.task.batches(0)]))
    whole.run()
    stopped = fresh(tmp_path / "parts")
    stopped.run(minutes=1e-9)
    again = fresh(tmp_path / "parts")
    assert again.resume() and again.epoch == 1
    again.run()
    for (name, a), (_, b) in zip(whole.model.state_dict().items(), again.model.state_dict().items(), strict=True):
        assert torch.equal(a, b), name
    last = json.loads((tmp_path / "whole" / "log.jsonl").read_text().splitlines()[-1])
    assert last["loss"] < first and {"dice", "threshold"} <= last.keys()


def test_the_exported_checkpoint_loads_and_its_card_tells(tmp_path):
    folder = train("prompt-segmenter", out=tmp_path / "run", **{**SMALL, "epochs": 1})
    model, chest = lab.load("prompt-segmenter", checkpoint=folder), phantom("chest-xray")
    assert model.segment(chest.image(chest.draw(1), 80), "the left lung").pixels.shape == (80, 80)
    card = (folder / "README.md").read_text()
    for words in ("Not for clinical use", "blinded twin", "| chest-xray | thorax |", "Simulated"):
        assert words in card


def test_both_sides_and_draws():
    names = ("heart", "left lung", "left ventricle", "right lung", "right ventricle")
    assert pair(names, 3) == (1, 3) and pair(names, 0) == (0,) and pair(names, 2) == (2,)
    rng = np.random.default_rng(0)
    many = [drawn(np.array([1.0, 0.0, 4.0]), 1, rng)[0] for _ in range(2000)]
    assert set(many) == {0, 2} and np.mean(np.array(many) == 2) == pytest.approx(0.8, abs=0.04)
    assert sorted(drawn(np.array([1.0, 0.0, 4.0]), 5, rng)) == [0, 2]


def test_masks_move_with_their_pictures():
    pictures = torch.zeros(2, 48, 48)
    pictures[0, 10:20, 12:30] = pictures[1, 25:40, 20:35] = 1.0
    rows = torch.tensor([1, 0, 1])
    moved, masks = varied(pictures, pictures[rows], rows, np.random.default_rng(0))
    assert moved.shape == pictures.shape and not torch.equal(masks, pictures[rows])
    for mask, row in zip(masks, rows, strict=True):
        assert ((moved[row] > 0.4) == mask.bool()).float().mean() > 0.98


def test_the_loss_is_least_for_the_truth():
    masks = torch.zeros(2, 8, 8)
    masks[:, 2:5, 3:6] = 1.0
    right, half = 20 * (2 * masks - 1), torch.zeros(2, 8, 8)
    assert outline_loss(right, masks) < 1e-3 < outline_loss(half, masks) < outline_loss(-right, masks)
    by_hand = np.log(2) + 1 - (2 * 4.5 + 1) / (32 + 9 + 1)
    assert outline_loss(half, masks).item() == pytest.approx(by_hand, abs=1e-5)
