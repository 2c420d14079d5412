"""`omnireid corrupt`: corrupted pictures on disk."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated, Optional

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout


class Side(str, Enum):
    """Which of a benchmark's splits are corrupted."""

    BOTH = "both"
    QUERY = "query"
    GALLERY = "gallery"


def corrupt(
    out: Annotated[Path, typer.Option("--out", help="Folder for the pictures; with --picture, a PNG file.")],
    data: Annotated[
        Optional[str],  # noqa: UP045 (evaluated at run time, on Python 3.10 too)
        typer.Option("--data", help="Dataset or layout; see 'omnireid data list'."),
    ] = None,
    root: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--root", help="Folder of the dataset, or the manifest file."),
    ] = None,
    picture: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Option("--picture", help="One picture instead: a sheet of every corruption and severity."),
    ] = None,
    side: Annotated[Side, typer.Option("--side", help="What to corrupt.")] = Side.BOTH,
    corruption: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--corruption", help="This one on every picture, instead of a draw for each."),
    ] = None,
    severity: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option("--severity", min=1, max=5, help="With --corruption."),
    ] = None,
    round: Annotated[
        int, typer.Option("--round", min=0, max=options.LARGEST, help="Which draw of the evaluation, from 0.")
    ] = 0,
    seed: options.Seed = 0,
    split_id: options.SplitId = None,
    no_check_counts: options.AnyCounts = False,
    workers: options.Threads = None,
) -> None:
    """Write what `evaluate --corruptions` sees: one round of a dataset as PNG files with a manifest.

    With --picture: one picture under all twenty corruptions, as a sheet.
    """
    from omnireid.core.errors import ConfigError, UnknownNameError
    from omnireid.core.images import decode
    from omnireid.data.datasets import read_dataset
    from omnireid.robustness.draw import Draw
    from omnireid.robustness.sheet import write_sheet
    from omnireid.robustness.store import write_corrupted
    from omnireid.robustness.suite import CORRUPTIONS

    if picture is not None:
        if data is not None or root is not None:
            raise ConfigError("--picture makes a sheet of one picture: leave --data and --root out")
        why = "with --picture, a sheet of all corruptions and severities"
        options.refuse(why, "side", "corruption", "severity", "round", "split_id", "workers")
        if out.suffix.lower() != ".png":
            raise ConfigError(f"--out {out}: a sheet is a PNG file; name it {out.with_suffix('.png')}")
        write_sheet(decode(picture), out, seed=seed)
        stdout.print(f"sheet: {out}")
        return
    if data is None or root is None:
        raise ConfigError("give --data and --root, or --picture for a sheet of one picture")
    if (corruption is None) != (severity is None):
        raise ConfigError("--corruption and --severity belong together: give both or neither")
    if corruption is not None and corruption not in CORRUPTIONS:
        raise UnknownNameError("corruption", corruption, CORRUPTIONS)
    dataset = read_dataset(
        data, root, check_counts=not no_check_counts, split_id=options.one_split(split_id), console=stderr
    )
    manifest = write_corrupted(
        dataset,
        out,
        seed=seed,
        round=round,
        draw=None if corruption is None or severity is None else Draw(corruption, severity),
        sides=("query", "gallery") if side is Side.BOTH else (side.value,),
        threads=workers,
        console=stderr,
    )
    stdout.print(f"manifest: {manifest}")
