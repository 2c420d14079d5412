"""The corruption benchmark on the page and in the terminal: every figure where it belongs."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from omnireid.core.record import ConditionRecord, CorruptionCell, RobustnessRecord, SpreadRecord
from omnireid.report.robustness import comparable, condition_rows, heat_rows, published_rows, rich_robustness
from omnireid.robustness.published import PUBLISHED, benchmark_name
from omnireid.robustness.suite import CORRUPTIONS, SEVERITIES


def condition(*values: float) -> ConditionRecord:
    spread = SpreadRecord.of(values)
    return ConditionRecord(mINP=SpreadRecord.of([0.25]), mAP=spread, rank1=SpreadRecord.of([0.5]))


@pytest.fixture
def record() -> RobustnessRecord:
    cells = [
        CorruptionCell(corruption=name, severity=severity, rank1=0.5, mAP=severity / 10, mINP=0.1)
        for name in CORRUPTIONS
        for severity in SEVERITIES
    ]
    return RobustnessRecord(
        benchmark="Market-1501-C",
        rounds=2,
        seed=7,
        conditions={
            "clean": condition(0.8),
            "both": condition(0.1, 0.3),
            "query": condition(0.4, 0.4),
            "gallery": condition(0.5, 0.6),
        },
        cells=tuple(reversed(cells)),
    )


def test_four_lines_with_mean_and_sample_deviation(record: RobustnessRecord) -> None:
    assert condition_rows(record) == [
        ("clean", "25.00", "80.00", "50.00"),
        ("query and gallery corrupted", "25.00", "20.00 ± 14.14", "50.00"),  # 10 · √2
        ("query corrupted", "25.00", "40.00 ± 0.00", "50.00"),
        ("gallery corrupted", "25.00", "55.00 ± 7.07", "50.00"),
    ]


def test_heat_map_orders_severities_and_shades_by_what_is_left_of_clean(record: RobustnessRecord) -> None:
    rows = {row["name"]: row for row in heat_rows(record, "mAP")}
    assert set(rows) == set(CORRUPTIONS)
    cells = rows["fog"]["cells"]
    assert [cell["value"] for cell in cells] == ["10.0", "20.0", "30.0", "40.0", "50.0", "30.0"]
    assert [cell["kept"] for cell in cells] == [0.125, 0.25, 0.375, 0.5, 0.625, 0.375]  # of 0.8
    assert rows["fog"]["category"] == "weather"


def test_terminal_shows_conditions_and_heat_map(record: RobustnessRecord) -> None:
    console = Console(file=io.StringIO(), width=120)
    console.print(rich_robustness(record))
    text = " ".join(console.file.getvalue().split())
    assert "20.00 ± 14.14" in text
    assert "drawn with seed 7" in text
    assert all(name in text for name in CORRUPTIONS)
    console.print(rich_robustness(record.model_copy(update={"cells": ()})))
    assert console.file.getvalue().count("by corruption and severity") == 1


def test_published_rows_are_those_of_the_leaderboards() -> None:
    assert ("OS-Net", "56.78", "85.67", "94.69", "0.23", "10.37", "30.94") in published_rows("Market-1501-C")
    assert ("OS-Net", "4.05", "40.05", "71.86", "0.08", "7.86", "28.51") in published_rows("MSMT17-C (V2)")
    assert {benchmark_name(name) for name in ("market1501", "msmt17-v2", "cuhk03-detected")} == set(PUBLISHED)


def test_only_the_same_benchmark_compares(record: RobustnessRecord) -> None:
    assert comparable(record)
    # V1 has other pictures than the published V2, and labeled boxes are other crops than detected ones.
    for name in ("msmt17-v1", "cuhk03-labeled", "dukemtmcreid", "market-layout"):
        assert not comparable(record.model_copy(update={"benchmark": benchmark_name(name)}))
