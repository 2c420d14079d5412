"""The Jensen-Shannon divergence against SciPy and NumPy, and at its bounds."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from omnireid.core.errors import ShapeError
from omnireid.losses.consistency import jensen_shannon


def _logits(views: int, n: int, classes: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((views, n, classes)) * 3


def _softmax(row: np.ndarray) -> np.ndarray:
    powers = np.exp(row - row.max())
    return powers / powers.sum()


@pytest.mark.parametrize("views", [2, 3, 5])
def test_it_equals_plain_loops(views: int):
    logits = _logits(views, 4, 6)
    total = 0.0
    for n in range(4):
        rows = [_softmax(logits[v, n]) for v in range(views)]
        mean = sum(rows) / views
        for row in rows:
            total += sum(p * math.log(p / m) for p, m in zip(row, mean, strict=True)) / views
    assert jensen_shannon(torch.from_numpy(logits)).item() == pytest.approx(total / 4, abs=1e-12)


def test_two_views_equal_scipy():
    distance = pytest.importorskip("scipy.spatial.distance")
    one, other = logits = _logits(2, 5, 8, seed=1)
    expected = np.mean(
        [distance.jensenshannon(_softmax(a), _softmax(b)) ** 2 for a, b in zip(one, other, strict=True)]
    )
    assert jensen_shannon(torch.from_numpy(logits)).item() == pytest.approx(expected, abs=1e-12)


def test_views_alike_are_zero_and_the_order_of_views_does_not_matter():
    logits = torch.from_numpy(_logits(3, 4, 6)).float()
    assert jensen_shannon(logits[:1].expand(3, 4, 6)).item() == pytest.approx(0, abs=1e-6)
    assert jensen_shannon(logits[[2, 0, 1]]).item() == pytest.approx(jensen_shannon(logits).item(), rel=1e-5)


def test_views_that_share_no_class_are_log_of_their_number():
    """And their gradients stay finite, where a probability underflows to 0."""
    logits = (1e4 * torch.eye(3)[:, None, :]).requires_grad_()
    divergence = jensen_shannon(logits)
    divergence.backward()
    assert divergence.item() == pytest.approx(math.log(3), rel=1e-6)
    assert torch.isfinite(logits.grad).all()


def test_gradient_flows_into_every_view():
    logits = torch.from_numpy(_logits(3, 2, 4)).requires_grad_()
    assert torch.autograd.gradcheck(jensen_shannon, logits)
    jensen_shannon(logits).backward()
    assert (logits.grad.abs().sum(dim=(1, 2)) > 0).all()


def test_half_precision_is_compared_in_float32():
    logits = torch.from_numpy(_logits(3, 4, 6)).bfloat16()
    assert jensen_shannon(logits).dtype == torch.float32
    assert jensen_shannon(logits) == jensen_shannon(logits.float())


@pytest.mark.parametrize("shape", [(4, 6), (3, 0, 6), (0, 4, 6)])
def test_other_shapes_are_refused(shape: tuple[int, ...]):
    with pytest.raises(ShapeError, match="logits"):
        jensen_shannon(torch.zeros(shape))
