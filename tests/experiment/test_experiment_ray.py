"""Work by a Ray cluster of two machines (both this one): a worker is killed, then the command itself.

Where pictures are embedded, two of them are pipes at first: whoever reads one waits, and so is known to be at
work when killed.
"""

from __future__ import annotations

import copy
import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from omnireid import TrackOptions, track
from omnireid.core.errors import InputError, TrainingError, WorkerError
from omnireid.data.datasets import read_dataset
from omnireid.data.options import Sources
from omnireid.experiment.calibration import calibrate
from omnireid.experiment.embedding import embed
from omnireid.experiment.measure import evaluate
from omnireid.experiment.options import Corruptions, EvaluationOptions, Parts, Workers
from omnireid.experiment.training import Trained, train
from omnireid.experiment.training_on_ray import _result, train_on_ray
from omnireid.inference.options import Engine
from omnireid.inference.storage import read_embeddings
from omnireid.training.options import RunOptions
from omnireid.video.detector import NanoDet
from omnireid.video.ledger import open_ledger
from toy_people import stripes_onnx, write_toy_people
from video.walks import write_walk

pytest.importorskip("ray", reason="Ray is not installed (pip install 'omnireid[ray]')")

ENGINE = Engine(batch_size=4, threads=1)
ROWS = 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    from ray.cluster_utils import Cluster

    machine = {"num_cpus": 1, "object_store_memory": 100 << 20}
    started = Cluster()
    try:
        patiently(lambda: started.add_node(**machine, include_dashboard=False))
        patiently(lambda: started.add_node(**machine))
        yield started
    finally:
        started.shutdown()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return stripes_onnx(tmp_path_factory.mktemp("models") / "stripes.onnx", 1.0)


def patiently(start: Callable[[], object]) -> None:
    """Start a machine; Ray gives up after half a minute, which one that is busy with other tests may need."""
    for _ in range(3):
        try:
            start()
            return
        except Exception as error:
            if "timed out" not in str(error):
                raise
    start()


def workers(cluster: Any) -> Parts:
    return Parts(ROWS, Workers("ray", cluster.address, count=2))


def until(what: Callable[[], object], command: subprocess.Popen[str], seconds: float = 240) -> None:
    """Wait until something is so, while a command works at it."""
    end = time.monotonic() + seconds
    while not what():
        assert command.poll() is None, command.communicate()
        assert time.monotonic() < end, "it never came to it"
        time.sleep(0.05)


def processes_at_work(cluster: Any, kind: bytes = b"MapWorker") -> list[int]:
    """Workers of a kind that the machines of this cluster started."""
    raylets = {info.process.pid for node in cluster.list_all_nodes() for info in node.all_processes["raylet"]}
    found = []
    for folder in Path("/proc").iterdir():
        try:
            is_ours = kind in (folder / "cmdline").read_bytes()
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        if is_ours and parent in raylets:
            found.append(int(folder.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="looks for workers in /proc")
def test_nothing_twice_and_nothing_lost_when_worker_and_command_are_killed(
    tmp_path: Path, cluster: Any, model: Path
) -> None:
    pictures = sorted(write_toy_people(tmp_path / "people", num_train=2, num_test=2).rglob("*.jpg"))
    manifest, out = tmp_path / "people.csv", tmp_path / "parts"
    with manifest.open("w", newline="") as stream:
        csv.writer(stream).writerows(
            [("path", "pid", "camid", "split")] + [(path, 1, 0, "query") for path in pictures]
        )
    embed(str(manifest), model, tmp_path / "one.parquet", engine=ENGINE)
    # Of the second and the fifth part.
    waiting = {path: path.read_bytes() for path in (pictures[5], pictures[18])}
    for path in waiting:
        path.unlink()
        os.mkfifo(path)

    def come(path: Path) -> None:
        path.rename(path.with_suffix(".pipe"))
        path.write_bytes(waiting[path])

    def parts() -> dict[str, int]:
        return {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}

    command = subprocess.Popen(
        [sys.executable, "-m", "omnireid", "embed", str(manifest), "--model", str(model), "--out", str(out),
         "--batch-size", "4", "--threads", "1", "--part-rows", str(ROWS), "--engine", "ray",
         "--address", cluster.address, "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    )  # fmt: skip
    # Each worker waits in front of a pipe, or is about to; the last part waits for one of them.
    until(lambda: len(parts()) == 3, command)
    killed = processes_at_work(cluster)
    come(pictures[5])
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(parts()) == 5, command)
    assert not set(killed) & set(processes_at_work(cluster))
    command.kill()
    command.wait()
    first = parts()
    assert len(first) == 5
    with pytest.raises(InputError, match="1 of 6 parts are not there yet"):
        read_embeddings(out)

    come(pictures[18])
    done = embed(str(manifest), model, out, engine=ENGINE, parts=workers(cluster))
    assert (done.count, done.before) == (4, 20)
    assert parts().items() >= first.items()
    whole, one = read_embeddings(out), read_embeddings(tmp_path / "one.parquet")
    assert list(whole.of) == list(one.of)
    assert np.array_equal(whole.vectors, one.vectors)
    assert not [path for path in out.iterdir() if path.name not in {*parts(), "_plan.parquet", ".plan.lock"}]


@pytest.mark.skipif(sys.platform != "linux", reason="looks for workers in /proc")
def test_corruptions_are_measured_once_when_worker_and_command_are_killed(
    tmp_path: Path, cluster: Any, model: Path
) -> None:
    pytest.importorskip("cv2", reason="the extra robustness is not installed")
    people, out = write_toy_people(tmp_path / "people", num_train=0, num_test=3), tmp_path / "result"
    # Relative names, which mean nothing to a worker.
    shutil.copy(model, tmp_path)
    data = ("--data", "market-layout", "--root", people.name)

    def kept() -> list[Path]:
        return sorted((out / "corrupted").glob("round-*.json"))

    command = subprocess.Popen(
        [sys.executable, "-m", "omnireid", "evaluate", *data, "--model", model.name, "--out", out.name,
         "--corruptions", "--rounds", "300", "--no-table", "--no-analysis", "--threads", "1",
         "--engine", "ray", "--address", cluster.address],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    )  # fmt: skip
    until(lambda: len(kept()) > 2, command)
    killed, before = processes_at_work(cluster), len(kept())
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until(lambda: len(kept()) > before + 2, command)
    assert not set(killed) & set(processes_at_work(cluster))
    command.kill()
    command.wait()
    # What is there is taken as it is, whatever it says.
    marked = kept()[0]
    values = json.loads(marked.read_text())
    values["both"]["mAP"] = 0.125
    marked.write_text(json.dumps(values))
    numbers = [int(path.name.split("-")[1]) for path in kept()]

    def measured(out: Path | None, workers: Workers) -> list[float]:
        corruptions = Corruptions(max(numbers) + 3, cells=False)
        options = EvaluationOptions(analysis=False, corruptions=corruptions, workers=workers)
        data = read_dataset("market-layout", people)
        (record,) = evaluate(model, data, out=out, options=options, engine=Engine(threads=1)).records
        assert record.robustness is not None
        return list(record.robustness.conditions["both"].mAP.values)

    alone = measured(None, Workers())
    assert alone[int(marked.name.split("-")[1])] != 0.125
    alone[int(marked.name.split("-")[1])] = 0.125
    assert measured(out, Workers("ray", cluster.address)) == alone
    assert not (out / "corrupted").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="looks for workers in /proc")
def test_cameras_are_followed_once_when_worker_and_command_are_killed(
    tmp_path: Path, cluster: Any, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("av")
    shutil.copy(model, tmp_path / "model.onnx")
    people = write_toy_people(tmp_path / "people", num_train=1, num_test=60)
    calibrate(tmp_path / "model.onnx", read_dataset("market1501", people, check_counts=False))
    # As names are relative in a command.
    monkeypatch.chdir(tmp_path)
    names = ("door", "yard", "hall")
    boxes = [write_walk(Path(f"{name}.mkv"), [row, row + 1, row + 2]) for row, name in enumerate(names)]
    Path("broken.mkv").write_bytes(b"no video")
    boxes.append(boxes[0])
    sources, alone = [(name, f"{name}.mkv") for name in (*names, "broken")], Path("alone")
    track(sources, "model.onnx", alone, TrackOptions(detections=boxes, started=0.0))

    # The second camera cannot be read on until somebody writes its boxes.
    lines = boxes[1].read_bytes()
    command = [
        sys.executable, "-m", "omnireid", "track", *(f"{name}={file}" for name, file in sources), "--model",
        "model.onnx", "--out", "out", "--started", "1970-01-01T00:00:00+00:00", "--prior", "0.3",
        *(word for path in boxes for word in ("--detections", str(path))),
        "--engine", "ray", "--address", cluster.address, "--workers", "2", "--threads", "1",
    ]  # fmt: skip

    def followed() -> dict[str, int]:
        return {path.name[:3]: path.stat().st_mtime_ns for path in Path("out", "followed").glob("*.sqlite")}

    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    until(Path("out", "progress.sqlite").is_file, running)
    boxes[1].unlink()
    os.mkfifo(boxes[1])
    until(lambda: set(followed()) == {"000", "002"}, running)
    killed = processes_at_work(cluster)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    until(lambda: bool(set(processes_at_work(cluster)) - set(killed)), running)
    running.kill()
    running.wait()
    first = followed()
    assert set(first) == {"000", "002"}

    boxes[1].unlink()
    boxes[1].write_bytes(lines)
    # Begun anew, what workers saw would be lost, or be of other files.
    with pytest.raises(InputError, match=r"out: holds a run that was stopped; --resume goes on"):
        open_ledger(Path("out"), {}, resume=False)
    done = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done
    assert "broken: 0 frames, 0 tracks, stopped: broken.mkv: cannot be read" in done.stdout
    assert not Path("out", "followed").exists()
    for file in (f"{kind}/{name}.txt" for kind in ("cameras", "identities") for name in names):
        assert Path("out", file).read_bytes() == (alone / file).read_bytes()
        assert Path("out", file).read_bytes()
    records = [json.loads((folder / "identities.json").read_text()) for folder in (Path("out"), alone)]
    assert records[0] == records[1]
    # What workers saw is part of the run: it is finished, and read again from what is on disk.
    again = subprocess.run([*command, "--resume"], capture_output=True, text=True, timeout=240)
    assert again.returncode == 0, again
    assert again.stdout == done.stdout


def test_what_a_cluster_cannot_follow_is_refused_before_it_starts(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(model, tmp_path / "model.onnx")
    people = write_toy_people(tmp_path / "people", num_train=1, num_test=60)
    calibrate(tmp_path / "model.onnx", read_dataset("market1501", people, check_counts=False))
    nowhere = Workers("ray", "127.0.0.1:9")

    def tracked(source: str, detector: Any) -> None:
        track([("door", source)], tmp_path / "model.onnx", tmp_path / "out", TrackOptions(detector=detector),
              workers=nowhere)  # fmt: skip

    with pytest.raises(InputError, match="'door' is live, and a cluster follows files"):
        tracked("rtsp://127.0.0.1/door", None)
    lock = threading.Lock()
    with pytest.raises(InputError, match=r"FunctionDetector: cannot be given to workers .*lock"):
        tracked("door.mkv", lambda picture: lock)
    detector = NanoDet(least_score=0.3)
    opened = copy.copy(detector)  # as pickle does
    assert (opened.name, opened.least_score) == (detector.name, 0.3)
    with pytest.raises(InputError, match="no Ray cluster answers there"):
        tracked("door.mkv", detector)


@pytest.mark.skipif(
    not os.environ.get("OMNIREID_WHOLE_CONTRACT"),
    reason="two minutes of two cores: OMNIREID_WHOLE_CONTRACT=1",
)
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks for workers in /proc")
def test_two_workers_train_what_one_process_trains_also_when_one_is_killed(
    tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_toy_people(tmp_path / "people")
    # As names are relative in a command.
    monkeypatch.chdir(tmp_path)
    changes = {
        "epochs": 12, "sampler.batch_size": 12, "input": {"height": 64, "width": 32}, "augmentation": [],
        "model_options": {"blocks": [1, 1, 1], "stream_depths": [1]}, "sync_batch_norm": True,
        # Low: training makes more of what rounding makes different.
        "optimiser.name": "sgd", "optimiser.lr": 0.000005, "schedule.warmup_epochs": 0,
    }  # fmt: skip
    command = subprocess.Popen(
        [sys.executable, "-m", "omnireid", "train", "--data", "market-layout", "--root", "people",
         "--recipe", "quickstart", "--device", "cpu", "--out", "two",
         *(word for key, value in changes.items() for word in ("--set", f"{key}={json.dumps(value)}")),
         "--engine", "ray", "--address", cluster.address, "--workers", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip
    until(Path("two", "checkpoint.pt").is_file, command)
    killed = processes_at_work(cluster, b"RayTrainWorker")
    assert len(killed) == 2
    os.kill(killed[1], signal.SIGKILL)
    said, _ = command.communicate(timeout=240)
    assert command.returncode == 2
    assert re.search(
        r"a worker failed or was killed \(.*the same\s+command\s+with\s+--resume", said, re.DOTALL
    )

    def work(out: str, **options: Any) -> Callable[..., Trained]:
        sources = Sources("market-layout", ["people"])
        return partial(train, out, sources, "quickstart", RunOptions("cpu", **options), changes=changes)

    resumed = train_on_ray(work("two", resume=True), Workers("ray", cluster.address, count=2))
    (two,), (one,) = resumed.models, work("one")().models
    assert [row["epoch"] for row in two.record.history] == list(range(1, 13))
    for row, other in zip(one.record.history, two.record.history, strict=True):
        assert other["loss"] == pytest.approx(row["loss"], rel=1e-3)
    for key, values in one.model.state_dict().items():
        torch.testing.assert_close(two.model.state_dict()[key], values, rtol=1e-3, atol=1e-3)
    # Ray leaves nothing of its own there.
    assert {path.name for path in Path("two").iterdir()} == {path.name for path in Path("one").iterdir()}


@pytest.mark.parametrize(
    ("failures", "kind", "words"),
    [
        ({1: WorkerError("people: not there")}, WorkerError, "^people: not there$"),
        (
            {0: RuntimeError("connection closed"), 1: WorkerError("a.jpg: no picture")},
            WorkerError,
            r"^a\.jpg",
        ),
        ({0: RuntimeError("connection closed")}, TrainingError, r"\(connection closed\).*--resume goes on"),
    ],
)
def test_what_ended_a_training_is_said(
    failures: dict[int, Exception], kind: type[Exception], words: str
) -> None:
    from ray.train import WorkerGroupError

    def fit() -> None:
        raise WorkerGroupError("Traceback:\nconnection closed\n", failures)

    with pytest.raises(kind, match=words):
        _result(SimpleNamespace(fit=fit))


def test_what_a_worker_cannot_do_is_said_in_its_words(tmp_path: Path, cluster: Any, model: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(WorkerError, match=r"bad\.jpg: not a picture that can be read"):
        embed(str(tmp_path), model, tmp_path / "parts", engine=ENGINE, parts=workers(cluster))
