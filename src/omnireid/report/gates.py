"""Gate clusters: pictures that a block's gates weigh alike (OSNet paper, section 4.1, figure 5)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Float32
from omnireid.core.errors import InputError, MissingExtraError, ShapeError

NUM_SHOWN = 15
"""Pictures of a cluster, those nearest to its centre: as many as in the paper's figure."""

_STARTS = 10


@dataclass(frozen=True)
class GateCluster:
    """Pictures whose gate vectors are alike.

    Attributes:
        size: number of pictures in it.
        paths: the nearest to its centre, the nearest first.
    """

    size: int
    paths: tuple[str, ...]


@dataclass(frozen=True)
class GateClusters:
    """What a block's gates tell apart.

    Attributes:
        block: the block, e.g. "conv4.1".
        clusters: the largest first.
    """

    block: str
    clusters: tuple[GateCluster, ...]

    @property
    def num_pictures(self) -> int:
        """How many pictures were clustered."""
        return sum(cluster.size for cluster in self.clusters)


def cluster_gates(
    gates: Float32, paths: Sequence[str], num_clusters: int, *, block: str = "", seed: int = 0
) -> GateClusters:
    """Group pictures by k-means of their gate vectors: the streams' gates one behind the other.

    Args:
        gates: (N, T, C) float32: of each picture and stream, a weight for each channel.
        paths: N pictures.
        num_clusters: k; the paper does not say which it took.
        block: the block that they are of.
        seed: seed of k-means.

    Raises:
        ShapeError: not three axes, or another number of pictures.
        InputError: fewer different gate vectors than clusters.
        MissingExtraError: scikit-learn is not installed.

    Source: Zhou et al., ICCV 2019, Figure 5; k-means by scikit-learn, the best of ten starts.
    """
    if gates.ndim != 3 or len(gates) != len(paths):
        raise ShapeError("gates", expected=f"({len(paths)}, T, C)", actual=gates.shape)
    rows = gates.reshape(len(gates), -1)
    if len(np.unique(rows, axis=0)) < num_clusters:
        raise InputError(
            f"gates: {len(rows):,} pictures have fewer than {num_clusters} different gate vectors; ask for "
            "fewer clusters, or give more pictures"
        )
    try:
        from sklearn.cluster import KMeans
    except ImportError as error:
        raise MissingExtraError("clustering gates", "train") from error
    means = KMeans(num_clusters, n_init=_STARTS, random_state=seed % 2**32).fit(rows)
    found = []
    for number, centre in enumerate(means.cluster_centers_):
        members = np.flatnonzero(means.labels_ == number)
        sq_dist = np.square(rows[members] - centre).sum(axis=1)
        nearest = members[np.argsort(sq_dist, kind="stable")][:NUM_SHOWN]
        found.append(GateCluster(len(members), tuple(paths[row] for row in nearest)))
    return GateClusters(block, tuple(sorted(found, key=lambda cluster: (-cluster.size, cluster.paths))))
