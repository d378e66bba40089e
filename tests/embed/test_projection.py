"""Maps: quality as its definition says, new points in place, refused in one sentence."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import medvlm_lab as lab
from medvlm_lab.embed import Embeddings
from medvlm_lab.embed.projection import METHODS, measure
from medvlm_lab.errors import MedVLMError, UnknownNameError


def made(vectors, **columns):
    rows = [{"id": str(i), "kind": "image", "vector": v} for i, v in enumerate(vectors)]
    for name, values in columns.items():
        rows = [row | {name: value} for row, value in zip(rows, values, strict=True)]
    return Embeddings.from_rows(rows, "m", "i")


def blobs(n=60, groups=3, d=16, seed=0):
    """Unit rows in well separated groups, and the group of each."""
    rng = np.random.default_rng(seed)
    label = np.arange(n) % groups
    rows = (3 * np.eye(d)[label] + 0.3 * rng.normal(size=(n, d))).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), label


@pytest.fixture(scope="module")
def umap():
    vectors, label = blobs()
    return lab.embed.project(made(vectors), n_neighbors=10), vectors, label


def continuity(vectors, plane, k):
    """Venna & Kaski 2001, equation 4, word for word."""
    n = len(vectors)
    far, near = (np.linalg.norm(x[:, None] - x[None], axis=-1) for x in (vectors, plane))
    penalty = 0
    for i in range(n):
        true = sorted((j for j in range(n) if j != i), key=lambda j: far[i, j])[:k]
        shown = sorted((j for j in range(n) if j != i), key=lambda j: near[i, j])
        penalty += sum(shown.index(j) + 1 - k for j in true if j not in shown[:k])
    return 1 - 2 / (n * k * (2 * n - 3 * k - 1)) * penalty


@settings(max_examples=20, deadline=None)
@given(st.integers(8, 24), st.integers(1, 3), st.integers(0, 999))
def test_continuity_is_its_definition(n, k, seed):
    rng = np.random.default_rng(seed)
    vectors, plane = rng.normal(size=(n, 6)), rng.normal(size=(n, 2))
    trusted, kept, used = measure(vectors, plane, k)
    assert kept == pytest.approx(continuity(vectors, plane, k)) and used == n
    assert trusted == pytest.approx(continuity(plane, vectors, k))  # the spaces exchanged


def test_a_faithful_map_is_perfect_and_a_large_one_is_sampled():
    plane = np.random.default_rng(0).normal(size=(50, 2))
    assert measure(plane, 3 * plane, 5) == (1.0, 1.0, 50)
    assert measure(plane, plane, 5, sample=20)[2] == 20


def test_pca_is_linear_and_places_its_own_rows(umap):
    _, vectors, _ = umap
    found = lab.embed.project(made(vectors), "pca")
    np.testing.assert_allclose(found.transform(vectors), found.coordinates, atol=1e-5)
    centred = vectors - vectors.mean(0)
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(np.abs(found.coordinates), np.abs(centred @ axes[:2].T), atol=1e-4)


def test_umap_is_reproducible_and_keeps_groups_apart(umap):
    found, vectors, label = umap
    again = lab.embed.project(made(vectors), n_neighbors=10)
    np.testing.assert_array_equal(found.coordinates, again.coordinates)
    assert found.trustworthiness > 0.8 and "UMAP: trustworthiness" in str(found)
    centres = np.stack([found.coordinates[label == g].mean(0) for g in range(3)])
    nearest = np.linalg.norm(found.coordinates[:, None] - centres[None], axis=-1).argmin(1)
    assert (nearest == label).mean() > 0.95


def test_new_points_fall_among_their_kind(umap):
    found, _, label = umap
    new, kinds = blobs(seed=7)
    placed = found.transform(new)
    centres = np.stack([found.coordinates[label == g].mean(0) for g in range(3)])
    assert (np.linalg.norm(placed[:, None] - centres[None], axis=-1).argmin(1) == kinds).all()
    # where all neighbours agree, so does the new point
    flat = lab.embed.Projection(np.ones_like(found.coordinates), "umap", 10, 1, 1, 60, found.vectors)
    np.testing.assert_allclose(flat.transform(new), 1, atol=1e-6)


def test_tsne_and_supervision(umap):
    _, vectors, label = umap
    embeddings = made(vectors, modality=["CT" if g else "MR" for g in label], findings=[[str(g)] for g in label])
    assert lab.embed.project(embeddings, "tsne", n_neighbors=8).coordinates.shape == (60, 2)
    shown = lab.embed.project(embeddings, n_neighbors=8, supervised_by="modality")
    assert np.isfinite(shown.coordinates).all()
    with pytest.raises(UnknownNameError, match="column 'modalty'"):
        lab.embed.project(embeddings, supervised_by="modalty")
    with pytest.raises(MedVLMError, match="UMAP only"):
        lab.embed.project(embeddings, "pca", supervised_by="modality")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n", [3, 9, 15])
def test_few_rows_are_each_others_neighbours(method, n):
    found = lab.embed.project(made(blobs(n)[0]), method)
    assert found.n_neighbors == n - 1 and np.isfinite(found.coordinates).all() and found.coordinates.shape == (n, 2)


def test_bad_input_is_one_sentence(umap):
    found, vectors, _ = umap
    with pytest.raises(MedVLMError, match="n_neighbors is 9, of 9 rows"):
        lab.embed.project(made(vectors[:9]), n_neighbors=9)
    with pytest.raises(MedVLMError, match="at least 3 images or texts; give 1 more"):
        lab.embed.project(made(vectors[:2]))
    with pytest.raises(MedVLMError, match="All 20 vectors are identical"):
        lab.embed.project(made(np.repeat(vectors[:1], 20, 0)))
    with pytest.raises(UnknownNameError, match="method 'umapp'; did you mean 'umap'"):
        lab.embed.project(made(vectors), "umapp")
    with pytest.raises(UnknownNameError, match="metric"):
        lab.embed.project(made(vectors), metric="manhattan")
    with pytest.raises(MedVLMError, match="16 numbers each, not 3"):
        found.transform(np.ones((1, 3)))
    with pytest.raises(MedVLMError, match="finite"):
        found.transform(np.full((1, 16), np.nan))
