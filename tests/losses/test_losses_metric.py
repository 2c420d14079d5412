"""Soft triplet, circle, centre and cosine softmax against plain loops, and at the edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from omnireid.core.errors import ConfigError, ShapeError
from omnireid.losses.centre import CentreLoss
from omnireid.losses.circle import circle_loss
from omnireid.losses.cosine import arcface_logits, cosface_logits
from omnireid.losses.table import LOSSES, LossBatch
from omnireid.losses.triplet import hard_triplet_loss

NEW = ("soft_triplet", "circle", "centre", "cosface", "arcface")

several_people = st.lists(st.integers(0, 3), min_size=2, max_size=10).filter(lambda x: len(set(x)) > 1)
seeds = st.integers(0, 2**32 - 1)


def batch_of(embeddings: Tensor, labels: Tensor, num_pids: int = 5) -> LossBatch:
    weights = torch.randn(num_pids, embeddings.shape[1], generator=torch.Generator().manual_seed(4))
    weights = weights.to(embeddings.dtype).requires_grad_()
    logits = embeddings @ weights.T
    return LossBatch(embeddings, logits, labels, logits[None], embeddings, weights)


def loss_of(name: str, num_pids: int = 5, size: int = 6) -> Any:
    spec = LOSSES.get(name)
    extra = {"embedding_size": size} if spec.takes_embedding_size else {}
    return spec.make(num_pids, **extra, **spec.options)


@settings(max_examples=25, deadline=None)
@given(several_people, seeds)
def test_soft_triplet_equals_plain_loops(labels: list[int], seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((len(labels), 5))
    terms = []
    for anchor, mine in zip(rows, labels, strict=True):
        away = [math.dist(anchor, other) for other in rows]
        positive = max(d for d, label in zip(away, labels, strict=True) if label == mine)
        negative = min(d for d, label in zip(away, labels, strict=True) if label != mine)
        terms.append(math.log1p(math.exp(positive - negative)))
    loss = hard_triplet_loss(torch.from_numpy(rows), torch.tensor(labels), None)
    assert loss.item() == pytest.approx(sum(terms) / len(terms), rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(several_people, seeds, st.sampled_from([0.0, 0.25, 1.0]), st.sampled_from([1.0, 16.0]))
def test_circle_equals_plain_loops(labels: list[int], seed: int, margin: float, scale: float) -> None:
    rows = np.random.default_rng(seed).standard_normal((len(labels), 4))
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    terms = []
    for i, mine in enumerate(labels):
        positive = negative = 0.0
        for j, label in enumerate(labels):
            s = float(unit[i] @ unit[j])
            if label != mine:
                negative += math.exp(scale * max(0, s + margin) * (s - margin))
            elif i != j:
                positive += math.exp(-scale * max(0, 1 + margin - s) * (s - 1 + margin))
        terms.append(math.log1p(negative * positive))
    loss = circle_loss(torch.from_numpy(rows), torch.tensor(labels), margin=margin, scale=scale)
    assert loss.item() == pytest.approx(sum(terms) / len(terms), rel=1e-7, abs=1e-12)


def test_circle_pulls_hardest_what_is_farthest_from_its_goal() -> None:
    """Figure 1: of two pairs with the same sum, the one with the worse positive has the larger pull on it."""
    angles = torch.tensor([0.0, 1.2, 1.0], requires_grad=True)
    rows = torch.stack([angles.cos(), angles.sin()], 1)
    loss = circle_loss(rows, torch.tensor([0, 0, 1]), margin=0.25, scale=8.0)
    loss.backward()
    assert angles.grad is not None
    # A step against the gradient brings the positive nearer and the negative farther.
    assert angles.grad[1] > 0 > angles.grad[2]


def test_centres_move_and_pull_as_in_the_paper() -> None:
    rows = np.random.default_rng(3).standard_normal((5, 3))
    labels = [2, 0, 2, 2, 0]
    loss = CentreLoss(4, embedding_size=3, rate=0.5).double()
    start = np.random.default_rng(4).standard_normal((4, 3))
    loss.centres.copy_(torch.from_numpy(start))
    embeddings = torch.from_numpy(rows).requires_grad_()
    value = loss(batch_of(embeddings, torch.tensor(labels)))
    value.backward()
    away = rows - start[labels]
    assert value.item() == pytest.approx(0.5 * (away**2).sum() / 5)
    np.testing.assert_allclose(embeddings.grad, away / 5)
    moved = start.copy()
    for j in range(4):
        mine = [row for row, label in zip(rows, labels, strict=True) if label == j]
        delta = sum((start[j] - row for row in mine), np.zeros(3)) / (1 + len(mine))
        moved[j] -= 0.5 * delta
    np.testing.assert_allclose(loss.centres, moved)
    loss.eval()(batch_of(embeddings, torch.tensor(labels)))
    np.testing.assert_allclose(loss.centres, moved)


@pytest.mark.parametrize("margin", [0.0, 0.35, 0.5])
def test_margins_equal_plain_loops(margin: float) -> None:
    rng = np.random.default_rng(5)
    cosines = rng.uniform(-1, 1, (40, 3))
    cosines[0], cosines[1] = 1, -1
    labels = rng.integers(0, 3, 40)
    wide, along = cosines.copy(), cosines.copy()
    for row, label in enumerate(labels):
        wide[row, label] -= margin
        angle = math.acos(cosines[row, label])
        if angle + margin < math.pi:
            along[row, label] = math.cos(angle + margin)
        else:
            along[row, label] -= margin * math.sin(margin)
    given_to = (torch.from_numpy(cosines), torch.from_numpy(labels))
    np.testing.assert_allclose(cosface_logits(*given_to, scale=30, margin=margin), 30 * wide)
    np.testing.assert_allclose(
        arcface_logits(*given_to, scale=30, margin=margin), 30 * along, rtol=1e-6, atol=2e-5
    )


def test_arcface_falls_all_the_way() -> None:
    """Without the straight line the logit would rise again beyond π − m."""
    angles = torch.linspace(0, math.pi, 200, dtype=torch.float64)
    logits = arcface_logits(angles.cos()[:, None], torch.zeros(200, dtype=torch.long), scale=1, margin=0.5)
    assert (logits[1:] < logits[:-1] + 1e-6).all()


def test_cosine_softmax_does_not_see_how_long_vectors_are() -> None:
    embeddings = torch.randn(6, 6, dtype=torch.float64)
    labels = torch.arange(6) % 5
    for name in ("cosface", "arcface"):
        loss = loss_of(name)
        assert loss(batch_of(embeddings, labels)).item() == pytest.approx(
            loss(batch_of(embeddings * 7, labels)).item(), rel=1e-5
        )


DEGENERATE = {
    "one crop": (torch.randn(1, 6), [0]),
    "one identity": (torch.randn(4, 6), [3, 3, 3, 3]),
    "each alone": (torch.randn(4, 6), [0, 1, 2, 3]),
    "all the same": (torch.ones(4, 6), [0, 0, 1, 1]),
    "nothing": (torch.zeros(4, 6), [0, 0, 1, 1]),
    "far away": (torch.randn(4, 6) * 1e6 + 1e6, [0, 0, 1, 1]),
}


@pytest.mark.parametrize("name", NEW)
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_batches_have_finite_losses_and_gradients(name: str, case: str) -> None:
    values, labels = DEGENERATE[case]
    embeddings = values.clone().requires_grad_()
    loss = loss_of(name)(batch_of(embeddings, torch.tensor(labels)))
    loss.backward()
    assert loss.shape == ()
    assert loss.item() >= 0
    assert embeddings.grad is not None
    assert torch.isfinite(embeddings.grad).all()


@pytest.mark.parametrize("name", ["soft_triplet", "circle", "cosface", "arcface"])
def test_gradients_are_those_of_finite_differences(name: str) -> None:
    embeddings = torch.randn(8, 6, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 1, 2, 2, 2, 3])
    loss = loss_of(name)
    # The weights of circle have no gradient, on purpose: only its direction can be checked, see above.
    if name == "circle":
        before = loss(batch_of(embeddings.requires_grad_(), labels))
        before.backward()
        assert embeddings.grad is not None
        after = loss(batch_of((embeddings - 1e-3 * embeddings.grad).detach(), labels))
        assert after < before
    elif name == "soft_triplet":
        assert torch.autograd.gradcheck(lambda x: loss(batch_of(x, labels)), embeddings.requires_grad_())
    else:
        batch = batch_of(embeddings.requires_grad_(), labels)
        loss(batch).backward()
        assert embeddings.grad is not None
        step = 1e-2 * torch.randn(8, 6, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
        with torch.no_grad():
            ahead, behind = (loss(batch_of(embeddings + sign * step, labels)) for sign in (1, -1))
        assert (ahead - behind).item() / 2 == pytest.approx((embeddings.grad * step).sum().item(), rel=5e-3)


@pytest.mark.parametrize("name", NEW)
def test_half_precision_is_compared_in_float32(name: str) -> None:
    embeddings, labels = torch.randn(8, 6) * 100, torch.arange(8) // 2
    exact = loss_of(name)(batch_of(embeddings.half().float(), labels))
    half = loss_of(name)(batch_of(embeddings.half(), labels))
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(exact.item(), rel=2e-2)


@pytest.mark.parametrize("name", NEW)
def test_another_shape_is_refused(name: str) -> None:
    batch = batch_of(torch.randn(4, 6), torch.tensor([0, 0, 1, 1]))
    wrong = LossBatch(
        batch.embeddings,
        batch.logits,
        torch.tensor([0, 0, 1]),
        batch.logits_VNC,
        batch.necked,
        batch.class_weights,
    )
    with pytest.raises(ShapeError, match="labels"):
        loss_of(name)(wrong)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("circle", {"scale": 0}, "scale"),
        ("circle", {"margin": -1}, "margin"),
        ("centre", {"rate": 0}, "rate"),
        ("cosface", {"scale": -1}, "scale"),
        ("arcface", {"margin": 2}, "margin"),
        ("arcface", {"label_smoothing": 1}, "label_smoothing"),
    ],
)
def test_values_that_make_no_loss_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    spec = LOSSES.get(name)
    extra = {"embedding_size": 6} if spec.takes_embedding_size else {}
    with pytest.raises(ConfigError, match=f"{name}: {message}"):
        spec.make(5, **extra, **{**spec.options, **options})
