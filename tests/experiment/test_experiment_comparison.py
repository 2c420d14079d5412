"""Results side by side: what compares, what is refused, and what pairs of queries say."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from experiment.test_experiment_several import record
from omnireid import evaluate_embeddings
from omnireid.core.errors import InputError
from omnireid.core.options import Protocol
from omnireid.core.types import Embeddings
from omnireid.evaluation.bootstrap import compare_paired
from omnireid.evaluation.metrics import metrics_record
from omnireid.experiment.analysis import analyse
from omnireid.experiment.comparison import compare, differences, load_result
from omnireid.experiment.evaluation import Evaluation
from omnireid.experiment.queries import COLUMNS, read_queries, write_queries
from omnireid.report.analysis import rich_analysis
from omnireid.report.comparison import plot_results, rich_versus


def people(seed: int, *, noise: float, root: Path, num_pids: int = 12) -> tuple[Embeddings, Embeddings]:
    """Query (camera 0) and gallery (cameras 1 and 2) of people who are points, with noise."""
    centres = np.random.default_rng(0).normal(size=(num_pids, 16))

    def embeddings(cameras: list[int], part: str) -> Embeddings:
        rng = np.random.default_rng([seed, *cameras])
        pids = np.tile(np.arange(num_pids), len(cameras))
        camids = np.repeat(cameras, num_pids)
        values = centres[pids] + rng.normal(scale=noise, size=(len(pids), 16))
        names = tuple(
            str(root / part / f"{pid}_{camid}.png") for pid, camid in zip(pids, camids, strict=True)
        )
        return Embeddings.from_arrays(values.astype(np.float32), pids, camids, names)

    return embeddings([0], "query"), embeddings([1, 2], "gallery")


def evaluation(seed: int, noise: float, root: Path, *, rank1_name: str = "m") -> Evaluation:
    query, gallery = people(seed, noise=noise, root=root)
    result = evaluate_embeddings(query, gallery)
    base = record(0.5, None, dataset="toy")
    told = base.model_copy(
        update={
            "dataset": base.dataset.model_copy(update={"root": str(root)}),
            "protocol": result.protocol_record(),
            "metrics": metrics_record(result),
            "model": base.model.model_copy(update={"name": rank1_name}),
        }
    )
    return Evaluation(told, result, query, gallery)


@pytest.fixture
def two(tmp_path: Path) -> tuple[Path, Path]:
    """A good and a bad result on disk."""
    for name, noise in (("good", 0.3), ("bad", 1.6)):
        one = evaluation(1, noise, tmp_path / "data", rank1_name=name)
        (tmp_path / name).mkdir()
        write_queries(tmp_path / name / "queries.csv", one.retrieval, one.query, one.record.dataset.root)
        one.record.save(tmp_path / name / "result.json")
    return tmp_path / "bad", tmp_path / "good"


def test_queries_survive_the_disk(tmp_path: Path) -> None:
    one = evaluation(3, 1.0, tmp_path / "data")
    # A person whom nobody else sees has no match.
    pids = one.query.pids.copy()
    pids[4] = 99
    query = replace(one.query, of=replace(one.query.columns, pids=pids))
    one = replace(one, query=query, retrieval=evaluate_embeddings(query, one.gallery))
    write_queries(tmp_path / "queries.csv", one.retrieval, one.query, one.record.dataset.root)
    back = read_queries(tmp_path / "queries.csv")
    assert back.paths[0] == "query/0_0.png"
    np.testing.assert_array_equal(back.pids, pids)
    for name in ("ap", "inp", "first_match_rank"):
        np.testing.assert_array_equal(getattr(back, name), getattr(one.retrieval, name))
    assert np.isnan(back.ap[4])
    (tmp_path / "queries.csv").write_text(",".join(COLUMNS) + "\na.png,one,0,1.0,1.0,1\n")
    with pytest.raises(InputError, match="line 2 is not a row of path, pid"):
        read_queries(tmp_path / "queries.csv")
    (tmp_path / "queries.csv").write_text("a" * 200_000)
    with pytest.raises(InputError, match="cannot be read"):
        read_queries(tmp_path / "queries.csv")


def test_a_better_model_is_better_on_the_same_queries(two: tuple[Path, Path]) -> None:
    bad, good = (load_result(folder) for folder in two)
    (versus,) = compare([bad, good], seed=5).against_first
    assert versus.mAP is not None
    expected = compare_paired(bad.queries.ap, good.queries.ap, bad.queries.pids, seed=5)
    assert versus.mAP == expected
    assert versus.mAP.difference.value > 0.2
    assert versus.mAP.p_value < 0.01
    (nothing,) = compare([good, good]).against_first
    assert nothing.mAP.difference.value == 0
    assert nothing.mAP.p_value == 1
    console = Console(file=io.StringIO(), width=120)
    console.print(rich_versus("bad", [("good", "mAP", versus.mAP), ("good", "rank-1", None)]))
    assert f"{100 * versus.mAP.difference.value:+.2f}" in console.file.getvalue()


def test_different_protocols_are_refused_and_named(two: tuple[Path, Path]) -> None:
    bad, good = (load_result(folder) for folder in two)
    protocol = good.record.protocol.model_copy(update={"distance": "cosine"})
    other = replace(good, record=good.record.model_copy(update={"protocol": protocol}))
    assert differences([bad.record, other.record]) == ["distance: euclidean, cosine"]
    with pytest.raises(InputError, match="distance: euclidean, cosine"):
        compare([bad, other])
    (versus,) = compare([bad, other], any_protocol=True).against_first
    assert versus.mAP is not None
    with pytest.raises(InputError, match="at least two results"):
        compare([bad])


def test_splits_of_one_benchmark_do_not_compare() -> None:
    assert differences([record(0.5, 0), record(0.6, 1)]) != []


def test_results_without_queries_or_with_others_say_so(two: tuple[Path, Path]) -> None:
    (two[1] / "queries.csv").unlink()
    bad, good = (load_result(folder) for folder in two)
    assert compare([bad, good]).against_first[0].mAP is None
    fewer = replace(bad.queries, paths=tuple(f"{path}x" for path in bad.queries.paths))
    with pytest.raises(InputError, match="0 queries in common"):
        compare([bad, replace(good, queries=fewer)])
    with pytest.raises(InputError, match="no such result record"):
        load_result(two[0] / "nothing.json")


def test_plot_is_written_and_other_suffixes_are_refused(two: tuple[Path, Path], tmp_path: Path) -> None:
    records = [load_result(folder).record for folder in two]
    for suffix in ("png", "svg", "pdf"):
        plot_results(tmp_path / f"plot.{suffix}", records, ["bad", "good"])
        assert (tmp_path / f"plot.{suffix}").stat().st_size > 1000
    with pytest.raises(InputError, match=r"plot\.gif: a plot is one of"):
        plot_results(tmp_path / "plot.gif", records, ["bad", "good"])


def test_analysis_measures_what_it_can_and_says_what_it_cannot(tmp_path: Path) -> None:
    one = evaluation(2, 1.0, tmp_path)
    found = analyse(one, seed=1)  # the pictures do not exist
    assert found.intervals is not None
    assert found.intervals.mAP.low < one.retrieval.mAP < found.intervals.mAP.high
    assert [(pair.q_camid, pair.g_camid) for pair in found.camera_pairs] == [(0, 1), (0, 2)]
    for pair in found.camera_pairs:
        alone = np.flatnonzero(one.gallery.camids == pair.g_camid)
        expected = evaluate_embeddings(
            one.query,
            Embeddings.from_arrays(
                one.gallery.vectors[alone], one.gallery.pids[alone], one.gallery.camids[alone],
                tuple(one.gallery.paths[row] for row in alone),
            ),
        )  # fmt: skip
        assert pair.score.mAP == pytest.approx(expected.mAP)
    assert found.open_set is not None
    assert [reason.split(":")[0] for reason in found.omitted] == ["crop heights"]
    console = Console(file=io.StringIO(), width=120)
    console.print(rich_analysis(found))
    assert "95 % interval over 12 people" in console.file.getvalue()


def test_analysis_of_protocols_without_cameras_or_single_queries(tmp_path: Path) -> None:
    one = evaluation(2, 1.0, tmp_path)
    for protocol, missing in (
        (Protocol.SINGLE_GALLERY_SHOT, {"intervals", "camera pairs", "crop heights"}),
        (Protocol.NO_CAMERA, {"camera pairs", "crop heights"}),
    ):
        result = evaluate_embeddings(one.query, one.gallery, protocol=protocol)
        found = analyse(replace(one, retrieval=result))
        assert {reason.split(":")[0] for reason in found.omitted} == missing
