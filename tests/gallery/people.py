"""Made-up people for the gallery's tests, and a calibration made of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from gallery.memory_store import MemoryStore
from omnireid import Gallery, Item, ModelRef
from omnireid.core.arrays import Float32
from omnireid.evaluation.calibration import Calibration, CalibrationSource, fit_calibration
from omnireid.evaluation.calibration_pairs import labelled_pairs, pair_scores
from omnireid.evaluation.options import CalibrationOptions
from omnireid.evaluation.search_fitting import fit_searches, labelled_sightings
from omnireid.evaluation.whitening import fit_whitening

DIM = 32
MODEL = ModelRef("toy", "ab" * 32, DIM)
OTHER = ModelRef("other", "cd" * 32, DIM)


class Clock:
    """Time that passes when it is told to."""

    def __init__(self, now: float = 1_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def memory_gallery(store: MemoryStore | None = None, **options: Any) -> Gallery:
    return Gallery(store or MemoryStore(), clock=Clock(), **options)


def vectors(seed: int, count: int, dim: int = DIM) -> Float32:
    """(N, D), of any norm."""
    return np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)


def crowd(seed: int, num_people: int, each: int, noise: float = 1.0) -> tuple[Float32, list[int]]:
    """Embeddings of people who look a little alike in their pictures, and who each shows."""
    rng = np.random.default_rng(seed)
    pids = np.repeat(np.arange(num_people), each)
    points = rng.standard_normal((num_people, DIM))[pids] + noise * rng.standard_normal((len(pids), DIM))
    points[:, 0] += 1
    return points.astype(np.float32), pids.tolist()


def items_of(pids: list[int], **fields: Any) -> list[Item]:
    """One item for each embedding of a crowd, in three cameras, a second apart."""
    return [
        Item(camera=f"cam{n % 3}", time=float(n), identity=f"p{pid}", **fields) for n, pid in enumerate(pids)
    ]


@cache
def calibration(*, whitened: bool = False, model: ModelRef = MODEL, noise: float = 1.0) -> Calibration:
    """Of another crowd, whose people look as alike. Fitted once; tests only read it."""
    embeddings, pids = crowd(1, 100, 4, noise)
    whitening = None
    if whitened:
        others, who = crowd(2, 60, 6, noise)
        whitening = fit_whitening(others, np.array(who), "centre")
        embeddings = whitening.apply(embeddings)
    camids, rates = np.tile(np.arange(4) % 3, 100), (0.1, 0.01, 1e-6)
    pairs = labelled_pairs(np.array(pids), camids, max_pairs=20_000)
    sightings = labelled_sightings(embeddings, np.array(pids), camids)
    return fit_calibration(
        pair_scores(embeddings, pairs),
        pairs,
        model=model,
        source=CalibrationSource(
            kind="labelled", name="toy", root="toy", split="test", protocol="market1501", pictures=0,
            people=0, cameras=3, same_pairs=0, different_pairs=0, couples=0, seed=0,
        ),
        whitening=whitening,
        search=fit_searches(sightings, false_alarm_rates=rates, miss_rate=0.05),
        options=CalibrationOptions(rates),
    )  # fmt: skip
