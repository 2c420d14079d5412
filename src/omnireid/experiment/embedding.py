"""Pictures in, a file of embeddings out: what `omnireid embed` does."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from omnireid.core.card import ModelRef
from omnireid.core.types import SkippedFile
from omnireid.data.loading import Reading
from omnireid.experiment.opening import open_model
from omnireid.inference.options import Engine
from omnireid.inference.sources import collect_samples
from omnireid.inference.storage import EmbeddingWriter


@dataclass(frozen=True)
class Embedded:
    """What `embed` wrote.

    Attributes:
        count: Embeddings in the file.
        model: What made them.
        skipped: Pictures that could not be decoded.
    """

    count: int
    model: ModelRef
    skipped: tuple[SkippedFile, ...]


def embed(
    source: str,
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    normalise: bool = True,
    engine: Engine = Engine(),
    reading: Reading = Reading(),
) -> Embedded:
    """Embed pictures into a file, streaming: memory does not grow with their number.

    Args:
        source: A folder, a pattern ("crops/**/*.jpg"), a picture, or a manifest.
        model: A model file, or the name of pulled weights.
        out: File to write: .parquet or .npz.
        normalise: Whether embeddings are L2-normalised.
        engine: What runs the model.
        reading: How the pictures are read.

    Raises:
        InputError, ImageError, WeightsError, StorageError: As `collect_samples`, `Embedder` and
            `EmbeddingWriter`.
    """
    samples = collect_samples(source, console=reading.console)
    embedder = open_model(model, engine, normalise=normalise, console=reading.console)
    skipped: list[SkippedFile] = []
    with EmbeddingWriter(out, card=embedder.card) as writer:
        for part in embedder.embed_stream(samples, replace(reading, on_skip=skipped.append)):
            writer.write(part)
    return Embedded(len(samples) - len(skipped), embedder.ref, tuple(skipped))
