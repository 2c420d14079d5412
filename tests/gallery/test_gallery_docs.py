"""The examples of docs/gallery.md do what the page says."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import numpy as np

from gallery.people import DIM, MODEL, calibration, vectors

PAGE = Path(__file__).resolve().parents[2] / "docs" / "gallery.md"


class ToyEmbedder:
    """Its crops are embeddings."""

    ref, dim = MODEL, DIM

    def embed(self, crops: list) -> np.ndarray:
        return np.stack(crops)


def test_every_example_of_the_page_runs(tmp_path: Path) -> None:
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
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
    examples = doctest.DocTestParser().get_doctest("\n".join(blocks), known, PAGE.name, str(PAGE), 0)
    assert len(examples.examples) >= 30
    said: list[str] = []
    runner = doctest.DocTestRunner(
        verbose=False, optionflags=doctest.ELLIPSIS | doctest.IGNORE_EXCEPTION_DETAIL
    )
    failed = runner.run(examples, out=said.append).failed
    assert failed == 0, "".join(said)
