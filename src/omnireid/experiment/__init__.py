"""From dataset and model to a result record: train, evaluate, and the main job that does both.

Evaluating needs no torch; what trains is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from omnireid.experiment.analysis import analyse
from omnireid.experiment.comparison import compare_results, differences, load_result
from omnireid.experiment.evaluation import (
    Evaluation,
    RankingOptions,
    ResultFiles,
    check_replaceable,
    evaluate_model,
    write_results,
)
from omnireid.experiment.several import result_folders, result_names, seed_runs, summarise, write_summaries

if TYPE_CHECKING:
    from omnireid.experiment.job import MainJobResult, main_job
    from omnireid.experiment.robustness import check_corruptible, evaluate_corrupted
    from omnireid.experiment.training import train_on

_HOMES = {
    "MainJobResult": "job",
    "check_corruptible": "robustness",
    "evaluate_corrupted": "robustness",
    "main_job": "job",
    "train_on": "training",
}

__all__ = [
    "Evaluation",
    "MainJobResult",
    "RankingOptions",
    "ResultFiles",
    "analyse",
    "check_corruptible",
    "check_replaceable",
    "compare_results",
    "differences",
    "evaluate_corrupted",
    "evaluate_model",
    "load_result",
    "main_job",
    "result_folders",
    "result_names",
    "seed_runs",
    "summarise",
    "train_on",
    "write_results",
    "write_summaries",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
