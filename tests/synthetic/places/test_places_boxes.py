"""A detector's boxes."""

from __future__ import annotations

import numpy as np

from omnireid.synthetic.places.boxes import Box, Detector

BODY = Box(100.0, 50.0, 40.0, 120.0)


def test_the_smallest_box_leaves_out_what_the_lens_does_not_see() -> None:
    pixels = np.array([[3.0, 9.0], [np.nan, np.nan], [7.0, 4.0]])
    assert Box.round(pixels) == Box(3.0, 4.0, 4.0, 5.0)


def test_a_box_is_cut_at_the_edge_of_the_picture_and_never_empty() -> None:
    assert Box(-10, 5, 30, 20).inside(100, 15) == Box(0, 5, 20, 10)
    assert Box(500, 500, 30, 20).inside(100, 100) == Box(99, 99, 1, 1)


def test_a_detector_without_errors_gives_the_body_and_its_margins_are_shares_of_it() -> None:
    assert Detector(0, 0, 0, 0, 0).box(BODY) == BODY
    box = Detector(top=0.1, bottom=-0.25, side=0, shift=0.05, shape=0.5).box(BODY)
    assert np.isclose(box.top, 50 - 12)
    assert np.isclose(box.top + box.height, 170 - 30)
    assert np.isclose(box.width, 0.5 * box.height)
    assert np.isclose(box.left + box.width / 2, 120 + 6)


def test_most_boxes_hold_the_body_and_junk_does_not() -> None:
    generator = np.random.default_rng(0)

    def shown(part: bool) -> np.ndarray:
        boxes = [Detector.draw(generator, part=part).box(BODY) for _ in range(300)]
        low = np.array([max(box.top, 50.0) for box in boxes])
        high = np.array([min(box.top + box.height, 170.0) for box in boxes])
        return (high - low) / 120

    whole, cut = shown(False), shown(True)
    assert np.median(whole) > 0.97
    assert 0.02 < (whole < 0.95).mean() < 0.25
    assert np.percentile(cut, 90) < 0.55
