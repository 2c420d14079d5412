"""How close the corruptions are to the published code.

    OMP_NUM_THREADS=1 python benchmarks/corruption_fidelity.py

For each corruption and severity, on 64 rendered crops: the mean over many draws of the result's mean,
deviation and gradient energy, ours against tests/robustness/reference.npz. All figures are percent.

- mean, deviation, gradient energy: mean absolute difference over the crops, relative to their mean.
- chance: what two halves of the published draws differ by, scaled to the number of draws compared: less
  than that cannot be told from noise.
- all crops together: the difference of the means over the crops, where chance largely cancels.
- bytes: where there is no chance, whether they all agree.

Prints a Markdown table and writes benchmarks/results/corruption_fidelity.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from pathlib import Path

import numpy as np

from omnireid.core.arrays import Float64
from omnireid.core.files import write_text
from omnireid.core.images import Crop, decode
from omnireid.core.record import EnvironmentRecord
from omnireid.core.seeds import numpy_generator
from omnireid.robustness.corruptions import corrupt
from omnireid.robustness.suite import CATEGORIES, CORRUPTIONS, SEVERITIES

HERE = Path(__file__).parent
FOLDER = HERE.parent / "tests" / "robustness"
STATISTICS = ("mean", "deviation", "gradient")


def measure(crop: Crop) -> tuple[float, float, float]:
    """Mean, deviation and gradient energy (mean squared difference of neighbours, down plus right)."""
    levels = crop.astype(np.float64)
    gradient = np.mean(np.diff(levels, axis=0) ** 2) + np.mean(np.diff(levels, axis=1) ** 2)
    return float(levels.mean()), float(levels.std()), float(gradient)


def expected(crops: list[Crop], name: str, severity: int, draws: int) -> Float64:
    """(crops, 3) means over the draws."""
    rows = []
    for number, crop in enumerate(crops):
        rng = numpy_generator(0, name, severity, number)
        rows.append(np.mean([measure(corrupt(crop, name, severity, rng)) for _ in range(draws)], axis=0))
    return np.array(rows)


def relative(difference: Float64, level: Float64) -> list[float]:
    """Mean absolute difference over the crops, relative to their mean, in percent."""
    return [round(float(v), 3) for v in 100 * np.abs(difference).mean(axis=0) / level.mean(axis=0)]


def bias(difference: Float64, level: Float64) -> list[float]:
    """Difference of the means over the crops, in percent: what many crops together are off by."""
    return [round(float(v), 3) for v in 100 * difference.mean(axis=0) / level.mean(axis=0)]


def main() -> None:
    argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    ).parse_args()
    with np.load(FOLDER / "crops.npz") as files:
        crops = [decode(files[key].tobytes()) for key in sorted(files.files)]
    with np.load(FOLDER / "reference.npz") as files:
        about = json.loads(str(files["about"]))
        reference = {key: files[key].astype(np.float64) for key in files.files if key != "about"}

    rows: list[dict[str, object]] = []
    print(
        "| corruption | severity | bytes | mean | deviation | gradient energy | chance | all crops together |"
    )
    print("|---|---:|---|---:|---:|---:|---|---|")
    for name in CORRUPTIONS:
        for severity in SEVERITIES:
            key = f"{name}-{severity}"
            row: dict[str, object] = {
                "corruption": name,
                "category": CATEGORIES[name],
                "severity": severity,
            }
            sha256 = about["sha256"].get(key)
            draws = 1 if sha256 else 2 * about["draws_per_half"][name]
            level = reference[key].mean(axis=0)
            difference = expected(crops, name, severity, draws) - level
            row |= {
                "draws": draws,
                "difference_percent": dict(zip(STATISTICS, relative(difference, level), strict=True)),
                "bias_percent": dict(zip(STATISTICS, bias(difference, level), strict=True)),
            }
            if sha256 is not None:
                rng = np.random.default_rng(0)
                results = b"".join(corrupt(crop, name, severity, rng).tobytes() for crop in crops)
                row["bytes_equal"] = hashlib.sha256(results).hexdigest() == sha256
                cells = ["equal" if row["bytes_equal"] else "differ"]
            else:
                first, second = reference[key]
                # Each half has twice the variance of the means that are compared.
                chance = relative((first - second) / math.sqrt(2), level)
                row["chance_percent"] = dict(zip(STATISTICS, chance, strict=True))
                cells = ["random"]
            cells += [f"{v:.2f}" for v in relative(difference, level)]
            cells += ["none"] if sha256 else [" / ".join(f"{v:.2f}" for v in chance)]
            cells += [" / ".join(f"{v:+.2f}" for v in bias(difference, level))]
            rows.append(row)
            print(f"| {name} | {severity} | {' | '.join(cells)} |", flush=True)
    result = {
        "crops": len(crops),
        "reference": about["versions"],
        "rows": rows,
        "environment": EnvironmentRecord.capture().model_dump(),
    }
    write_text(HERE / "results" / "corruption_fidelity.json", json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
