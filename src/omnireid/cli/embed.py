"""`omnireid embed`: pictures in, embeddings out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.cli.opening import open_embedder


def embed(
    source: Annotated[str, typer.Argument(help="Folder, pattern ('crops/**/*.jpg'), picture or manifest.")],
    model: options.Model,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write: .parquet or .npz.", dir_okay=False)
    ],
    raw: Annotated[bool, typer.Option("--raw", help="Do not L2-normalise.")] = False,
    engine: options.BatchEngineOptions = options.BatchEngineOptions(),
    on_bad: options.Bad = "error",
) -> None:
    """Embed pictures with one model, streaming: memory does not grow with their number."""
    from omnireid.core.types import SkippedFile
    from omnireid.data.loading import Reading
    from omnireid.inference.sources import collect_samples
    from omnireid.inference.storage import EmbeddingWriter

    samples = collect_samples(source, console=stderr)
    embedder = open_embedder(model, engine, normalise=not raw)
    skipped: list[SkippedFile] = []
    reading = Reading(on_bad=on_bad, on_skip=skipped.append, console=stderr, threads=engine.threads)
    with EmbeddingWriter(out, card=embedder.card) as writer:
        for part in embedder.embed_stream(samples, reading):
            writer.write(part)
    for file in skipped:
        stderr.print(f"skipped {file.path}: {file.reason}")
    kind = "raw" if raw else "L2-normalised"
    stdout.print(
        f"{len(samples) - len(skipped):,} embeddings of {embedder.dim} values, {kind}, "
        + f"by {embedder.ref.short}"
        + (f"; {len(skipped):,} pictures skipped" if skipped else "")
        + f": {out}",
    )
