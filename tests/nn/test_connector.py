"""LLaVA's projector equals transformers'; the tiled connector gives as many tokens for an image of any size."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Blip2QFormerConfig, Blip2QFormerModel, CLIPVisionConfig, LlamaConfig, LlavaConfig
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector
from twins import QFORMER, assert_equal, rand, random_padding, randomise, share

from medvlm_lab.nn.connector import Projector, ScalingFreeConnector, choose_grid, cut_tiles, fit

TILE, PATCH = 8, 4
sizes = st.integers(1, 120)


@pytest.fixture(scope="module")
def connector():
    return randomise(ScalingFreeConnector(12, 20, depth=2, heads=3, hidden=16)).double().eval()


def test_the_projector_equals_llava_s():
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(hidden_size=12), text_config=LlamaConfig(hidden_size=20, num_attention_heads=2)
    )
    theirs = randomise(LlavaMultiModalProjector(config)).double()
    ours = share(Projector(12, 20), theirs, ("linear_1", "0"), ("linear_2", "2"))
    x = rand(2, 5, 12, grad=True)
    assert_equal(ours(x), theirs(x), [x])


def test_the_connector_is_a_q_former_that_the_overview_asks():
    config = Blip2QFormerConfig(
        hidden_size=12, num_hidden_layers=2, num_attention_heads=3, intermediate_size=16, encoder_hidden_size=12,
        cross_attention_frequency=1, use_qformer_text_input=False,
    )  # fmt: skip
    theirs = randomise(Blip2QFormerModel(config)).double().eval()
    torch.nn.init.ones_(theirs.layernorm.weight)
    torch.nn.init.zeros_(theirs.layernorm.bias)
    ours = randomise(ScalingFreeConnector(12, 20, 2, 3, 16)).double()
    layers = {k: v for k, v in theirs.state_dict().items() if k.startswith("encoder")}
    share(ours.layers, layers, *QFORMER, (r"^layers\.", ""))
    overview, tiles, keep = rand(2, 4, 12, grad=True), rand(2, 6, 4, 12, grad=True), random_padding(2, 6)
    keep = keep[..., None].expand(-1, -1, 4)
    asked = theirs(overview, encoder_hidden_states=tiles.flatten(1, 2), encoder_attention_mask=keep.flatten(1).long())
    expected = ours.projection(ours.norm(asked.last_hidden_state + overview))
    assert_equal(ours(overview, tiles, keep), expected, [overview, tiles])


@given(sizes, sizes)
@settings(max_examples=60, deadline=None)
def test_the_token_count_is_constant(connector, height, width):
    view, tiles, keep = cut_tiles(torch.rand(3, height, width), TILE, PATCH)
    assert view.shape == (3, TILE, TILE) and tiles.shape == (8, 3, TILE, TILE) and keep.shape == (8, 4)
    rows, columns = choose_grid(height, width, TILE)
    assert keep.any() and not keep[rows * columns :].any() and not tiles[rows * columns :].any()
    tokens = connector(rand(1, 4, 12), rand(1, 8, 4, 12), keep[None])
    assert tokens.shape == (1, 4, 20) and tokens.isfinite().all()


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_padding_has_exactly_no_influence(connector, seed):
    torch.manual_seed(seed)
    overview, tiles = rand(3, 4, 12), rand(3, 8, 4, 12)
    keep = torch.rand(3, 8, 4) < 0.6
    keep[:, 0, 0] = True
    other = torch.where(keep[..., None], tiles, 1000 * rand(3, 8, 4, 12))
    assert torch.equal(connector(overview, tiles, keep), connector(overview, other, keep))
    alone = [connector(o[None], t[k][None, None])[0] for o, t, k in zip(overview, tiles, keep, strict=True)]
    assert_equal(connector(overview, tiles, keep), torch.stack(alone))


def test_shuffled_tiles_give_the_same_and_shuffled_queries_the_same_shuffled(connector):
    overview, tiles, order = rand(1, 4, 12), rand(1, 8, 4, 12), torch.randperm(4)
    out = connector(overview, tiles)
    assert_equal(connector(overview, tiles[:, torch.randperm(8)]), out)
    assert_equal(connector(overview[:, order], tiles), out[:, order])


@pytest.mark.parametrize(
    "height, width, grid",
    [(448, 448, (2, 2)), (224, 896, (1, 4)), (1792, 224, (8, 1)), (448, 896, (2, 4)), (672, 448, (3, 2)),
     (3000, 3000, (2, 2)), (100, 100, (2, 2)), (2000, 4000, (2, 4)), (20, 90, (1, 4))],
)  # fmt: skip
def test_known_grids(height, width, grid):
    assert choose_grid(height, width, 224) == grid


@given(st.integers(1, 4000), st.integers(1, 4000))
@settings(max_examples=200, deadline=None)
def test_no_grid_keeps_more_pixels(height, width):
    def kept(grid):
        h, w = fit(height, width, grid[0] * 224, grid[1] * 224)
        return min(h * w, height * width)

    rows, columns = choose_grid(height, width, 224)
    assert 4 <= rows * columns <= 8
    others = [(r, c) for r in range(1, 9) for c in range(1, 9) if 4 <= r * c <= 8]
    assert kept((rows, columns)) == max(map(kept, others))
    assert choose_grid(width, height, 224) in ((columns, rows), (rows, columns))


def test_the_tiles_are_the_image():
    """An image that fills its grid comes back from the tiles unchanged, in reading order."""
    image = torch.rand(3, 2 * TILE, 4 * TILE)
    view, tiles, keep = cut_tiles(image, TILE, PATCH)
    together = tiles.unflatten(0, (2, 4)).permute(2, 0, 3, 1, 4).reshape(image.shape)
    torch.testing.assert_close(together, image)
    assert keep.all() and view.shape == (3, TILE, TILE)


def test_the_mask_covers_the_patches_that_hold_no_image():
    _, tiles, keep = cut_tiles(torch.ones(1, 3 * TILE, 4), TILE, PATCH)
    lit = torch.nn.functional.max_pool2d(tiles, PATCH).flatten(1) > 0
    assert torch.equal(keep, lit) and not keep.all()


def test_an_empty_image_is_refused():
    with pytest.raises(ValueError, match="positive"):
        choose_grid(0, 5, 224)
