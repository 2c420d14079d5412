"""Query expansion, camera normalisation and breakdowns against loops written from their definitions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from omnireid import QueryExpansion, Reranking, evaluate_embeddings, rank_metrics
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.options import Protocol
from omnireid.core.types import Embeddings
from omnireid.evaluation.breakdown import breakdown, breakdown_by_camera_pair, breakdown_by_height
from omnireid.evaluation.cameras import normalise_cameras
from omnireid.evaluation.distance import distance_matrix
from omnireid.evaluation.options import Ranking
from omnireid.evaluation.query_expansion import expand_queries


def people(seed: int, count: int, *, shift: float = 0.0, normalised: bool = True) -> Embeddings:
    rng = np.random.default_rng(seed)
    fixed = np.random.default_rng(7)
    centres, cameras = fixed.standard_normal((15, 32)), fixed.standard_normal((4, 32))
    pids, camids = rng.integers(0, 15, count), rng.integers(0, 4, count)
    rows = centres[pids] + 1.1 * rng.standard_normal((count, 32)) + shift * cameras[camids]
    if normalised:
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    paths = tuple(f"{seed}/{i}.jpg" for i in range(count))
    return Embeddings.from_arrays(rows.astype(np.float32), pids, camids, paths, is_unit=normalised)


@pytest.mark.parametrize("expansion", [QueryExpansion(), QueryExpansion(3, 2.0), QueryExpansion(1, 0.5)])
def test_expansion_is_the_weighted_mean_of_what_was_found(expansion: QueryExpansion) -> None:
    query, gallery = people(0, 30), people(1, 200)
    expanded = expand_queries(query, gallery, expansion)
    for q, row in enumerate(query.vectors.astype(np.float64)):
        cosine = gallery.vectors.astype(np.float64) @ row
        total = row.copy()
        for g in np.argsort(-cosine, kind="stable")[: expansion.k]:
            total += max(cosine[g], 0.0) ** expansion.alpha * gallery.vectors[g]
        np.testing.assert_allclose(expanded.vectors[q], total / np.linalg.norm(total), atol=1e-6)
    assert (expanded.pids == query.pids).all()
    assert expanded.vectors.dtype == np.float32


def test_expansion_helps_where_neighbours_are_right_and_is_recorded() -> None:
    query, gallery = people(0, 120), people(1, 600)
    plain = evaluate_embeddings(query, gallery)
    result = evaluate_embeddings(
        query, gallery, ranking=Ranking(expansion=QueryExpansion(5, 1.0), reranking=Reranking())
    )
    assert result.mAP > plain.mAP + 0.05
    assert result.reranking == (
        "query expansion (alpha 1, 5 neighbours), k-reciprocal (paper, k1 20, k2 6, λ 0.3)"
    )


def test_expansion_refuses_what_it_cannot_add() -> None:
    raw = people(0, 30, normalised=False)
    with pytest.raises(InputError, match="L2 normalisation"):
        expand_queries(raw, raw, QueryExpansion())
    with pytest.raises(InputError, match="k: must be between 1 and the 4 gallery rows"):
        expand_queries(people(0, 9), people(1, 4), QueryExpansion())
    with pytest.raises(InputError, match="k: must be at least 1"):
        QueryExpansion(0)
    with pytest.raises(InputError, match="alpha"):
        QueryExpansion(5, -1.0)


@pytest.mark.parametrize("spread", [False, True])
def test_each_camera_is_moved_to_its_own_mean(spread: bool) -> None:
    query, gallery = people(0, 80, shift=2.0, normalised=False), people(1, 300, shift=2.0, normalised=False)
    sets = normalise_cameras(query, gallery, spread=spread)
    rows = np.concatenate([part.vectors for part in sets]).astype(np.float64)
    old = np.concatenate([query.vectors, gallery.vectors]).astype(np.float64)
    camids = np.concatenate([query.camids, gallery.camids])
    for camera in range(4):
        here = camids == camera
        np.testing.assert_allclose(rows[here].mean(axis=0), 0, atol=1e-6)
        expected = old[here] - old[here].mean(axis=0)
        if spread:
            expected /= np.sqrt(old[here].var(axis=0) + 1e-5)
        np.testing.assert_allclose(rows[here], expected, atol=2e-6)


def test_subtracting_camera_means_helps_where_cameras_differ() -> None:
    query, gallery = people(0, 120, shift=2.0), people(1, 600, shift=2.0)
    plain = evaluate_embeddings(query, gallery)
    result = evaluate_embeddings(query, gallery, ranking=Ranking(camera_means=True))
    assert result.mAP > plain.mAP + 0.1
    assert result.reranking == "camera means subtracted"
    norms = np.linalg.norm(normalise_cameras(query, gallery)[1].vectors, axis=1)
    np.testing.assert_allclose(norms, 1, atol=1e-6)


def test_cameras_must_be_known_and_seen_more_than_once() -> None:
    query, gallery = people(0, 10), people(1, 40)
    unknown = dataclasses.replace(
        gallery,
        of=dataclasses.replace(gallery.columns, camids=np.where(np.arange(40) == 6, -1, gallery.camids)),
    )
    with pytest.raises(InputError, match="gallery: row 6 has no camera"):
        normalise_cameras(query, unknown)
    lonely = dataclasses.replace(
        gallery,
        of=dataclasses.replace(gallery.columns, camids=np.where(np.arange(40) == 6, 9, gallery.camids)),
    )
    with pytest.raises(InputError, match="camera 9 has 1 picture"):
        normalise_cameras(query, lonely)


def test_groups_are_means_over_their_queries() -> None:
    query, gallery = people(0, 90), people(1, 300)
    query.pids[:7] = 99
    result = evaluate_embeddings(query, gallery)
    labels = np.arange(90) // 7
    scores = breakdown(result, labels)
    assert [score.group for score in scores] == [str(label) for label in range(13)]
    assert (scores[0].num_queries, scores[0].num_valid_queries, scores[0].mAP) == (7, 0, None)
    for score in scores[1:]:
        mask = labels == int(score.group)
        assert score.num_valid_queries == result.valid[mask].sum()
        assert score.mAP == pytest.approx(result.ap[mask & result.valid].mean())
        assert score.mINP == pytest.approx(result.inp[mask & result.valid].mean())
        assert score.rank1 == pytest.approx((result.first_match_rank[mask & result.valid] == 1).mean())
    total = sum(score.num_valid_queries * score.mAP for score in scores[1:] if score.mAP is not None)
    assert total / result.num_valid_queries == pytest.approx(result.mAP)
    with pytest.raises(ShapeError, match="groups"):
        breakdown(result, labels[:4])
    drawn = evaluate_embeddings(query, gallery, protocol=Protocol.SINGLE_GALLERY_SHOT)
    assert breakdown(drawn, np.zeros(90, int))[0].mAP is None


def test_heights_fall_into_the_group_that_their_edge_begins() -> None:
    result = evaluate_embeddings(people(0, 6), people(1, 300))
    scores = breakdown_by_height(result, [63.9, 64, 95, 96, 256, 1000])
    assert [(score.group, score.num_queries) for score in scores] == [
        ("under 64 px", 1),
        ("64 to 95 px", 2),
        ("96 to 127 px", 1),
        ("256 px and more", 2),
    ]
    with pytest.raises(InputError, match="row 2"):
        breakdown_by_height(result, [1, 2, 0, 1, 1, 1])
    with pytest.raises(InputError, match="ascend"):
        breakdown_by_height(result, [1] * 6, edges=(5, 5))
    with pytest.raises(ShapeError, match="heights"):
        breakdown_by_height(result, [1])


def test_camera_pairs_are_searches_in_one_camera() -> None:
    query, gallery = people(0, 90), people(1, 300)
    gallery.pids[5] = -1
    # Camera 3 sees nobody that is asked for.
    gallery.pids[gallery.camids == 3] = 500
    dist = distance_matrix(query.vectors, gallery.vectors)
    pairs = breakdown_by_camera_pair(query, gallery)
    assert [(pair.q_camid, pair.g_camid) for pair in pairs] == [
        (a, b) for a in range(4) for b in range(4) if a != b
    ]
    for pair in pairs:
        q, g = query.camids == pair.q_camid, gallery.camids == pair.g_camid
        assert pair.num_gallery == g.sum()
        assert pair.score.num_queries == q.sum()
        if pair.g_camid == 3:
            assert (pair.score.num_valid_queries, pair.score.mAP) == (0, None)
            continue
        expected = rank_metrics(
            dist[np.ix_(q, g)], query.pids[q], gallery.pids[g], query.camids[q], gallery.camids[g]
        )
        assert pair.score.mAP == pytest.approx(expected.mAP, abs=1e-12)
        assert pair.score.rank1 == pytest.approx(expected.rank(1))
        assert pair.score.num_valid_queries == expected.num_valid_queries
