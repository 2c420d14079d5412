"""`omnireid embed`: pictures in, embeddings out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.inference.options import DEFAULT_MODEL


def embed(
    source: Annotated[str, typer.Argument(help="Folder, pattern ('crops/**/*.jpg'), picture or manifest.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write: .parquet or .npz.", dir_okay=False)
    ],
    model: options.Model = DEFAULT_MODEL,
    raw: Annotated[bool, typer.Option("--raw", help="Do not L2-normalise.")] = False,
    engine: options.BatchEngineOptions = options.BatchEngineOptions(),
    on_bad: options.Bad = "error",
) -> None:
    """Embed pictures with one model, streaming: memory does not grow with their number."""
    from omnireid.data.loading import Reading
    from omnireid.experiment.embedding import embed as embed_files

    reading = Reading(on_bad=on_bad, console=stderr, threads=engine.threads)
    done = embed_files(source, model, out, normalise=not raw, engine=engine, reading=reading)
    for file in done.skipped:
        stderr.print(f"skipped {file.path}: {file.reason}")
    kind = "raw" if raw else "L2-normalised"
    stdout.print(
        f"{done.count:,} embeddings of {done.model.dim} values, {kind}, by {done.model.short}"
        + (f"; {len(done.skipped):,} pictures skipped" if done.skipped else "")
        + f": {out}",
    )
