"""Every example on the page about video runs as it is written."""

from __future__ import annotations

import doctest
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "video.md"


def test_examples_on_the_page_about_video_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    from omnireid.core.card import InputSpec
    from omnireid.inference.export.exporter import export_onnx
    from omnireid.models.cards import model_card
    from omnireid.models.registry import build_model

    card = model_card("osnet_x0_25").model_copy(update={"input": InputSpec(height=64, width=32)})
    network = build_model("osnet_x0_25")
    network.initialise(torch.Generator().manual_seed(5))
    export_onnx(network, card, tmp_path / "model.onnx")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    result = doctest.testfile(
        str(PAGE), module_relative=False, encoding="utf-8", globs={"model": tmp_path / "model.onnx"}
    )
    assert result.attempted >= 15
    assert result.failed == 0
