"""`omnireid synth`: people who do not exist, seen by several cameras."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout


def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write (Market-1501 layout).")],
    train_pids: Annotated[
        int, typer.Option("--train-pids", min=0, max=1_000_000, help="Identities to train on.")
    ] = 400,
    test_pids: Annotated[
        int, typer.Option("--test-pids", min=0, max=1_000_000, help="Identities to test on.")
    ] = 100,
    cameras: Annotated[int, typer.Option("--cameras", min=2, max=9)] = 4,
    crops: Annotated[
        int,
        typer.Option(
            "--crops",
            min=2,
            max=10_000,
            help="Pictures of an identity by a camera; of a test identity one is the query.",
        ),
    ] = 4,
    distractors: Annotated[int, typer.Option("--distractors", min=0, max=1_000_000)] = 40,
    junk: Annotated[int, typer.Option("--junk", min=0, max=1_000_000)] = 20,
    height: Annotated[int, typer.Option("--height", min=32, max=8_192)] = 256,
    width: Annotated[int, typer.Option("--width", min=16, max=8_192)] = 128,
    seed: options.Seed = 1,
    workers: Annotated[
        int, typer.Option("--workers", min=0, max=options.MOST_THREADS, help="Processes; 0: one per core.")
    ] = 0,
) -> None:
    """Render a dataset with no real person in it. The same seed gives the same bytes."""
    from omnireid.synthetic.dataset import render_dataset

    dataset = render_dataset(
        out,
        seed=seed,
        num_train_pids=train_pids,
        num_test_pids=test_pids,
        num_cameras=cameras,
        crops_per_camera=crops,
        num_distractors=distractors,
        num_junk=junk,
        height=height,
        width=width,
        workers=workers or None,
        console=stderr,
    )
    for split in dataset.splits:
        stdout.print(
            f"{split.name:<8}{len(split):>7,} images {split.num_pids:>6,} pids {split.num_cameras:>3} cameras"
        )
    stdout.print(f"{out}: read it with --data market-layout --root {out}")
