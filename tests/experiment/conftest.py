"""A small untrained network, for what does not depend on how good the embeddings are."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from omnireid import Embedder
from omnireid.core.card import InputSpec
from omnireid.inference.export.exporter import export_onnx
from omnireid.models.cards import model_card
from omnireid.models.registry import build_model


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    card = model_card("osnet_x0_25").model_copy(update={"input": InputSpec(height=64, width=32)})
    network = build_model("osnet_x0_25")
    network.initialise(torch.Generator().manual_seed(5))
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    export_onnx(network, card, path)
    return path


@pytest.fixture
def embedder(model: Path) -> Embedder:
    return Embedder.open(model, threads=1, normalise=False)
