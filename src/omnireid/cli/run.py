"""`omnireid run`: the main job, from data to a report, with one command."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.cli.process import keep_freed_memory
from omnireid.cli.train import Initial, Overrides, Recipe, Resume, interrupted, recipe_overrides

# Enough people for the quick start to learn what to look at, few enough to render in half a minute.
QUICKSTART_DATA = {
    "seed": 1,
    "num_train_pids": 400,
    "num_test_pids": 100,
    "num_cameras": 4,
    "crops_per_camera": 4,
    "height": 128,
    "width": 64,
}


def run(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything the run leaves.")],
    data: Annotated[
        Optional[str],  # noqa: UP045 (evaluated at run time, on Python 3.10 too)
        typer.Option("--data", help="Dataset or layout; rendered people when not given."),
    ] = None,
    root: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--root", help="Folder of the dataset, or the manifest file."),
    ] = None,
    recipe: Recipe = "quickstart",
    overrides: Overrides = None,
    init: Initial = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older run in --out.")] = False,
    resume: Resume = False,
    protocol: options.Protocol = None,
    no_check_counts: options.AnyCounts = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    on_bad: options.Bad = options.OnBad.ERROR,
) -> None:
    """Render or read a dataset, train, evaluate, write the report, answer one search."""
    from omnireid.core.errors import ConfigError
    from omnireid.data.datasets import read_dataset
    from omnireid.experiment import main_job, prepare_run_folder
    from omnireid.report import rich_table
    from omnireid.training.recipe import load_recipe

    if (data is None) != (root is None):
        raise ConfigError("--data and --root belong together: give both, or neither for rendered people")
    keep_freed_memory()
    chosen = load_recipe(recipe, recipe_overrides(overrides, init))
    prepare_run_folder(out, overwrite=overwrite, resume=resume)
    try:
        if data is None:
            from omnireid.synthetic import render_dataset

            data, root = "market-layout", out / "data"
            render_dataset(root, **QUICKSTART_DATA, console=stderr)
        assert root is not None
        dataset = read_dataset(
            data, root, check_counts=not no_check_counts, protocol=protocol.value if protocol else None
        )
        result = main_job(
            chosen,
            dataset,
            out,
            device=device,
            threads=threads,
            resume=resume,
            on_bad=on_bad.value,
            console=stderr,
        )
    except KeyboardInterrupt:
        stderr.print(interrupted(out))
        raise typer.Exit(130) from None

    for skipped in result.record.dataset.skipped:
        stderr.print(f"skipped {skipped}", markup=False)
    stdout.print(rich_table([result.record]))
    stdout.print(f"one search, query {Path(result.search.query).name}:")
    for rank, (path, distance, outcome) in enumerate(result.search.candidates, start=1):
        stdout.print(
            f"  {rank}. {Path(path).name:<28} distance {distance:.3f}  {outcome.name.lower()}", markup=False
        )
    stdout.print(
        f"report:     {result.files.report}\n"
        f"record:     {result.files.record}\n"
        f"weights:    {result.weights}\n"
        f"embeddings: {result.embeddings}",
        markup=False,
    )
