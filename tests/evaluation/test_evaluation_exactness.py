"""The streamed ranking is the float64 ranking, also where the float32 product cannot tell pairs apart."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnireid import evaluate_embeddings, rank_metrics
from omnireid.core.errors import InputError
from omnireid.core.options import Protocol
from omnireid.core.types import Embeddings
from omnireid.evaluation.options import DISTANCES, Ranking
from omnireid.evaluation.result import RetrievalResult
from omnireid.evaluation.streaming import Comparison, Team, error_bound


def embedded(rows: np.ndarray, pids: np.ndarray, camids: np.ndarray, name: str = "x") -> Embeddings:
    paths = tuple(f"{name}{i}.jpg" for i in range(len(rows)))
    return Embeddings.from_arrays(rows, np.asarray(pids), np.asarray(camids), paths)


def lanes_sum(terms: np.ndarray) -> np.ndarray:
    """Sum over the last axis as the definition says: 32 lanes, then pairs of lanes."""
    padded = np.zeros((*terms.shape[:-1], -(-terms.shape[-1] // 32) * 32))
    padded[..., : terms.shape[-1]] = terms
    lanes = np.zeros((*terms.shape[:-1], 32))
    for block in range(padded.shape[-1] // 32):
        lanes = lanes + padded[..., 32 * block : 32 * (block + 1)]
    while lanes.shape[-1] > 1:
        half = lanes.shape[-1] // 2
        lanes = lanes[..., :half] + lanes[..., half:]
    return lanes[..., 0]


def direct_distances(query: np.ndarray, gallery: np.ndarray, distance: str) -> np.ndarray:
    """(Q, G) float64 by subtraction of every pair of rows."""
    sides = []
    for rows in (query.astype(np.float64), gallery.astype(np.float64)):
        if distance == "cosine":
            # One number after another, as written down; NumPy's own sum takes another order.
            norms = [float(np.sqrt(np.add.accumulate(row * row)[-1])) for row in rows]
            rows = rows * (1.0 / np.array(norms))[:, None]
        sides.append(rows)
    sq_dist = lanes_sum((sides[0][:, None] - sides[1]) ** 2)
    return {"euclidean": np.sqrt(sq_dist), "sq_euclidean": sq_dist, "cosine": 0.5 * sq_dist}[distance]


def assert_same_ranking(result: RetrievalResult, expected: RetrievalResult) -> None:
    np.testing.assert_array_equal(result.first_match_rank, expected.first_match_rank)
    np.testing.assert_array_equal(result.ap, expected.ap)
    np.testing.assert_array_equal(result.inp, expected.inp)
    np.testing.assert_array_equal(result.cmc, expected.cmc)
    np.testing.assert_array_equal(result.top_indices, expected.top_indices)
    np.testing.assert_array_equal(result.top_outcomes, expected.top_outcomes)
    np.testing.assert_array_equal(result.top_distances, expected.top_distances)


@st.composite
def hard_rows(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """Rows that differ in their last bits, lie far from the origin, repeat, or are of any size."""
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    num_query, num_gallery = draw(st.integers(1, 12)), draw(st.integers(1, 60))
    width = draw(st.sampled_from([1, 2, 7, 32, 33, 70]))
    offset = draw(st.sampled_from([0.0, 1.0, 1e4, -3e6]))
    spread = draw(st.sampled_from([1.0, 1e-3, 1e-20, 1e15]))
    rows = offset * spread + spread * rng.standard_normal((num_query + num_gallery, width))
    rows = rows.astype(np.float32)
    if draw(st.booleans()):
        # Near ties: copies of one row, some of them a last bit away.
        base = rows[:1].copy()
        step = np.spacing(np.abs(base)) * rng.integers(-1, 2, rows.shape)
        rows = (base + step).astype(np.float32)
    if draw(st.booleans()):
        rows = rows[rng.integers(0, max(1, len(rows) // 4), len(rows))]
    pids = rng.integers(0, 4, len(rows))
    pids[num_query:][rng.random(num_gallery) < 0.15] = -1
    camids = rng.integers(0, 3, len(rows))
    return rows[:num_query], rows[num_query:], pids, camids, num_query


@settings(max_examples=150, deadline=None)
@given(hard_rows(), st.sampled_from(DISTANCES), st.integers(1, 12))
def test_ranks_exactly_by_float64_distances(case, distance: str, top_k: int) -> None:
    query, gallery, pids, camids, count = case
    if distance == "cosine" and not (query.any(axis=1).all() and gallery.any(axis=1).all()):
        return
    dist = direct_distances(query, gallery, distance)
    labels = (pids[:count], pids[count:], camids[:count], camids[count:])
    sets = embedded(query, labels[0], labels[2]), embedded(gallery, labels[1], labels[3])
    try:
        expected = rank_metrics(dist, *labels, ranking=Ranking(top_k=top_k))
    except InputError:
        with pytest.raises(InputError, match="no valid query"):
            evaluate_embeddings(*sets, ranking=Ranking(distance=distance))
        return
    assert_same_ranking(evaluate_embeddings(*sets, ranking=Ranking(distance=distance, top_k=top_k)), expected)


def test_ranks_whole_numbers_as_integer_arithmetic_does() -> None:
    """Squared distances that differ by a millionth, and thousands of ties: no float is involved here."""
    rng = np.random.default_rng(0)
    count, width = 40, 64
    rows = 2**20 + rng.integers(-20, 21, (count + 1500, width))
    pids, camids = rng.integers(0, 30, len(rows)), rng.integers(0, 4, len(rows))
    result = evaluate_embeddings(
        embedded(rows[:count].astype(np.float32), pids[:count], camids[:count]),
        embedded(rows[count:].astype(np.float32), pids[count:], camids[count:]),
    )
    ties = 0
    for q in range(count):
        sq_dist = ((rows[count:] - rows[q]) ** 2).sum(axis=1)
        ties += len(sq_dist) - len(np.unique(sq_dist))
        order = sorted(range(1500), key=lambda g, d=sq_dist: (d[g], g))
        scored = [g for g in order if (pids[count + g], camids[count + g]) != (pids[q], camids[q])]
        ranks = [rank for rank, g in enumerate(scored, 1) if pids[count + g] == pids[q]]
        assert result.first_match_rank[q] == ranks[0]
        assert result.ap[q] == pytest.approx(np.mean([k / r for k, r in enumerate(ranks, 1)]), abs=1e-12)
        assert result.inp[q] == len(ranks) / ranks[-1]
        assert result.top_indices[q].tolist() == order[:10]
    assert ties > 1000


def many(seed: int, count: int, width: int = 48) -> Embeddings:
    rng = np.random.default_rng(seed)
    people = np.random.default_rng(99).standard_normal((30, width))
    pids = rng.integers(-1, 30, count)
    rows = people[pids] + 1.5 * rng.standard_normal((count, width))
    return embedded(rows.astype(np.float32), pids, rng.integers(0, 5, count))


@pytest.mark.parametrize("distance", DISTANCES)
def test_tiles_blocks_and_threads_change_nothing(distance: str, monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = many(0, 300), many(1, 3000)
    expected = rank_metrics(
        direct_distances(query.vectors, gallery.vectors, distance),
        query.pids,
        gallery.pids,
        query.camids,
        gallery.camids,
    )
    assert_same_ranking(
        evaluate_embeddings(query, gallery, ranking=Ranking(distance=distance, threads=1)), expected
    )
    monkeypatch.setattr("omnireid.evaluation.streaming.TILE_QUERIES", 37)
    monkeypatch.setattr("omnireid.evaluation.streaming.TILE_ITEMS", 1013)
    monkeypatch.setattr("omnireid.evaluation.streaming.BLOCK_QUERIES", 101)
    monkeypatch.setattr("omnireid.evaluation.streaming._FEWEST_PAIRS_FOR_THREADS", 1)
    assert_same_ranking(
        evaluate_embeddings(query, gallery, ranking=Ranking(distance=distance, threads=3)), expected
    )


def test_a_memory_mapped_gallery_is_streamed(tmp_path) -> None:
    query, gallery = many(0, 50), many(1, 2000)
    path = tmp_path / "gallery.f32"
    gallery.vectors.tofile(path)
    mapped = np.memmap(path, np.float32, "r", shape=gallery.vectors.shape)
    streamed = embedded(mapped, gallery.pids, gallery.camids)
    assert_same_ranking(evaluate_embeddings(query, streamed), evaluate_embeddings(query, gallery))


def test_a_far_outlier_does_not_spoil_the_others() -> None:
    query, gallery = many(0, 60), many(1, 800)
    gallery.vectors[17] *= 1e12
    dist = direct_distances(query.vectors, gallery.vectors, "euclidean")
    expected = rank_metrics(dist, query.pids, gallery.pids, query.camids, gallery.camids)
    assert_same_ranking(evaluate_embeddings(query, gallery), expected)


def test_what_float32_cannot_hold_is_refused_by_row() -> None:
    query, gallery = many(0, 60), many(1, 2000)
    gallery.vectors[1234] *= np.float32(1e35)
    with pytest.raises(InputError, match="gallery: row 1234 is 10¹⁸ times as far"):
        evaluate_embeddings(query, gallery)


def test_junk_to_everyone_is_shown_but_not_counted() -> None:
    query, gallery = many(0, 40), many(1, 500)
    dist = direct_distances(query.vectors, gallery.vectors, "euclidean")
    kept = gallery.pids != -1
    assert 0 < kept.sum() < 500
    without = rank_metrics(
        dist[:, kept],
        query.pids,
        gallery.pids[kept],
        query.camids,
        gallery.camids[kept],
        ranking=Ranking(top_k=20),
    )
    result = evaluate_embeddings(query, gallery, ranking=Ranking(top_k=20))
    np.testing.assert_array_equal(result.ap, without.ap)
    assert (result.top_outcomes == 2).any()
    np.testing.assert_array_equal(result.top_indices, np.argsort(dist, axis=1, kind="stable")[:, :20])


def test_drawn_galleries_use_the_same_distances() -> None:
    query, gallery = many(0, 60), many(1, 600)
    dist = direct_distances(query.vectors, gallery.vectors, "euclidean")
    kind = Protocol.SINGLE_GALLERY_SHOT
    expected = rank_metrics(
        dist, query.pids, gallery.pids, query.camids, gallery.camids, protocol=kind, ranking=Ranking(seed=4)
    )
    result = evaluate_embeddings(query, gallery, protocol=kind, ranking=Ranking(seed=4))
    np.testing.assert_array_equal(result.first_match_rank, expected.first_match_rank)
    np.testing.assert_array_equal(result.cmc, expected.cmc)


@settings(max_examples=60, deadline=None)
@given(hard_rows())
def test_the_error_bound_holds(case) -> None:
    query, gallery, *_ = case
    if not len(gallery):
        return
    with Team(1) as team:
        comparison = Comparison(query, gallery, "euclidean", team)
        block = next(comparison.query_blocks())
        for tile in comparison.tiles(block):
            offsets = tile.half_g.astype(np.longdouble) - tile.values(0, len(block))
            sq_dist = ((query[:, None].astype(np.longdouble) - gallery) ** 2).sum(-1)
            exact = 0.5 * sq_dist * np.longdouble(comparison.factor) ** 2 - block.half[:, None]
            assert (np.abs(offsets - exact) <= tile.error[:, None]).all()


def test_the_error_bound_is_the_stated_formula() -> None:
    u = 2.0**-24
    bound = error_bound(512, np.array([1.0]), 1.0)
    assert bound[0] == pytest.approx(1.02 * u * (516 + 8), rel=1e-9)
    # About 1e-4 of the spread that the squared distances of random unit rows have.
    assert bound[0] < 4e-5


def test_histograms_hold_every_scored_pair() -> None:
    query, gallery = many(0, 200), many(1, 2500)
    dist = direct_distances(query.vectors, gallery.vectors, "euclidean")
    junk = (gallery.pids == -1) | (
        (query.pids[:, None] == gallery.pids) & (query.camids[:, None] == gallery.camids)
    )
    same = (query.pids[:, None] == gallery.pids) & ~junk
    histogram = evaluate_embeddings(query, gallery).histogram
    assert histogram.same.sum() == same.sum()
    assert histogram.different.sum() == (~same & ~junk).sum()
    for counts, pairs in ((histogram.same, same), (histogram.different, ~same & ~junk)):
        expected = np.histogram(dist[pairs], histogram.edges)[0]
        # Counted in float32: a pair at an edge may fall beside it.
        assert np.abs(counts - expected).sum() <= 1e-5 * expected.sum() + 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    "values", [[5e28], [0.0], [0.0, 1e-44], [-1.7e38, 1.7e38], [1e6, 1e6 + 0.125], [np.inf]]
)
def test_a_matrix_of_any_range_is_ranked(values: list[float], dtype: type) -> None:
    rng = np.random.default_rng(0)
    dist = rng.choice(np.array(values, dtype), (20, 30))
    labels = (rng.integers(0, 3, 20), rng.integers(0, 3, 30), np.zeros(20, int), np.ones(30, int))
    result = rank_metrics(dist, *labels)
    np.testing.assert_array_equal(result.top_indices, np.argsort(dist, axis=1, kind="stable")[:, :10])
    for q in range(20):
        hits = 1 + np.flatnonzero((labels[1] == labels[0][q])[np.argsort(dist[q], kind="stable")])
        assert result.ap[q] == pytest.approx(np.mean(np.arange(1, len(hits) + 1) / hits), abs=1e-12)
    assert result.histogram.same.sum() + result.histogram.different.sum() == np.isfinite(dist).sum()


def test_a_sample_that_coincides_leaves_the_others_ranked() -> None:
    rows = np.ones((3000, 4), np.float32)
    rows[[1, 7, 2903]] = [[1e9, 2, 3, 4], [-1e9, 2, 3, 4], [1, 1, 1, 2]]
    pids = np.arange(3000) % 3
    query = embedded(rows[:9], pids[:9], np.zeros(9, int))
    gallery = embedded(rows, pids, np.ones(3000, int))
    expected = rank_metrics(
        direct_distances(rows[:9], rows, "euclidean"), pids[:9], pids, query.camids, gallery.camids
    )
    assert_same_ranking(evaluate_embeddings(query, gallery), expected)


def test_the_number_of_blas_threads_is_put_back() -> None:
    from omnireid.evaluation.blas import _thread_calls, one_blas_thread

    calls = _thread_calls()
    if calls is None:
        pytest.skip("this NumPy does not bring OpenBLAS")
    before = calls[0]()
    with one_blas_thread() as alone, one_blas_thread():
        assert alone
        assert calls[0]() == 1
    assert calls[0]() == before
    with pytest.raises(InputError, match="no valid query"):
        evaluate_embeddings(
            many(0, 5),
            Embeddings.from_arrays(np.ones((3, 48), np.float32), *[np.ones(3, int)] * 2, ("",) * 3),
        )
    assert calls[0]() == before


def test_products_that_bring_their_own_threads_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    query, gallery = many(0, 300), many(1, 3000)
    expected = evaluate_embeddings(query, gallery)
    monkeypatch.setattr("omnireid.evaluation.blas._thread_calls", lambda: None)
    assert_same_ranking(evaluate_embeddings(query, gallery, ranking=Ranking(threads=2)), expected)


def test_embeddings_are_checked_to_their_last_row() -> None:
    rows = np.zeros((20_000, 2), np.float32)
    rows[19_999, 1] = np.nan
    with pytest.raises(InputError, match=r"row 19999 \(x19999.jpg\) holds NaN"):
        embedded(rows, np.zeros(20_000, int), np.zeros(20_000, int))
