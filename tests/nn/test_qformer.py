"""The Q-Former equals BLIP-2's and InstructBLIP's in transformers; its three masks keep what must be kept apart."""

import pytest
import torch
from transformers import Blip2QFormerConfig, Blip2QFormerModel, InstructBlipQFormerConfig, InstructBlipQFormerModel
from twins import QFORMER, assert_equal, rand, random_padding, randomise, share

from medvlm_lab.nn.qformer import QFormer, visibility

SIZES = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 48}


@pytest.fixture
def instruct():
    config = InstructBlipQFormerConfig(
        **SIZES, vocab_size=50, encoder_hidden_size=24, cross_attention_frequency=2, max_position_embeddings=20
    )
    config._attn_implementation = "eager"
    theirs = randomise(InstructBlipQFormerModel(config)).double().eval()
    state = theirs.state_dict() | {"queries": rand(1, 6, 32)}
    return share(QFormer(32, 4, 4, 48, 24, queries=6, vocabulary=50, context=20), state, *QFORMER), theirs


def test_equals_instructblip(instruct):
    ours, theirs = instruct
    image, ids = rand(3, 9, 24, grad=True), torch.randint(1, 50, (3, 7))
    keep, image_keep = random_padding(3, 7), random_padding(3, 9)
    maps = []
    queries, text = ours(image, ids, keep, image_keep, maps=maps)
    expected = theirs(
        ids,
        attention_mask=torch.cat([torch.ones(3, 6), keep], 1).long(),
        query_embeds=ours.queries.expand(3, -1, -1),
        encoder_hidden_states=image,
        encoder_attention_mask=image_keep.long(),
        output_attentions=True,
    )
    assert_equal(queries, expected.last_hidden_state[:, :6], [image])
    assert_equal(text[keep], expected.last_hidden_state[:, 6:][keep])
    assert [m.shape for m in maps] == [(3, 4, 6, 9)] * 2
    for map_, cross in zip(maps, [c for c in expected.cross_attentions if c is not None], strict=True):
        assert_equal(map_, cross)
        assert (map_.movedim(-1, 1)[~image_keep] == 0).all()


@pytest.mark.parametrize("every", [1, 2])
def test_equals_blip2_without_text(every):
    config = Blip2QFormerConfig(
        **SIZES, encoder_hidden_size=24, cross_attention_frequency=every, use_qformer_text_input=False
    )
    theirs = randomise(Blip2QFormerModel(config)).double().eval()
    state = theirs.state_dict() | {"queries": rand(1, 6, 32)}
    ours = share(QFormer(32, 4, 4, 48, 24, queries=6, cross_every=every), state, *QFORMER)
    image, keep = rand(3, 9, 24, grad=True), random_padding(3, 9)
    queries, text = ours(image, image_keep=keep)
    expected = theirs(ours.queries.expand(3, -1, -1), encoder_hidden_states=image, encoder_attention_mask=keep.long())
    assert text.shape == (3, 0, 32)
    assert_equal(queries, expected.last_hidden_state, [image])
    with torch.inference_mode():
        assert_equal(ours(image, image_keep=keep).queries, queries)
    with pytest.raises(ValueError, match="vocabulary"):
        ours(image, torch.ones(3, 2, dtype=torch.long))
    with pytest.raises(ValueError, match="9 tokens"):
        QFormer(8, 1, 2, 8, 24, vocabulary=5, context=8)(torch.rand(1, 2, 24), torch.ones(1, 9, dtype=torch.long))


def test_text_alone_equals_blip2_and_the_contrastive_mask():
    config = Blip2QFormerConfig(**SIZES, encoder_hidden_size=24, use_qformer_text_input=True)
    theirs = randomise(Blip2QFormerModel(config)).double().eval()
    state = theirs.state_dict() | {"queries": rand(1, 6, 32)}
    state |= {"token_embedding.weight": rand(50, 32), "position_embedding.weight": rand(9, 32)}
    ours = share(QFormer(32, 4, 4, 48, 24, queries=6, vocabulary=50, context=9), state, *QFORMER)
    ids, keep = torch.randint(1, 50, (3, 7)), random_padding(3, 7)
    text = ours.encode_text(ids, keep)
    expected = theirs(ours.embed(ids), query_length=0, attention_mask=keep.long()).last_hidden_state
    assert_equal(text[keep], expected[keep])
    assert_equal(ours(rand(3, 9, 24), ids, keep, mode="itc").text[keep], text[keep])


def test_the_masks_by_hand():
    keep = torch.tensor([[True, True, False]])
    by_hand = {
        "itm": ["11110", "11110", "11110", "11110", "11111"],
        "itc": ["11000", "11000", "00110", "00110", "00111"],
        "itg": ["11000", "11000", "11100", "11110", "11111"],
    }
    for mode, rows in by_hand.items():
        assert visibility(2, keep, mode)[0].int().tolist() == [[int(c) for c in row] for row in rows]
    with pytest.raises(ValueError, match="itm, itc, itg"):
        visibility(2, keep, "vqa")


def test_who_influences_whom(instruct):
    model, _ = instruct
    image, other = rand(2, 9, 24), rand(2, 9, 24)
    ids = torch.randint(1, 50, (2, 7))
    changed = torch.cat([ids[:, :4], ids[:, 4:] % 49 + 1], 1)
    with torch.inference_mode():
        for mode in ("itc", "itm", "itg"):
            before, after = model(image, ids, mode=mode), model(image, changed, mode=mode)
            assert torch.equal(before.queries, after.queries) == (mode != "itm")
            assert torch.equal(before.text[:, :4], after.text[:, :4]) == (mode == "itg")
            seen = model(other, ids, mode=mode).text
            assert torch.equal(before.text, seen) == (mode == "itc")


def test_padding_changes_nothing(instruct):
    model, _ = instruct
    image, ids = rand(2, 9, 24), torch.randint(1, 50, (2, 5))
    padded, keep = torch.cat([ids, torch.randint(1, 50, (2, 3))], 1), torch.arange(8).expand(2, -1) < 5
    for mode in ("itc", "itm", "itg"):
        short, long = model(image, ids, mode=mode), model(image, padded, keep, mode=mode)
        assert_equal(long.queries, short.queries)
        assert_equal(long.text[:, :5], short.text)


def test_queries_start_different():
    queries = QFormer(64, 1, 4, 8, 8, queries=32).queries[0]
    assert 0.015 < queries.std() < 0.025
    assert torch.pdist(queries).min() > 0.01
