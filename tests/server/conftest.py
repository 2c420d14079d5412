"""A small model file that every live server shares, and what the page's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.page_browser import accessible, browser, open_page, page, server

__all__ = ["accessible", "browser", "open_page", "page", "server"]


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """OSNet x0.25 for 64×32 crops, with random weights, as safetensors."""
    torch = pytest.importorskip("torch")
    from omnireid.core.card import InputSpec
    from omnireid.models.cards import model_card
    from omnireid.models.osnet import OSNet
    from omnireid.models.registry import architecture_config
    from omnireid.models.weights import save_weights

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    card = model_card("osnet_x0_25").model_copy(update={"input": InputSpec(height=64, width=32)})
    save_weights(path, OSNet(architecture_config("osnet_x0_25")).eval(), card)
    return path
