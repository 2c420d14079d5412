"""Ranking metrics: arrays in, value types out. Imports no torch."""

from omnireid.evaluation.bootstrap import (
    Interval,
    MetricIntervals,
    PairedComparison,
    bootstrap_mean,
    compare_paired,
    metric_intervals,
)
from omnireid.evaluation.breakdown import (
    CameraPairScore,
    GroupScore,
    breakdown,
    breakdown_by_camera_pair,
    breakdown_by_height,
)
from omnireid.evaluation.cameras import normalise_cameras
from omnireid.evaluation.copies import find_copies
from omnireid.evaluation.distance import DISTANCES, distance_blocks, distance_matrix
from omnireid.evaluation.neighbours import Neighbours, nearest_rows
from omnireid.evaluation.open_set import OpenSetResult, open_set_metrics
from omnireid.evaluation.query_expansion import QueryExpansion, expand_queries
from omnireid.evaluation.ranking import evaluate_embeddings, rank_metrics
from omnireid.evaluation.reranking import Reranking, reranked_distances
from omnireid.evaluation.result import DistanceHistogram, Outcome, RetrievalResult

__all__ = [
    "DISTANCES",
    "CameraPairScore",
    "DistanceHistogram",
    "GroupScore",
    "Interval",
    "MetricIntervals",
    "Neighbours",
    "OpenSetResult",
    "Outcome",
    "PairedComparison",
    "QueryExpansion",
    "Reranking",
    "RetrievalResult",
    "bootstrap_mean",
    "breakdown",
    "breakdown_by_camera_pair",
    "breakdown_by_height",
    "compare_paired",
    "distance_blocks",
    "distance_matrix",
    "evaluate_embeddings",
    "expand_queries",
    "find_copies",
    "metric_intervals",
    "nearest_rows",
    "normalise_cameras",
    "open_set_metrics",
    "rank_metrics",
    "reranked_distances",
]
