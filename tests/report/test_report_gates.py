"""Clusters of gate vectors: those that were put there are found, and their nearest pictures shown."""

from __future__ import annotations

import numpy as np
import pytest

from omnireid.core.errors import InputError, ShapeError
from omnireid.report.gates import NUM_SHOWN, cluster_gates


def planted() -> tuple[np.ndarray, list[str], np.ndarray]:
    """Four groups of 10 to 40 pictures around centres of their own, in a drawn order."""
    rng = np.random.default_rng(3)
    centres = rng.random((4, 3, 8))
    groups = rng.permutation(np.repeat(np.arange(4), [10, 20, 30, 40]))
    gates = (centres[groups] + rng.normal(0, 0.02, (100, 3, 8))).astype(np.float32)
    return gates, [f"{group}/{row}" for row, group in enumerate(groups)], groups


def test_groups_are_found_the_largest_first_with_the_pictures_nearest_to_their_centres() -> None:
    gates, paths, groups = planted()
    found = cluster_gates(gates, paths, 4, block="conv4.1")
    assert (found.block, found.num_pictures) == ("conv4.1", 100)
    assert [cluster.size for cluster in found.clusters] == [40, 30, 20, 10]
    for cluster, group in zip(found.clusters, (3, 2, 1, 0), strict=True):
        members = np.flatnonzero(groups == group)
        centre = gates[members].mean(axis=0)
        dist = [(float(np.linalg.norm(gates[row] - centre)), paths[row]) for row in members]
        assert list(cluster.paths) == [path for _, path in sorted(dist)][:NUM_SHOWN]
    assert len(found.clusters[-1].paths) == 10


def test_the_same_seed_gives_the_same_clusters_and_an_order_of_pictures_changes_nothing() -> None:
    gates, paths, _ = planted()
    found = cluster_gates(gates, paths, 4)
    assert found == cluster_gates(gates, paths, 4)
    turned = cluster_gates(gates[::-1], paths[::-1], 4, seed=7)
    assert [set(one.paths) for one in turned.clusters] == [set(one.paths) for one in found.clusters]


def test_bad_input_is_refused() -> None:
    gates, paths, _ = planted()
    with pytest.raises(ShapeError, match="gates"):
        cluster_gates(gates, paths[1:], 4)
    with pytest.raises(ShapeError, match="gates"):
        cluster_gates(gates.reshape(100, -1), paths, 4)
    with pytest.raises(InputError, match="2 pictures have fewer than 3"):
        cluster_gates(gates[:2], paths[:2], 3)
    with pytest.raises(InputError, match="fewer than 3 different"):
        cluster_gates(np.repeat(gates[:2], 50, axis=0), paths, 3)
