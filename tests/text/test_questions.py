"""Which questions are closed."""

import pytest

from medvlm_lab.text.questions import closed


@pytest.mark.parametrize(
    "question",
    [
        "Is there cardiomegaly?", "ARE the lungs clear", "Does this show an effusion?", "Isn't the heart large?",
        "In this image, is there a mass?", "Is the heart enlarged or not?", "Has it grown?", "Was contrast given?",
        "Can you see a fracture?", "Is there an effusion or a nodule?", "  did the patient have surgery? ",
    ],
)  # fmt: skip
def test_closed(question):
    assert closed(question)


@pytest.mark.parametrize(
    "question",
    [
        "Is it left or right?", "Is this a CT or an MRI?", "What is it?", "Which is the plane?", "How large is it?",
        "Can you describe the image?", "Could you tell me where it is?", "", "island?", "isolated lesion?",
    ],
)  # fmt: skip
def test_open(question):
    assert not closed(question)
