"""Python and the command line cannot differ: `omnireid.evaluate` beside `omnireid evaluate`, and so on."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import omnireid as library
from command_line import Run
from omnireid.core.errors import ConfigError, InputError
from omnireid.core.record import ResultRecord
from omnireid.experiment import robustness
from omnireid.experiment.options import Corruptions, Workers
from omnireid.experiment.workers import Do
from toy_people import stripes_onnx, write_toy_people


def facts(record: ResultRecord) -> dict[str, Any]:
    """Everything of a record that does not depend on when it was made."""
    by_the_clock = {"images_per_second", "data_wait_share", "seconds"}
    shown = record.model_dump(exclude={"environment": {"created"}, "timings_s": True})
    for part in (shown["training"], *shown["training"]["history"]) if shown["training"] else ():
        for name in by_the_clock & part.keys():
            del part[name]
    return shown


def weights_of(folder: Path) -> dict[str, bytes]:
    """The weights that training left, tensor by tensor."""
    from safetensors.numpy import load_file

    return {name: values.tobytes() for name, values in load_file(folder / "model.safetensors").items()}


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


def test_a_worker_measures_what_this_process_would(
    omnireid: Run, tmp_path: Path, toy_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each task by a worker that got no more than Ray would hand over."""
    pytest.importorskip("cv2", reason="the extra robustness is not installed")
    model, done = stripes_onnx(tmp_path / "stripes.onnx", 1.0), []

    def do(open_worker: Callable[[], Do], tasks: Sequence[str], workers: Workers) -> Iterator[Any]:
        assert (workers.where, workers.cpus) == ("ray", 1)
        pickled = pickle.dumps(open_worker)
        for task in tasks:
            monkeypatch.chdir("/")
            done.append(task)
            yield json.loads(json.dumps(pickle.loads(pickled)()(task)))  # noqa: S301

    monkeypatch.setattr(robustness, "do_on_ray", do)
    monkeypatch.chdir(toy_root.parent)
    command = [
        "evaluate", "--model", model, "--data", "market-layout", "--root", toy_root.name, "--no-analysis",
        "--flip", "--corruptions", "--rounds", 2, "--no-table",
    ]  # fmt: skip
    alone = omnireid(*command, "--out", tmp_path / "alone")
    assert alone.code == 0, alone.err
    kept = tmp_path / "shared" / "corrupted"
    shared = omnireid(*command, "--out", tmp_path / "shared", "--engine", "ray", "--worker-cpus", 1)
    assert shared.code == 0, shared.err
    assert done == ["round-0", "round-1"]
    one, other = (ResultRecord.load(tmp_path / name / "result.json") for name in ("alone", "shared"))
    assert one.robustness == other.robustness
    assert not kept.exists()


def test_what_a_cluster_could_not_open_is_refused(tmp_path: Path, toy_root: Path) -> None:
    model, data = (
        stripes_onnx(tmp_path / "stripes.onnx", 1.0),
        library.read_dataset("market-layout", toy_root),
    )
    options = library.EvaluationOptions(
        analysis=False, corruptions=Corruptions(1, cells=False), workers=Workers("ray")
    )
    for opened, out in ((model, None), (library.Embedder.open(model), tmp_path / "out")):
        with pytest.raises(InputError, match="need the model's file or name, and out"):
            library.evaluate(opened, data, out=out, options=options)
    with pytest.raises(InputError, match="read market-layout from an absolute path"):
        library.evaluate(model, replace(data, root="toy"), out=tmp_path / "out", options=options)


def test_python_calibrates_verifies_and_embeds_as_the_commands_do(omnireid: Run, tmp_path: Path) -> None:
    people = write_toy_people(tmp_path / "toy", num_train=2, num_test=24)
    source = ("--data", "market-layout", "--root", people)
    model = stripes_onnx(tmp_path / "stripes.onnx", 1.0)
    done = library.calibrate(
        model, library.read_dataset("market-layout", people), options=library.CalibrationOptions((0.05,))
    )
    assert done.file == tmp_path / "stripes.onnx.calibration.json"
    wanted = ("--false-alarm-rate", 0.05)
    assert omnireid("calibrate", "--model", model, *source, *wanted, "--out", tmp_path / "c.json").code == 0
    command = library.Calibration.load(tmp_path / "c.json", done.run.calibration.record.model.sha256)
    exclude = {"environment": {"created"}}
    record = done.run.calibration.record
    assert record.model_dump(exclude=exclude) == command.record.model_dump(exclude=exclude)

    first, second = sorted((people / "query").glob("0003_*"))[:2]
    pair = library.verify(first, second, model, false_alarm_rate=0.05, prior=0.3)
    printed = omnireid("verify", first, second, "--model", model, *wanted, "--prior", 0.3).out
    assert f"score        {pair.score:.4f}" in printed
    assert pair.probability is not None
    assert f"probability  {100 * pair.probability:.1f} %" in printed
    with pytest.raises(ConfigError, match="without a calibration there is only a score"):
        library.verify(first, second, stripes_onnx(tmp_path / "other.onnx", 1.5), prior=0.3)

    library.embed(str(people / "query"), model, tmp_path / "a.npz")
    assert omnireid("embed", people / "query", "--model", model, "--out", tmp_path / "b.npz").code == 0
    a, b = (library.read_embeddings(tmp_path / name) for name in ("a.npz", "b.npz"))
    np.testing.assert_array_equal(a.vectors, b.vectors)


def test_python_trains_runs_and_compares_as_the_commands_do(omnireid: Run, tmp_path: Path) -> None:
    people = write_toy_people(tmp_path / "toy", num_train=4, num_test=4)
    source = ("--data", "market-layout", "--root", people)
    tiny = {"epochs": 1, "sampler.batch_size": 4, "input": {"height": 64, "width": 32}}
    settings = (
        "--set",
        "epochs=1",
        "--set",
        "sampler.batch_size=4",
        "--set",
        "input={height: 64, width: 32}",
    )
    sources = library.Sources("market-layout", [people])

    done = omnireid("train", "--recipe", "quickstart", *source, "--out", tmp_path / "train", *settings)
    assert done.code == 0, done.err

    ran = tmp_path / "run"
    done = omnireid("run", *source, "--out", ran / "a", *settings)
    assert done.code == 0, done.err
    library.run(ran / "b", sources, changes=tiny)
    assert weights_of(ran / "a") == weights_of(ran / "b") == weights_of(tmp_path / "train")
    assert facts(ResultRecord.load(ran / "a" / "result.json")) == facts(
        ResultRecord.load(ran / "b" / "result.json")
    )
    assert sorted(path.name for path in (ran / "a").iterdir()) == sorted(
        path.name for path in (ran / "b").iterdir()
    )

    with pytest.raises(ConfigError, match=r"roots: expected a list of folders"):
        library.Sources("market-layout", str(people))

    printed = json.loads(omnireid("compare", ran / "a", ran / "b", "--seed", 3, "--json").out)
    compared = library.compare([ran / "a", ran / "b"], seed=3)
    assert printed["against_first"] == [versus.model_dump(mode="json") for versus in compared.against_first]
