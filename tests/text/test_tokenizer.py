"""WordPiece: what goes in comes out."""

from hypothesis import given
from hypothesis import strategies as st

from medvlm_lab.text.tokenizer import Tokenizer
from medvlm_lab.train.setup import VOCABULARY

TOKENIZER = Tokenizer.from_file(VOCABULARY)


@given(st.lists(st.sampled_from(["right", "lung", "nodule", "effusion", "pneumothorax", "zygomatic"]), min_size=1))
def test_words_survive(words):
    text = " ".join(words)
    assert TOKENIZER.decode(TOKENIZER.encode(text, 500)) == text


@given(st.text(max_size=80))
def test_any_text_fits_the_limit(text):
    ids = TOKENIZER.encode(text, 12)
    assert len(ids) <= 12 and ids[0] == TOKENIZER.start and ids[-1] == TOKENIZER.end
    assert all(0 <= i < len(TOKENIZER) for i in ids)


def test_half_a_character_is_read_as_unknown():
    assert TOKENIZER.words("\udcff nodule") == TOKENIZER.words("? nodule")
    assert "nodule" in TOKENIZER.split("\udcff nodule")


def test_batches_are_padded():
    batch = TOKENIZER.batch(["left", "is there a left pleural effusion"], 20)
    assert batch.shape[0] == 2 and (batch[0] == TOKENIZER.pad).sum() > 0 == (batch[1] == TOKENIZER.pad).sum()
