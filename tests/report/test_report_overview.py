"""The overview of several datasets: its cells, its links, and names that would be markup or paths."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest

from omnireid.core.errors import InputError, StorageError
from omnireid.core.record import (
    AnalysisRecord,
    DatasetRecord,
    EnvironmentRecord,
    Interval,
    MeansRecord,
    MetricIntervals,
    MetricsRecord,
    ModelRecord,
    Partition,
    ProtocolRecord,
    ResultRecord,
)
from omnireid.report.overview import write_overview


def record(
    dataset: str, rank1: float, mAP: float | None, *, split: int | None = None, analysis: bool = False
) -> ResultRecord:
    interval = Interval(value=0.5, low=0.4567, high=0.5432, level=0.9)
    return ResultRecord(
        dataset=DatasetRecord(
            name=dataset, root="/data", splits={},
            partition=None if split is None
            else Partition(index=split, count=10, origin="drawn", sha256=f"{split:064x}"),
        ),
        model=ModelRecord(
            name="net", architecture="osnet_x1_0", source="", sha256=None, backend="", input_size=(256, 128),
            embedding_size=512,
        ),
        protocol=ProtocolRecord(
            name="market1501", distance="euclidean", normalised=False, num_queries=3400,
            num_valid_queries=3368, num_gallery=15913,
        ),
        metrics=MetricsRecord(rank1=rank1, rank5=0.98, rank10=0.99, rank20=1, mAP=mAP, mINP=None),
        cmc=(rank1,),
        seed=0,
        environment=EnvironmentRecord(
            omnireid="0", python="3", packages={}, machine="m", cores=1, commit=None, created="now"
        ),
        analysis=AnalysisRecord(
            intervals=MetricIntervals(
                rank1=interval, mAP=interval, mINP=None, num_identities=5, samples=10, seed=0
            )
        ) if analysis else None,
    )  # fmt: skip


def tables(page: Path) -> list[list[list[str]]]:
    """The text of each cell, by table and row."""
    return [
        [
            [
                unescape(re.sub("<[^>]*>", "", cell))
                for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)
            ]
            for row in re.findall(r"<tr>(.*?)</tr>", table, re.S)
        ]
        for table in re.findall(r"<table>(.*?)</table>", page.read_text(), re.S)
    ]


def test_each_dataset_has_a_row_that_links_to_its_report(tmp_path: Path) -> None:
    page = tmp_path / "overview.html"
    results = [
        (record("market1501", 0.948, 0.849, analysis=True), tmp_path / "market1501" / "report.html"),
        (record("cuhk03", 0.5, None), tmp_path / "cuhk03" / "report.html"),
    ]
    write_overview(page, results)
    (table,) = tables(page)
    assert table == [
        ["dataset", "valid queries", "gallery", "rank-1, %", "rank-5, %", "rank-10, %", "rank-20, %",
         "mAP, %", "mINP, %", "90 % interval of mAP"],
        ["market1501", "3,368", "15,913", "94.8", "98.0", "99.0", "100.0", "84.9", "–", "45.7 to 54.3"],
        ["cuhk03", "3,368", "15,913", "50.0", "98.0", "99.0", "100.0", "–", "–", "–"],
    ]  # fmt: skip
    text = page.read_text()
    assert re.findall(r'href="([^"]+)"', text) == ["market1501/report.html", "cuhk03/report.html"]
    assert "<title>net on market1501, cuhk03</title>" in text
    assert "3,368 valid queries of 3,400" in text, "no number without its protocol"


def test_without_intervals_there_is_no_column_for_them(tmp_path: Path) -> None:
    write_overview(tmp_path / "o.html", [(record("a", 0.5, 0.5), tmp_path / "a.html")])
    assert tables(tmp_path / "o.html")[0][0][-1] == "mINP, %"


def test_random_splits_have_their_mean(tmp_path: Path) -> None:
    records = [record("viper", rank1, None, split=split) for split, rank1 in enumerate((0.4, 0.6))]
    page = tmp_path / "overview.html"
    write_overview(page, [(one, tmp_path / "r.html") for one in records], [MeansRecord.of(records)])
    splits, means = tables(page)
    assert [row[0] for row in splits[1:]] == ["viper, split 0 of 10", "viper, split 1 of 10"]
    assert means[1][:2] == ["viper, 2 splits of 10", "50.00 ± 14.14"]
    assert means[1][-3:] == [
        "–", "–", "single query, other cameras only, euclidean, not normalised, no re-ranking"
    ]  # fmt: skip


def test_hostile_names_are_text_and_links_lead_to_the_file(tmp_path: Path) -> None:
    name = 'a"><script>&?#%20 é'
    report = tmp_path / "runs" / "x?#%41" / "report.html"
    page = tmp_path / "pages" / "overview.html"
    write_overview(page, [(record(name, 0.5, 0.5), report)])
    text = page.read_text()
    assert "<script" not in text
    assert tables(page)[0][1][0] == name
    (link,) = re.findall(r'href="([^"]+)"', text)
    assert (page.parent / unquote(link)).resolve() == report.resolve()
    assert not set(link) & set("?# ")


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="at least one"):
        write_overview(tmp_path / "o.html", [])
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot write"):
        write_overview(tmp_path / "file" / "o.html", [(record("a", 0.5, 0.5), tmp_path / "a.html")])
