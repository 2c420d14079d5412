"""Figures: well-formed, and every point where its value belongs."""

from __future__ import annotations

import itertools
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from omnireid.evaluation.result import DistanceHistogram
from omnireid.report.figures import Series, _ticks, histogram_chart, line_chart


def ticks(svg: ET.Element, axis: str) -> list[tuple[float, float]]:
    """(pixel, value) of each tick text: x ticks are centred, y ticks end at the axis."""
    name, pixel = ("mid", "x") if axis == "x" else ("end", "y")
    found = [text for text in svg.iter("text") if text.get("class") == f"tick {name}"]
    return [(float(text.get(pixel)), float(text.text)) for text in found]


def read_back(svg: ET.Element, points: str) -> list[tuple[float, float]]:
    """Pixels to values, by the axis labels alone."""
    (x0, vx0), *_, (x1, vx1) = ticks(svg, "x")
    (y0, vy0), *_, (y1, vy1) = ticks(svg, "y")
    pairs = (map(float, pair.split(",")) for pair in points.split())
    # Tick texts stand 4 pixels below their line.
    return [
        (vx0 + (x - x0) * (vx1 - vx0) / (x1 - x0), vy0 + (y + 4 - y0) * (vy1 - vy0) / (y1 - y0))
        for x, y in pairs
    ]


def test_curve_can_be_read_off_its_axes() -> None:
    points = [(1.0, 0.5), (2.0, 0.75), (20.0, 0.9), (50.0, 1.0)]
    chart = line_chart(
        [Series("CMC", points)], title="t", x_label="rank", y_label="%", y_range=(0.4, 1.0), as_percent=True
    )
    svg = ET.fromstring(chart)
    line = next(svg.iter("polyline"))
    expected = [(x, 100 * y) for x, y in points]
    np.testing.assert_allclose(read_back(svg, line.get("points")), expected, atol=0.2)
    base = next(one for one in svg.iter("line") if one.get("class") == "base")
    assert read_back(svg, f"0,{base.get('y1')}")[0][1] == pytest.approx(40, abs=0.2)


def test_histogram_steps_hold_each_kinds_share() -> None:
    histogram = DistanceHistogram(np.array([0.0, 0.5, 1.0]), np.array([3, 1]), np.array([10, 30]))
    svg = ET.fromstring(histogram_chart(histogram, title="t", x_label="distance"))
    same, different = (read_back(svg, one.get("points")) for one in svg.iter("polygon"))
    np.testing.assert_allclose(same, [(0, 0), (0, 75), (0.5, 75), (0.5, 25), (1, 25), (1, 0)], atol=0.3)
    np.testing.assert_allclose(different[1:5], [(0, 25), (0.5, 25), (0.5, 75), (1, 75)], atol=0.3)


def test_marked_points_carry_their_value() -> None:
    points = [(float(rank), 0.8) for rank in range(1, 31)]
    chart = line_chart(
        [Series("CMC", points)], title="t", x_label="k", y_label="%", as_percent=True, marked=(1, 5, 20)
    )
    svg = ET.fromstring(chart)
    values = [text.text for text in svg.iter("text") if "value" in text.get("class")]
    assert values == ["80", "80", "80"]
    assert [value for _, value in ticks(svg, "x")] == [1, 5, 20, 30]


def test_values_of_a_flat_curve_do_not_overprint() -> None:
    points = [(float(rank), 0.999) for rank in range(1, 51)]
    chart = line_chart(
        [Series("CMC", points)], title="t", x_label="k", y_label="%", as_percent=True, marked=(1, 5, 10, 20)
    )
    texts = [text for text in ET.fromstring(chart).iter("text") if "value" in text.get("class")]
    boxes = []
    for text in texts:
        x, y = float(text.get("x")), float(text.get("y"))
        left = x if "start" in text.get("class") else x - 14
        boxes.append((left, left + 28, y))
    for one, other in itertools.combinations(boxes, 2):
        assert one[1] <= other[0] or abs(one[2] - other[2]) >= 12


@pytest.mark.parametrize(
    "points", [[(1.0, 0.0)], [(1.0, 5.0), (2.0, 5.0)], [(1.0, 0.0), (2.0, 0.0)], [(1.0, -3.0), (2.0, 4.0)]]
)
def test_flat_and_single_curves_are_drawn(points: list[tuple[float, float]]) -> None:
    chart = line_chart([Series("a", points), Series("b", points)], title="t", x_label="x", y_label="y")
    svg = ET.fromstring(chart)
    assert "nan" not in chart
    assert len(list(svg.iter("polyline"))) == 2


def test_empty_histogram_is_drawn() -> None:
    zero = np.zeros(3, np.int64)
    chart = histogram_chart(DistanceHistogram(np.arange(4.0), zero, zero), title="t", x_label="x")
    assert "nan" not in chart
    ET.fromstring(chart)


def test_labels_are_escaped() -> None:
    chart = line_chart(
        [Series("a<b", [(1, 1), (2, 3)]), Series("c", [(1, 1)])], title='"<&', x_label="<x>", y_label="&"
    )
    svg = ET.fromstring(chart)
    assert svg.get("aria-label") == '"<&'
    assert "a<b" in [text.text for text in svg.iter("text")]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (0, 0.00153), (-3, 12), (850, 900), (1, 1.0001)])
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    values = _ticks(low, high, 5)
    assert 3 <= len(values) <= 8
    assert all(low - 1e-9 <= value <= high + 1e-9 for value in values)
    steps = np.diff(values)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)
    assert f"{steps[0]:.0e}"[0] in "125"
