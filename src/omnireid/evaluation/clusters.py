"""Who may be who, without labels: clusters of embeddings by the neighbours that they share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireid.core.arrays import Int64
from omnireid.core.errors import InputError, MissingExtraError
from omnireid.core.types import Embeddings
from omnireid.evaluation.cameras import normalise_cameras
from omnireid.evaluation.options import Reranking
from omnireid.evaluation.reranking import jaccard_below_one


@dataclass(frozen=True)
class Clustering:
    """How pictures become clusters.

    Attributes:
        max_distance: Jaccard distance up to which two pictures are neighbours, in (0, 1).
        min_pictures: Pictures that have to be neighbours of one for it to found a cluster, itself among them.
        by_camera: Whether each camera's mean embedding is subtracted first. Nothing is where there is one
            camera, or a picture whose camera is not known.
        neighbours: The constants of the Jaccard distance; k1 of about the pictures of a person.
    """

    max_distance: float = 0.5
    min_pictures: int = 4
    by_camera: bool = True
    neighbours: Reranking = Reranking(k1=12, k2=4)

    def __post_init__(self) -> None:
        if not 0.0 < self.max_distance < 1.0:
            raise InputError(f"max_distance: must be between 0 and 1, got {self.max_distance}")
        if self.min_pictures < 2:
            raise InputError(f"min_pictures: must be at least 2, got {self.min_pictures}")


def cluster(embeddings: Embeddings, how: Clustering = Clustering(), *, threads: int | None = None) -> Int64:
    """Find groups of pictures that may show one person each. Labels play no part.

    Memory grows with the pictures times their neighbours, not with their square.

    Args:
        embeddings: N pictures with their cameras.
        threads: how many to use, all cores by default; the result does not depend on it.

    Returns:
        (N,) int64: 0, 1, 2 … by first picture; −1 for pictures that are in no cluster.

    Raises:
        InputError: fewer pictures than `neighbours` asks for, or a camera with a single one.
        MissingExtraError: scikit-learn is not installed.

    Source: DBSCAN (Ester et al., KDD 1996) by scikit-learn, on k-reciprocal Jaccard distances (Zhong et al.,
    CVPR 2017).
    """
    try:
        from sklearn.cluster import DBSCAN
    except ImportError as error:
        raise MissingExtraError("clustering", "train") from error
    from scipy.sparse import csr_matrix

    count, least = len(embeddings), how.neighbours.list_length
    if count < least:
        raise InputError(
            f"{count} pictures: neighbours among k1={how.neighbours.k1} and k2={how.neighbours.k2} need at "
            f"least {least}. Give more pictures, or a smaller k1 (--k1)"
        )
    if how.by_camera and len(np.unique(embeddings.camids)) > 1 and embeddings.camids.min() >= 0:
        try:
            embeddings, _ = normalise_cameras(embeddings, embeddings[:0])
        except InputError as error:
            raise InputError(f"{error}; --any-camera clusters without regard to cameras") from error
    row, item, dist = jaccard_below_one(embeddings.vectors, how.neighbours, threads=threads)
    near = dist <= how.max_distance
    # Only what is stored is a neighbour, a stored 0 too.
    graph = csr_matrix((dist[near], (row[near], item[near])), shape=(count, count))
    search = DBSCAN(eps=how.max_distance, min_samples=how.min_pictures, metric="precomputed")
    labels: Int64 = search.fit(graph).labels_.astype(np.int64)
    return labels
