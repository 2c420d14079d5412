"""Tables of result records."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from omnireid.core.errors import InputError
from omnireid.core.record import (
    AnalysisRecord,
    DatasetRecord,
    EnvironmentRecord,
    MetricsRecord,
    ModelRecord,
    ProtocolRecord,
    ResultRecord,
)
from omnireid.report.analysis import rich_analysis
from omnireid.report.table import rich_table, table_rows
from omnireid.report.wording import protocol_sentence


def record(model: str = "osnet_x1_0", *, mAP: float | None = 0.849, **protocol: Any) -> ResultRecord:
    terms = {
        "name": "market1501",
        "distance": "euclidean",
        "normalised": False,
        "num_queries": 3368,
        "num_valid_queries": 3368,
        "num_gallery": 15913,
    }
    return ResultRecord(
        dataset=DatasetRecord(name="Market-1501", root="data", splits={}),
        model=ModelRecord(
            name=model,
            architecture="osnet_x1_0",
            source="w",
            sha256=None,
            backend="torch",
            input_size=(256, 128),
            embedding_size=512,
        ),
        protocol=ProtocolRecord(**(terms | protocol)),
        metrics=MetricsRecord(rank1=0.948, rank5=0.98, rank10=0.99, rank20=1.0, mAP=mAP, mINP=None),
        cmc=(0.948,),
        seed=1,
        environment=EnvironmentRecord(
            omnireid="0", python="3", packages={}, machine="m", cores=1, commit=None, created="now"
        ),
    )


def test_sentence_says_everything_the_number_depends_on() -> None:
    assert protocol_sentence(record()) == (
        "mAP 0.849, rank-1 0.948 (Market-1501, single query, other cameras only, euclidean, "
        "not normalised, no re-ranking, 3,368 valid queries of 3,368, 15,913 gallery images)"
    )
    drawn = protocol_sentence(record(mAP=None, name="single-gallery-shot", repeats=10, normalised=True))
    assert drawn.startswith("rank-1 0.948 (Market-1501, single gallery shot, euclidean, L2-normalised,")
    assert "mean of 10 draws" in drawn
    assert "re-ranking k-reciprocal" in protocol_sentence(record(reranking="k-reciprocal"))
    steps = "camera means subtracted, query expansion (average, 5 neighbours)"
    assert f"not normalised, {steps}, no re-ranking," in protocol_sentence(record(reranking=steps))
    both = protocol_sentence(record(reranking=f"{steps}, k-reciprocal (paper)"))
    assert f"{steps}, re-ranking k-reciprocal (paper)" in both


def test_rows_are_in_percent() -> None:
    header, rows = table_rows([record(), record("a|b\nc", mAP=None)])
    assert header == ("model", "dataset", "rank-1", "rank-5", "rank-10", "mAP", "mINP", "protocol")
    assert rows[0][:7] == ("osnet_x1_0", "Market-1501", "94.8", "98.0", "99.0", "84.9", "–")
    assert rows[0][7].startswith("single query")
    assert rows[1][:7] == ("a|b\nc", "Market-1501", "94.8", "98.0", "99.0", "–", "–")
    with pytest.raises(InputError, match="expected 1"):
        table_rows([record()], names=["a", "b"])


def test_datasets_of_one_name_say_where_they_are() -> None:
    north, south, other = record(), record(), record("another model")
    south = south.model_copy(update={"dataset": south.dataset.model_copy(update={"root": "south.csv"})})
    titles = [row[1] for row in table_rows([north, south, other])[1]]
    assert titles == ["Market-1501 (data)", "Market-1501 (south.csv)", "Market-1501"]
    assert "south.csv" not in str(table_rows([north, south], names=["north", "south"]))


def shown(records: list[ResultRecord], width: int) -> str:
    stream = io.StringIO()
    Console(file=stream, width=width).print(rich_table(records))
    return stream.getvalue()


def test_the_last_line_says_over_how_many_queries_means_are() -> None:
    few = record("m", num_queries=10, num_valid_queries=3)
    other = few.model_copy(update={"dataset": few.dataset.model_copy(update={"name": "mall"})})
    for records, words in (
        ([record()], "no re-ranking; 3,368 queries"),
        ([few], "no re-ranking; 3 of 10 queries have a match"),
        ([record(), other], "queries with a match: Market-1501 3,368 of 3,368, mall 3 of 10"),
    ):
        assert " ".join(shown(records, 200).split()).endswith(words)


def test_rich_shows_names_as_they_are() -> None:
    text = shown([record("net[bold]")], 200)
    assert "net[bold]" in text
    assert "84.9" in text


def test_rich_puts_a_shared_protocol_below_the_table() -> None:
    text = shown([record("osnet_x0_25_msmt17"), record("m")], 80)
    assert "osnet_x0_25_msmt17" in text
    assert "percent; single query, other cameras only" in text
    assert text.count("single query") == 1
    differing = shown([record(), record(distance="cosine")], 200)
    assert "protocol" in differing
    assert differing.count("single query") == 2


def test_an_analysis_without_figures_says_why() -> None:
    reason = "open-set metrics: query and gallery share 1 identities"
    record = AnalysisRecord(omitted=("intervals: 1 identities", f"open set: {reason}", "crop heights: none"))
    stream = io.StringIO()
    Console(file=stream, width=200).print(rich_analysis(record))
    text = " ".join(stream.getvalue().split())
    assert "intervals not measured: 1 identities" in text
    assert "open set not measured: query and gallery share 1 identities" in text
    assert "crop heights" not in text
