"""What a command does with the process it runs in."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from omnireid.cli import process
from omnireid.evaluation import blas


def test_a_quota_is_passed_on_to_torch_and_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[int] = []
    monkeypatch.setattr(process, "cores_to_run_on", lambda: 32)
    monkeypatch.setattr(process, "available_cores", lambda: 2)
    monkeypatch.setattr(blas, "limit_blas_threads", limits.append)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    process.keep_to_the_quota()
    assert (os.environ["OMP_NUM_THREADS"], limits) == ("5", [])
    monkeypatch.delenv("OMP_NUM_THREADS")
    process.keep_to_the_quota()
    assert (os.environ["OMP_NUM_THREADS"], limits) == ("2", [2])
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(process, "available_cores", lambda: 32)
    process.keep_to_the_quota()
    assert "OMP_NUM_THREADS" not in os.environ


@pytest.fixture
def endless(tmp_path: Path) -> list[str]:
    """A command that embeds more pictures than it will, into `tmp_path / "out"`."""
    onnx = pytest.importorskip("onnx")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["images"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["embedding"]),
        ],
        "colours",
        [helper.make_tensor_value_info("images", kind, ["n", 3, 64, 32])],
        [helper.make_tensor_value_info("embedding", kind, ["n", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(tmp_path / "colours.onnx"))
    (tmp_path / "colours.card.yaml").write_text(
        "{size: [64, 32], layout: NCHW, colours: RGB, range: 0-1, mean: 0, std: 1, normalised: false}"
    )
    (tmp_path / "pictures").mkdir()
    Image.effect_noise((1200, 2400), 60).convert("RGB").save(tmp_path / "pictures" / "0.jpg")
    for number in range(1, 3_000):
        (tmp_path / "pictures" / f"{number}.jpg").hardlink_to(tmp_path / "pictures" / "0.jpg")
    return [
        *(sys.executable, "-m", "omnireid", "embed", str(tmp_path / "pictures")),
        *("--model", str(tmp_path / "colours.onnx"), "--out", str(tmp_path / "out" / "people.parquet")),
    ]


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_ends_a_command_as_ctrl_c_does(endless: list[str], tmp_path: Path, name: str) -> None:
    running = subprocess.Popen(endless, stderr=subprocess.PIPE, text=True)
    ends = time.monotonic() + 120
    while not list(tmp_path.glob("out/.people.parquet.*")) and time.monotonic() < ends:
        assert running.poll() is None
        time.sleep(0.05)
    running.send_signal(getattr(signal, name))
    _, said = running.communicate(timeout=120)
    assert running.returncode == 130
    assert list((tmp_path / "out").iterdir()) == []
    assert "Traceback" not in said
    # What is known of the model is said, once.
    assert said.count("note: colours: As its card says: RGB of 0-1.") == 1


def test_an_ignored_signal_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    set_to: dict[int, object] = {}
    monkeypatch.setattr(process.signal, "signal", set_to.__setitem__)
    monkeypatch.setattr(
        process.signal,
        "getsignal",
        lambda number: signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL,
    )
    process.end_as_on_ctrl_c()
    assert list(set_to) == [signal.SIGTERM]
