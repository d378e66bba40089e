"""Yes and no of a closed question, and words that a model never learned."""

import math

import pytest
import torch

import medvlm_lab as lab
from medvlm_lab.models.known_words import note, unknown_note, unknown_to, unknown_words
from medvlm_lab.text.tokenizer import END, PAD, START, UNKNOWN, Tokenizer

CHEST = lab.phantom("chest-xray")
PLAIN = [PAD, UNKNOWN, START, END, "is", "there", "the", "heart", "?", "x"]


@pytest.fixture(scope="module")
def models():
    return {name: lab.load(name, device="cpu") for name in ("vit-bert-vqa", "clinical-blip", "flamingo-cxr")}


@pytest.fixture(scope="module")
def xray():
    return CHEST.image(CHEST.draw(3), 96)


def alone(model, image, question, answer):
    """log p of `answer` as the trace scores it: teacher-forced, through another path than `answer` takes."""
    return model.trace(image, question, answer=answer).score.item()


@pytest.mark.parametrize("name", ["vit-bert-vqa", "clinical-blip", "flamingo-cxr"])
def test_a_closed_question_gets_yes_and_no_with_the_probability_of_each(models, xray, name):
    model, question = models[name], "Is there a pleural effusion?"
    answer = model.answer(xray, question)
    assert {text for text, _ in answer.alternatives} == {"yes", "no"}
    assert answer.alternatives[0] == (answer.text, answer.confidence)
    given = answer.probabilities or tuple(p for _, p in answer.alternatives)
    for (text, _), p in zip(answer.alternatives, given, strict=True):
        assert p == pytest.approx(math.exp(alone(model, xray, question, text)), abs=2e-3)
    if answer.probabilities:  # calibrated: the other one is right where this one is wrong
        assert sum(p for _, p in answer.alternatives) == pytest.approx(1)


def test_an_open_question_keeps_the_network_s_odds_and_shows_their_order_only(models, xray):
    question = "What organ is this?"
    answer = models["vit-bert-vqa"].answer(xray, question)
    shown, own = [p for _, p in answer.alternatives], answer.probabilities
    assert sorted(own, reverse=True) == list(own) and len(own) == len(shown) > 1
    if sum(shown) < 1 - 1e-6:
        assert [p / shown[0] for p in shown] == pytest.approx([p / own[0] for p in own])
    assert sum(shown) <= 1 + 1e-9 and not answer.ranks_with_shares(question)
    report = models["clinical-blip"].answer(xray, "On which side is the effusion?")
    assert report.ranks_with_shares("On which side is the effusion?")


def test_unknown_words_are_marked_and_the_confidence_is_withheld(models, xray):
    for model in models.values():
        answer = model.answer(xray, "Is there a haert problem?")
        assert "haert" in answer.unknown and "“haert”" in answer.note
        assert str(answer).startswith(f"{answer.text} (confidence withheld: {model.name} does not know")
        assert not answer.ranks_with_shares("Is there a haert problem?")
        persian = model.unknown_words("آیا قلب بزرگ است؟")
        assert len(persian) >= 4 and model.unknown_words("x" * 3000)
        for question in ("Is there a pleural effusion?", "Is the heart enlarged?", "Is there a pneumothorax?"):
            assert model.text_note(question) == ""


def test_a_vocabulary_of_pieces_is_told_the_words_of_its_training(models):
    model = models["vit-bert-vqa"]
    assert model.unknown_words("cardiomegaly, pneumothorax, necrosis?") == ()  # each is made of pieces
    assert model.unknown_words("Is the HAERT big? haert") == ("haert",)
    assert "read only the first 38 of 100 words" in model.text_note("x " * 100)


def test_a_tokenizer_without_a_list_knows_its_whole_words(tmp_path):
    own = Tokenizer(PLAIN)
    assert own.unknown_words("Is there, the 🫀 hearts?") == ("🫀", "hearts")
    assert own.words_read("the heart " * 4, 6) == (4, 8) and own.words_read("the", None) == (1, 1)
    (tmp_path / "vocabulary.txt").write_text("\n".join(PLAIN), encoding="utf-8")
    (tmp_path / "words.txt").write_text("heart\nhearts\n", encoding="utf-8")
    assert Tokenizer.from_file(tmp_path / "vocabulary.txt").unknown_words("the hearts") == ("the",)


def test_models_that_cannot_tell_say_nothing():
    class Mute:
        name = "mute"

    class Pieces:
        unk_token_id, eos_token_id = 7, 2

        def __call__(self, text, add_special_tokens):
            return type("Ids", (), {"input_ids": [7 if text == "☃" else 1]})

    assert note(Mute(), "haert") == "" and unknown_words(Mute(), "haert") == ()
    assert unknown_to(Pieces(), "snow ☃ haert a\ufffd ☃") == ("☃", "a\ufffd")
    assert unknown_note("m", tuple("abcdef")) == (
        "m does not know “a”, “b”, “c”, “d” and 2 more words: do not trust what it says or shows of this text."
    )


def test_a_map_of_unknown_words_says_so(xray):
    encoder = lab.load("chexzero", device="cpu")
    seen = lab.explain.explain("grad-cam", encoder, xray, "There is haert.")
    assert "“haert”" in seen.note
    assert lab.explain.explain("grad-cam", encoder, xray, "There is pleural effusion.").note == ""
    assert torch.is_tensor(encoder.encode_texts(["haert"]))


def test_words_from_the_right_do_not_turn_the_sentence_round():
    said = unknown_note("m", ("haert", "قلب"))
    assert said.startswith("m does not know “haert”, \u2068“قلب”\u2069: ")
