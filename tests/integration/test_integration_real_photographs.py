"""Real photographs and published weights, where they lie beside the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnireid.cli.app import main
from omnireid.core.record import ResultRecord


@pytest.fixture
def mot17mini(real_dir: Path) -> Path:
    folder = real_dir / "mot17mini"
    if not folder.is_dir():
        pytest.skip("shared/real/mot17mini is absent: no real photographs to check with")
    return folder


def omnireid(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> None:
    monkeypatch.setattr("sys.argv", ["omnireid", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code


def test_published_onnx_weights_find_nearly_everyone(
    mot17mini: Path, real_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = real_dir / "osnet_x0_25_msmt17.onnx"
    source = ["--data", "market-layout", "--root", mot17mini]
    omnireid(monkeypatch, "evaluate", "--model", model, *source, "--out", tmp_path)
    record = ResultRecord.load(tmp_path / "result.json")
    assert record.metrics.rank1 >= 0.95
    assert record.protocol.num_valid_queries == 20
    assert (tmp_path / "report.html").stat().st_size > 50_000


def test_training_runs_on_real_photographs(
    mot17mini: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = ["--data", "market-layout", "--root", mot17mini]
    short = ["--set", "epochs=1", "--set", "input={height: 64, width: 32}"]
    omnireid(monkeypatch, "train", *source, "--recipe", "quickstart", *short, "--out", tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
