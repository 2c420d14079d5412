"""`omnireid evaluate`: a model on a dataset, by its protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout


def evaluate(
    model: options.Model,
    data: options.Data,
    root: options.Root,
    out: Annotated[Path, typer.Option("--out", help="Folder for result.json and report.html.")] = Path(
        "runs/evaluation"
    ),
    json: Annotated[
        Optional[Path],  # noqa: UP045 (evaluated at run time, on Python 3.10 too)
        typer.Option("--json", help="Write the result record to this file as well."),
    ] = None,
    distance: Annotated[
        options.Distance, typer.Option("--distance", help="How far apart two embeddings are.")
    ] = options.Distance.EUCLIDEAN,
    normalise: Annotated[
        bool, typer.Option("--normalise/--raw", help="L2-normalise embeddings, or rank them as they are.")
    ] = False,
    protocol: options.Protocol = None,
    no_check_counts: options.AnyCounts = False,
    seed: options.Seed = 0,
    batch_size: options.BatchSize = 64,
    backend: options.BackendName = options.Backend.AUTO,
    device: options.Device = "auto",
    threads: options.Threads = None,
    on_bad: options.Bad = options.OnBad.ERROR,
) -> None:
    """Rank a dataset's gallery for its queries; write the result record and the report.

    By default as the published OSNet figures: raw embeddings, Euclidean distance. Those of OSNet-AIN use
    --distance cosine.
    """
    from omnireid.data.datasets import read_dataset
    from omnireid.experiment import evaluate_model, write_results
    from omnireid.inference import Embedder
    from omnireid.report import rich_table

    dataset = read_dataset(
        data, root, check_counts=not no_check_counts, protocol=protocol.value if protocol else None
    )
    embedder = Embedder.open(
        model,
        backend=backend.value,
        device=device,
        threads=threads,
        batch_size=batch_size,
        normalise=normalise,
    )
    evaluation = evaluate_model(
        embedder, dataset, distance=distance.value, seed=seed, on_bad=on_bad.value, console=stderr
    )
    files = write_results(evaluation, embedder, out)
    if json is not None:
        evaluation.record.save(json)
    for path in evaluation.record.dataset.skipped:
        stderr.print(f"skipped {path}", markup=False)
    if embedder.card.notes:
        stderr.print(f"note: {embedder.card.notes}", markup=False)
    stdout.print(rich_table([evaluation.record]))
    stdout.print(f"report: {files.report}\nrecord: {files.record}", markup=False)
