"""The examples of docs/guides/gallery do what the pages say."""

from __future__ import annotations

import doctest
from pathlib import Path

import numpy as np

from documentation import run_examples
from gallery.people import DIM, MODEL, calibration, vectors

PAGES = ("items", "searching", "decisions", "identities", "cases", "site", "audit", "watch-list", "processes")


class ToyEmbedder:
    """Its crops are embeddings."""

    ref, dim = MODEL, DIM

    def embed(self, crops: list) -> np.ndarray:
        return np.stack(crops)


def test_every_example_of_the_pages_runs(tmp_path: Path) -> None:
    people = vectors(3, 11)
    crops = [people[n // 3] + 0.3 * one for n, one in enumerate(vectors(4, 30))]
    known = {
        "np": np,
        "embedder": ToyEmbedder(),
        "folder": str(tmp_path / "gallery"),
        "calibration": calibration(noise=0.5),
        "crops": crops,
        "seen": [(("door", "hall", "yard")[n % 3], 1_700_000_000.0 + n) for n in range(30)],
        "crop": people[0] + 0.3 * vectors(5, 1)[0],
        "somebody_else": people[10],
    }
    # This asserts: what each example gives is what the page shows.
    run_examples(
        *(f"guides/gallery/{name}.md" for name in PAGES),
        known=known,
        at_least=30,
        options=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL,
    )
