"""Published results of the corruption benchmarks, to stand beside one's own.

Source: leaderboards of "Benchmarks for Corruption Invariant Person Re-identification" (Chen et al., NeurIPS
2021 Datasets and Benchmarks, arXiv 2111.00880) as its repository prints them. No row exists for OSNet on
CUHK03-C. The recipe behind the OSNet rows is not published.
"""

from __future__ import annotations

from typing import NamedTuple


class Scores(NamedTuple):
    """Fractions between 0 and 1."""

    mINP: float  # noqa: N815 (the field's spelling)
    mAP: float  # noqa: N815
    rank1: float


class PublishedRow(NamedTuple):
    """One method: clean, and both query and gallery corrupted."""

    method: str
    clean: Scores
    corrupted: Scores


PROTOCOL = (
    "20 corruptions and 5 severities drawn per picture, query and gallery corrupted, L2-normalised, "
    "Euclidean distance, other cameras only; means of ten draws for CIL, not stated for the other methods"
)


def _row(
    method: str, clean: tuple[float, float, float], corrupted: tuple[float, float, float]
) -> PublishedRow:
    return PublishedRow(
        method, Scores(*(value / 100 for value in clean)), Scores(*(value / 100 for value in corrupted))
    )


# Percent: mINP, mAP, rank-1.
PUBLISHED: dict[str, tuple[PublishedRow, ...]] = {
    "Market-1501-C": (
        _row("TransReID", (69.29, 88.93, 95.07), (1.98, 27.38, 53.19)),
        _row("CIL", (57.90, 84.04, 93.38), (1.76, 28.03, 55.57)),
        _row("CaceNet", (70.47, 89.82, 95.40), (0.67, 18.24, 42.92)),
        _row("LightMBN", (73.29, 91.54, 96.53), (0.50, 14.84, 38.68)),
        _row("PLR-OS", (66.42, 88.93, 95.19), (0.48, 14.23, 37.56)),
        _row("OS-Net", (56.78, 85.67, 94.69), (0.23, 10.37, 30.94)),
        _row("BoT", (51.00, 83.90, 94.30), (0.10, 6.60, 26.20)),
    ),
    "MSMT17-C (V2)": (
        _row("CIL", (12.45, 52.40, 76.10), (0.32, 15.33, 39.79)),
        _row("OS-Net", (4.05, 40.05, 71.86), (0.08, 7.86, 28.51)),
        _row("AGW", (12.38, 51.84, 75.21), (0.08, 6.53, 22.77)),
        _row("BoT", (9.91, 48.34, 73.53), (0.07, 5.28, 20.20)),
    ),
    "CUHK03-C (detected)": (
        _row("CIL", (53.87, 65.16, 67.29), (4.25, 16.33, 22.96)),
        _row("CaceNet", (65.22, 75.13, 77.64), (2.09, 10.62, 17.04)),
    ),
}

_BENCHMARK_OF = {
    "market1501": "Market-1501-C",
    "msmt17-v2": "MSMT17-C (V2)",
    "msmt17-v2-trainval": "MSMT17-C (V2)",
    "cuhk03-detected": "CUHK03-C (detected)",
}


def benchmark_name(dataset: str) -> str:
    """The published name of a dataset's corruption benchmark, or "<dataset>-C" where there is none."""
    return _BENCHMARK_OF.get(dataset, f"{dataset}-C")
