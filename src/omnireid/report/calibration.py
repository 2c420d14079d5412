"""A calibration in words, and as one HTML page with its reliability diagram and score histogram."""

from __future__ import annotations

import os

from omnireid.evaluation.calibration import EVEN, Calibration, CalibrationRecord, Decision
from omnireid.evaluation.result import DistanceHistogram
from omnireid.evaluation.searches import SearchModel
from omnireid.evaluation.thresholds import ErrorThreshold
from omnireid.report.figures import Series, histogram_chart, line_chart
from omnireid.report.template import render_page, write_page

_DECISIONS = {
    Decision.SAME: "same person",
    Decision.NEW: "another person",
    Decision.UNSURE: "unsure: let a human look",
}


def share(rate: float) -> str:
    """A rate in percent with two significant digits: "0.097 %", "10 %"."""
    return f"{100 * rate:.2g} %"


def calibration_lines(record: CalibrationRecord) -> list[str]:
    """What `omnireid calibrate` prints."""
    losses = ", ".join(f"{kind} {loss:.4f}" for kind, loss in record.held_out_log_loss.items())
    lines = [
        source_sentence(record),
        f"{record.mapping.kind} (held-out log loss: {losses}); "
        f"expected calibration error {share(record.calibration_error)} on people held out",
    ]
    lines += [threshold_sentence(threshold) for threshold in (*record.false_alarms, record.miss)]
    lines += search_sentences(record.search)
    return lines


def search_sentences(searches: SearchModel | None) -> list[str]:
    """What was measured of whole searches, for people with most pictures."""
    if searches is None:
        return ["searches: not measurable; at least 20 people who were seen twice are needed"]
    fit = searches.fits[-1]
    pictures = "1 picture" if fit.pictures == 1 else f"{fit.pictures} pictures"
    return [
        f"searches through {size.people:,} people of {pictures}, FPIR {share(rate.wanted)}: same person from "
        f"{100 * rate.threshold:.1f} % (95 % interval of the rate {share(rate.low)} to {share(rate.high)}); "
        f"DIR {share(rate.identified)}"
        for size in fit.sizes
        for rate in size.rates
        if rate.wanted == searches.usual_rate
    ]


def source_sentence(record: CalibrationRecord) -> str:
    """Which data a calibration rests on."""
    source = record.source
    who = "tracklets" if source.kind == "tracklets" else "people"
    return (
        f"{record.model.short}, from {source.people:,} {who} in "
        f"{source.pictures:,} pictures ({source.name}, {source.root}): {source.same_pairs:,} pairs of one "
        f"person, {source.different_pairs:,} of {source.couples:,} couples of two"
    )


def threshold_sentence(threshold: ErrorThreshold) -> str:
    """A wanted rate, its threshold, and how sure both are."""
    name, unit = ("miss rate", "people") if threshold.error == "miss" else ("false-alarm rate", "couples")
    wanted = f"{name} {share(threshold.wanted)}"
    if threshold.threshold is None:
        return (
            f"{wanted}: not measurable with {threshold.num_units:,} {unit}; "
            f"needs at least {1 / threshold.wanted:,.0f}"
        )
    assert threshold.rate_interval is not None
    assert threshold.other_rate is not None
    low, high = threshold.rate_interval
    other = "false alarms" if threshold.error == "miss" else "misses"
    side = "below" if threshold.error == "miss" else "same person from"
    return (
        f"{wanted}: {side} {threshold.threshold:.4f} (95 % interval of the rate {share(low)} to "
        f"{share(high)}); "
        f"{other} at this threshold {share(threshold.other_rate)}"
    )


def verification_lines(
    calibration: Calibration, score: float, *, rate: float | None = None, prior: float | None = None
) -> list[str]:
    """What `omnireid verify` prints for one pair.

    Raises:
        InputError: a rate that this calibration does not hold or could not measure, or a prior out of range.
    """
    record, alarm = calibration.record, calibration.false_alarm(rate)
    prior = EVEN if prior is None else prior
    probability = float(calibration.probability(score, prior=prior))
    whitened = "" if calibration.whitening is None else f" after {calibration.whitening.kind} whitening"
    assert alarm.rate_interval is not None
    low, high = alarm.rate_interval
    lines = [
        f"score        {score:.4f} (cosine similarity{whitened})",
        f"probability  {100 * probability:.1f} % that both show one person "
        f"(if {share(prior)} of such pairs do)",
        f"decision     {_DECISIONS[calibration.decide(score, rate=rate)]}",
        f"false alarms {share(alarm.wanted)} of pairs of two people wanted, from {alarm.threshold:.4f} on "
        f"(95 % interval {share(low)} to {share(high)}, {alarm.num_units:,} couples of people)",
    ]
    if record.miss.threshold is not None:
        lines.append(
            f"misses       {share(record.miss.wanted)} of pairs of one person lie below "
            f"{record.miss.threshold:.4f}"
        )
    if record.source.kind == "tracklets":
        lines.append(
            "note         calibrated on tracklets of one camera each: misses and probabilities are too "
            "optimistic across cameras"
        )
    return lines


def write_calibration_page(
    path: str | os.PathLike[str], calibration: Calibration, histogram: DistanceHistogram
) -> None:
    """Write the page as one self-contained HTML file, atomically.

    Args:
        histogram: scores (not distances) of the pairs that were calibrated on.

    Raises:
        StorageError: the file cannot be written.
    """
    record = calibration.record
    page = {
        "title": f"Calibration of {record.model.name}",
        "record": record,
        "environment": record.environment,
        "lines": calibration_lines(record),
        "whitening": "none" if calibration.whitening is None else calibration.whitening.kind,
        "error": share(record.calibration_error),
        "num_bins": len(record.reliability),
        "reliability": reliability_chart(record),
        "histogram": histogram_chart(histogram, title="Scores of pairs", x_label="cosine similarity"),
        "thresholds": [_row(threshold) for threshold in (*record.false_alarms, record.miss)],
    }
    write_page(path, render_page("calibration.html.j2", page))


def reliability_chart(record: CalibrationRecord) -> str:
    """Observed share of same-person pairs over predicted probability, beside the diagonal, as inline SVG."""
    points = [
        (bin_.predicted, bin_.observed)
        for bin_ in record.reliability
        if bin_.predicted is not None and bin_.observed is not None
    ]
    return line_chart(
        [Series("observed", points), Series("perfect", [(0.0, 0.0), (1.0, 1.0)])],
        title="Reliability diagram",
        x_label="predicted probability",
        y_label="% of one person",
        y_range=(0.0, 1.0),
        as_percent=True,
    )


def _row(threshold: ErrorThreshold) -> tuple[str, ...]:
    """Cells of the page's table."""
    name = "misses" if threshold.error == "miss" else "false alarms"
    if threshold.threshold is None or threshold.rate_interval is None or threshold.other_rate is None:
        return (name, share(threshold.wanted), "not measurable", "–", "–", f"{threshold.num_units:,}")
    low, high = threshold.rate_interval
    return (
        name,
        share(threshold.wanted),
        f"{threshold.threshold:.4f}",
        f"{share(low)} to {share(high)}",
        share(threshold.other_rate),
        f"{threshold.num_units:,}",
    )
