"""Test-time flip: the mean of a crop's embedding and its mirror image's, and the record says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import omnireid
from omnireid.core.card import InputSpec, ModelCard
from omnireid.experiment.options import EvaluationOptions
from omnireid.inference.embedder import Embedder
from toy_people import stripes_onnx, write_toy_people


class Quarters:
    """Embeds the mean colours of the left half and of the right half."""

    name, device, calls_side_by_side = "quarters", "cpu", None
    card = ModelCard(name="q", architecture="q", input=InputSpec(height=4, width=8), embedding_size=6)

    def __init__(self, *, unit: bool) -> None:
        self.unit = unit

    def embed(self, crops: np.ndarray) -> np.ndarray:
        assert crops.flags.c_contiguous
        halves = crops.reshape(len(crops), 4, 2, 4, 3).mean(axis=(1, 3)).reshape(len(crops), 6)
        rows = halves.astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True) if self.unit else rows

    def feature_maps(self, crops: np.ndarray) -> None:
        return None


CROPS = np.random.default_rng(1).integers(0, 256, (5, 4, 8, 3), dtype=np.uint8)
MIRRORED = CROPS[:, :, ::-1].copy()


@pytest.mark.parametrize("unit", [False, True])
def test_an_embedding_is_the_mean_of_both(unit: bool) -> None:
    plain = Embedder(Quarters(unit=unit), normalise=unit, is_normalised_inside=unit)
    flipped = plain.with_flip()
    left, right = plain.embed(CROPS), plain.embed(MIRRORED)
    expected = (left + right) / 2
    if unit:
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(flipped.embed(CROPS), expected, rtol=1e-6)
    # Whichever way a person is seen.
    np.testing.assert_allclose(flipped.embed(MIRRORED), flipped.embed(CROPS), rtol=1e-6)
    assert not np.allclose(left, right, rtol=1e-3)
    assert flipped.ref == plain.ref
    assert flipped.embed(CROPS[:0]).shape == (0, 6)


def test_a_record_says_that_mirror_images_were_embedded_too(tmp_path: Path) -> None:
    write_toy_people(tmp_path / "people")
    model = stripes_onnx(tmp_path / "stripes.onnx", 1.0)
    measured = omnireid.evaluate(
        model,
        "market-layout",
        tmp_path / "people",
        options=EvaluationOptions(analysis=False, flip=True),
    )
    assert measured.records[0].model.backend == "onnx + mirror image (cpu)"
