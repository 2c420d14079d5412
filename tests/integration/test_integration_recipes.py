"""The strong recipes on real pictures, from the command line to a result: a few steps, on small maps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("torch")

from command_line import runner
from omnireid.models.weight_file import read_header

FEW_STEPS = {
    "model": "osnet_x0_25",
    "model_options": '{"neck": true, "pooling_power": 3, "channels": [8, 16, 16, 16], "blocks": [1, 1, 1]}',
    "input": '{"height": 32, "width": 16}',
    "sampler.batch_size": 3000,
    "epochs": 1,
    "schedule.warmup_epochs": 0,
}


@pytest.mark.slow
def test_run_on_cuhk03_trains_and_ranks_real_people(
    real_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not (real_dir / "cuhk03").is_dir():
        pytest.skip("shared/real/cuhk03 is absent: no real people to train on")
    settings = [word for key, value in FEW_STEPS.items() for word in ("--set", f"{key}={value}")]
    out = tmp_path / "run"
    where = ("--data", "cuhk03-detected", "--root", real_dir, "--out", out)
    done = runner(monkeypatch, capsys)("run", *where, "--recipe", "strong", "--init", "none", *settings)
    assert done.code == 0, done.err
    record = json.loads((out / "result.json").read_text())
    assert record["dataset"]["name"] == "cuhk03-detected"
    assert record["protocol"]["num_valid_queries"] == 1400
    assert record["training"]["history"][0]["images"] >= 3000
    assert 0 < record["metrics"]["mAP"] < 1
    assert read_header(out / "model.safetensors").config.neck
