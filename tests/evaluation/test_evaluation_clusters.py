from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from omnireid.core.card import ModelRef
from omnireid.core.errors import InputError
from omnireid.core.types import Embeddings, Sample
from omnireid.core.vectors import unit_rows
from omnireid.evaluation.clusters import Clustering, cluster
from omnireid.evaluation.options import Reranking
from omnireid.evaluation.reranking import jaccard_below_one, reranked_distances

SMALL = Clustering(0.6, neighbours=Reranking(k1=8, k2=3))


def people(*, shift: float = 0.0, num: int = 12, pictures: int = 8, dim: int = 32) -> Embeddings:
    """`num` people, half of each one's pictures from either camera; the second camera shifts embeddings."""
    rng = np.random.default_rng(5)
    centres = rng.normal(size=(num, 1, dim))
    vectors = (centres + 0.35 * rng.normal(size=(num, pictures, dim))).reshape(-1, dim)
    camids = np.tile(np.arange(pictures) % 2, num)
    vectors = vectors + shift * camids[:, None] * rng.normal(size=dim)
    samples = tuple(Sample(f"{i}.jpg", i // pictures, int(camid)) for i, camid in enumerate(camids))
    unit = unit_rows(vectors.astype(np.float32))
    return Embeddings(unit, samples, ModelRef(name="m", sha256="0" * 64, dim=dim), True)


def same_pairs(labels: np.ndarray) -> np.ndarray:
    return (labels[:, None] == labels[None]) & (labels >= 0)[:, None]


def test_people_who_lie_apart_are_clusters_of_their_own() -> None:
    embeddings = people()
    assert cluster(embeddings, SMALL).tolist() == embeddings.pids.tolist()


def test_a_camera_that_shifts_everybody_divides_people_unless_its_mean_is_taken_off() -> None:
    shifted = people(shift=2.0)
    naive = cluster(shifted, replace(SMALL, by_camera=False))
    across = shifted.camids[:, None] != shifted.camids[None]
    assert not (same_pairs(naive) & same_pairs(shifted.pids) & across).any()
    np.testing.assert_array_equal(same_pairs(cluster(shifted, SMALL)), same_pairs(shifted.pids))


def test_pictures_of_nobody_else_are_in_no_cluster() -> None:
    rng = np.random.default_rng(1)
    embeddings = people()
    lonely = unit_rows(rng.normal(size=(3, embeddings.dim)).astype(np.float32))
    several = replace(
        embeddings,
        vectors=np.concatenate([embeddings.vectors, lonely]),
        of=(*embeddings.of, *(Sample(f"x{i}.jpg", -1, i % 2) for i in range(3))),
    )
    # Without expansion, which lends a picture its neighbours' neighbours.
    labels = cluster(several, replace(SMALL, neighbours=Reranking(k1=8, k2=1)))
    assert labels[-3:].tolist() == [-1, -1, -1]
    assert labels[:-3].tolist() == embeddings.pids.tolist()


def test_jaccard_distances_are_those_of_re_ranking() -> None:
    vectors = people().vectors[:40].astype(np.float64)
    sq_dist = ((vectors[:, None] - vectors[None]) ** 2).sum(-1)
    how = Reranking(k1=8, k2=3, lambda_=0.0)
    row, item, jaccard = jaccard_below_one(vectors.astype(np.float32), how)
    # The first 15 as queries of the others: the same descriptions, all 40 being described.
    expected = reranked_distances(sq_dist[:15, 15:], sq_dist[:15, :15], sq_dist[15:, 15:], how)
    actual = np.ones((40, 40))
    actual[row, item] = jaccard
    np.testing.assert_allclose(actual[:15, 15:], expected, atol=1e-6)
    np.testing.assert_allclose(actual.diagonal(), 0, atol=1e-6)


def test_what_cannot_be_clustered_is_refused() -> None:
    with pytest.raises(InputError, match="max_distance"):
        Clustering(max_distance=1.0)
    with pytest.raises(InputError, match="min_pictures"):
        Clustering(min_pictures=1)
    with pytest.raises(InputError, match=r"5 pictures: .*k1=8 .*at least 8\..*--k1"):
        cluster(people()[:5], SMALL)
    with pytest.raises(InputError, match=r"camera 1 has 1 picture.*--any-camera"):
        cluster(people()[[*range(0, 40, 2), 1]], SMALL)
