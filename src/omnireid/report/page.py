"""One evaluation as one HTML file: no script, no request; light, dark, on a phone and on paper."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import yaml

from omnireid.core.arrays import Float32
from omnireid.core.errors import ShapeError
from omnireid.core.record import AnalysisRecord, ResultRecord, RobustnessRecord, TrainingRecord
from omnireid.core.seeds import numpy_generator
from omnireid.evaluation.metrics import METRICS, labels
from omnireid.evaluation.result import Outcome, RetrievalResult
from omnireid.report.activation import overlay
from omnireid.report.analysis import (
    camera_matrix,
    group_rows,
    interval_rows,
    open_set_charts,
    open_set_rows,
    open_set_sentence,
)
from omnireid.report.embeddings import EmbeddingMap, map_chart
from omnireid.report.figures import NARROW, Series, histogram_chart, line_chart
from omnireid.report.gates import GateClusters
from omnireid.report.identities import IdentityScore
from omnireid.report.pictures import Album, data_address
from omnireid.report.robustness import (
    PUBLISHED_METRICS,
    comparable,
    condition_rows,
    heat_rows,
    published_rows,
    robustness_sentence,
)
from omnireid.report.template import render_page, write_page
from omnireid.report.wording import percent, protocol_sentence, spread
from omnireid.robustness.published import PROTOCOL, PUBLISHED

NUM_QUERIES_SHOWN = 6
NUM_PEOPLE_SHOWN = 20
CAMERA_METRICS = ("mAP", "rank1")
_MARKED_RANKS = (1, 5, 10, 20)
_SYMBOLS = {Outcome.MATCH: "✓", Outcome.WRONG: "✗", Outcome.JUNK: "○"}


class Activation(NamedTuple):
    """A picture and its (h, w) activation map, from `activation_map`."""

    path: str
    map: Float32


class Beside(NamedTuple):
    """Another model on the same queries: its record, and where its own report lies."""

    record: ResultRecord
    report: Path


@dataclass(frozen=True, eq=False)
class ReportData:
    """What a report is made from.

    Attributes:
        record: the numbers and where they come from; without `training` that section is left out.
        retrieval: the ranking behind them.
        query_paths, gallery_paths: picture files in the order of `retrieval`.
        activations: pictures with their maps; none leaves the section out.
        gates: clusters of what a block's gates tell apart, from `cluster_gates`; None leaves them out.
        title: heading of the page; by default the dataset's and the model's name.
        identities: scores by person, the hardest first, from `identity_scores`; none leaves them out.
        embedding_map: the map from `embedding_map`; None leaves it out.
        beside: other models on the same queries, for a table; none leaves it out.
    """

    record: ResultRecord
    retrieval: RetrievalResult
    query_paths: Sequence[str]
    gallery_paths: Sequence[str]
    activations: Sequence[Activation | tuple[str, Float32]] = ()
    gates: GateClusters | None = None
    title: str = ""
    identities: Sequence[IdentityScore] = ()
    embedding_map: EmbeddingMap | None = None
    beside: Sequence[Beside] = ()

    def __post_init__(self) -> None:
        for name, paths, count in (
            ("query_paths", self.query_paths, self.retrieval.num_queries),
            ("gallery_paths", self.gallery_paths, self.retrieval.num_gallery),
        ):
            if len(paths) != count:
                raise ShapeError(name, expected=(count,), actual=(len(paths),))


def write_report(path: str | os.PathLike[str], data: ReportData) -> None:
    """Write the report as one self-contained HTML file, atomically. The same data give the same bytes.

    A picture that cannot be read becomes a gap and is listed; it does not stop the report.

    Raises:
        StorageError: the file cannot be written.
    """
    write_page(path, render(data, folder=Path(path).parent))


def render(data: ReportData, *, folder: Path | None = None) -> str:
    """The page as text; links to other reports are as seen from `folder`."""
    record, retrieval, album = data.record, data.retrieval, Album()
    hardest, good = choose_queries(retrieval, seed=record.seed)
    page = {
        "title": data.title or f"{record.model.name} on {record.dataset.name}",
        "record": record,
        "environment": record.environment,
        "sentence": protocol_sentence(record),
        "metrics": [(label, percent(record.metrics.get(metric))) for metric, label in labels().items()],
        "beside": [_beside(other, folder or Path()) for other in data.beside],
        "num_invalid": retrieval.num_queries - retrieval.num_valid_queries,
        "cmc": _cmc_chart(record),
        "histogram": histogram_chart(
            retrieval.histogram, title="Distances of pairs", x_label=f"{retrieval.distance} distance"
        ),
        "overlap": percent(_overlap(retrieval)),
        "pairs": (int(retrieval.histogram.same.sum()), int(retrieval.histogram.different.sum())),
        "commit": short_commit(record.environment.commit),
        "training": None if record.training is None else training_section(record.training),
        "analysis": None
        if record.analysis is None
        else _analysis(record.analysis, record.dataset.camera_names),
        "identities": _identities(data, album),
        "map": None
        if data.embedding_map is None
        else map_chart(
            data.embedding_map,
            pid_names=record.dataset.pid_names,
            camera_names=record.dataset.camera_names,
        ),
        "robustness": None if record.robustness is None else _robustness(record.robustness),
        "ranked": [
            (
                "Hardest queries",
                "lowest average precision first",
                "None: every query finds all its matches before anyone else.",
                _lists(data, hardest, album),
            ),
            (
                "A sample of good queries",
                "drawn from those with a match at rank 1",
                "None is left: no other query has a match at rank 1.",
                _lists(data, good, album),
            ),
        ],
        "activations": _activations(data, album),
        "gates": None if data.gates is None else _gates(data.gates, album),
        "unreadable": album.unreadable,
    }
    return render_page("report.html.j2", page)


def _beside(other: Beside, folder: Path) -> dict[str, Any]:
    address = Path(os.path.relpath(other.report.absolute(), folder.absolute())).as_posix()
    return {
        "name": other.record.model.name,
        "report": quote(address.encode("utf-8", "surrogateescape")),
        "metrics": [percent(other.record.metrics.get(metric)) for metric in labels()],
    }


def choose_queries(
    retrieval: RetrievalResult, *, seed: int, count: int = NUM_QUERIES_SHOWN
) -> tuple[list[int], list[int]]:
    """Indices of the worst valid queries, worst first, and of a seeded sample of good ones."""
    score = 1 / retrieval.first_match_rank if retrieval.mAP is None else retrieval.ap
    order = np.argsort(score, kind="stable")  # NaN, the queries that are not valid, come last.
    hardest = [int(query) for query in order if score[query] < 1][:count]
    good = np.setdiff1d(np.flatnonzero(retrieval.first_match_rank == 1), hardest)
    drawn = numpy_generator(seed, "report").permutation(good)[:count]
    return hardest, sorted(int(query) for query in drawn)


def _cmc_chart(record: ResultRecord) -> str:
    points = [(float(rank), share) for rank, share in enumerate(record.cmc, start=1)]
    low = np.floor(10 * min(record.cmc) - 0.5) / 10
    return line_chart(
        [Series("CMC", points)],
        title="Share of queries with a match among the first k",
        x_label="rank k",
        y_label="% of valid queries",
        y_range=(max(0.0, float(low)), 1.0),
        as_percent=True,
        marked=_MARKED_RANKS,
    )


def short_commit(commit: str | None) -> str:
    """Twelve digits, and whether the tree had changes."""
    if commit is None:
        return "not recorded"
    digits, _, state = commit.partition("-")
    return digits[:12] + ("-" + state if state else "")


def _overlap(retrieval: RetrievalResult) -> float:
    """Area that the two distance histograms share, 0 (apart) to 1 (alike)."""
    same, different = retrieval.histogram.same, retrieval.histogram.different
    return float(np.minimum(same / max(1, same.sum()), different / max(1, different.sum())).sum())


def training_section(training: TrainingRecord) -> dict[str, Any]:
    """What the page says of a training: its curves and its recipe."""
    history = training.history

    def curve(name: str, label: str | None = None) -> list[Series]:
        points = [(row["epoch"], row[name]) for row in history if np.isfinite(row.get(name, np.nan))]
        return [Series(label or name, points)] if points else []

    losses = curve("loss")
    parts = [part for name in ("cross_entropy", "triplet") for part in curve(name, name.replace("_", " "))]
    if len(parts) > 1:
        losses += parts
    shares = [*curve("accuracy", "training accuracy"), *curve("rank1", "rank-1"), *curve("mAP"), *curve("mA")]
    charts = [
        line_chart(series, title=f"{label} by epoch", x_label="epoch", y_label=label, width=NARROW)
        for label, series in (("loss", losses), ("learning rate", curve("lr")))
        if series
    ]
    if shares:
        charts.append(
            line_chart(
                shares,
                title="Accuracy by epoch",
                x_label="epoch",
                y_label="%" if len(shares) > 1 else f"{shares[0].name}, %",
                y_range=(0.0, 1.0),
                as_percent=True,
                width=NARROW,
            )
        )
    return {
        "charts": charts,
        "epochs": len(history),
        "recipe": yaml.safe_dump(training.recipe, sort_keys=False, allow_unicode=True, width=100),
    }


def _identities(data: ReportData, album: Album) -> dict[str, Any] | None:
    """The hardest people, each with the query that is found worst."""
    if not data.identities:
        return None
    shown = [identity for identity in data.identities if identity.num_valid_queries][:NUM_PEOPLE_SHOWN]
    return {
        "num_people": len(data.identities),
        "rows": [
            {
                "picture": album.address(data.query_paths[person.hardest_query]),
                "path": data.query_paths[person.hardest_query],
                "name": person.name or f"pid {person.pid}",
                "queries": f"{person.num_valid_queries:,}",
                "mAP": percent(person.mAP),
                "rank1": percent(person.rank1),
                "worst": "–" if person.worst_rank is None else f"{person.worst_rank:,.10g}",
                "cameras": ", ".join(person.cameras),
            }
            for person in shown
        ],
    }


def _analysis(record: AnalysisRecord, camera_names: Mapping[int, str]) -> dict[str, Any]:
    matrices = ((METRICS[name].label, camera_matrix(record, name, camera_names)) for name in CAMERA_METRICS)
    return {
        "intervals": interval_rows(record),
        "level": "" if record.intervals is None else f"{100 * record.intervals.level:g} %",
        "cameras": [(label, matrix) for label, matrix in matrices if matrix is not None],
        "labels": [f"{label}, %" for label in labels(of_queries=True).values()],
        "heights": group_rows(record.crop_heights) if len(record.crop_heights) > 1 else [],
        "open_set": None
        if record.open_set is None
        else {
            "sentence": open_set_sentence(record.open_set),
            "rows": open_set_rows(record.open_set),
            "charts": open_set_charts(record.open_set),
        },
    }


def _robustness(record: RobustnessRecord) -> dict[str, Any]:
    return {
        "sentence": robustness_sentence(record),
        "conditions": condition_rows(record),
        "heat": [
            (METRICS[metric].label, heat_rows(record, metric))
            for metric in PUBLISHED_METRICS
            if metric != "mINP"
        ],
        "comparable": comparable(record),
        "published": [
            (benchmark, published_rows(benchmark))
            for benchmark in ([record.benchmark] if comparable(record) else PUBLISHED)
        ],
        "published_protocol": PROTOCOL,
        "own": [
            spread(record.conditions[condition].get(metric))
            for condition in ("clean", "both")
            for metric in PUBLISHED_METRICS
        ],
    }


def _lists(data: ReportData, queries: Sequence[int], album: Album) -> list[dict[str, Any]]:
    return [_ranked_list(data, query, album) for query in queries]


def _ranked_list(data: ReportData, query: int, album: Album) -> dict[str, Any]:
    retrieval, path = data.retrieval, data.query_paths[query]
    cells, rank = [], 0
    for index, value, distance in zip(
        retrieval.top_indices[query],
        retrieval.top_outcomes[query],
        retrieval.top_distances[query],
        strict=True,
    ):
        outcome = Outcome(value)
        rank += outcome is not Outcome.JUNK
        picture = data.gallery_paths[index]
        position = "not ranked" if outcome is Outcome.JUNK else f"rank {rank}"
        cells.append(
            {
                "picture": album.address(picture),
                "outcome": outcome.name.lower(),
                "symbol": _SYMBOLS[outcome],
                "distance": f"{distance:.{3 if distance < 10 else 2 if distance < 100 else 0}f}",
                "hint": f"{position}, {outcome.name.lower()}, distance {distance:.4g}, {picture}",
            }
        )
    first = retrieval.first_match_rank[query]
    facts = [f"first match at rank {first:g}"]
    if np.isfinite(retrieval.ap[query]):
        facts.insert(0, f"AP {retrieval.ap[query]:.3f}")
    return {
        "picture": album.address(path),
        "name": PurePath(path).name,
        "path": path,
        "facts": ", ".join(facts),
        "cells": cells,
    }


def _activations(data: ReportData, album: Album) -> list[dict[str, str]]:
    shown = []
    for path, activation in data.activations:
        crop = album.crop(path)
        if crop is not None:
            over = data_address(overlay(crop, activation))
            shown.append(
                {"picture": album.address(path), "overlay": over, "name": PurePath(path).name, "path": path}
            )
    return shown


def _gates(gates: GateClusters, album: Album) -> dict[str, Any]:
    return {
        "block": gates.block,
        "num_pictures": gates.num_pictures,
        "clusters": [
            {
                "size": cluster.size,
                "pictures": [(path, album.address(path)) for path in cluster.paths],
            }
            for cluster in gates.clusters
        ],
    }
