"""The script for a GPU that is at hand for a moment: what of it can be tried without one."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture
def gpu_check(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import gpu_check

    return gpu_check


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_ends_with_a_word(gpu_check: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["gpu_check.py"])
    with pytest.raises(SystemExit, match="no NVIDIA GPU here"):
        gpu_check.main()  # type: ignore[attr-defined]


def test_steps_learn_and_what_fails_is_written_down(
    gpu_check: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_check, "DTYPES", {"bf16": torch.bfloat16})
    clock = gpu_check.Clock(torch.device("cpu"))  # type: ignore[attr-defined]
    report = gpu_check.Report(tmp_path / "out.json", 100)  # type: ignore[attr-defined]
    options = Namespace(models=["osnet_x0_25"], batch=4, size=(64, 32), seconds=0.01)
    gpu_check.measure_steps(report, clock, options)  # type: ignore[attr-defined]
    # There is no memory to pin without CUDA.
    gpu_check.measure_copies(report, clock, options)  # type: ignore[attr-defined]
    content = json.loads((tmp_path / "out.json").read_text())
    forms = {figure["form"] for figure in content["figures"]}
    assert {"train step bf16, channels first", "train step bf16, channels last"} <= forms
    assert all(figure["ms"] > 0 for figure in content["figures"])
    monkeypatch.setattr(gpu_check.Step, "check", lambda *_: 1 / 0)  # type: ignore[attr-defined]
    gpu_check.measure_steps(report, clock, options)  # type: ignore[attr-defined]
    omitted = json.dumps(json.loads((tmp_path / "out.json").read_text()))
    assert "osnet_x0_25 train step bf16, channels last" in omitted
    assert "ZeroDivisionError" in omitted
    assert "copy from pageable memory" in forms
