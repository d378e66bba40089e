"""Stages of models that write: what learns, what each stage starts from, and what the three losses of BLIP-2 are."""

import numpy as np
import pytest
import torch

from medvlm_lab.errors import MissingDataError, UnknownNameError
from medvlm_lab.models.clinical_blip import pooled
from medvlm_lab.phantoms.base import rng_of
from medvlm_lab.train import generative_setup as setup
from medvlm_lab.train import recipe
from medvlm_lab.train.alignment import tag_cells, tag_truth, three_losses
from medvlm_lab.train.lessons import Lessons
from medvlm_lab.train.loop import Loop

NET = {"image_size": 32, "width": 24, "vision_depth": 1, "vision_heads": 2, "language_depth": 1, "language_heads": 2,
       "kv_heads": 1, "language_hidden": 32}  # fmt: skip
SMALL = {"studies": 16, "validation_studies": 8, "epochs": 1, "batch_size": 8, "warmup_steps": 2, "bf16": False,
         "lora_rank": 2}  # fmt: skip
BLIP = NET | {"queries": 4, "qformer_depth": 2, "qformer_heads": 2, "qformer_hidden": 32, "embedding": 16}
FLAMINGO = NET | {"latents": 4, "resampler_heads": 2}


def numbers(name: str, stage: str, **changes) -> dict:
    own = recipe(name)
    own["vision"] = ""
    model = BLIP if name == "clinical-blip" else FLAMINGO
    return own | own["stages"][stage] | SMALL | {"model": model} | changes


@pytest.fixture(scope="module")
def blip_data(tmp_path_factory):
    return setup.prepare(numbers("clinical-blip", "vision"), tmp_path_factory.mktemp("blip"))


def ran(settings: dict, data, stage: str, **options) -> Loop:
    (data.folder / stage).mkdir(exist_ok=True)
    loop = Loop(setup.task(settings, data, stage), settings, data.folder / stage)
    loop.resume()
    loop.run(**options)
    return loop


def test_each_stage_of_clinical_blip_trains_its_own_parts_and_starts_where_the_one_before_ended(blip_data):
    before = None
    for stage in ("vision", "language", "align", "instruct", "tags"):
        settings = numbers("clinical-blip", stage)
        model = setup.started(settings, blip_data, stage)
        if before is not None:
            state = {k.replace(".base.", "."): v for k, v in model.state_dict().items()}
            assert all(torch.equal(state[k], v) for k, v in before.items())
        learning = {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad}
        assert learning == {*settings["trains"], *settings.get("lora", ())}
        loop = ran(settings, blip_data, stage)
        scores = loop.task.validate(loop.averaged())
        assert all(np.isfinite(value) for value in scores.values())
        before = setup.finished(settings, blip_data, stage).state_dict()
    assert not any(".down." in name for name in before)  # adapters are merged


def test_a_stage_without_its_predecessor_is_refused(tmp_path):
    data = setup.prepare(numbers("clinical-blip", "align"), tmp_path)
    with pytest.raises(MissingDataError, match="'language' has left no checkpoint"):
        setup.task(numbers("clinical-blip", "align"), data, "align")
    wrong = numbers("clinical-blip", "vision")
    wrong["stages"]["vision"]["learns"] = "tag"
    with pytest.raises(UnknownNameError, match="tags"):
        setup.task(wrong, data, "vision")


@pytest.mark.parametrize("sees", ["nothing", "image", "black"])
def test_documents_of_flamingo_cxr(tmp_path, sees):
    settings = numbers("flamingo-cxr", "look", studies=20, validation_studies=20, batch_size=2, images=3, sees=sees)
    settings["stages"] = {"look": settings["stages"]["language" if sees == "nothing" else "look"] | {"sees": sees}}
    settings["stages"]["look"].pop("after", None)
    data = setup.prepare(settings, tmp_path)
    before, loop = setup.fresh(settings, data).state_dict(), ran(settings, data, "look")
    assert loop.step == 3 and np.isfinite(loop.task.validate(loop.averaged())["validation_loss"])
    moved = {n.split(".")[0] for n, value in loop.model.state_dict().items() if not torch.equal(value, before[n])}
    assert moved == set(settings["stages"]["look"]["trains"])


def test_a_document_is_by_one_author_and_only_its_answers_are_learned(tmp_path):
    settings = numbers("flamingo-cxr", "language", studies=6, validation_studies=4)
    settings["stages"]["language"].pop("after")
    task = setup.task(settings, setup.prepare(settings, tmp_path), "language")
    ids, target = task.document(task.train, np.arange(3), rng_of(1), asks=False)
    mark = task.model.config.image_token
    assert ids.count(mark) == 3 and ids.count(task.lessons.tokenizer.end) == 3
    assert not target[0] and not any(target[i] for i, token in enumerate(ids) if token == mark)
    assert all(target[i] for i, token in enumerate(ids) if token == task.lessons.tokenizer.end)
    simulator, scene = task.train.simulator, task.train.scenes[0]
    one, two = (simulator.report(scene, rng_of(4), author=a) for a in (7, 7))
    assert one == two


def test_an_author_has_habits():
    from medvlm_lab.phantoms import phantom

    chest = phantom("chest-xray")
    healthy = [s for s in chest.sample(3, 200) if not s.all_findings]
    said = lambda author: {chest.report(s, author=author).impression for s in healthy}  # noqa: E731
    assert len(said(1)) == 1 and len({text for author in range(12) for text in said(author)}) > 3
    assert len(said(None)) > 3


def test_tags_and_the_patches_that_show_them(blip_data):
    studies, config = blip_data.train, setup.fresh(numbers("clinical-blip", "vision"), blip_data).config
    truth, cells = tag_truth(studies, config.tags), tag_cells(studies, config)
    assert truth.shape == (16, len(config.tags)) and cells.shape == (16, 4, len(config.tags))
    assert truth.any() and not (cells.any(1) & ~truth).any()  # no finding is outlined that is not there
    for scene, row in zip(studies.scenes, truth, strict=True):
        shown = {tag for tag, there in zip(config.tags, row, strict=True) if there}
        assert shown == {f.mask_name for f in scene.all_findings}
    logits = torch.randn(2, 9, 3, dtype=torch.float64)
    assert (pooled(logits) <= logits.amax(1)).all() and (pooled(logits) >= logits.mean(1)).all()


def test_the_three_losses_do_not_call_equal_patients_wrong(blip_data):
    net = setup.fresh(numbers("clinical-blip", "align"), blip_data).double()
    lessons = Lessons(blip_data.tokenizer)
    ids, keep = lessons.padded(["No acute disease.", "A nodule in the left lung.", "Cardiomegaly.", "Pacemaker."], 48)
    patches = torch.randn(4, 4, 24, dtype=torch.float64)
    losses = three_losses(net, patches, ids, keep, torch.eye(4, dtype=torch.bool))
    assert set(losses) == {"itc", "itm", "itg"} and all(loss > 0 for loss in losses.values())
    same = torch.ones(4, 4, dtype=torch.bool)
    alike = three_losses(net, patches, ids, keep, same)
    # nothing to tell apart: the best contrast is the uniform one, and its gradient pushes nobody away from equals
    logits = torch.zeros(4, 4, dtype=torch.float64)
    assert alike["itc"].item() >= -logits.log_softmax(1).mean().item() - 1e-9


def test_lessons_are_true_to_their_seed(blip_data):
    lessons = Lessons(blip_data.tokenizer)
    for asks in (False, True):
        one, two, other = (lessons.pair(blip_data.train, 3, rng_of(s), asks) for s in (1, 1, 2))
        assert one == two != other
        assert one[0].startswith("question:" if asks else "report:")
    report = lessons.pair(blip_data.train, 3, rng_of(1), False)[1]
    assert report.startswith("findings: ") and " impression: " in report
    blurred = lessons.blurred("question: is there a nodule? answer:", rng_of(0), 0.99)
    assert blurred == "question: ☐ ☐ ☐ ☐ answer:" and lessons.prompt(blurred).count(1) == 4
    unknown = blip_data.tokenizer.vocabulary.index("[UNK]")
    simulator = blip_data.train.simulator
    for row in range(16):
        for seed in range(3):
            texts = [lessons.pair(blip_data.train, row, rng_of(seed), bool(seed % 2))[1]]
            texts += [q.question for q in simulator.questions(blip_data.train.scenes[row], rng_of(seed))]
            for text in texts:
                assert unknown not in lessons.prompt(text), text
    asked = " ".join(lessons.pair(blip_data.train, 0, rng_of(seed), True)[0] for seed in range(40))
    assert unknown in lessons.prompt(asked), "words that only the wording `taught` has are to be unknown ones"


def test_balanced_lessons_are_as_often_answered_by_yes_as_by_no(blip_data):
    def share(balanced):
        lessons = Lessons(blip_data.tokenizer, balanced)
        answers = [lessons.pair(blip_data.train, r, rng_of(seed), True)[1] for r in range(16) for seed in range(40)]
        return answers.count("yes") / answers.count("no")

    assert share(0.0) < 0.5 and share(0.0) < share(0.5) < 0.8 < share(1.0) < 1.25
