"""`omnireid embed`: pictures in, embeddings out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.cli.gallery_options import actor
from omnireid.experiment.options import Parts
from omnireid.inference.options import DEFAULT_MODEL


def embed(
    source: Annotated[str, typer.Argument(help="Folder, pattern ('crops/**/*.jpg'), picture or manifest.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="File (.parquet or .npz), or folder of parts (no suffix)."),
    ],
    model: options.Model = DEFAULT_MODEL,
    raw: Annotated[bool, typer.Option("--raw", help="Do not L2-normalise.")] = False,
    engine: options.BatchEngineOptions = options.BatchEngineOptions(),
    on_bad: options.Bad = "error",
    part_rows: Annotated[
        int, typer.Option(min=1, max=options.LARGEST, help="Pictures of a part.")
    ] = Parts.rows,
    gallery: Annotated[
        str | None,
        typer.Option(
            "--gallery", "-g", help="Enrol in this gallery; the folder then says what became of each part."
        ),
    ] = None,
    workers: options.WorkerOptions = options.WorkerOptions(),
) -> None:
    """Embed pictures with one model, streaming: memory does not grow with their number.

    A folder of parts is gone on with where it was stopped, and takes up what is new in SOURCE. A cluster
    makes folders only.
    """
    from omnireid.data.loading import Reading
    from omnireid.experiment.embedding import embed as embed_files

    if out.suffix:
        options.refuse("with one file; a folder of parts has no suffix", "part_rows", "gallery", "where")
    if gallery is not None:
        options.refuse("with --gallery, which keeps directions only", "raw")
    if workers.where == "local":
        options.refuse("without --engine ray", "address", "count", "cpus", "gpus")
    done = embed_files(
        source,
        model,
        out,
        normalise=not raw,
        engine=engine,
        reading=Reading(on_bad=on_bad, console=stderr, threads=engine.threads),
        parts=Parts(part_rows, workers, gallery, actor()),
    )
    for file in done.skipped:
        stderr.print(f"skipped {file.path}: {file.reason}")
    kind = "raw" if raw else "L2-normalised"
    stdout.print(
        f"{done.count:,} embeddings of {done.model.dim} values, {kind}, by {done.model.short}"
        + (f"; {done.before:,} were there already" if done.before else "")
        + (f"; {len(done.skipped):,} pictures skipped" if done.skipped else "")
        + f": {done.where}",
    )
