"""From a model to what clothes are worth to it, by way of rendered people."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omnireid import Embedder
from omnireid.evaluation.clothes import ClothesRecord
from omnireid.experiment.clothes import PICTURES, RECORD, evaluate_clothes
from omnireid.report.clothes import clothes_sentence, rich_clothes
from omnireid.synthetic.options import SwapOptions
from toy_people import stripes_onnx


def test_a_model_of_colours_is_measured_kept_and_reported(tmp_path: Path) -> None:
    embedder = Embedder.open(stripes_onnx(tmp_path / "stripes.onnx", 1.0))
    swaps = SwapOptions(seed=2, num_groups=3, num_cameras=2, height=32, width=16)
    record = evaluate_clothes(embedder, tmp_path / "out", swaps, workers=1, threads=1)
    assert len(list((tmp_path / "out" / PICTURES).glob("*.jpg"))) == record.num_pictures == 3 * 4 * 2
    text = (tmp_path / "out" / RECORD).read_text()
    assert ClothesRecord.model_validate_json(text) == record
    similarity = {kind: value.value for kind, value in record.similarity.items()}
    same, changed, lent, different = (similarity[kind] for kind in ("same", "changed", "lent", "different"))
    share = ((same - changed) + (lent - different)) / 2 / (same - different)
    np.testing.assert_allclose(record.clothes_share.value, share, rtol=1e-6)
    assert f"{100 * share:.1f} %" in clothes_sentence(record)
    assert rich_clothes(record).renderables
    # What is there is not rendered again, whoever asks.
    assert evaluate_clothes(embedder, tmp_path / "out", swaps, workers=1, threads=1) == record
