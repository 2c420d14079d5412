"""How much of a model's judgement is clothes: rendered people who change and lend them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rich.console import Console

from omnireid.core.arrays import Int64
from omnireid.core.files import write_text
from omnireid.core.types import Sample
from omnireid.data.loading import Reading
from omnireid.evaluation.clothes import ClothesPictures, ClothesRecord, measure_clothes
from omnireid.inference.embedder import Embedder
from omnireid.synthetic.options import SwapOptions

PICTURES, RECORD = "clothes", "clothes.json"


def evaluate_clothes(
    embedder: Embedder,
    out: Path,
    options: SwapOptions = SwapOptions(),
    *,
    workers: int | None = None,
    threads: int | None = None,
    console: Console | None = None,
) -> ClothesRecord:
    """Render people who change clothes and lend them, and measure what a model makes of it.

    Args:
        embedder: its embeddings are L2-normalised for this.
        out: gets `clothes/`, the pictures, and `clothes.json`, the record.
        options: how many people, and by how many cameras.
        workers: processes that render.
        threads: threads that decode.

    Raises:
        DatasetError: the folder of the pictures holds something else.
        MissingExtraError: the extra "synth" is not installed.
    """
    from omnireid.synthetic.places.swaps import render_swaps

    pictures = render_swaps(out / PICTURES, options, workers=workers, console=console)
    samples = [Sample(picture.path, picture.group, picture.camid) for picture in pictures]
    rows = embedder.embed_samples(samples, Reading(console=console, threads=threads)).vectors
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)

    def column(name: str) -> Int64:
        return np.array([getattr(picture, name) for picture in pictures], np.int64)

    record = measure_clothes(
        ClothesPictures(
            (rows / np.maximum(lengths, np.finfo(np.float32).tiny)).astype(np.float32),
            *(column(name) for name in ("group", "person", "clothes", "camid")),
        ),
        seed=options.seed,
    )
    write_text(out / RECORD, record.model_dump_json(indent=2) + "\n")
    return record
