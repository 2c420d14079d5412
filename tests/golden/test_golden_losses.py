"""Losses and their gradients against the reference implementation's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from omnireid.losses.cross_entropy import smoothed_cross_entropy
from omnireid.losses.triplet import hard_triplet_loss


@pytest.mark.parametrize("kind", ["raw", "small", "norm"])
def test_hard_triplet(kind: str, golden_dir: Path):
    golden = np.load(golden_dir / "losses.npz")
    embeddings = torch.from_numpy(golden[f"tri_{kind}_x"]).requires_grad_()
    loss = hard_triplet_loss(embeddings, torch.from_numpy(golden["tri_labels"]), 0.3)
    loss.backward()
    assert loss.item() == pytest.approx(float(golden[f"tri_{kind}_loss"]), abs=1e-5)
    np.testing.assert_allclose(embeddings.grad.numpy(), golden[f"tri_{kind}_grad"], atol=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_cross_entropy(smoothing: float, golden_dir: Path):
    golden = np.load(golden_dir / "losses.npz")
    logits = torch.from_numpy(golden["ce_logits"]).requires_grad_()
    loss = smoothed_cross_entropy(logits, torch.from_numpy(golden["ce_labels"]), smoothing)
    loss.backward()
    assert loss.item() == pytest.approx(float(golden[f"ce_{smoothing}_loss"]), abs=1e-5)
    np.testing.assert_allclose(logits.grad.numpy(), golden[f"ce_{smoothing}_grad"], atol=1e-7)
