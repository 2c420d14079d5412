"""Zero-shot on real pictures: published weights beside ours, none of which has seen a picture of the target.

    python benchmarks/transfer.py [--half train] [--model FILE …] [--real ../shared/real] [--out FILE]

Every network embeds the same pictures, at its own card's size, and is ranked by the target's protocol, by
cosine and by Euclidean distance of raw embeddings; where a calibration lies beside it, its thresholds are
tried on the target's pairs, too: what share of pairs of two people it takes for one, against what it says.
The published files are those of `--real`, ours the weights that ship and whatever `--model` names; what is
absent is left out and said. Prints a Markdown table and writes benchmarks/results/transfer.json, with
`--half train` transfer_train.json.

`--half train` is for choosing among recipes and checkpoints: it ranks the target's *training* people, whom no
network here was trained on. Of each person and camera the first picture, by name, is a query, the others are
the gallery. The test half is to be looked at once, when everything is chosen. `--data` and `--root` name
another target.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from omnireid.core.errors import OmniReIDError
from omnireid.core.record import EnvironmentRecord
from omnireid.core.types import Dataset, Embeddings, Sample, Split
from omnireid.data.datasets import read_dataset
from omnireid.data.loading import Reading
from omnireid.evaluation.calibration import Calibration
from omnireid.evaluation.metrics import metrics_record
from omnireid.evaluation.options import DistanceName, Ranking
from omnireid.evaluation.ranking import evaluate_embeddings
from omnireid.inference.embedder import Embedder
from omnireid.inference.lookup import find_weights
from omnireid.models.shipped import list_shipped
from options import existing, new_file, run

RESULTS = Path(__file__).parent / "results"
REAL = Path(__file__).resolve().parents[2] / "shared" / "real"
DISTANCES: tuple[DistanceName, ...] = ("cosine", "euclidean")

# Files of `--real`: what they were trained on, and the terms of that.
_RESEARCH = "research only"
PUBLISHED = {
    "weights/osnet_x0_25_market1501.pth": ("Market-1501 (real)", _RESEARCH),
    "weights/osnet_x0_25_msmt17.pth": ("MSMT17 (real)", _RESEARCH),
    "osnet_x0_25_msmt17.onnx": ("MSMT17 (real)", _RESEARCH),
    "weights/person-reidentification-retail-0288/person-reidentification-retail-0288.xml": (
        "not stated (real)",
        "Apache-2.0",
    ),
}


class Candidate(NamedTuple):
    """A network to be tried."""

    name: str
    model: str
    trained_on: str
    terms: str


def training_people(dataset: Dataset) -> Dataset:
    """The training people as query and gallery; the first name of each person and camera is a query."""
    first: dict[tuple[int, int], Sample] = {}
    gallery: list[Sample] = []
    for sample in sorted(dataset.train, key=lambda sample: Path(sample.path).name):
        if sample.pid < 0:
            continue
        if first.setdefault((sample.pid, sample.camid), sample) is not sample:
            gallery.append(sample)
    return replace(
        dataset,
        name=f"{dataset.name}, training people",
        query=Split("query", tuple(first.values())),
        gallery=Split("gallery", tuple(gallery)),
    )


def target(name: str, root: Path, half: str) -> Dataset:
    """What is ranked: the test half by its protocol, or the training people."""
    dataset = read_dataset(name, root)
    return training_people(dataset) if half == "train" else dataset


def score(
    embedder: Embedder, dataset: Dataset, threads: int | None = None, calibration: Calibration | None = None
) -> dict[str, Any]:
    """Distance → metrics, in fractions; "camera_means": cosine, each camera's mean subtracted first.

    `embedder` gives raw embeddings, or normalised ones where it must.
    """
    reading = Reading(threads=threads)
    query = embedder.embed_samples(dataset.query.samples, reading)
    gallery = embedder.embed_samples(dataset.gallery.samples, reading)
    found: dict[str, Any] = {}
    ways = {distance: Ranking(distance) for distance in DISTANCES}
    if min(query.camids.min(), gallery.camids.min()) >= 0:
        ways["camera_means"] = Ranking("cosine", camera_means=True)
    for name, ranking in ways.items():
        retrieval = evaluate_embeddings(query, gallery, ranking, protocol=dataset.protocol)
        metrics = metrics_record(retrieval).model_dump()
        found[name] = {metric: value for metric, value in metrics.items() if value is not None}
    if calibration is not None:
        found["calibration"] = alarms(calibration, query, gallery)
    return found


def alarms(calibration: Calibration, query: Embeddings, gallery: Embeddings) -> list[dict[str, float]]:
    """For each threshold: the false-alarm rate it was set for, and what it is on pairs of two cameras."""
    scores = calibration.transform(query.vectors) @ calibration.transform(gallery.vectors).T
    counted = query.camids[:, None] != gallery.camids
    is_same = query.pids[:, None] == gallery.pids
    rows = []
    for alarm in calibration.record.false_alarms:
        if alarm.threshold is None:
            continue
        said = scores >= alarm.threshold
        rows.append(
            {
                "wanted": alarm.wanted,
                "false_alarms": float(said[counted & ~is_same].mean()),
                "detections": float(said[counted & is_same].mean()),
            }
        )
    return rows


def candidates(real: Path, models: list[str]) -> Iterator[Candidate]:
    """The published files, the weights that ship, and those that were named."""
    for file, (trained_on, terms) in PUBLISHED.items():
        yield Candidate(Path(file).name, str(real / file), trained_on, terms)
    for name in list_shipped():
        yield Candidate(f"{name} (ships)", name, "rendered people", "Apache-2.0")
    for model in models:
        yield Candidate(model, model, "", "")


def opened(model: str, scratch: Path, threads: int | None) -> Embedder:
    """An embedder that normalises nothing where it can; checkpoints of others are converted first."""
    if model.endswith(".pth"):
        from omnireid.models.convert import read_network
        from omnireid.models.weights import save_weights

        converted = scratch / (Path(model).stem + ".safetensors")
        save_weights(converted, *read_network(Path(model)))
        model = str(converted)
    return Embedder.open(model, normalise=False, threads=threads)


def measure(dataset: Dataset, real: Path, models: list[str], threads: int | None) -> dict[str, Any]:
    """Rows of the table, and what was left out."""
    rows, left_out = [], []
    with tempfile.TemporaryDirectory() as scratch:
        for candidate in candidates(real, models):
            is_file = Path(candidate.model).suffix != ""
            if is_file and not Path(candidate.model).exists():
                left_out.append(f"{candidate.name}: not at {candidate.model}")
                continue
            try:
                file = find_weights(candidate.model)
                embedder = opened(candidate.model, Path(scratch), threads)
            except OmniReIDError as error:
                left_out.append(f"{candidate.name}: {error}")
                continue
            card = embedder.card
            rows.append(
                {
                    "model": candidate.name,
                    "trained_on": candidate.trained_on or card.training_data,
                    "terms": candidate.terms or card.licence,
                    "sha256": embedder.sha256,
                    "input": [card.input.height, card.input.width],
                    **score(embedder, dataset, threads, Calibration.load_beside(file, embedder.sha256)),
                }
            )
            print(f"{candidate.name}: {_pair(rows[-1]['cosine'])}", file=sys.stderr)
    for reason in left_out:
        print(f"left out: {reason}", file=sys.stderr)
    return {"rows": rows, "left_out": left_out}


def table(record: dict[str, Any]) -> str:
    """The rows as Markdown, rank-1 / mAP in per cent."""
    lines = [
        f"Rank-1 / mAP on {record['dataset']}, {record['queries']:,} queries in {record['gallery']:,}:",
        "",
        "| network | trained on | terms | input | cosine | … camera means subtracted | Euclidean, raw |",
        "|---|---|---|---|---:|---:|---:|",
    ]
    for row in record["rows"]:
        height, width = row["input"]
        lines.append(
            f"| {row['model']} | {row['trained_on']} | {row['terms']} | {height}×{width} "
            f"| {_pair(row['cosine'])} | {_pair(row.get('camera_means', {}))} | {_pair(row['euclidean'])} |"
        )
    for row in record["rows"]:
        for alarm in row.get("calibration", ()):
            lines.append(
                f"\n{row['model']}, calibrated for {alarm['wanted']:.2%} false alarms: here "
                f"{alarm['false_alarms']:.2%}, and {alarm['detections']:.1%} of the pairs of one person."
            )
    return "\n".join(lines)


def _pair(metrics: dict[str, float]) -> str:
    return " / ".join(f"{100 * metrics[name]:.1f}" for name in ("rank1", "mAP") if name in metrics)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--half", choices=("test", "train"), default="test")
    parser.add_argument("--model", action="append", default=[], metavar="FILE", help="ours; may be repeated")
    parser.add_argument("--real", type=existing, default=None, help="folder of the published files")
    parser.add_argument("--data", default="cuhk03-detected")
    parser.add_argument("--root", type=existing, default=None, help="folder of --data; that of --real")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--out", type=new_file, default=None)
    arguments = parser.parse_args()
    real = arguments.real or REAL
    dataset = target(arguments.data, arguments.root or real, arguments.half)
    record = {
        "environment": EnvironmentRecord.capture().model_dump(),
        "dataset": dataset.name,
        "half": arguments.half,
        "queries": len(dataset.query),
        "gallery": len(dataset.gallery),
        **measure(dataset, real, arguments.model, arguments.threads),
    }
    name = "transfer.json" if arguments.half == "test" else "transfer_train.json"
    (arguments.out or RESULTS / name).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n")
    print(table(record))


if __name__ == "__main__":
    run(main)
