"""Random splits: a folder each, and a mean with its deviation."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from omnireid.core.errors import InputError
from omnireid.core.record import (
    DatasetRecord,
    EnvironmentRecord,
    MeansRecord,
    MetricsRecord,
    ModelRecord,
    ProtocolRecord,
    ResultRecord,
    SpreadRecord,
)
from omnireid.core.types import Dataset, Partition, Split
from omnireid.experiment.several import result_folders, result_names, summarise, write_summaries


def record(rank1: float, index: int | None, *, dataset: str = "viper", has_map: bool = True) -> ResultRecord:
    partition = None
    if index is not None:
        partition = Partition(index=index, count=20, origin="drawn", sha256=f"{index:064x}")
    return ResultRecord(
        dataset=DatasetRecord(name=dataset, root="/data", splits={}, partition=partition),
        model=ModelRecord(
            name="m", architecture="osnet_x1_0", source="", sha256=None, backend="", input_size=(256, 128),
            embedding_size=512,
        ),
        protocol=ProtocolRecord(
            name="market1501", distance="euclidean", normalised=False, num_queries=2, num_valid_queries=2,
            num_gallery=2
        ),
        metrics=MetricsRecord(
            rank1=rank1, rank5=1, rank10=1, rank20=1, mAP=rank1 / 2 if has_map else None, mINP=None
        ),
        cmc=(rank1, 1.0),
        seed=0,
        environment=EnvironmentRecord.capture(),
    )  # fmt: skip


def test_mean_and_deviation_over_splits() -> None:
    values = [0.5, 0.625, 0.75]
    mixed = [record(value, index) for index, value in enumerate(values)] + [
        record(0.1, None, dataset="market1501")
    ]
    (summary,) = summarise(mixed)
    assert summary.dataset == "viper"
    assert summary.metrics["rank1"].values == tuple(values)
    assert summary.metrics["rank1"].mean == 0.625
    assert summary.metrics["rank1"].deviation == pytest.approx(statistics.stdev(values)) == 0.125
    assert "mINP" not in summary.metrics  # the protocol does not define it
    assert [partition.index for partition in summary.partitions] == [0, 1, 2]


def test_one_split_alone_has_no_mean() -> None:
    assert summarise([record(0.5, 3)]) == []
    assert SpreadRecord.of([0.5]).deviation is None
    with pytest.raises(InputError, match="two or more records of one dataset"):
        MeansRecord.of([record(0.5, 0), record(0.5, 1, dataset="grid")])


def test_each_split_and_each_target_gets_a_folder_of_its_own(tmp_path: Path) -> None:
    empty = [Split(name, ()) for name in ("train", "query", "gallery")]
    fixed = Dataset("market1501", "/data", *empty)
    split = Dataset("viper", "/data", *empty, partition=Partition(3, 20, "drawn", "0"))
    assert result_folders([split], tmp_path) == [tmp_path]
    assert result_folders([fixed, split], tmp_path) == [
        tmp_path / "market1501", tmp_path / "viper" / "split-03"
    ]  # fmt: skip
    sites = [Dataset("manifest", f"/site/{name}.csv", *empty) for name in "ab"]
    assert result_names([sites[0], fixed, sites[1]]) == ["manifest-1", "market1501", "manifest-2"]
    summaries = summarise([record(0.5, 0), record(0.6, 1)])
    (path,) = write_summaries(summaries, tmp_path)
    assert MeansRecord.model_validate_json(path.read_text()) == summaries[0]
