"""Losses against plain loops in float64, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnireid.core.errors import ConfigError, ShapeError
from omnireid.losses import cross_entropy, triplet
from omnireid.losses.cross_entropy import smoothed_cross_entropy
from omnireid.losses.triplet import hard_triplet_loss


def _triplet_by_loops(embeddings: np.ndarray, labels: list[int], margin: float) -> float:
    rows = embeddings.astype(np.float64)
    terms = []
    for i, anchor in enumerate(rows):
        distances = [math.sqrt(sum((anchor - other) ** 2)) for other in rows]
        positive = max(d for d, label in zip(distances, labels, strict=True) if label == labels[i])
        negative = min(d for d, label in zip(distances, labels, strict=True) if label != labels[i])
        terms.append(max(0.0, margin + positive - negative))
    return sum(terms) / len(terms)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 3), min_size=2, max_size=12).filter(lambda labels: len(set(labels)) > 1),
    st.integers(0, 2**32 - 1),
    st.sampled_from([0.0, 0.3, 2.0]),
)
def test_triplet_equals_plain_loops(labels: list[int], seed: int, margin: float):
    embeddings = np.random.default_rng(seed).standard_normal((len(labels), 5)).astype(np.float32)
    loss = hard_triplet_loss(torch.from_numpy(embeddings), torch.tensor(labels), margin)
    assert loss.item() == pytest.approx(_triplet_by_loops(embeddings, labels, margin), abs=1e-5)


def test_triplet_with_a_common_offset_gives_the_float64_answer():
    """‖a‖² + ‖b‖² − 2ab in float32 loses the distances here; differences do not."""
    embeddings = (np.random.default_rng(7).standard_normal((16, 512)) * 0.02 + 50).astype(np.float32)
    labels = [index // 4 for index in range(16)]
    expected = _triplet_by_loops(embeddings, labels, 0.3)
    loss = hard_triplet_loss(torch.from_numpy(embeddings), torch.tensor(labels), 0.3)
    assert loss.item() == pytest.approx(expected, abs=1e-6)

    x = torch.from_numpy(embeddings)
    squared = (x**2).sum(1)
    expanded = (squared[:, None] + squared[None, :] - 2 * x @ x.T).clamp(min=1e-12).sqrt()
    exact = torch.cdist(x.double(), x.double(), compute_mode="donot_use_mm_for_euclid_dist")
    assert (expanded - exact).abs().max() > 0.1, "the case must be one where the expansion fails"


def test_triplet_gradient():
    generator = torch.Generator().manual_seed(2)
    embeddings = torch.randn(8, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 2, 3])
    assert torch.autograd.gradcheck(lambda x: hard_triplet_loss(x, labels, 1.0), embeddings)


@pytest.mark.parametrize("labels", [[5], [5, 5], [5, 5, 5]])
def test_triplet_of_one_identity_is_zero_and_moves_nothing(labels: list[int]):
    embeddings = torch.randn(len(labels), 4, requires_grad=True)
    loss = hard_triplet_loss(embeddings, torch.tensor(labels), 0.3)
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(embeddings.grad, torch.zeros_like(embeddings))


def test_triplet_of_identical_embeddings_has_finite_gradients():
    embeddings = torch.ones(4, 3, requires_grad=True)
    loss = hard_triplet_loss(embeddings, torch.tensor([0, 0, 1, 1]), 0.3)
    loss.backward()
    assert loss.item() == pytest.approx(0.3)
    assert torch.isfinite(embeddings.grad).all()


def test_triplet_of_single_crops_takes_zero_as_positive():
    embeddings = torch.tensor([[0.0, 0.0], [0.1, 0.0]], requires_grad=True)
    loss = hard_triplet_loss(embeddings, torch.tensor([0, 1]), 0.3)
    loss.backward()
    assert loss.item() == pytest.approx(0.2)
    assert torch.isfinite(embeddings.grad).all()


def test_inputs_that_are_not_contiguous():
    generator = torch.Generator().manual_seed(1)
    wide = torch.randn(6, 16, generator=generator)
    labels = torch.tensor([0, 9, 0, 9, 1, 9, 1, 9, 2, 9, 2, 9])[::2]
    logits = torch.randn(6, 6, generator=generator).T
    for loss, values, option in (
        (hard_triplet_loss, wide.T[:6, :], 0.3),
        (smoothed_cross_entropy, logits, 0.1),
    ):
        assert loss(values, labels, option) == loss(values.contiguous(), labels.contiguous(), option)


def test_half_precision_is_compared_in_float32():
    embeddings = torch.randn(6, 32).bfloat16()
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    loss = hard_triplet_loss(embeddings, labels, 0.3)
    assert loss.dtype == torch.float32
    assert loss == hard_triplet_loss(embeddings.float(), labels, 0.3)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5])
def test_cross_entropy_equals_plain_loops(smoothing: float):
    rng = np.random.default_rng(3)
    logits, labels = rng.standard_normal((5, 7)) * 4, [0, 6, 3, 3, 1]
    total = 0.0
    for row, label in zip(logits, labels, strict=True):
        normaliser = math.log(sum(math.exp(value) for value in row))
        for k, value in enumerate(row):
            target = (1 - smoothing) * (k == label) + smoothing / 7
            total -= target * (value - normaliser)
    loss = smoothed_cross_entropy(torch.from_numpy(logits), torch.tensor(labels), smoothing)
    assert loss.item() == pytest.approx(total / 5, abs=1e-12)


def test_shapes_and_settings_are_checked():
    with pytest.raises(ShapeError, match="logits"):
        smoothed_cross_entropy(torch.zeros(2), torch.tensor([0, 1]), 0.1)
    with pytest.raises(ShapeError, match="labels"):
        smoothed_cross_entropy(torch.zeros(2, 7), torch.tensor([0, 1, 2]), 0.1)
    with pytest.raises(ShapeError, match="embeddings"):
        hard_triplet_loss(torch.zeros(4), torch.tensor([0, 1]), 0.3)
    with pytest.raises(ShapeError, match="labels"):
        hard_triplet_loss(torch.zeros(4, 2), torch.tensor([0, 1]), 0.3)
    with pytest.raises(ConfigError, match="smoothing"):
        cross_entropy.make(7, label_smoothing=1.0)
    with pytest.raises(ConfigError, match="margin"):
        triplet.make(7, margin=float("nan"))
