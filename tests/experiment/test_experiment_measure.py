"""Python and the command line cannot differ: `omnireid.evaluate` beside `omnireid evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import omnireid as library
from command_line import Run
from omnireid.core.errors import InputError
from omnireid.core.record import ResultRecord
from toy_people import stripes_onnx


def facts(record: ResultRecord) -> dict[str, Any]:
    """Everything of a record that does not depend on when it was made."""
    return record.model_dump(exclude={"environment": {"created"}, "timings_s": True})


def test_python_and_the_command_measure_the_same(omnireid: Run, tmp_path: Path, toy_root: Path) -> None:
    model = stripes_onnx(tmp_path / "stripes.onnx", 1.0)
    done = omnireid(
        "evaluate", "--model", model, "--data", "market-layout", "--root", toy_root, "--out", tmp_path / "a",
        "--distance", "cosine", "--normalise", "--reranking", "paper", "--k1", 4, "--k2", 2, "--seed", 5,
    )  # fmt: skip
    assert done.code == 0, done.err
    measured = library.evaluate(
        model,
        "market-layout",
        toy_root,
        out=tmp_path / "b",
        ranking=library.Ranking("cosine", reranking=library.Reranking(4, 2), seed=5),
        options=library.EvaluationOptions(normalise=True),
    )
    command = ResultRecord.load(tmp_path / "a" / "result.json")
    assert facts(measured.records[0]) == facts(command)
    assert command.analysis is not None
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == sorted(
        path.name for path in (tmp_path / "b").iterdir()
    )


def test_defaults_are_the_same_and_nothing_is_written_unless_asked_for(
    omnireid: Run, tmp_path: Path, toy_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = stripes_onnx(tmp_path / "stripes.onnx", 1.0)
    source = ("--data", "market-layout", "--root", toy_root)
    assert omnireid("evaluate", "--model", model, *source, "--out", tmp_path / "out").code == 0
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    (record,) = library.evaluate(model, library.read_dataset("market-layout", toy_root)).records
    assert facts(record) == facts(ResultRecord.load(tmp_path / "out" / "result.json"))
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(InputError, match="the folder of market-layout is needed"):
        library.evaluate(model, "market-layout")
