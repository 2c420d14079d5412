"""`omnireid search-architecture`: where instance normalisation stands best, found by training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import print_rows, stderr, stdout
from omnireid.cli.process import keep_freed_memory
from omnireid.cli.train import Recipe, RecipeValues, RunningOptions
from omnireid.training.processes import Rank


def search_architecture(
    data: Annotated[str, options.SEVERAL_DATA],
    root: Annotated[list[Path], options.ROOTS],
    out: Annotated[Path, typer.Option(help="Folder of the search, and of the recipe.", file_okay=False)],
    recipe: Recipe = "search_ain",
    retrain: Annotated[
        str, typer.Option(help="Recipe (name or YAML file) by which the network found is to be trained.")
    ] = "paper_scratch",
    changes: RecipeValues = RecipeValues(),
    running: RunningOptions = RunningOptions(),
    reading: options.TargetOptions = options.TargetOptions(),
) -> None:
    """Search where instance normalisation helps an OSNet, and leave a recipe of what was found: found.yaml.

    Interrupt it at any time and --resume. Train what was found by: omnireid train --recipe OUT/found.yaml …
    """
    from omnireid.experiment.searching import search_architecture as search

    keep_freed_memory()
    leads = Rank.of_torchrun().leads
    found = search(
        out,
        reading.sources(data, root),
        recipe,
        running,
        retrain=retrain,
        changes=changes.values(),
        console=stderr if leads else None,
    )
    if not leads:
        return
    candidates = list(next(iter(found.shares.values())))
    shown = [f"{candidate}, %" for candidate in candidates]
    print_rows(
        ("block", *shown, "chosen"),
        [
            (block, *(f"{100 * share:.1f}" for share in shares.values()), max(shares, key=shares.__getitem__))
            for block, shares in found.shares.items()
        ],
        right=shown,
    )
    stdout.print(f"recipe: {found.recipe}")
