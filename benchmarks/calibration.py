"""What calibrations are worth: intervals, tracklets against labels, whitening, real photographs.

    python benchmarks/calibration.py [--run runs/quickstart] [--real ../shared/real]

Prints tables, writes benchmarks/results/calibration.json and the pictures of docs/guides/deciding. `--run` is
the folder of a finished `omnireid run`; `--real` holds published weights and MOT17 crops, and is left out
where absent.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from omnireid import Embedder
from omnireid.core.record import EnvironmentRecord
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import Embeddings, Sample, concatenate
from omnireid.data.datasets import read_dataset
from omnireid.data.loading import Reading
from omnireid.data.tracklets import Sighting, Tracklet, read_tracklets, seen_together, spread_samples
from omnireid.evaluation.calibration_pairs import (
    CalibrationPairs,
    labelled_pairs,
    pair_scores,
    tracklet_pairs,
)
from omnireid.evaluation.open_set import FPIR_LEVELS, OpenSetResult, open_set_metrics
from omnireid.evaluation.options import CalibrationOptions, Ranking
from omnireid.evaluation.thresholds import error_thresholds, wilson_interval
from omnireid.evaluation.whitening import Whitening, fit_whitening
from omnireid.experiment.calibration import calibrate_labelled, calibrate_tracklets
from options import finished_run, new_folder, run

sys.path.append(str(Path(__file__).parents[1] / "tests" / "evaluation"))
from error_rates import error_rate

RESULTS = Path(__file__).parent / "results" / "calibration.json"
HALVINGS = 10
RATE = 0.01
WHITENINGS = ("none", "centre", "zca")
# Two sequences each; their names in the file names of the crops.
REAL_HALVES = (("s1", "s3"), ("s2", "s4"))


def coverage(rounds: int) -> list[dict[str, Any]]:
    """How often three intervals hold the true rate, which is known because scores are normal here."""
    rows = []
    for num_people, share in ((20, 1.0), (20, 0.4), (40, 1.0), (40, 0.4), (100, 1.0), (100, 0.4)):
        people = np.concatenate(
            [
                np.repeat(np.stack([np.arange(num_people)] * 2, 1), 2, axis=0),
                np.repeat(np.stack(np.triu_indices(num_people, 1), 1), 2, axis=0),
            ]
        )
        pairs = CalibrationPairs(np.zeros_like(people), people)
        for rate in (0.1, 0.02):
            held = {"ours": 0, "ours, upper end": 0, "binomial over pairs": 0}
            for seed in range(rounds):
                rng = np.random.default_rng(seed)
                # What a person brings into all of their pairs, and what a pair has of its own.
                common = share * rng.standard_normal(num_people)
                scores = common[people].sum(1) + rng.standard_normal(len(pairs))
                (found,) = error_thresholds("false-alarm", scores, pairs, [rate], resamples=200, seed=seed)
                assert found.threshold is not None
                assert found.observed is not None
                assert found.rate_interval is not None
                true = 0.5 * math.erfc(found.threshold / math.sqrt(2 * (1 + 2 * share**2)))
                low, high = found.rate_interval
                held["ours"] += low <= true <= high
                held["ours, upper end"] += true <= high
                low, high = wilson_interval(found.observed, int((~pairs.same).sum()))
                held["binomial over pairs"] += low <= true <= high
            rows.append(
                {"people": num_people, "from_people": 2 * share**2 / (1 + 2 * share**2), "rate": rate}
                | {name: count / rounds for name, count in held.items()}
            )
    return rows


def halves(pids: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Random halves of the people, as rows: to calibrate on, to check with."""
    for number in range(HALVINGS):
        order = numpy_generator(number, "benchmark").permutation(np.unique(pids))
        first = np.isin(pids, order[: len(order) // 2])
        yield np.flatnonzero(first), np.flatnonzero(~first)


def spread(values: Sequence[float]) -> dict[str, float]:
    return {"mean": float(np.mean(values)), "deviation": float(np.std(values, ddof=1))}


def tracklets_against_labels(found: Embeddings) -> dict[str, Any]:
    """Thresholds from half of the people, by labels across cameras or as tracklets; errors on the others."""
    kept: dict[str, dict[str, list[float]]] = {}
    for fit, check in halves(found.pids):
        held = labelled_pairs(found.pids[check], found.camids[check])
        held_scores = pair_scores(found.vectors[check], held)
        by_label = labelled_pairs(found.pids[fit], found.camids[fit])
        # One tracklet for each person and camera; everybody whom a camera sees counts as seen together.
        whose = found.camids[fit] * (found.pids.max() + 1) + found.pids[fit]
        numbers, place = np.unique(whose, return_inverse=True)
        camera = numbers // (found.pids.max() + 1)
        a, b = np.triu_indices(len(numbers), 1)
        couples = np.stack([a, b], 1)[camera[a] == camera[b]]
        times = np.array([np.flatnonzero(np.flatnonzero(place == p) == i)[0] for i, p in enumerate(place)])
        by_tracklet = tracklet_pairs(place, times.astype(np.float64), couples)
        for name, pairs in (("labels", by_label), ("tracklets", by_tracklet)):
            scores = pair_scores(found.vectors[fit], pairs)
            (alarm,) = error_thresholds("false-alarm", scores, pairs, [RATE], resamples=2)
            (miss,) = error_thresholds("miss", scores, pairs, [0.05], resamples=2)
            row = kept.setdefault(name, {})
            for key, value in (
                ("threshold", alarm.threshold),
                ("false_alarms", error_rate("false-alarm", held_scores, held, alarm.threshold)[0]),
                ("miss_threshold", miss.threshold),
                ("misses", error_rate("miss", held_scores, held, miss.threshold)[0]),
            ):
                row.setdefault(key, []).append(float(value))
    return {name: {key: spread(values) for key, values in row.items()} for name, row in kept.items()}


def whitening_effect(found: Embeddings) -> dict[str, Any]:
    """Fitted on a quarter of the people, threshold on another, errors and scores on the other half."""
    kept: dict[str, dict[str, list[float]]] = {name: {} for name in WHITENINGS}
    for fit, check in halves(found.pids):
        people = np.unique(found.pids[fit])
        is_first = np.isin(found.pids[fit], people[: len(people) // 2])
        for name in WHITENINGS:
            whitening: Whitening | None = None
            if name != "none":
                whitening = fit_whitening(found.vectors[fit[is_first]], found.pids[fit[is_first]], name)
            rest = fit[~is_first]
            points = found.vectors if whitening is None else whitening.apply(found.vectors)
            pairs = labelled_pairs(found.pids[rest], found.camids[rest])
            (alarm,) = error_thresholds(
                "false-alarm", pair_scores(points[rest], pairs), pairs, [RATE], resamples=2
            )
            held = labelled_pairs(found.pids[check], found.camids[check])
            scores = pair_scores(points[check], held)
            one, two = np.sort(scores[held.same]), np.sort(scores[~held.same])
            thresholds = np.unique(scores)
            alarms = 1 - np.searchsorted(two, thresholds, side="left") / len(two)
            misses = np.searchsorted(one, thresholds, side="left") / len(one)
            for key, value in (
                ("low", np.quantile(scores, 0.01)),
                ("high", np.quantile(scores, 0.99)),
                ("false_alarms", (two >= alarm.threshold).mean()),
                ("misses", (one < alarm.threshold).mean()),
                ("eer", np.maximum(alarms, misses).min()),
            ):
                kept[name].setdefault(key, []).append(float(value))
    return {name: {key: spread(values) for key, values in row.items()} for name, row in kept.items()}


def real_tracklets(folder: Path) -> dict[str, list[Tracklet]]:
    """Tracklets of the crops in `folder` by sequence; 0001_c1s2_000003_00.jpg is tracklet 0001 of s2."""
    sightings: dict[tuple[str, str], list[Sighting]] = {}
    for picture in sorted(folder.glob("*/*.jpg")):
        person, place, frame, _ = picture.stem.split("_")
        sightings.setdefault((place[2:], person), []).append(Sighting(str(picture), float(frame)))
    found: dict[str, list[Tracklet]] = {}
    for (sequence, person), own in sightings.items():
        own.sort(key=lambda sighting: sighting.time)
        found.setdefault(sequence, []).append(Tracklet(sequence, person, tuple(own)))
    return found


def real_photographs(folder: Path) -> dict[str, Any]:
    """Unlabelled calibration on two sequences, its thresholds on the two others, and the reverse."""
    embedder = Embedder.open(folder / "osnet_x0_25_msmt17.onnx")
    by_sequence = real_tracklets(folder / "mot17mini")
    rows: dict[str, Any] = {}
    for fit, check in (REAL_HALVES, REAL_HALVES[::-1]):
        own = [one for sequence in fit for one in by_sequence[sequence]]
        others = [one for sequence in check for one in by_sequence[sequence]]
        for whitening in WHITENINGS:
            options = CalibrationOptions((0.1, 0.05, 0.01, 0.001), miss_rate=0.1, whitening=whitening)
            run = calibrate_tracklets(embedder, own, options, source="+".join(fit))
            pairs, scores = scored_tracklets(embedder, others, run.calibration.transform)
            kept = []
            for alarm in (*run.calibration.record.false_alarms, run.calibration.record.miss):
                row = {"error": alarm.error, "wanted": alarm.wanted, "threshold": alarm.threshold,
                       "interval": alarm.rate_interval, "units": alarm.num_units}  # fmt: skip
                if alarm.threshold is not None:
                    observed, interval = error_rate(alarm.error, scores, pairs, alarm.threshold)
                    row |= {"held_out": observed, "held_out_interval": interval}
                kept.append(row)
            record = run.calibration.record
            rows[f"{'+'.join(fit)} → {'+'.join(check)}, {whitening}"] = {
                "people": record.source.people,
                "couples": record.source.couples,
                "held_out_people": len(others),
                "held_out_couples": pairs.num_couples,
                "scores": [float(value) for value in np.quantile(scores, (0.01, 0.5, 0.99))],
                "calibration_error": record.calibration_error,
                "mapping": record.mapping.kind,
                "thresholds": kept,
            }
    rows["gap"] = effect_of_the_gap(embedder, by_sequence["s2"])
    frames = read_tracklets(folder / "frames")
    rows["frames"] = {"tracklets": len(frames), "couples": len(seen_together(frames))}
    return rows


def effect_of_the_gap(embedder: Embedder, tracklets: Sequence[Tracklet]) -> dict[str, list[float]]:
    """1 %, 10 % and 50 % quantile of same-person scores, of neighbouring frames and of the farthest."""
    samples, load = spread_samples(tracklets, 8)
    found = embedder.embed_samples(samples, Reading(load=load))
    times = np.array([one.time for one in samples])
    a, b = np.triu_indices(len(samples), 1)
    own, gap = found.pids[a] == found.pids[b], np.abs(times[a] - times[b])
    scores = np.einsum("pd,pd->p", found.vectors[a], found.vectors[b])
    kinds = {"neighbours": gap == 1, "half of the duration": gap >= 3.5, "farthest": gap == 7}
    return {name: np.quantile(scores[own & kind], (0.01, 0.1, 0.5)).tolist() for name, kind in kinds.items()}


def scored_tracklets(
    embedder: Embedder, tracklets: Sequence[Tracklet], transform: Any
) -> tuple[CalibrationPairs, np.ndarray]:
    samples, load = spread_samples(tracklets, 8)
    found = embedder.embed_samples(samples, Reading(load=load))
    times = np.array([one.time for one in samples], np.float64)
    pairs = tracklet_pairs(found.pids, times, seen_together(tracklets))
    return pairs, pair_scores(transform(found.vectors), pairs)


def untrained(embedder: Embedder, found: Embeddings) -> Embeddings:
    """The same pictures by a network of the same kind that never learned anything."""
    import torch

    from omnireid.inference.backends.torch_eager import TorchBackend
    from omnireid.models.registry import build_model

    network = build_model(embedder.card.architecture)
    network.initialise(torch.Generator().manual_seed(0))
    samples = [
        Sample(path, int(pid), int(camid))
        for path, pid, camid in zip(found.paths, found.pids, found.camids, strict=True)
    ]
    return Embedder(TorchBackend(network, embedder.card)).embed_samples(samples)


def draw(folder: Path, embedder: Embedder, dataset: Any, open_set: OpenSetResult) -> None:
    """The pictures of docs/guides/deciding."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    run = calibrate_labelled(embedder, dataset)
    record, histogram = run.calibration.record, run.histogram
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    middles = (histogram.edges[:-1] + histogram.edges[1:]) / 2
    for counts, name, colour in (
        (histogram.same, "pairs of one person", "#2266cc"),
        (histogram.different, "pairs of two people", "#dd7711"),
    ):
        left.fill_between(
            middles, 100 * counts / counts.sum(), step="mid", alpha=0.35, color=colour, label=name
        )
    for alarm in record.false_alarms:
        left.axvline(alarm.threshold, color="#aa2222", linewidth=1)
        left.annotate(f"{100 * alarm.wanted:g} %", (alarm.threshold, 6.8), rotation=90,
                      va="top", ha="right", color="#aa2222", fontsize=8)  # fmt: skip
    left.axvline(record.miss.threshold, color="#228833", linewidth=1, linestyle="--", label="5 % misses")
    left.set(
        xlabel="cosine similarity", ylabel="% of pairs", title="Scores, and thresholds for false-alarm rates"
    )
    left.legend(frameon=False, fontsize=8)
    bins = [one for one in record.reliability if one.predicted is not None]
    right.plot([0, 1], [0, 1], color="#888888", linestyle="--", linewidth=1)
    right.plot([one.predicted for one in bins], [one.observed for one in bins], "o-", color="#2266cc")
    title = f"Reliability on people held out (error {100 * record.calibration_error:.1f} %)"
    right.set(xlabel="predicted probability", ylabel="observed share of one person", title=title)
    figure.savefig(folder / "calibration.png", dpi=110)
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
    fpir, tpir = open_set.curve().T
    left.semilogx(100 * fpir, 100 * tpir, color="#2266cc")
    left.set(xlabel="FPIR, %", ylabel="TPIR (DIR at rank 1), %", ylim=(0, 100), title="ROC of the watch list")
    right.loglog(100 * fpir, 100 * (1 - tpir), color="#2266cc")
    right.set(xlabel="FPIR, %", ylabel="FNIR, %", title="DET: the same errors, both logarithmic")
    for axes in (left, right):
        axes.axvspan(axes.get_xlim()[0], 100 * open_set.lowest_fpir, color="#dddddd")
        axes.grid(alpha=0.3)
        axes.xaxis.set_major_formatter("{x:g}")
    right.yaxis.set_major_formatter("{x:g}")
    right.yaxis.set_minor_formatter("{x:g}")
    left.annotate("not measurable", (100 * open_set.lowest_fpir, 5), rotation=90, ha="right", fontsize=8)
    figure.savefig(folder / "open_set.png", dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=finished_run, default="runs/quickstart")
    parser.add_argument("--real", type=Path, default=Path("../shared/real"))
    parser.add_argument("--figures", type=new_folder, default="docs/images")
    parser.add_argument("--rounds", type=int, default=200, help="of the coverage simulation")
    arguments = parser.parse_args()
    embedder = Embedder.open(arguments.run / "model.safetensors")
    dataset = read_dataset("market-layout", arguments.run / "data")
    query, gallery = (embedder.embed_samples(split.samples) for split in (dataset.query, dataset.gallery))
    people = gallery.pids > 0
    both = concatenate([query, gallery[people]])
    open_set = open_set_metrics(query, gallery, Ranking("cosine"))
    results = {
        "environment": EnvironmentRecord.capture().model_dump(),
        "coverage": coverage(arguments.rounds),
        "rendered": {
            "model": embedder.card.name,
            "tracklets_against_labels": tracklets_against_labels(both),
            "whitening": whitening_effect(both),
            "whitening_untrained": whitening_effect(untrained(embedder, both)),
            "open_set": {
                "mate_searches": open_set.num_mate_searches,
                "non_mate_searches": open_set.num_non_mate_searches,
                "tpir": {
                    level: None if (v := open_set.tpir(level)) is None else spread(v) for level in FPIR_LEVELS
                },
                "eer": spread(open_set.eer),
            },
        },
    }
    if arguments.real.is_dir():
        results["real"] = real_photographs(arguments.real)
    draw(arguments.figures, embedder, dataset, open_set)
    RESULTS.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    print_tables(results)


def print_tables(results: dict[str, Any]) -> None:
    console = Console()
    table = Table(title="How often an interval holds the true false-alarm rate")
    for name in results["coverage"][0]:
        table.add_column(name, justify="right")
    for row in results["coverage"]:
        table.add_row(*(f"{value:.3g}" for value in row.values()))
    console.print(table)
    for key in ("tracklets_against_labels", "whitening", "whitening_untrained"):
        table = Table(title=key.replace("_", " "))
        rows = results["rendered"][key]
        for name in ("", *next(iter(rows.values()))):
            table.add_column(name, justify="right")
        for name, row in rows.items():
            table.add_row(name, *(f"{one['mean']:.4f} ± {one['deviation']:.4f}" for one in row.values()))
        console.print(table)
    console.print(results["rendered"]["open_set"])
    console.print(results.get("real", "real photographs: absent"))
    console.print(f"[dim]{RESULTS}[/]")


if __name__ == "__main__":
    run(main)
