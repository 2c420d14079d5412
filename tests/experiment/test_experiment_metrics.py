"""A metric is one line of a table; results that were written before or after it still open."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from documentation import DOCS
from omnireid import rank_metrics
from omnireid.core.options import Protocol
from omnireid.core.record import AnalysisRecord, ResultRecord
from omnireid.evaluation.bootstrap import metric_intervals
from omnireid.evaluation.breakdown import breakdown
from omnireid.evaluation.metrics import METRICS, Metric, QueryScores, metrics_record
from omnireid.evaluation.options import Ranking
from omnireid.report.analysis import group_rows, interval_rows
from omnireid.report.page import ReportData, render
from omnireid.report.paper import PaperRow, paper_table
from omnireid.report.table import table_rows

BEFORE = Path(__file__).with_name("result_before_metrics.json")
"""Of 12 rendered people, with training, analysis and two rounds of corruptions; written by 0.1.0."""


def keys(value: Any, path: str = "") -> set[str]:
    if isinstance(value, dict):
        return {path}.union(*(keys(part, f"{path}.{name}") for name, part in value.items()))
    return {path}.union(*(keys(part, path) for part in value)) if isinstance(value, list) else {path}


def test_a_result_written_before_opens_and_keeps_its_keys_and_values(tmp_path: Path) -> None:
    before, record = json.loads(BEFORE.read_text()), ResultRecord.load(BEFORE)
    record.save(tmp_path / "result.json")
    after = json.loads((tmp_path / "result.json").read_text())
    assert keys(after) == keys(before)
    assert after == before
    assert (record.metrics.mAP, record.analysis.intervals.mINP.low) == (0.892426, 0.628119)
    assert record.analysis.camera_pairs[0].score.rank1 <= 1
    assert record.robustness.conditions["both"].mAP.values
    assert table_rows([record])[1][0][2:7] == ("97.2", "100.0", "100.0", "89.2", "76.9")


def test_a_file_without_a_metric_and_one_of_later_on_open(tmp_path: Path) -> None:
    content = json.loads(BEFORE.read_text())
    del content["metrics"]["mINP"], content["analysis"]["intervals"]["mINP"]
    content["metrics"]["ndcg"] = 0.75
    (tmp_path / "result.json").write_text(json.dumps(content))
    record = ResultRecord.load(tmp_path / "result.json")
    assert record.metrics.get("mINP") is None
    assert record.metrics.ndcg == 0.75
    assert interval_rows(record.analysis)[-1] == ("mINP", "–")
    assert table_rows([record])[1][0][2:7] == ("97.2", "100.0", "100.0", "89.2", "–")
    assert "mINP" not in paper_table([PaperRow("a", record)], "md")
    record.save(tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text())["metrics"]["ndcg"] == 0.75
    with pytest.raises(AttributeError):
        _ = record.metrics.mapp


def test_the_guide_s_metric_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnireid.evaluation.metrics.METRICS", dict(METRICS))
    page = (DOCS / "guides" / "extending" / "metric.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(code, names := {})
    rng = np.random.default_rng(1)
    pids, camids = np.arange(24) % 6, np.arange(24) % 4
    ranking = rank_metrics(rng.random((24, 24)), pids, pids, camids, camids)
    assert metrics_record(ranking).rank3 == ranking.rank(3)
    assert np.nanmean(names["found_in_three"](ranking)) == pytest.approx(ranking.rank(3))


def lateness(scores: QueryScores) -> np.ndarray:
    return np.where(np.isnan(scores.inp), np.nan, 1 - scores.inp)


def test_a_new_metric_is_a_function_and_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    pids, camids = np.arange(30) % 6, np.arange(30) % 5
    ranking = rank_metrics(
        rng.random((30, 30)),
        pids,
        pids,
        camids,
        camids,
        protocol=Protocol.MARKET1501,
        ranking=Ranking(max_rank=20),
    )
    monkeypatch.setitem(
        METRICS, "late", Metric("lateness", lambda r: 1 - r.mINP, lateness, higher_is_better=False)
    )
    old = ResultRecord.load(BEFORE)
    intervals = metric_intervals(ranking, pids, samples=50)
    new = old.model_copy(
        update={
            "metrics": metrics_record(ranking),
            "cmc": tuple(ranking.cmc.tolist()),
            "analysis": AnalysisRecord(
                intervals=intervals, crop_heights=breakdown(ranking, np.arange(30) % 2)
            ),
        }
    )
    late = 1 - float(ranking.mINP)
    assert new.metrics.late == late
    assert intervals.late.value == pytest.approx(late)
    # In the file and back, in tables beside a result without it, and in the report.
    assert ResultRecord.model_validate_json(new.model_dump_json()) == new
    header, (first, second) = table_rows([old, new])
    shown = f"{100 * late:.1f}"
    assert "lateness" in header
    assert "–" in first
    assert shown in second
    assert group_rows(new.analysis.crop_heights)[0][-1] == f"{100 * new.analysis.crop_heights[0].late:.1f}"
    # The lower the better: the worse ranking of the two has more of it.
    better = new.model_copy(update={"metrics": new.metrics.model_copy(update={"late": late - 0.1})})
    rows = paper_table([PaperRow("worse", new), PaperRow("better", better)], "md").splitlines()
    assert f"**{100 * (late - 0.1):.1f}**" in rows[3]
    assert f"**{shown}**" not in rows[2]
    paths = [f"{row}.png" for row in range(30)]
    page = render(ReportData(new, ranking, paths, paths))
    assert page.count("lateness") == 3  # headline, interval, crop heights
