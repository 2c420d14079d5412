"""k-reciprocal re-ranking against sets and dictionaries written from the paper's equations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from omnireid import Reranking, evaluate_embeddings, rank_metrics
from omnireid.core.errors import InputError, ShapeError, UnknownNameError
from omnireid.core.options import Protocol
from omnireid.core.types import Embeddings
from omnireid.evaluation.neighbours import nearest_rows
from omnireid.evaluation.options import VARIANTS, Ranking
from omnireid.evaluation.reranking import reranked_distances


def naive(sq_dist_NN: np.ndarray, num_query: int, reranking: Reranking) -> np.ndarray:
    """d* of every query and gallery item, one item at a time."""
    paper = reranking.variant == "paper"
    count = len(sq_dist_NN)
    share = sq_dist_NN / sq_dist_NN.max(axis=1, keepdims=True)
    if reranking.variant == "torchreid":
        share = share**2
    ranked = [
        [p, *sorted((g for g in range(count) if g != p), key=lambda g: (sq_dist_NN[p, g], g))]
        for p in range(count)
    ]

    def near(p: int, k: int) -> set[int]:
        return set(ranked[p][: k if paper else k + 1])

    def reciprocal(p: int, k: int) -> set[int]:
        return {g for g in near(p, k) if p in near(g, k)}

    described = []
    for p in range(count):
        core = reciprocal(p, reranking.k1)
        members = set(core)
        for q in core:
            candidate = reciprocal(q, round(reranking.k1 / 2))
            overlap, needed = len(core & candidate), len(candidate) * 2 / 3
            if overlap > needed + 1e-9 or (paper and abs(overlap - needed) < 1e-9):
                members |= candidate
        weights = {g: math.exp(-share[p, g]) for g in members}
        total = 1.0 if paper else sum(weights.values())
        described.append({g: weight / total for g, weight in weights.items()})
    if reranking.k2 > 1:
        averaged = []
        for p in range(count):
            mean: dict[int, float] = {}
            for q in ranked[p][: reranking.k2]:
                for g, weight in described[q].items():
                    mean[g] = mean.get(g, 0.0) + weight / reranking.k2
            averaged.append(mean)
        described = averaged
    out = np.empty((num_query, count - num_query))
    for p in range(num_query):
        for g in range(num_query, count):
            keys = described[p].keys() | described[g].keys()
            pairs = [(described[p].get(key, 0.0), described[g].get(key, 0.0)) for key in keys]
            jaccard = 1 - sum(map(min, pairs)) / sum(map(max, pairs))
            out[p, g - num_query] = (1 - reranking.lambda_) * jaccard + reranking.lambda_ * share[p, g]
    return out


def people(seed: int, count: int, width: int = 24) -> Embeddings:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(7).standard_normal((12, width))
    pids = rng.integers(0, 12, count)
    rows = centres[pids] + 0.8 * rng.standard_normal((count, width))
    paths = tuple(f"{seed}/{i}.jpg" for i in range(count))
    return Embeddings.from_arrays(rows.astype(np.float32), pids, rng.integers(0, 4, count), paths)


def matrices(query: Embeddings, gallery: Embeddings) -> tuple[np.ndarray, int]:
    rows = np.concatenate([query.vectors, gallery.vectors]).astype(np.float64)
    return ((rows[:, None] - rows) ** 2).sum(-1), len(query)


def blocks(sq_dist_NN: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return sq_dist_NN[:count, count:], sq_dist_NN[:count, :count], sq_dist_NN[count:, count:]


CASES = [
    (20, 6, 0.3),
    (6, 2, 1e-9),
    (2, 1, 0.0),
    (7, 3, 0.85),
    (5, 1, 0.5),
    (6, 2, 0.0),
    (10, 4, 1.0),
    (1, 1, 0.3),
]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("k1", "k2", "lambda_"), CASES)
def test_equals_the_paper_written_out(variant: str, k1: int, k2: int, lambda_: float) -> None:
    reranking = Reranking(k1, k2, lambda_, variant)  # type: ignore[arg-type]
    whole, count = matrices(people(0, 25), people(1, 90))
    result = reranked_distances(*blocks(whole, count), reranking)
    np.testing.assert_allclose(result, naive(whole, count, reranking), rtol=0, atol=1e-6)


def test_the_three_definitions_differ() -> None:
    whole, count = matrices(people(0, 25), people(1, 90))
    results = [
        reranked_distances(*blocks(whole, count), Reranking(variant=variant))  # type: ignore[arg-type]
        for variant in VARIANTS
    ]
    for first in range(3):
        for second in range(first):
            assert np.abs(results[first] - results[second]).max() > 1e-3


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(("k1", "k2", "lambda_"), CASES)
def test_embeddings_are_ranked_as_the_whole_matrix_is(
    variant: str, k1: int, k2: int, lambda_: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    reranking = Reranking(k1, k2, lambda_, variant)  # type: ignore[arg-type]
    query, gallery = people(0, 60), people(1, 300)
    gallery.pids[::9] = -1
    whole, count = matrices(query, gallery)
    final = reranked_distances(*blocks(whole, count), reranking)
    labels = (query.pids, gallery.pids, query.camids, gallery.camids)
    expected = rank_metrics(final, *labels)
    monkeypatch.setattr("omnireid.evaluation.streaming.TILE_QUERIES", 37)
    monkeypatch.setattr("omnireid.evaluation.streaming.TILE_ITEMS", 101)
    monkeypatch.setattr("omnireid.evaluation.streaming.BLOCK_QUERIES", 23)
    result = evaluate_embeddings(query, gallery, ranking=Ranking(reranking=reranking, threads=2))
    np.testing.assert_array_equal(result.top_indices, expected.top_indices)
    np.testing.assert_array_equal(result.top_outcomes, expected.top_outcomes)
    np.testing.assert_allclose(result.top_distances, expected.top_distances, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(result.first_match_rank, expected.first_match_rank)
    np.testing.assert_array_equal(result.ap, expected.ap)
    np.testing.assert_array_equal(result.inp, expected.inp)
    for name in ("same", "different"):
        assert getattr(result.histogram, name).sum() == getattr(expected.histogram, name).sum()
    assert 0 <= result.histogram.edges[0] < result.histogram.edges[-1]
    junk = (gallery.pids == -1) | (
        (query.pids[:, None] == gallery.pids) & (query.camids[:, None] == gallery.camids)
    )
    same = (query.pids[:, None] == gallery.pids) & ~junk
    inside = result.histogram.edges[:-1].searchsorted(final[same], side="right") - 1
    counted = np.bincount(np.clip(inside, 0, None), minlength=len(result.histogram.same))
    assert np.abs(counted - result.histogram.same).sum() <= 2


def test_reranking_helps_and_is_recorded() -> None:
    query, gallery = people(0, 80), people(1, 500)
    plain = evaluate_embeddings(query, gallery)
    result = evaluate_embeddings(query, gallery, ranking=Ranking(reranking=Reranking()))
    assert result.mAP > plain.mAP + 0.02
    assert plain.protocol_record().reranking == "none"
    assert result.protocol_record().reranking == "k-reciprocal (paper, k1 20, k2 6, λ 0.3)"


def test_drawn_galleries_are_ranked_by_the_final_distances() -> None:
    query, gallery = people(0, 40), people(1, 200)
    final = reranked_distances(*blocks(*matrices(query, gallery)))
    labels = (query.pids, gallery.pids, query.camids, gallery.camids)
    kind = Protocol.SINGLE_GALLERY_SHOT
    expected = rank_metrics(final, *labels, protocol=kind)
    result = evaluate_embeddings(query, gallery, protocol=kind, ranking=Ranking(reranking=Reranking()))
    np.testing.assert_array_equal(result.first_match_rank, expected.first_match_rank)


@pytest.mark.parametrize("distance", ["cosine", "sq_euclidean"])
def test_cosine_reranks_unit_rows(distance: str) -> None:
    query, gallery = people(0, 40), people(1, 200)
    rows = np.concatenate([query.vectors, gallery.vectors]).astype(np.float64)
    if distance == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    final = reranked_distances(*blocks(((rows[:, None] - rows) ** 2).sum(-1), 40))
    result = evaluate_embeddings(query, gallery, ranking=Ranking(distance=distance, reranking=Reranking()))
    expected = rank_metrics(final, query.pids, gallery.pids, query.camids, gallery.camids)
    np.testing.assert_array_equal(result.ap, expected.ap)


def test_pictures_that_repeat_are_their_own_neighbours() -> None:
    query, gallery = people(0, 30), people(1, 100)
    gallery.vectors[:] = gallery.vectors[np.arange(100) % 3]
    query.vectors[:] = gallery.vectors[0]
    final = reranked_distances(*blocks(*matrices(query, gallery)))
    assert np.isfinite(final).all()
    result = evaluate_embeddings(query, gallery, ranking=Ranking(reranking=Reranking()))
    expected = rank_metrics(final, query.pids, gallery.pids, query.camids, gallery.camids)
    np.testing.assert_array_equal(result.ap, expected.ap)
    same = Embeddings.from_arrays(
        np.ones((40, 4), np.float32), np.arange(40) % 3, np.arange(40) % 5, ("",) * 40
    )
    assert np.isfinite(evaluate_embeddings(same, same, ranking=Ranking(reranking=Reranking())).mAP)


def test_nothing_depends_on_the_number_of_threads() -> None:
    query, gallery = people(0, 200), people(1, 1500)
    results = [
        evaluate_embeddings(query, gallery, ranking=Ranking(reranking=Reranking(), threads=n)) for n in (1, 3)
    ]
    np.testing.assert_array_equal(results[0].ap, results[1].ap)
    np.testing.assert_array_equal(results[0].top_distances, results[1].top_distances)


def test_nearest_rows_are_those_of_a_sorted_matrix() -> None:
    query, gallery = people(0, 70).vectors, people(1, 900).vectors
    found = nearest_rows(query, gallery, 15, threads=2)
    sq_dist = ((query[:, None].astype(np.float64) - gallery) ** 2).sum(-1)
    np.testing.assert_array_equal(found.items, np.argsort(sq_dist, axis=1, kind="stable")[:, :15])
    np.testing.assert_allclose(found.sq_dists, np.sort(sq_dist, axis=1)[:, :15], rtol=1e-12)
    np.testing.assert_allclose(found.largest, sq_dist.max(axis=1), rtol=1e-6)
    whole = nearest_rows(query, gallery[:9], 9)
    np.testing.assert_array_equal(np.sort(whole.items), np.tile(np.arange(9), (70, 1)))
    with pytest.raises(InputError, match="between 1 and the 900 gallery rows"):
        nearest_rows(query, gallery, 901)


def test_bad_input_is_refused() -> None:
    for bad, message in (
        ({"k1": 0}, "k1: must be at least 1"),
        ({"k2": 0}, "k2: must be at least 1"),
        ({"lambda_": 1.5}, "between 0 and 1"),
    ):
        with pytest.raises(InputError, match=message):
            Reranking(**bad)  # type: ignore[arg-type]
    with pytest.raises(UnknownNameError, match="torchreid"):
        Reranking(variant="torchried")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs at least 20 pictures in query and gallery together, got 8"):
        evaluate_embeddings(people(0, 3), people(1, 5), ranking=Ranking(reranking=Reranking()))
    good = blocks(*matrices(people(0, 10), people(1, 30)))
    with pytest.raises(ShapeError, match="sq_dist_GG"):
        reranked_distances(good[0], good[1], good[2][:5])
    with pytest.raises(InputError, match="negative"):
        reranked_distances(-good[0], good[1], good[2])
    with pytest.raises(InputError, match="NaN"):
        reranked_distances(good[0] * np.nan, good[1], good[2])
