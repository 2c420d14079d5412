"""The corruption benchmark against its protocol by hand, and what its numbers may not depend on."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from omnireid import Embedder
from omnireid.core.card import InputSpec
from omnireid.core.errors import InputError
from omnireid.core.images import decode, resize
from omnireid.core.options import Protocol
from omnireid.core.record import RobustnessRecord
from omnireid.core.types import Dataset, Sample, Split
from omnireid.data.datasets import read_dataset
from omnireid.experiment.evaluation import Evaluation, evaluate_model
from omnireid.experiment.options import Corruptions
from omnireid.experiment.robustness import evaluate_corrupted
from omnireid.inference.export.exporter import export_onnx
from omnireid.models.cards import model_card
from omnireid.models.registry import build_model
from omnireid.robustness.draw import Draw, corrupt_sample
from omnireid.robustness.suite import CORRUPTIONS, SEVERITIES

pytest.importorskip("numba")
torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def embedder(tmp_path_factory: pytest.TempPathFactory) -> Embedder:
    spec = InputSpec(height=64, width=32)
    card = model_card("osnet_x0_25").model_copy(update={"input": spec})
    network = build_model("osnet_x0_25")
    network.initialise(torch.Generator().manual_seed(5))
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    export_onnx(network, card, path)
    return Embedder.open(path, threads=1, batch_size=8)


@pytest.fixture(scope="module")
def dataset(toy_root: Path) -> Dataset:
    return read_dataset("market-layout", toy_root)


@pytest.fixture(scope="module")
def clean(embedder: Embedder, dataset: Dataset) -> Evaluation:
    return evaluate_model(embedder, dataset)


def naive_scores(
    query: list[Sample], q: np.ndarray, gallery: list[Sample], g: np.ndarray
) -> tuple[float, ...]:
    """(mINP, mAP, rank-1) of the Market-1501 protocol, one query after the other."""
    inps, aps, firsts = [], [], []
    for sample, feature in zip(query, q, strict=True):
        kept = [
            i for i, other in enumerate(gallery) if (other.pid, other.camid) != (sample.pid, sample.camid)
        ]
        kept.sort(key=lambda i: float(np.linalg.norm(feature.astype(np.float64) - g[i])))
        ranks = [rank for rank, i in enumerate(kept, 1) if gallery[i].pid == sample.pid]
        inps.append(len(ranks) / ranks[-1])
        aps.append(statistics.fmean(hit / rank for hit, rank in enumerate(ranks, 1)))
        firsts.append(ranks[0] == 1)
    return statistics.fmean(inps), statistics.fmean(aps), statistics.fmean(firsts)


def naive_embeddings(
    embedder: Embedder, split: Split, root: Path, *, seed: int, round: int, draw: Draw | None = None
) -> np.ndarray:
    rows = []
    for sample in split:
        name = str(Path(sample.path).relative_to(root))
        corrupted = corrupt_sample(decode(sample.path), name, seed=seed, round=round, draw=draw)
        rows.append(embedder.embed(resize(corrupted, embedder.card.input)[None])[0])
    return np.stack(rows)


def test_four_conditions_follow_the_protocol(
    embedder: Embedder, dataset: Dataset, clean: Evaluation, toy_root: Path
) -> None:
    record = evaluate_corrupted(embedder, dataset, clean, Corruptions(2, 9, cells=False))
    query, gallery = list(dataset.query), list(dataset.gallery)
    expected: dict[str, list[tuple[float, ...]]] = {"both": [], "query": [], "gallery": []}
    for round in range(2):
        q = naive_embeddings(embedder, dataset.query, toy_root, seed=9, round=round)
        g = naive_embeddings(embedder, dataset.gallery, toy_root, seed=9, round=round)
        expected["both"].append(naive_scores(query, q, gallery, g))
        expected["query"].append(naive_scores(query, q, gallery, clean.gallery.vectors))
        expected["gallery"].append(naive_scores(query, clean.query.vectors, gallery, g))
    for condition, scores in expected.items():
        found = record.conditions[condition]
        for place, spread in enumerate((found.mINP, found.mAP, found.rank1)):
            values = [score[place] for score in scores]
            assert spread.values == pytest.approx(values, abs=1e-12)
            assert spread.mean == pytest.approx(statistics.fmean(values))
            assert spread.deviation == pytest.approx(statistics.stdev(values))
    assert record.conditions["clean"].mAP.values == (clean.record.metrics.mAP,)
    assert record.conditions["clean"].mAP.deviation is None
    assert record.benchmark == "market-layout-C"
    # The two rounds really differ, and corrupted is not clean.
    assert len({record.conditions["both"].mAP.values[0], *record.conditions["both"].mAP.values}) == 2


def test_a_cell_is_one_corruption_on_every_query_with_the_clean_gallery(
    embedder: Embedder, dataset: Dataset, clean: Evaluation, toy_root: Path
) -> None:
    record = evaluate_corrupted(embedder, dataset, clean, Corruptions(1, 9))
    assert [(cell.corruption, cell.severity) for cell in record.cells] == [
        (name, severity) for name in CORRUPTIONS for severity in SEVERITIES
    ]
    cell = next(cell for cell in record.cells if (cell.corruption, cell.severity) == ("contrast", 5))
    q = naive_embeddings(embedder, dataset.query, toy_root, seed=9, round=0, draw=Draw("contrast", 5))
    expected = naive_scores(list(dataset.query), q, list(dataset.gallery), clean.gallery.vectors)
    assert (cell.mINP, cell.mAP, cell.rank1) == pytest.approx(expected, abs=1e-12)


def test_numbers_depend_on_neither_workers_nor_cache_nor_place(
    embedder: Embedder, dataset: Dataset, clean: Evaluation, toy_root: Path, tmp_path: Path
) -> None:
    first = evaluate_corrupted(embedder, dataset, clean, Corruptions(2, 3, cells=False, workers=1))
    again = evaluate_corrupted(
        embedder, dataset, clean, Corruptions(2, 3, cells=False, workers=4, cache_bytes=10_000)
    )
    assert again == first
    moved = read_dataset("market-layout", shutil.copytree(toy_root, tmp_path / "elsewhere"))
    there = evaluate_model(embedder, moved)
    assert evaluate_corrupted(embedder, moved, there, Corruptions(2, 3, cells=False)) == first
    other = evaluate_corrupted(embedder, dataset, clean, Corruptions(2, 4, cells=False))
    assert other.conditions["both"] != first.conditions["both"]


def test_what_was_measured_is_not_measured_again(
    embedder: Embedder, dataset: Dataset, clean: Evaluation, tmp_path: Path
) -> None:
    def times() -> dict[str, int]:
        return {path.name.rpartition("-")[0]: path.stat().st_mtime_ns for path in tmp_path.glob("*-*")}

    def measured(rounds: int, of: Evaluation = clean) -> RobustnessRecord:
        return evaluate_corrupted(embedder, dataset, of, Corruptions(rounds, 3, cells=False), folder=tmp_path)

    record, first = measured(2), times()
    assert record == evaluate_corrupted(embedder, dataset, clean, Corruptions(2, 3, cells=False))
    assert first.keys() == {"round-0", "round-1"}
    next(tmp_path.glob("round-0-*")).unlink()
    longer = measured(3)
    assert times()["round-1"] == first["round-1"]
    assert longer.conditions["both"].mAP.values[:2] == record.conditions["both"].mAP.values
    # Of other embeddings nothing is taken.
    half = replace(clean.query, vectors=clean.query.vectors[:, ::-1])
    measured(1, replace(clean, query=half))
    assert len(list(tmp_path.glob("round-0-*"))) == 2
    next(tmp_path.glob("round-1-*")).write_text("{")
    with pytest.raises(InputError, match=r"round-1-\w+\.json: cannot be read .* remove it"):
        measured(3)


def test_what_the_benchmark_does_not_define_is_refused(
    embedder: Embedder, dataset: Dataset, clean: Evaluation
) -> None:
    with pytest.raises(InputError, match="rounds: expected at least 1"):
        Corruptions(rounds=0)
    tracklet = Sample("a.jpg", 1, 0, frames=("a.jpg", "b.jpg"))
    with pytest.raises(InputError, match="defined for pictures, not tracklets"):
        evaluate_corrupted(embedder, replace(dataset, query=Split("query", (tracklet,))), clean)
    single_shot = replace(dataset, protocol=Protocol.SINGLE_GALLERY_SHOT)
    without_map = evaluate_model(embedder, single_shot)
    with pytest.raises(InputError, match="single-gallery-shot does not define"):
        evaluate_corrupted(embedder, single_shot, without_map)
