"""From a recipe with stages to the tasks of a model that writes: each stage continues where another one ended.

What a stage starts from is read from the checkpoint of the stage before it, so nothing else has to be kept.
"""

from __future__ import annotations

from pathlib import Path

import torch

from medvlm_lab.errors import MissingDataError, UnknownNameError
from medvlm_lab.io.whole import write_whole
from medvlm_lab.models import clinical_blip as blip
from medvlm_lab.models import flamingo_cxr as flamingo
from medvlm_lab.models import pathology_vlm as pathology
from medvlm_lab.models.generative import SeeingLanguageModel
from medvlm_lab.models.writer import VOCABULARY
from medvlm_lab.nn.lora import add_lora, merge_lora
from medvlm_lab.phantoms import phantom
from medvlm_lab.text.tokenizer import Tokenizer
from medvlm_lab.train.alignment import AlignmentTask, TagTask
from medvlm_lab.train.contrastive import Data, Studies
from medvlm_lab.train.documents import DocumentTask
from medvlm_lab.train.instruction import InstructionTask
from medvlm_lab.train.lessons import Lessons, instruction_vocabulary
from medvlm_lab.train.loop import CHECKPOINT, Task
from medvlm_lab.train.pretrained import load_stem, load_words

#: a stage's `learns` → its task
LEARNS = {"tags": TagTask, "alignment": AlignmentTask, "instructions": InstructionTask, "documents": DocumentTask}
ADAPTED = {  # layers that LoRA adapts, part by part
    "vision": ("q_proj", "v_proj"),
    "language": ("q_proj", "k_proj", "v_proj", "out_proj", "gate_proj", "up_proj", "down_proj"),
}


def prepare(recipe: dict, folder: Path) -> Data:
    """The vocabulary, which stays in `folder`, and the studies to train and to validate on."""
    path = folder / VOCABULARY
    if not path.is_file():
        write_whole(path, "\n".join([*instruction_vocabulary(recipe["phantom"], "tags: none."), flamingo.MARK]))
    simulator, size = phantom(recipe["phantom"]), recipe["model"]["image_size"]
    make = lambda part, count: Studies(simulator, part, count, 1, size, recipe["seed"], folder / "studies")  # noqa: E731
    studies = make("train", recipe["studies"]), make("validation", recipe["validation_studies"])
    return Data(Tokenizer.from_file(path), *studies, folder)


def task(recipe: dict, data: Data, stage: str) -> Task:
    """The task of one stage, its model as the stage before left it."""
    kind = recipe["stages"][stage]["learns"]
    if kind not in LEARNS:
        raise UnknownNameError("stage", kind, LEARNS)
    lessons = Lessons(data.tokenizer, recipe["balanced"])
    return LEARNS[kind](started(recipe, data, stage), lessons, data.train, data.validation, recipe)


def fresh(recipe: dict, data: Data) -> SeeingLanguageModel:
    """The network before training."""
    torch.manual_seed(recipe["seed"])
    settings = recipe["model"]
    if recipe["name"] == flamingo.FlamingoCXR.name:
        mark = data.tokenizer.vocabulary.index(flamingo.MARK)
        tags = tuple(tag_names(data.train.simulator))
        net = flamingo.FlamingoNet(flamingo.Config(len(data.tokenizer), mark, tags, **settings))
    elif recipe["name"] == pathology.PathologyVLM.name:
        net = pathology.PathologyNet(pathology.Config(len(data.tokenizer), data.tokenizer.end, **settings))
        load_stem(net.vision.stem)
        load_words([net.language.embedding, net.text.token_embedding], data.tokenizer.vocabulary)
    else:
        tags = tuple(tag_names(data.train.simulator))
        net = blip.ClinicalBLIPNet(blip.Config(len(data.tokenizer), tags, **settings))
    return net


def tag_names(simulator) -> list[str]:
    """Every finding of a phantom with its side, as its masks are called."""
    kinds = simulator.scene.kinds
    return [f"{side} {name}".strip() for name, kind in kinds.items() for side in (kind.sides or ("",))]


def started(recipe: dict, data: Data, stage: str) -> SeeingLanguageModel:
    """What a stage starts from: frozen but for the parts that it `trains` and the adapters of the parts in `lora`."""
    entry = recipe["stages"][stage]
    net = finished(recipe, data, entry["after"]) if "after" in entry else fresh(recipe, data)
    net.requires_grad_(False)
    for name in entry.get("lora", ()):
        torch.manual_seed(recipe["seed"])
        adapted = recipe.get("adapted") or ADAPTED[name]
        add_lora(net.get_submodule(name), adapted, recipe["lora_rank"], recipe["lora_rank"])
        for key, parameter in net.get_submodule(name).named_parameters():
            parameter.requires_grad_(".down." in key or ".up." in key)
    for name in entry["trains"]:
        getattr(net, name).requires_grad_(True)
    return net


def finished(recipe: dict, data: Data, stage: str) -> SeeingLanguageModel:
    """The averaged weights that a stage's checkpoint holds, adapters merged."""
    from safetensors.torch import load_file

    path = data.folder / stage / CHECKPOINT
    if not path.is_file():
        raise MissingDataError(f"Stage {stage!r} has left no checkpoint in {data.folder / stage}; train it first.")
    net = started(recipe, data, stage)
    state = load_file(path)
    net.load_state_dict({k.removeprefix("average."): v for k, v in state.items() if k.startswith("average.")}, False)
    merge_lora(net)
    return net
