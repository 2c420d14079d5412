"""What answers of searches are worth: probabilities and verdicts through N people, and what was before.

    python benchmarks/decisions.py [--run runs/quickstart] [--real ../shared/real] [--scratch FOLDER]

Prints tables, writes benchmarks/results/decisions.json and docs/images/search_reliability.png. A model is
calibrated on some people, and tried on others who were neither trained nor calibrated on: every one of them
is searched for with a picture of each draw, in galleries with and without them. A search knows the scores
of the best twenty, as a gallery does that fetches the best pictures, and how many there are.

- "own cameras": people of the world that the model was trained in, other people than those it calibrates on;
- "other world": people, cameras and places of another seed, with the calibration of the first;
- "other world, calibrated there": the same, calibrated on people before its own cameras, as the docs ask for;
- "CUHK03": real pictures, published OSNet ×0.25 of MSMT17 (`--real`; left out where absent).

"Before" judged each comparison alone: same person from the threshold of a false-alarm rate of 0.1 % of pairs,
and probability by a prior of 1 / (N + 1) for each.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.table import Table

from omnireid import Embedder
from omnireid.core.arrays import Bool, Float32, Float64, Int64
from omnireid.core.record import EnvironmentRecord
from omnireid.core.seeds import numpy_generator
from omnireid.core.types import Embeddings
from omnireid.data.datasets import read_dataset
from omnireid.evaluation.calibration_pairs import labelled_pairs, pair_scores
from omnireid.evaluation.calibrators import at_prior, fit_logistic
from omnireid.evaluation.search_fitting import (
    Searches,
    draw_scores,
    fit_searches,
    labelled_sightings,
    simulate,
)
from omnireid.evaluation.searches import SearchModel
from omnireid.evaluation.thresholds import clustered_interval, error_thresholds
from omnireid.synthetic.dataset import render_dataset
from omnireid.synthetic.options import RenderOptions
from options import existing, finished_run, new_folder, run

RESULTS = Path(__file__).parent / "results" / "decisions.json"
PICTURE = Path(__file__).parents[1] / "docs" / "images" / "search_reliability.png"
SIZES = (10, 50, 100, 700)
SEEN = 20
NUM_BINS = 15
CALIBRATED, TRIED, REAL_CALIBRATED = 800, 720, 400
FIRST_PID, OTHER_SEED = 20_001, 11
DRAWS = 3
RATES, MISS_RATE = (0.1, 0.01, 0.001), 0.05
BEFORE_RATE = 0.001


class People(NamedTuple):
    """Pictures of people, as embeddings."""

    embeddings: Float32
    pids: Int64
    camids: Int64

    def among(self, pids: Int64) -> People:
        chosen = np.isin(self.pids, pids)
        return People(self.embeddings[chosen], self.pids[chosen], self.camids[chosen])


class Before(NamedTuple):
    """A decision of comparisons, as it was."""

    slope: float
    offset: float
    same_from: float

    @classmethod
    def of(cls, people: People) -> Before:
        pairs = labelled_pairs(people.pids, people.camids)
        scores = pair_scores(people.embeddings, pairs)
        mapping = fit_logistic(scores, pairs.same, num_people=pairs.num_people, num_couples=pairs.num_couples)
        (alarm,) = error_thresholds("false-alarm", scores, pairs, [BEFORE_RATE], resamples=2)
        assert alarm.threshold is not None
        return cls(mapping.slope, mapping.offset, alarm.threshold)

    def probabilities(self, scores: Float64) -> Float64:
        even = 1 / (1 + np.exp(-(self.slope * scores + self.offset)))
        return at_prior(even, 1 / (scores.shape[1] + 1))


def embedded(found: Embeddings) -> People:
    return People(found.vectors, found.pids, found.camids)


def rendered(model: Path, folder: Path, seed: int, first_pid: int, size: tuple[int, int]) -> People:
    """People of one world, two pictures by each of four cameras."""
    options = RenderOptions(
        seed=seed, num_train_pids=0, num_test_pids=CALIBRATED + TRIED, crops_per_camera=2, num_distractors=0,
        num_junk=0, height=size[0], width=size[1], first_pid=first_pid,
    )  # fmt: skip
    dataset = render_dataset(folder / f"world-{seed}", options, console=Console(stderr=True))
    samples = tuple(dict.fromkeys((*dataset.query, *dataset.gallery)))
    return embedded(Embedder.open(model).embed_samples(list(samples)))


def cuhk03(folder: Path) -> tuple[People, People]:
    """People to calibrate on, of the training split, which this model never saw, and all others."""
    embedder = Embedder.open(folder / "osnet_x0_25_msmt17.onnx")
    dataset = read_dataset("cuhk03-detected", folder)
    parts = [
        embedded(embedder.embed_samples(list(split)))
        for split in (dataset.train, dataset.query, dataset.gallery)
    ]
    own, offset = parts[0], int(parts[0].pids.max()) + 1
    others = [People(part.embeddings, part.pids + offset, part.camids) for part in parts[1:]]
    everybody = People(*(np.concatenate(column) for column in zip(own, *others, strict=True)))
    order = numpy_generator(0, "cuhk03").permutation(np.unique(own.pids))
    calibrated = order[:REAL_CALIBRATED]
    return own.among(calibrated), everybody.among(np.setdiff1d(np.unique(everybody.pids), calibrated))


def trial(calibrated: People, tried: People, pictures: int) -> list[dict[str, Any]]:
    """Rates and errors on people who were not calibrated on, at each size."""
    model = fit_searches(labelled_sightings(*calibrated), false_alarm_rates=RATES, miss_rate=MISS_RATE)
    before = Before.of(calibrated)
    sightings = labelled_sightings(*tried)
    draws = [draw for seed in range(DRAWS) for draw in draw_scores(sightings, pictures, seed=100 + seed)]
    rng = numpy_generator(7, "trial")
    rows = []
    for size in SIZES:
        if size > len(draws[0]) - 1:
            continue
        known, unknown = (simulate(draws, size, has_match, rng) for has_match in (True, False))
        rows.append(at_size(model, before, known, unknown, pictures))
    return rows


def at_size(
    model: SearchModel, before: Before, known: Searches, unknown: Searches, pictures: int
) -> dict[str, Any]:
    size = known.scores.shape[1]
    best, is_right, nobody = answered(model, known, pictures)
    alone, _, alone_nobody = answered(model, unknown, pictures)
    is_nobody = np.repeat([False, True], [len(nobody), len(alone_nobody)])
    both = np.concatenate([best, alone])
    right = np.concatenate([is_right, np.zeros(len(alone), np.bool_)])
    rates = []
    for wanted in model.measured_rates:
        rate = model.rate(size, pictures, wanted)
        assert rate is not None
        is_alarm = alone >= rate.threshold
        low, high = clustered_interval(is_alarm, unknown.people)
        rates.append(
            {
                "wanted": wanted, "same_from": rate.threshold, "stated": [rate.rate, rate.low, rate.high],
                "fpir": float(is_alarm.mean()), "interval": [low, high],
                "dir": float((is_right & (best >= rate.threshold)).mean()),
            }
        )  # fmt: skip
    was = before.probabilities(np.concatenate([known.scores, unknown.scores]))
    was_best = was.max(axis=1)
    was_right = np.concatenate([known.scores.argmax(axis=1) == 0, np.zeros(len(unknown.people), np.bool_)])
    return {
        "people": size,
        "searches": len(both),
        "units": len(np.unique(known.people)),
        "is_extrapolated": size > model.num_people,
        "rank1": float((known.scores.argmax(axis=1) == 0).mean()),
        "ece_best": calibration_error(both, right),
        "ece_nobody": calibration_error(np.concatenate([nobody, alone_nobody]), is_nobody),
        "reliability": reliability(both, right),
        "reliability_nobody": reliability(np.concatenate([nobody, alone_nobody]), is_nobody),
        "rates": rates,
        "before": {
            "fpir": float((unknown.scores.max(axis=1) >= before.same_from).mean()),
            "several": float(((known.scores >= before.same_from).sum(axis=1) > 1).mean()),
            "sum": float(was.sum(axis=1).mean()),
            "ece_best": calibration_error(was_best, was_right),
            "least_same": float(at_prior_of(before, size)),
        },
    }


def at_prior_of(before: Before, size: int) -> Float64:
    """The probability that was shown beside the least of "same person"."""
    return before.probabilities(np.full((1, size), before.same_from))[0, 0]


def answered(model: SearchModel, searches: Searches, pictures: int) -> tuple[Float64, Bool, Float64]:
    """The best person's probability, whether it is the right one, and nobody's, at a prior of one half."""
    size = searches.scores.shape[1]
    best, is_right, nobody = [], [], []
    for scores in searches.scores:
        order = np.argsort(-scores, kind="stable")
        below = float(scores[order[SEEN]]) if size > SEEN else None
        found = model.posterior(scores[order[:SEEN]], size, pictures=pictures, unseen_below=below)
        best.append(found.people[0])
        is_right.append(searches.has_match and order[0] == 0)
        nobody.append(found.nobody)
    return np.array(best), np.array(is_right, np.bool_), np.array(nobody)


def reliability(probabilities: Float64, is_true: Bool) -> list[tuple[float, float, float]]:
    """For each bin that holds any: what was said, what was so, and its share of all."""
    place = np.minimum((probabilities * NUM_BINS).astype(int), NUM_BINS - 1)
    return [
        (
            float(probabilities[place == bin].mean()),
            float(is_true[place == bin].mean()),
            float((place == bin).mean()),
        )
        for bin in np.unique(place)
    ]


def calibration_error(probabilities: Float64, is_true: Bool) -> float:
    """Expected calibration error; searches with and without a match are equally many."""
    return sum(share * abs(said - so) for said, so, share in reliability(probabilities, is_true))


def draw_reliability(trials: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """Observed over predicted for the best person and for nobody, a line for each size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    name = next(iter(trials))
    for place, (key, title) in enumerate(
        (("reliability", "the best person"), ("reliability_nobody", "nobody here"))
    ):
        axes = figure.add_subplot(1, 2, place + 1)
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        for row in trials[name]:
            points = np.array([(said, so) for said, so, share in row[key] if share >= 0.005])
            axes.plot(*points.T, marker="o", markersize=3, label=f"N = {row['people']}")
        axes.set(title=f"{title}, {name}", xlabel="probability that was said", ylabel="share that was so")
        axes.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)


def print_trials(trials: dict[str, list[dict[str, Any]]], console: Console) -> None:
    columns = (
        "data",
        "N",
        "ECE best",
        "ECE nobody",
        "wanted",
        "FPIR (95 %)",
        "DIR",
        "FPIR before",
        "sum before",
    )
    table = Table(*columns, box=None)
    for name, rows in trials.items():
        for row in rows:
            for rate in row["rates"]:
                low, high = rate["interval"]
                table.add_row(
                    name,
                    f"{row['people']}{'*' if row['is_extrapolated'] else ''}",
                    f"{row['ece_best']:.1%}",
                    f"{row['ece_nobody']:.1%}",
                    f"{rate['wanted']:.1%}",
                    f"{rate['fpir']:.2%} ({low:.2%} to {high:.2%})",
                    f"{rate['dir']:.1%}",
                    f"{row['before']['fpir']:.1%}",
                    f"{row['before']['sum']:.2f}",
                )
    console.print(table)
    console.print("* more people than the calibration knew")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", type=finished_run, default=Path("runs/quickstart"))
    parser.add_argument("--real", type=existing)
    parser.add_argument("--scratch", type=new_folder, default=Path("runs/decisions"))
    parser.add_argument("--pictures", type=int, default=6, help="of each person in the gallery")
    asked = parser.parse_args(arguments)
    model = asked.run / "model.safetensors"
    spec = Embedder.open(model).card.input
    trials: dict[str, list[dict[str, Any]]] = {}
    worlds = {
        seed: rendered(model, asked.scratch, seed, FIRST_PID, (spec.height, spec.width))
        for seed in (1, OTHER_SEED)
    }
    halves = {
        seed: (
            people.among(np.arange(FIRST_PID, FIRST_PID + CALIBRATED)),
            people.among(np.arange(FIRST_PID + CALIBRATED, FIRST_PID + CALIBRATED + TRIED)),
        )
        for seed, people in worlds.items()
    }
    own, other = halves[1], halves[OTHER_SEED]
    trials["own cameras"] = trial(*own, asked.pictures)
    trials["own cameras, one picture"] = trial(*own, 1)
    trials["other world"] = trial(own[0], other[1], asked.pictures)
    trials["other world, calibrated there"] = trial(*other, asked.pictures)
    if asked.real:
        trials["CUHK03"] = trial(*cuhk03(asked.real), 4)
    print_trials(trials, Console())
    record = {
        "trials": trials,
        "pictures": asked.pictures,
        "seen": SEEN,
        "environment": EnvironmentRecord.capture().model_dump(mode="json"),
    }
    RESULTS.write_text(json.dumps(record, indent=1) + "\n")
    draw_reliability(trials, PICTURE)


if __name__ == "__main__":
    run(main)
