"""A teacher's embeddings of the training pictures: computed once by the engine, kept beside the run."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from rich.console import Console

from omnireid.core.arrays import Float32
from omnireid.core.errors import TrainingError
from omnireid.core.files import write_bytes
from omnireid.core.types import Split
from omnireid.data.loading import Reading
from omnireid.inference.embedder import Embedder
from omnireid.training.checkpoint import digest_of
from omnireid.training.folder import TEACHER
from omnireid.training.options import RunOptions


def teacher_embeddings(
    model: str,
    pictures: Split,
    run_dir: Path,
    options: RunOptions = RunOptions(),
    *,
    writes: bool = True,
    console: Console | None = None,
) -> Float32:
    """Embed the training pictures with any model file that `Embedder.open` takes.

    They are kept in the run's folder, and taken from there while model and pictures are the same.

    Args:
        model: Its file or name, ours or another's.
        writes: Whether this process may write into the folder.

    Returns:
        (N, E) float32, each of unit norm. Rows of pictures that cannot be decoded are 0 where `on_bad` skips
        them; training replaces those pictures.

    Raises:
        WeightsError, MissingExtraError, UnknownNameError: As `Embedder.open`.
        TrainingError: A run is resumed, and what is kept is not of this teacher and these pictures.
        ImageError: A picture cannot be decoded and `on_bad` is "error".
    """
    embedder = Embedder.open(model, device=options.device, threads=options.threads)
    key = f"{embedder.sha256} {digest_of(pictures.samples)}"
    path = run_dir / TEACHER
    kept = _read(path, key)
    if kept is not None and kept.shape == (len(pictures), embedder.dim):
        return kept
    if options.resume and path.is_file():
        raise TrainingError(
            f"cannot resume: {path} is of another teacher or other pictures than now, or damaged; give the "
            "teacher that the run began with, or remove the file if it is the same"
        )
    if console is not None:
        console.print(f"the teacher {embedder.card.name} embeds {len(pictures):,} pictures", markup=False)
    places = {id(sample): place for place, sample in enumerate(pictures)}
    reading = Reading(options.on_bad, on_skip=lambda _: None, console=console, threads=options.threads)
    embeddings = embedder.embed_samples(pictures.samples, reading)
    rows = np.zeros((len(pictures), embedder.dim), np.float32)
    rows[[places[id(sample)] for sample in embeddings.of]] = embeddings.vectors
    if writes:
        content = io.BytesIO()
        np.savez(content, key=np.array(key), embeddings=rows)
        write_bytes(path, content.getvalue())
    return rows


def _read(path: Path, key: str) -> Float32 | None:
    """What was kept for this key; None without it, or where the file is of no use."""
    try:
        with np.load(path, allow_pickle=False) as kept:
            return kept["embeddings"].astype(np.float32) if str(kept["key"]) == key else None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
