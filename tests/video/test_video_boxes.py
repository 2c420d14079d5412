"""Boxes: overlap, containment and suppression against loops, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from omnireid.core.errors import InputError, ShapeError
from omnireid.video.boxes import Boxes, containment, overlaps, suppress, within


def random_boxes(seed: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 60, (count, 2))
    return np.concatenate([corner, corner + rng.uniform(5, 40, (count, 2))], axis=1).astype(np.float32)


def area(box: np.ndarray) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def shared(a: np.ndarray, b: np.ndarray) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return float(width * height) if width > 0 and height > 0 else 0.0


def test_overlap_and_containment_are_those_of_a_loop() -> None:
    a, b = random_boxes(1, 12), random_boxes(2, 9)
    union = [[area(x) + area(y) - shared(x, y) for y in b] for x in a]
    both = [[shared(x, y) for y in b] for x in a]
    smaller = [[min(area(x), area(y)) for y in b] for x in a]
    np.testing.assert_allclose(overlaps(a, b), np.array(both) / np.array(union), rtol=1e-5)
    np.testing.assert_allclose(containment(a, b), np.array(both) / np.array(smaller), rtol=1e-5)
    assert overlaps(a, b[:0]).shape == (12, 0)


def test_how_much_of_a_person_is_within_the_picture() -> None:
    boxes = [
        ([10, 10, 30, 70], 1.0),  # nowhere near the edge, whatever its shape
        ([10, 10, 70, 30], 1.0),
        ([80, 20, 120, 80], 0.5),  # half of the area lies beyond the right
        ([-20, -30, 20, 90], 0.5 * 0.75),
        ([10, 70, 50, 100], 30 / (2.5 * 40)),  # ends at the lower edge: legs are missing
        ([0, 10, 12, 82], 3 * 12 / 72),  # half a shoulder at the left
        ([10, 0, 40, 90], 1.0),  # whole, and touches the edge
        ([150, 20, 180, 80], 0.02),  # outside
    ]
    shares = within(np.array([box for box, _ in boxes], np.float32), (100, 100))
    np.testing.assert_allclose(shares, [share for _, share in boxes], rtol=1e-6)


def test_suppression_is_that_of_a_loop() -> None:
    boxes, scores = random_boxes(3, 40), np.random.default_rng(4).random(40).astype(np.float32)
    kept: list[int] = []
    for row in sorted(range(40), key=lambda row: -scores[row]):
        others = [shared(boxes[row], boxes[k]) for k in kept]
        unions = [area(boxes[row]) + area(boxes[k]) - o for k, o in zip(kept, others, strict=True)]
        if all(o / u <= 0.4 for o, u in zip(others, unions, strict=True)):
            kept.append(row)
    result = suppress(Boxes(boxes, scores), 0.4)
    assert 5 < len(kept) < 35
    np.testing.assert_array_equal(result.boxes, boxes[kept])
    np.testing.assert_array_equal(result.scores, scores[kept])


@pytest.mark.parametrize(
    ("boxes", "scores", "error", "message"),
    [
        ([[0, 0, 5, 5]], [0.5, 0.6], ShapeError, "scores: expected shape"),
        ([[0, 0, np.nan, 5]], [0.5], InputError, "finite"),
        ([[10, 10, 5, 5]], [0.5], InputError, "not widths and heights"),
    ],
)
def test_what_is_no_box_is_refused(boxes: list, scores: list, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Boxes(np.array(boxes, np.float32), np.array(scores, np.float32))
