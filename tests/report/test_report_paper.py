"""Tables for a paper: expected text, escaping, who is best, and full precision."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from omnireid.core.errors import InputError
from omnireid.core.record import MeansRecord, ResultRecord, SpreadRecord, TrainingRecord
from omnireid.report.paper import PaperRow, paper_table
from report.test_report_table import record


def row(name: str, mAP: float | None = 0.849, rank1: float = 0.948, **protocol: Any) -> PaperRow:
    made = record("osnet", mAP=mAP, **protocol)
    return PaperRow(
        name, made.model_copy(update={"metrics": made.metrics.model_copy(update={"rank1": rank1})})
    )


def means(name: str, *values: float) -> PaperRow:
    made = record("osnet")
    return PaperRow(
        name,
        MeansRecord(
            dataset="Market-1501",
            model="osnet",
            protocol=made.protocol,
            metrics={"rank1": SpreadRecord.of([0.95, 0.94, 0.96]), "mAP": SpreadRecord.of(values)},
            seeds=(1, 2, 3),
            environment=made.environment,
        ),
    )


def test_markdown() -> None:
    table = paper_table([row("osnet_x1_0"), means("ours * 2|a", 0.85, 0.86, 0.87), row("c", 0.8601)], "md")
    assert table == (
        "| result | dataset | rank-1 | rank-5 | rank-10 | mAP |\n"
        "| --- | --- | ---: | ---: | ---: | ---: |\n"
        "| osnet_x1_0 | Market-1501 | 94.8 | **98.0** | **99.0** | 84.9 |\n"
        "| ours \\* 2\\|a | Market-1501, 3 seeds (1, 2, 3) | **95.0** ± 1.0 | – | – | **86.0** ± 1.0 |\n"
        "| c | Market-1501 | 94.8 | **98.0** | **99.0** | **86.0** |\n"
        "\n"
        "Percent; single query, other cameras only, euclidean, not normalised, no re-ranking; best in bold; "
        "± is the standard deviation over seeds.\n"
    )
    assert "\\_x\\_ y_z" in paper_table([row("_x_ y_z")], "md")


HOSTILE = '50% & $x_1$ #2 {a} ~b^c \\d <e> | "f" – ±'


def test_latex() -> None:
    table = paper_table([row("osnet_x1_0"), means(HOSTILE, 0.84, 0.84, 0.84)], "latex")
    assert table.splitlines() == [
        r"% \usepackage{booktabs}",
        r"\begin{table}",
        r"  \centering",
        r"  \caption{Percent; single query, other cameras only, euclidean, not normalised, no re-ranking; "
        r"best in bold; $\pm$ is the standard deviation over seeds.}",
        r"  \begin{tabular}{llrrrr}",
        r"    \toprule",
        r"    result & dataset & rank-1 & rank-5 & rank-10 & mAP \\",
        r"    \midrule",
        r"    osnet\_x1\_0 & Market-1501 & 94.8 & \textbf{98.0} & \textbf{99.0} & \textbf{84.9} \\",
        r"    50\% \& \$x\_1\$ \#2 \{a\} \textasciitilde{}b\textasciicircum{}c \textbackslash{}d "
        r"\textless{}e\textgreater{} \textbar{} ''f'' -- $\pm$ & "
        r"Market-1501, 3 seeds (1, 2, 3) & \textbf{95.0} $\pm$ 1.0 & -- & -- & 84.0 $\pm$ 0.0 \\",
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    reranked = paper_table([row("a", reranking="k-reciprocal (paper, k1 10, k2 3, λ 0.3)")], "latex")
    assert r"$\lambda$ 0.3" in reranked


def test_the_best_is_of_rows_that_compare() -> None:
    other = row("b", 0.5, distance="cosine")
    table = paper_table([row("a"), other, row("c", 0.7, 0.9)], "md")
    assert "| b | Market-1501 | 94.8 | 98.0 | 99.0 | 50.0 | single query" in table
    assert "| a | Market-1501 | **94.8** |" in table
    assert "for each dataset and protocol" in table
    assert "**" not in paper_table([row("a")], "md")
    assert "best" not in paper_table([row("a")], "md")


def test_csv_keeps_every_digit_and_the_protocol() -> None:
    value = 0.1 + 0.2
    text = paper_table([row("a,b", value), means("m", 0.84, 0.85, 0.87), row("n", None)], "csv")
    first, second, third = csv.DictReader(io.StringIO(text))
    assert first["name"] == "a,b"
    assert float(first["mAP"]) == value
    assert (first["mAP_deviation"], first["repetitions"], first["seeds"]) == ("", "1", "1")
    assert (first["protocol_distance"], first["protocol_num_gallery"]) == ("euclidean", "15913")
    assert float(second["mAP_deviation"]) == SpreadRecord.of([0.84, 0.85, 0.87]).deviation
    assert (second["repetitions"], second["seeds"], second["rank5"]) == ("3", "1 2 3", "")
    assert third["mAP"] == ""


def test_what_cannot_be_in_a_table_is_said() -> None:
    with pytest.raises(InputError, match="at least one"):
        paper_table([], "md")
    with pytest.raises(InputError, match="expected one of md, latex, csv"):
        paper_table([row("a")], "html")  # type: ignore[arg-type]
    training = TrainingRecord(
        recipe={"seed": 1},
        history=({"epoch": 1.0, "loss": 1.0},),
        images_per_second=1,
        data_wait_share=0,
        seconds=1,
    )
    trained = MeansRecord.of_training("d", "m", [training, training])
    with pytest.raises(InputError, match="what training measured"):
        paper_table([PaperRow("t", trained)], "csv")


def test_a_record_is_read_as_a_row(tmp_path: Path) -> None:
    from omnireid.experiment.comparison import check_alike, load_row

    one, other = record("osnet"), record("osnet", distance="cosine")
    (tmp_path / "a").mkdir()
    one.save(tmp_path / "a" / "result.json")
    mean = means("m", 0.84, 0.85, 0.87).record
    assert isinstance(mean, MeansRecord)
    (tmp_path / "many").mkdir()
    mean.save(tmp_path / "many" / "seeds.json")
    rows = [
        load_row(tmp_path / "a"),
        load_row(tmp_path / "many"),
        load_row(tmp_path / "many/seeds.json", "x"),
    ]
    assert [(one.name, type(one.record)) for one in rows] == [
        ("osnet (a)", ResultRecord),
        ("osnet (many)", MeansRecord),
        ("x", MeansRecord),
    ]
    check_alike([one.record for one in rows])
    with pytest.raises(InputError, match="distance: euclidean, cosine"):
        check_alike([mean, other])
    with pytest.raises(InputError, match="no such result record"):
        load_row(tmp_path)
