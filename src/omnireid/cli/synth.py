"""`omnireid synth`: people who do not exist, seen by several cameras."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.synthetic.options import RenderOptions


@dataclass(frozen=True)
class Options(RenderOptions):
    """What is rendered."""

    num_train_pids: Annotated[
        int, typer.Option("--train-pids", min=0, max=1_000_000, help="Identities to train on.")
    ] = RenderOptions.num_train_pids
    num_test_pids: Annotated[
        int, typer.Option("--test-pids", min=0, max=1_000_000, help="Identities to test on.")
    ] = RenderOptions.num_test_pids
    num_cameras: Annotated[int, typer.Option("--cameras", min=2, max=9)] = RenderOptions.num_cameras
    crops_per_camera: Annotated[
        int,
        typer.Option(
            "--crops",
            min=2,
            max=10_000,
            help="Pictures of an identity by a camera; of a test identity one is the query.",
        ),
    ] = RenderOptions.crops_per_camera
    num_distractors: Annotated[int, typer.Option("--distractors", min=0, max=1_000_000)] = (
        RenderOptions.num_distractors
    )
    num_junk: Annotated[int, typer.Option("--junk", min=0, max=1_000_000)] = RenderOptions.num_junk
    height: Annotated[int, typer.Option("--height", min=32, max=8_192)] = RenderOptions.height
    width: Annotated[int, typer.Option("--width", min=16, max=8_192)] = RenderOptions.width
    seed: options.Seed = RenderOptions.seed


def synth(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write (Market-1501 layout).")],
    people: Options = Options(),
    workers: Annotated[
        int, typer.Option("--workers", min=0, max=options.MOST_THREADS, help="Processes; 0: one per core.")
    ] = 0,
) -> None:
    """Render a dataset with no real person in it. The same seed gives the same bytes."""
    from omnireid.synthetic.dataset import render_dataset

    dataset = render_dataset(out, people, workers=workers or None, console=stderr)
    for split in dataset.splits:
        stdout.print(
            f"{split.name:<8}{len(split):>7,} images {split.num_pids:>6,} pids {split.num_cameras:>3} cameras"
        )
    stdout.print(f"{out}: read it with --data market-layout --root {out}")
