"""Ranking metrics against a naive loop written from the protocol, worked cases and invariants."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnireid import evaluate_embeddings, rank_metrics
from omnireid.core.card import ModelRef
from omnireid.core.errors import InputError, ShapeError, UnknownNameError
from omnireid.core.options import Protocol
from omnireid.core.types import Embeddings
from omnireid.evaluation.distance import distance_matrix
from omnireid.evaluation.metrics import metrics_record
from omnireid.evaluation.options import Ranking
from omnireid.evaluation.result import Outcome


@dataclass
class Naive:
    ap: list[float]
    inp: list[float]
    first: list[float]
    top: list[list[tuple[int, Outcome]]]
    same: int
    different: int

    def cmc(self, k: int) -> float:
        valid = [rank for rank in self.first if not math.isnan(rank)]
        return sum(rank <= k for rank in valid) / len(valid)

    @staticmethod
    def mean(values: list[float]) -> float:
        valid = [value for value in values if not math.isnan(value)]
        return sum(valid) / len(valid)


def naive(dist, q_pids, g_pids, q_camids, g_camids) -> Naive:
    """The Market-1501 protocol, one pair at a time, on Python numbers."""
    out = Naive([], [], [], [], 0, 0)
    for q, row in enumerate(dist.tolist()):
        order = sorted(range(len(row)), key=lambda g: (row[g], g))
        kinds = []
        for g in order:
            if g_pids[g] == -1 or (g_pids[g] == q_pids[q] and g_camids[g] == q_camids[q]):
                kinds.append(Outcome.JUNK)
            else:
                kinds.append(Outcome.MATCH if g_pids[g] == q_pids[q] else Outcome.WRONG)
        out.top.append(list(zip(order, kinds, strict=True)))
        scored = [kind for kind in kinds if kind is not Outcome.JUNK]
        hits = [rank for rank, kind in enumerate(scored, start=1) if kind is Outcome.MATCH]
        out.same += len(hits)
        out.different += len(scored) - len(hits)
        out.ap.append(sum(k / r for k, r in enumerate(hits, start=1)) / len(hits) if hits else math.nan)
        out.inp.append(len(hits) / hits[-1] if hits else math.nan)
        out.first.append(hits[0] if hits else math.nan)
    return out


@st.composite
def cases(draw: st.DrawFn, *, tied: bool | None = None):
    """Distances, pids and camids with junk, distractors, single cameras and queries without a match."""
    num_query, num_gallery = draw(st.integers(1, 8)), draw(st.integers(1, 40))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    num_pids, num_cameras = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    if tied is None:
        tied = draw(st.booleans())
    values = (
        rng.integers(0, 5, (num_query, num_gallery)) / 4
        if tied
        else np.stack([rng.permutation(num_gallery) for _ in range(num_query)]) / 8
    )
    dtype = draw(st.sampled_from([np.float16, np.float32, np.float64]))
    return (
        values.astype(dtype),
        rng.integers(1, num_pids + 1, num_query),
        rng.integers(-1, num_pids + 1, num_gallery),
        rng.integers(0, num_cameras, num_query),
        rng.integers(0, num_cameras, num_gallery),
    )


@settings(max_examples=150, deadline=None)
@given(cases(), st.integers(1, 60), st.integers(1, 12))
def test_equals_the_naive_loop(case, max_rank: int, top_k: int) -> None:
    expected = naive(*case)
    if all(math.isnan(rank) for rank in expected.first):
        with pytest.raises(InputError, match="no valid query"):
            rank_metrics(*case)
        return
    result = rank_metrics(*case, ranking=Ranking(max_rank=max_rank, top_k=top_k))
    np.testing.assert_allclose(result.ap, expected.ap, rtol=1e-12)
    np.testing.assert_allclose(result.inp, expected.inp, rtol=1e-12)
    np.testing.assert_array_equal(result.first_match_rank, expected.first)
    assert result.mAP == pytest.approx(Naive.mean(expected.ap), abs=1e-12)
    assert result.mINP == pytest.approx(Naive.mean(expected.inp), abs=1e-12)
    assert result.cmc.tolist() == pytest.approx([expected.cmc(k + 1) for k in range(max_rank)], abs=1e-12)
    for q, ranked in enumerate(expected.top):
        assert list(zip(result.top_indices[q], result.top_outcomes[q], strict=True)) == ranked[:top_k]
        assert result.top_distances[q].tolist() == [float(case[0][q, g]) for g, _ in ranked[:top_k]]
    assert result.histogram.same.sum() == expected.same
    assert result.histogram.different.sum() == expected.different


@settings(max_examples=60, deadline=None)
@given(cases(tied=False), st.randoms(use_true_random=False))
def test_the_order_of_an_untied_gallery_does_not_matter(case, chance: random.Random) -> None:
    dist, q_pids, g_pids, q_camids, g_camids = case
    try:
        before = rank_metrics(*case)
    except InputError:
        return
    order = list(range(len(g_pids)))
    chance.shuffle(order)
    after = rank_metrics(dist[:, order], q_pids, g_pids[order], q_camids, g_camids[order])
    np.testing.assert_array_equal(after.ap, before.ap)
    np.testing.assert_array_equal(after.cmc, before.cmc)
    np.testing.assert_array_equal(after.inp, before.inp)


def test_worked_by_hand() -> None:
    # Pid 1 seen by camera 0. By distance: wrong, junk (own camera), match, distractor, junk (pid −1), match.
    result = rank_metrics(
        np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6]]), [1], [2, 1, 1, 0, -1, 1], [0], [1, 0, 1, 2, 1, 2]
    )
    # Without junk the matches stand at ranks 2 and 4.
    assert result.mAP == pytest.approx((1 / 2 + 2 / 4) / 2)
    assert result.mINP == pytest.approx(2 / 4)
    assert result.cmc[:4].tolist() == [0, 1, 1, 1]
    w, m, j = Outcome.WRONG, Outcome.MATCH, Outcome.JUNK
    assert result.top_outcomes[0].tolist() == [w, j, m, w, j, m]
    assert (result.histogram.same.sum(), result.histogram.different.sum()) == (2, 2)


def test_equal_distances_rank_by_gallery_index() -> None:
    dist = np.zeros((1, 4))
    first = rank_metrics(dist, [1], [1, 2, 2, 2], [0], [1, 1, 1, 1])
    last = rank_metrics(dist, [1], [2, 2, 2, 1], [0], [1, 1, 1, 1])
    assert (first.mAP, last.mAP) == (1.0, 0.25)
    assert last.top_indices.tolist() == [[0, 1, 2, 3]]


def test_ranks_beyond_the_gallery_are_defined_and_do_not_depend_on_query_order() -> None:
    # Query 0 keeps two gallery items, query 1 three; the curve of both must go on to rank 50.
    dist = np.array([[0.1, 0.2, 0.3], [0.3, 0.2, 0.1]])
    pids, cams = [1, 2], [0, 0]
    forward = rank_metrics(dist, pids, [1, 1, 2], cams, [0, 1, 1])
    backward = rank_metrics(dist[::-1], pids[::-1], [1, 1, 2], cams, [0, 1, 1])
    np.testing.assert_array_equal(forward.cmc, backward.cmc)
    assert forward.cmc.shape == (50,)
    assert (forward.cmc[2:] == 1).all()
    assert forward.rank(50) == 1.0
    with pytest.raises(InputError, match="max_rank=51"):
        forward.rank(51)
    with pytest.raises(InputError):
        forward.rank(0)


def test_infinite_distances_come_last_and_are_not_junk() -> None:
    dist = np.array([[np.inf, 0.5, np.inf]])
    result = rank_metrics(dist, [1], [1, 2, 1], [0], [1, 1, 0])
    assert result.first_match_rank.tolist() == [2]
    assert result.top_outcomes[0].tolist() == [Outcome.WRONG, Outcome.MATCH, Outcome.JUNK]


def test_nan_names_the_row() -> None:
    dist = np.ones((4, 3), np.float32)
    dist[2, 1] = np.nan
    with pytest.raises(InputError, match="row 2 holds NaN"):
        rank_metrics(dist, [1, 1, 1, 1], [1, 1, 2], [0, 0, 0, 0], [1, 1, 1])
    junk_is_nan = np.array([[0.1, np.nan]])
    with pytest.raises(InputError, match="row 0"):
        rank_metrics(junk_is_nan, [1], [1, 1], [0], [1, 0])


def test_no_valid_query_says_why() -> None:
    dist = np.ones((3, 2))
    with pytest.raises(InputError, match=r"of 3, 1 have a pid that the gallery lacks; 2 meet .* own camera"):
        rank_metrics(dist, [1, 2, 9], [1, 2], [0, 0, 0], [0, 0])
    with pytest.raises(InputError, match="no-camera protocol"):
        rank_metrics(dist, [1, 2, 9], [1, 2], [0, 0, 0], [0, 0])
    with pytest.raises(InputError, match="1 are the only picture"):
        rank_metrics(np.ones((1, 1)), [1], [1], protocol=Protocol.NO_CAMERA, paths=(["a"], ["a"]))


def test_bad_input_is_refused_at_the_door() -> None:
    dist = np.ones((2, 3))
    good = ([1, 2], [1, 2, 3], [0, 0], [1, 1, 1])
    with pytest.raises(InputError, match="query is empty"):
        rank_metrics(np.ones((0, 3)), [], [1, 2, 3], [], [1, 1, 1])
    with pytest.raises(InputError, match="gallery is empty"):
        rank_metrics(np.ones((2, 0)), [1, 2], [], [0, 0], [])
    with pytest.raises(ShapeError, match="g_pids"):
        rank_metrics(dist, [1, 2], [1, 2], [0, 0], [1, 1])
    with pytest.raises(ShapeError, match="dist_QG"):
        rank_metrics(np.ones(3), *good)
    with pytest.raises(InputError, match="int64"):
        rank_metrics(np.ones((2, 3), np.int64), *good)
    with pytest.raises(InputError, match="expected integers"):
        rank_metrics(dist, ["1", "2"], *good[1:])
    with pytest.raises(InputError, match="max_rank"):
        rank_metrics(dist, *good, ranking=Ranking(max_rank=0))
    with pytest.raises(InputError, match="query: row 0 has no camera"):
        rank_metrics(dist, *good[:2])
    with pytest.raises(InputError, match="gallery: row 1 has no camera"):
        rank_metrics(dist, [1, 2], [1, 2, 3], [0, 0], [1, -1, 1])
    with pytest.raises(UnknownNameError, match="market1501"):
        rank_metrics(dist, *good, protocol="market1502")  # type: ignore[arg-type]
    assert rank_metrics(dist, [1, 2], [1, 2, -1], [0, 0], [1, 1, -1]).num_valid_queries == 2


def test_without_cameras_only_the_own_file_is_junk() -> None:
    dist = np.array([[0.0, 0.1, 0.2, 0.3]])
    result = rank_metrics(
        dist,
        [1],
        [1, 2, 1, -1],
        protocol=Protocol.NO_CAMERA,
        paths=(["data/a.jpg"], ["./data/a.jpg", "data/b.jpg", "data/c.jpg", "data/d.jpg"]),
    )
    assert result.top_outcomes[0].tolist() == [Outcome.JUNK, Outcome.WRONG, Outcome.MATCH, Outcome.JUNK]
    assert result.first_match_rank.tolist() == [2]


def naive_single_shot(dist, q_pids, g_pids, q_camids, g_camids, *, draws: int, seed: int) -> list[float]:
    """CUHK03 classic by its description: each draw keeps one random gallery picture of every identity."""
    chance = random.Random(seed)
    curves = []
    for q, row in enumerate(dist.tolist()):
        kept = [g for g in range(len(row)) if not (g_pids[g] == q_pids[q] and g_camids[g] == q_camids[q])]
        if not any(g_pids[g] == q_pids[q] for g in kept):
            continue
        for _ in range(draws):
            chosen = [
                chance.choice([g for g in kept if g_pids[g] == pid]) for pid in {g_pids[g] for g in kept}
            ]
            ranked = sorted(chosen, key=lambda g: (row[g], g))
            rank = [g_pids[g] for g in ranked].index(q_pids[q]) + 1
            curves.append([float(rank <= k) for k in range(1, 11)])
    return np.mean(curves, axis=0).tolist()


def test_single_gallery_shot_agrees_with_the_naive_draws() -> None:
    rng = np.random.default_rng(5)
    num_query, num_gallery, num_pids = 400, 90, 12
    case = (
        rng.integers(0, 40, (num_query, num_gallery)) / 8,
        rng.integers(0, num_pids, num_query),
        rng.integers(0, num_pids, num_gallery),
        rng.integers(0, 2, num_query),
        rng.integers(0, 2, num_gallery),
    )
    result = rank_metrics(*case, protocol=Protocol.SINGLE_GALLERY_SHOT, ranking=Ranking(max_rank=10))
    expected = naive_single_shot(*case, draws=40, seed=1)
    # 400 queries × 10 draws: a standard error of at most 0.008 on either side.
    np.testing.assert_allclose(result.cmc, expected, atol=0.03)
    assert (result.mAP, result.mINP) == (None, None)
    assert result.cmc[-1] < 1.0


def test_single_gallery_shot_is_exact_where_there_is_nothing_to_draw() -> None:
    # One picture of each identity: every draw is the Market-1501 ranking.
    rng = np.random.default_rng(2)
    dist = rng.integers(0, 4, (20, 15)) / 4
    case = (dist, rng.integers(0, 15, 20), np.arange(15), np.zeros(20, int), np.ones(15, int))
    drawn = rank_metrics(*case, protocol=Protocol.SINGLE_GALLERY_SHOT)
    np.testing.assert_allclose(drawn.cmc, rank_metrics(*case).cmc, atol=1e-12)
    assert drawn.protocol_record().repeats == 10


def test_single_gallery_shot_draws_the_match_too() -> None:
    # Of the person's three pictures one is closest and two are farthest: rank-1 is 1/3.
    num_query = 500
    dist = np.tile([0.0, 1.0, 2.0, 3.0], (num_query, 1))
    result = rank_metrics(
        dist,
        [1] * num_query,
        [1, 2, 1, 1],
        [0] * num_query,
        [1] * 4,
        protocol=Protocol.SINGLE_GALLERY_SHOT,
    )
    # 5,000 draws: a standard error of 0.0067.
    assert result.rank(1) == pytest.approx(1 / 3, abs=0.03)
    assert result.rank(2) == 1.0
    assert result.first_match_rank.mean() == pytest.approx(5 / 3, abs=0.03)


def test_single_gallery_shot_draws_by_seed() -> None:
    rng = np.random.default_rng(3)
    case = (rng.random((30, 80)), rng.integers(0, 8, 30), rng.integers(0, 8, 80))
    cameras = (np.zeros(30, int), np.ones(80, int))
    first, again, other = (
        rank_metrics(*case, *cameras, protocol=Protocol.SINGLE_GALLERY_SHOT, ranking=Ranking(seed=seed)).cmc
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def embedding_set(
    seed: int, count: int, *, name: str, model: str = "m", normalised: bool = False
) -> Embeddings:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((count, 8)).astype(np.float32)
    if normalised:
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return Embeddings.from_arrays(
        rows,
        rng.integers(1, 6, count),
        rng.integers(0, 3, count),
        tuple(f"{name}{i}.jpg" for i in range(count)),
        is_unit=normalised,
        model=ModelRef(model, None, 8),
    )


@pytest.mark.parametrize("distance", ["euclidean", "sq_euclidean", "cosine"])
def test_embeddings_are_ranked_as_their_distance_matrix(distance: str, monkeypatch) -> None:
    query, gallery = embedding_set(0, 23, name="q"), embedding_set(1, 50, name="g")
    whole = distance_matrix(query.vectors, gallery.vectors, distance)
    expected = rank_metrics(whole, query.pids, gallery.pids, query.camids, gallery.camids)
    # Blocks of three queries.
    monkeypatch.setattr("omnireid.evaluation.distance._BLOCK_BYTES", 3 * 8 * 50)
    result = evaluate_embeddings(query, gallery, ranking=Ranking(distance=distance))
    np.testing.assert_array_equal(result.ap, expected.ap)
    np.testing.assert_array_equal(result.top_indices, expected.top_indices)
    np.testing.assert_array_equal(result.cmc, expected.cmc)
    assert result.histogram.same.sum() == expected.histogram.same.sum()
    assert result.histogram.different.sum() == expected.histogram.different.sum()
    assert (result.distance, expected.distance) == (distance, "given")
    assert len(result.histogram.same) <= 96


def test_histogram_counts_lie_in_the_right_bins() -> None:
    query, gallery = embedding_set(0, 40, name="q"), embedding_set(1, 60, name="g")
    dist = distance_matrix(query.vectors, gallery.vectors)
    match = query.pids[:, None] == gallery.pids
    junk = match & (query.camids[:, None] == gallery.camids)
    histogram = evaluate_embeddings(query, gallery).histogram
    for counts, pairs in ((histogram.same, match & ~junk), (histogram.different, ~match)):
        np.testing.assert_array_equal(counts, np.histogram(dist[pairs], histogram.edges)[0])


def test_embeddings_of_two_models_are_refused() -> None:
    query = embedding_set(0, 5, name="q")
    with pytest.raises(InputError, match="different models"):
        evaluate_embeddings(query, embedding_set(1, 9, name="g", model="other"))
    with pytest.raises(InputError, match="normalised"):
        evaluate_embeddings(query, embedding_set(1, 9, name="g", normalised=True))
    with pytest.raises(UnknownNameError, match="did you mean 'euclidean'"):
        evaluate_embeddings(query, embedding_set(1, 9, name="g"), ranking=Ranking(distance="euclidian"))


def test_records_carry_the_protocol_and_the_metrics() -> None:
    result = evaluate_embeddings(embedding_set(0, 12, name="q"), embedding_set(1, 30, name="g"))
    protocol, metrics = result.protocol_record(), metrics_record(result)
    assert (protocol.name, protocol.distance, protocol.num_gallery) == ("market1501", "euclidean", 30)
    assert protocol.num_valid_queries == result.num_valid_queries
    assert (metrics.rank1, metrics.mAP, metrics.mINP) == (result.rank(1), result.mAP, result.mINP)
