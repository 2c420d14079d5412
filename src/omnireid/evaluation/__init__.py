"""Ranking metrics: arrays in, value types out. Imports no torch."""

from omnireid.evaluation.distance import DISTANCES, distance_blocks, distance_matrix
from omnireid.evaluation.open_set import OpenSetResult, open_set_metrics
from omnireid.evaluation.ranking import evaluate_embeddings, rank_metrics
from omnireid.evaluation.result import DistanceHistogram, Outcome, RetrievalResult

__all__ = [
    "DISTANCES",
    "DistanceHistogram",
    "OpenSetResult",
    "Outcome",
    "RetrievalResult",
    "distance_blocks",
    "distance_matrix",
    "evaluate_embeddings",
    "open_set_metrics",
    "rank_metrics",
]
