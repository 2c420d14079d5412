"""The report's figures as inline SVG, coloured by the page's style sheet (light, dark and print)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

from omnireid.evaluation.result import DistanceHistogram

WIDTH, NARROW, HEIGHT = 430, 340, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 14, 34, 42
_MAX_DOTS = 40


@dataclass(frozen=True)
class Series:
    """One curve: a name and its points in ascending x."""

    name: str
    points: Sequence[tuple[float, float]]


def line_chart(
    series: Sequence[Series],
    *,
    title: str,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    as_percent: bool = False,
    marked: Sequence[float] = (),
    width: int = WIDTH,
) -> Markup:
    """Curves over a common axis; points whose x is in `marked` carry their value, and a tick."""
    points = [point for line in series for point in line.points]
    xs, ys = [x for x, _ in points], [y for _, y in points]
    frame = _Frame((min(xs), max(xs)), y_range or _padded(min(ys), max(ys)), width)
    x_ticks = [x for x in marked if x <= max(xs)]
    x_ticks += [x for x in _ticks(*frame.x_range, 5, whole=True) if x > max(marked, default=-math.inf)]
    parts = [frame.axes(x_label, y_label, x_ticks, as_percent=as_percent)]
    for number, line in enumerate(series, start=1):
        parts.append(frame.shape("polyline", f"line s{number}", line.points))
        shown = [p for p in line.points if p[0] in marked] if marked else line.points
        if len(shown) <= _MAX_DOTS:
            dot = Markup('<circle class="dot s{}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}</title></circle>')
            for x, y in shown:
                named = f"{x_label} {x:g}: {100 * y:.1f} %" if as_percent else f"{x_label} {x:g}: {y:.4g}"
                parts.append(dot.format(number, frame.x(x), frame.y(y), 4 if marked else 2.5, named))
        last_x, last_y = -math.inf, 0.0
        for x, y in (point for point in line.points if point[0] in marked):
            value = f"{100 * y:.1f}".removesuffix(".0") if as_percent else f"{y:.3g}"
            # Neighbours on a flat curve would overprint each other: go one line down.
            crowded = frame.x(x) - last_x < 40 and abs(frame.y(y) - last_y) < 14
            parts.append(frame.label(x, y, value, lower=crowded))
            last_x, last_y = frame.x(x), frame.y(y) + (14 if crowded else 0)
    if len(series) > 1:
        parts.append(_legend([line.name for line in series], width))
    return _svg(title, parts, width)


def rate_chart(series: Sequence[Series], *, title: str, x_label: str, y_label: str) -> Markup:
    """Shares over a share on a logarithmic axis, both written in percent: ROC and DET curves."""
    logarithmic = [
        Series(line.name, [(math.log10(x), y) for x, y in line.points if x > 0]) for line in series
    ]
    xs = [x for line in logarithmic for x, _ in line.points]
    frame = _Frame((min(xs), max(xs)), (0.0, 1.0), WIDTH)
    decades = [
        float(d) for d in range(math.ceil(frame.x_range[0] - 1e-9), math.floor(frame.x_range[1] + 1e-9) + 1)
    ]
    written = [f"{100 * 10**decade:g}" for decade in decades]
    parts = [frame.axes(x_label, y_label, decades, as_percent=True, x_texts=written)]
    for number, line in enumerate(logarithmic, start=1):
        parts.append(frame.shape("polyline", f"line s{number}", line.points))
    if len(series) > 1:
        parts.append(_legend([line.name for line in series], WIDTH))
    return _svg(title, parts, WIDTH)


def histogram_chart(histogram: DistanceHistogram, *, title: str, x_label: str) -> Markup:
    """Same-person and different-person pairs, each as a share of its own kind."""
    edges = histogram.edges
    kinds = (("same person", histogram.same), ("different people", histogram.different))
    shares = [counts / max(1, counts.sum()) for _, counts in kinds]
    frame = _Frame((float(edges[0]), float(edges[-1])), (0.0, _padded(0.0, float(np.max(shares)))[1]), WIDTH)
    parts = [frame.axes(x_label, "% of pairs", _ticks(*frame.x_range, 6), as_percent=True)]
    for number, share in enumerate(shares, start=1):
        steps = [(edges[0], 0.0)]
        for low, high, y in zip(edges[:-1], edges[1:], share, strict=True):
            steps += [(low, y), (high, y)]
        steps.append((edges[-1], 0.0))
        parts.append(frame.shape("polygon", f"area s{number}", steps))
    parts.append(_legend([name for name, _ in kinds], WIDTH))
    return _svg(title, parts, WIDTH)


class _Frame:
    """The plot area: data coordinates to pixels, ticks and labels."""

    def __init__(self, x_range: tuple[float, float], y_range: tuple[float, float], width: int) -> None:
        low, high = x_range
        self.x_range = (low, high) if high > low else (low - 0.5, high + 0.5)
        self.y_range, self.width = y_range, width

    def x(self, value: float) -> float:
        low, high = self.x_range
        return _LEFT + (value - low) / (high - low) * (self.width - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return HEIGHT - _BOTTOM - (value - low) / (high - low) * (HEIGHT - _TOP - _BOTTOM)

    def axes(
        self,
        x_label: str,
        y_label: str,
        x_ticks: Sequence[float],
        *,
        as_percent: bool,
        x_texts: Sequence[str] | None = None,
    ) -> Markup:
        left, right, bottom = _LEFT, self.width - _RIGHT, HEIGHT - _BOTTOM
        y_ticks = _ticks(*self.y_range, 5)
        parts = []
        for y, text in zip(
            y_ticks, _written([100 * y for y in y_ticks] if as_percent else y_ticks), strict=True
        ):
            parts.append(_rule("grid", left, right, self.y(y)))
            parts.append(_text("tick end", left - 6, self.y(y) + 4, text))
        for x, text in zip(x_ticks, x_texts or _written(x_ticks), strict=True):
            parts.append(_text("tick mid", self.x(x), bottom + 16, text))
        parts.append(_rule("base", left, right, bottom))
        parts.append(_text("axis mid", (left + right) / 2, HEIGHT - 8, x_label))
        parts.append(_text("axis", 2, 14, y_label))
        return Markup("").join(parts)

    def shape(self, tag: str, kind: str, points: Sequence[tuple[float, float]]) -> Markup:
        path = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        return Markup('<{} class="{}" points="{}"/>').format(tag, kind, path)

    def label(self, x: float, y: float, text: str, *, lower: bool) -> Markup:
        """A value below its point, or one line lower still."""
        side = "start" if self.x(x) < _LEFT + 20 else "mid"
        return _text(f"value {side}", self.x(x), self.y(y) + (32 if lower else 18), text)


def _legend(names: Sequence[str], width: int) -> Markup:
    parts, right = [], float(width - _RIGHT)
    for number, name in reversed(list(enumerate(names, start=1))):
        right -= 6.5 * len(name)
        parts.append(_text("axis", right, 14, name))
        parts.append(_rule(f"key s{number}", right - 20, right - 5, 10))
        right -= 34
    return Markup("").join(parts)


def _text(kind: str, x: float, y: float, text: str) -> Markup:
    return Markup('<text class="{}" x="{:.1f}" y="{:.1f}">{}</text>').format(kind, x, y, text)


def _rule(kind: str, left: float, right: float, y: float) -> Markup:
    return Markup('<line class="{}" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>').format(
        kind, left, right, y, y
    )


def _svg(title: str, parts: Sequence[Markup], width: int) -> Markup:
    return Markup(
        f'<svg viewBox="0 0 {width} {HEIGHT}" role="img" aria-label="{escape(title)}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def _padded(low: float, high: float) -> tuple[float, float]:
    """A range that starts at zero where that wastes little, with room above."""
    if low >= 0 and low < 0.5 * high:
        return 0.0, high * 1.06
    span = (high - low) or abs(high) or 1.0
    return low - 0.08 * span, high + 0.08 * span


def _ticks(low: float, high: float, about: int, *, whole: bool = False) -> list[float]:
    """Round values between low and high, in steps of 1, 2 or 5."""
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    if whole:
        step = max(1.0, step)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{number * step:.12g}") for number in range(first, last + 1)]


def _written(values: Sequence[float]) -> list[str]:
    """All with as many decimals as the one that needs most."""
    decimals = max((len(f"{value:.6g}".partition(".")[2]) for value in values), default=0)
    return [f"{value:.{decimals}f}" for value in values]
