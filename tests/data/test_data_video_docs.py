"""Every example on the page about video runs as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from documentation import run_examples


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
    # This asserts: what each example gives is what the page shows.
    run_examples("guides/data/tracklets.md", known={"model": tmp_path / "model.onnx"}, at_least=15)
