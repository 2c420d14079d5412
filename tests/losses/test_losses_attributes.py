"""The weighted cross entropy of attributes against its formula, one value at a time."""

from __future__ import annotations

import math

import pytest
import torch

from omnireid.core.errors import ShapeError
from omnireid.losses.attributes import weighted_sigmoid_cross_entropy


def test_it_is_deepmars_formula() -> None:
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(5, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = (torch.rand(5, 3, generator=generator) < 0.4).float()
    shares = torch.tensor([0.01, 0.5, 0.9])
    total = 0.0
    for row in range(5):
        for column in range(3):
            probability = 1 / (1 + math.exp(-float(logits[row, column].detach())))
            share = float(shares[column])
            if labels[row, column]:
                total -= math.exp(1 - share) * math.log(probability)
            else:
                total -= math.exp(share) * math.log(1 - probability)
    loss = weighted_sigmoid_cross_entropy(logits, labels, shares)
    assert float(loss.detach()) == pytest.approx(total / 15)
    loss.backward()
    assert logits.grad is not None
    # Upwards where the attribute is there, downwards where it is not.
    assert torch.equal(logits.grad < 0, labels > 0)


def test_what_does_not_fit_is_refused() -> None:
    logits = torch.zeros(2, 3)
    with pytest.raises(ShapeError):
        weighted_sigmoid_cross_entropy(logits, torch.zeros(2), torch.zeros(3))
    with pytest.raises(ShapeError):
        weighted_sigmoid_cross_entropy(logits, torch.zeros(2, 3), torch.zeros(2))
