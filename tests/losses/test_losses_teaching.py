from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from omnireid.core.errors import ConfigError, ShapeError
from omnireid.losses.table import LossBatch, Taught
from omnireid.losses.teaching import FeatureLoss, angle_loss, distance_loss, logit_loss, make_mutual


def rows(count: int, size: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=generator, dtype=torch.float64)


def huber(x: float) -> float:
    return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5


def feature_loss(loss: FeatureLoss, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    nothing = torch.zeros(0)
    taught = Taught(teacher, nothing)
    return loss(LossBatch(student, nothing, nothing, nothing, student, nothing, taught))


def test_features_are_compared_by_angle_at_first() -> None:
    loss = FeatureLoss(5, embedding_size=2, teacher_size=2)
    student = torch.tensor([[3.0, 0.0], [1.0, 1.0], [0.0, -2.0]])
    teacher = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 5.0]])
    expected = (0 + (1 - math.sqrt(0.5)) + 2) / 3
    assert feature_loss(loss, student, teacher).item() == pytest.approx(expected, abs=1e-6)


def test_the_projection_to_a_teacher_of_another_size_is_learned() -> None:
    loss = FeatureLoss(5, embedding_size=6, teacher_size=3)
    student, turn = rows(40, 6).float().relu(), rows(6, 3, seed=1).float()
    optimiser = torch.optim.Adam(loss.parameters(), lr=0.05)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        losses.append(feature_loss(loss, student, student @ turn))
        losses[-1].backward()
        optimiser.step()
    assert losses[-1].item() < 0.1 * losses[0].item()
    with pytest.raises(ShapeError, match="teacher"):
        feature_loss(loss, student, student[:3])


def test_distances_and_angles_against_naive_loops() -> None:
    student, teacher = rows(6, 5), rows(6, 3, seed=1)

    def relative(x: np.ndarray) -> list[float]:
        far = [float(np.linalg.norm(x[i] - x[j])) for i in range(6) for j in range(i + 1, 6)]
        return [value / (sum(far) / len(far)) for value in far]

    pairs = list(zip(relative(student.numpy()), relative(teacher.numpy()), strict=True))
    expected = sum(huber(a - b) for a, b in pairs) / len(pairs)
    assert distance_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)

    def angle(x: np.ndarray, i: int, j: int, k: int) -> float:
        first, second = x[j] - x[i], x[k] - x[i]
        length = float(np.linalg.norm(first) * np.linalg.norm(second))
        return float(first @ second) / length if length else 0.0

    triples = [(i, j, k) for i in range(6) for j in range(6) for k in range(6)]
    expected = sum(huber(angle(student.numpy(), *t) - angle(teacher.numpy(), *t)) for t in triples) / 216
    assert angle_loss(student, teacher).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("loss", [distance_loss, angle_loss])
def test_relations_do_not_see_size_place_or_direction(loss: object) -> None:
    student = rows(7, 4)
    turned, _ = torch.linalg.qr(rows(4, 4, seed=3))
    assert loss(student, 5 * student @ turned + 2).item() == pytest.approx(0, abs=1e-10)  # type: ignore[operator]
    assert loss(student, rows(7, 4, seed=9)).item() > 0.01  # type: ignore[operator]
    # Two pictures that are the same, and one alone, have no distance to divide by.
    wanted = student.clone().requires_grad_()
    loss(torch.cat([wanted, wanted[:1]]), rows(8, 3, seed=9)).backward()  # type: ignore[operator]
    assert wanted.grad is not None
    assert wanted.grad.isfinite().all()
    assert float(loss(student[:1], student[:1])) == pytest.approx(0)  # type: ignore[operator]


def test_logits_against_a_case_worked_by_hand() -> None:
    student, teacher = torch.zeros(1, 2), torch.tensor([[2 * math.log(3.0), 0.0]])
    # At temperature 2 the teacher says 3/4 and 1/4, the student 1/2 and 1/2.
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert logit_loss(student, teacher, 2.0).item() == pytest.approx(expected, rel=1e-6)
    assert logit_loss(teacher, teacher, 2.0).item() == pytest.approx(0, abs=1e-7)


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ShapeError, match="teacher"):
        distance_loss(rows(3, 4), rows(2, 4))
    with pytest.raises(ShapeError, match="embeddings"):
        angle_loss(rows(3, 4)[0], rows(3, 4))
    with pytest.raises(ShapeError, match="teacher_logits"):
        logit_loss(rows(3, 4), rows(3, 5), 1.0)


def test_mutual_loss_is_the_divergence_from_what_the_other_predicts() -> None:
    logits = torch.tensor([[0.0, math.log(3)], [1.0, 1.0]], requires_grad=True)
    peer = torch.tensor([[0.0, 0.0], [0.0, math.log(9)]])
    nothing = torch.zeros(0)
    batch = LossBatch(nothing, logits, nothing, nothing, nothing, nothing, peer_logits=peer)

    def divergence(p: tuple[float, float], q: tuple[float, float]) -> float:
        return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))

    expected = (divergence((0.5, 0.5), (0.25, 0.75)) + divergence((0.1, 0.9), (0.5, 0.5))) / 2
    assert make_mutual(2, temperature=1.0)(batch).item() == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ConfigError, match="mutual: a temperature above 0"):
        make_mutual(2, temperature=0.0)
