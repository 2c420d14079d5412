"""Metrics of attributes against plain loops over pictures and attributes, and a case worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from omnireid.core.errors import InputError, ShapeError
from omnireid.evaluation.attributes import AttributeScores


def naive(said: list[list[int]], true: list[list[int]]) -> dict[str, float]:
    accuracies = []
    for attribute in range(len(true[0])):
        rates = []
        for wanted in (1, 0):
            of_kind = [row for row in range(len(true)) if true[row][attribute] == wanted]
            if of_kind:
                rates.append(sum(said[row][attribute] == wanted for row in of_kind) / len(of_kind))
        if len(rates) == 2:
            accuracies.append(sum(rates) / 2)
    sums = {"accuracy": 0.0, "precision": 0.0, "recall": 0.0}
    for row, other in zip(said, true, strict=True):
        is_said = {index for index, value in enumerate(row) if value}
        is_true = {index for index, value in enumerate(other) if value}
        both = len(is_said & is_true)
        for name, total in (("accuracy", is_said | is_true), ("precision", is_said), ("recall", is_true)):
            sums[name] += both / len(total) if total else 0.0
    means = {name: total / len(true) for name, total in sums.items()}
    together = means["precision"] + means["recall"]
    f1 = 2 * means["precision"] * means["recall"] / together if together else 0.0
    return {"mA": sum(accuracies) / len(accuracies), **means, "f1": f1}


@pytest.mark.parametrize("seed", range(5))
def test_metrics_equal_plain_loops(seed: int) -> None:
    generator = np.random.default_rng(seed)
    true = generator.random((40, 6)) < np.linspace(0.05, 0.9, 6)
    true[0], true[1] = True, False
    said = true ^ (generator.random((40, 6)) < 0.3)
    said[2] = False
    expected = naive(said.astype(int).tolist(), true.astype(int).tolist())
    assert AttributeScores(said, true).record().by_metric() == pytest.approx(expected)


def test_a_case_worked_by_hand() -> None:
    true = np.array([[1, 0], [1, 1], [0, 0]], bool)
    said = np.array([[1, 1], [0, 1], [0, 0]], bool)
    scores = AttributeScores(said, true)
    # The first: one of two with it, the one without it. The second: the one with it, one of two without it.
    assert scores.accuracies.tolist() == [0.75, 0.75]
    assert scores.shares.tolist() == pytest.approx([2 / 3, 1 / 3])
    metrics = scores.record()
    assert metrics.mA == 0.75
    assert metrics.accuracy == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert metrics.precision == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert metrics.recall == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert metrics.f1 == pytest.approx(0.5)


def test_an_attribute_that_everybody_has_says_nothing() -> None:
    true = np.array([[1, 0], [1, 1]], bool)
    scores = AttributeScores(true, true)
    assert np.isnan(scores.accuracies).tolist() == [True, False]
    assert scores.record().mA == 1
    assert AttributeScores(true[:, :1], true[:, :1]).record().mA is None


def test_nothing_said_and_nothing_true_is_no_division() -> None:
    nothing = np.zeros((2, 3), bool)
    metrics = AttributeScores(nothing, nothing).record()
    assert (metrics.accuracy, metrics.precision, metrics.recall, metrics.f1) == (0, 0, 0, 0)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError):
        AttributeScores(np.zeros((2, 3), bool), np.zeros((2, 4), bool))
    with pytest.raises(InputError, match="no picture"):
        AttributeScores(np.zeros((0, 3), bool), np.zeros((0, 3), bool))
