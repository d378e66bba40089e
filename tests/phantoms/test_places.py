"""What a text speaks of: both sides, several findings, synonyms and plurals, denials, and nothing."""

import numpy as np
import pytest
import torch

from medvlm_lab.phantoms import phantom
from medvlm_lab.phantoms.places import place, places, singular


def names_of(modality):
    simulator = phantom(modality)
    return tuple(simulator.masks(simulator.sample(0, 1), 32))


def sides(*kinds):
    return {f"{side} {kind}" for kind in kinds for side in ("left", "right")}


CHEST = [
    ("pleural effusion", sides("pleural effusion")),
    ("Are there bilateral effusions?", sides("pleural effusion")),
    ("right and left effusion", sides("pleural effusion")),
    ("left effusion", {"left pleural effusion"}),
    ("Pleural effusions, right", {"right pleural effusion"}),
    ("left-sided effusion", {"left pleural effusion"}),
    ("fluid blunts nothing; blunted left costophrenic angle", {"left pleural effusion"}),
    ("effusion or consolidation", sides("pleural effusion", "consolidation")),
    ("left effusion and right pneumothorax", {"left pleural effusion", "right pneumothorax"}),
    ("effusion and consolidation on the left", {"left pleural effusion", "left consolidation"}),
    ("a left effusion and a nodule", {"left pleural effusion", *sides("nodule")}),
    ("nodule in the right lung", {"right nodule"}),
    ("several nodules", sides("nodule")),
    ("pacemaker lead", sides("pacemaker")),
    ("broken ribs", sides("rib fracture")),
    ("Is the heart enlarged?", {"cardiomegaly"}),
    ("both lungs", sides("lung")),
    ("no effusion", set()),
    ("There is no effusion or consolidation.", set()),
    ("no left effusion, but right effusion", {"right pleural effusion"}),
    ("Is there an effusion without pneumothorax?", sides("pleural effusion")),
    ("Is there no effusion?", sides("pleural effusion")),
    ("pericardial effusion", set()),
    ("effusion in the knee", set()),
    ("a tube", {"endotracheal tube", "nasogastric tube"}),
    ("effusion: none", set()),
    ("effusion on the left or on the right?", sides("pleural effusion")),
    ("effusions, left greater than right", sides("pleural effusion")),
    ("RLL consolidation", {"right consolidation"}),
    ("a cyst in the liver", set()),
    ("lung mass", set()),
    ("the moon", set()),
    ("", set()),
]
OTHERS = [
    ("abdominal-ct", "kidney", sides("kidney")),
    ("abdominal-ct", "the left kidney", {"left kidney"}),
    ("abdominal-ct", "stone in the right kidney", {"right kidney stone"}),
    ("abdominal-ct", "cyst in the liver", {"liver cyst"}),
    ("abdominal-ct", "cysts", {"liver cyst", *sides("renal cyst")}),
    ("abdominal-ct", "liver metastasis", {"liver metastases"}),
    ("abdominal-ct", "fatty liver", {"hepatic steatosis"}),
    ("brain-mr", "edema", sides("vasogenic oedema")),
    ("brain-mr", "brain tumor on the left", {"left brain tumour"}),
    ("brain-mr", "white matter lesions", {"white matter hyperintensities"}),
    ("brain-mr", "infarcts", sides("cerebral infarct", "lacunar infarct")),
    ("echocardiogram", "effusion", {"pericardial effusion"}),
    ("echocardiogram", "A pacemaker lead is seen.", {"pacemaker lead"}),
    ("echocardiogram", "left and right atria", {"left atrium", "right atrium"}),
    ("pet", "right cervical lymph nodes", {"right cervical lymphadenopathy"}),
    ("pet", "bone metastasis", {"bone metastases"}),
]


@pytest.mark.parametrize(("text", "meant"), CHEST)
def test_a_text_about_a_chest_means(text, meant):
    assert set(places(text, names_of("chest-xray"))) == meant


@pytest.mark.parametrize(("modality", "text", "meant"), OTHERS)
def test_a_text_about_another_picture_means(modality, text, meant):
    names = names_of(modality)
    assert set(places(text, names)) == meant & set(names)
    assert meant <= set(names) or modality == "pet"


def test_each_mask_is_found_by_its_own_name_alone():
    for modality in ("chest-xray", "abdominal-ct", "brain-mr", "echocardiogram"):
        names = names_of(modality)
        for name in names:
            assert places(name, names) == (name,)
            assert name in places(f"Is there {name}?", names)


def test_a_reader_s_own_names_are_known():
    assert places("is there a ring artefact?", ["Ring artefact", "other"]) == ("Ring artefact",)
    assert places("left pleural effusion", ["pleural effusion"]) == ("pleural effusion",)


def test_the_place_is_the_union_in_one_frame():
    masks = {"left nodule": torch.zeros(2, 3, 3, dtype=torch.bool), "right nodule": np.zeros((2, 3, 3), np.uint8)}
    masks["left nodule"][1, 0, 0], masks["right nodule"][1, 2, 2] = True, 255
    assert np.argwhere(place(masks, "nodules", 1)).tolist() == [[0, 0], [2, 2]]
    assert np.argwhere(place(masks, "right nodule", 1)).tolist() == [[2, 2]]
    assert not place(masks, "nodules", 0).any() and place(masks, "the moon", 1).shape == (3, 3)


@pytest.mark.parametrize(
    ("word", "one"),
    [("metastases", "metastasis"), ("oedema", "edema"), ("masses", "mass"), ("haematomas", "hematoma"), ("is", "is")],
)
def test_words_are_compared_in_the_singular_and_in_american_spelling(word, one):
    assert singular(word) == one
