"""`omnireid corrupt`: corrupted pictures on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.core.errors import ConfigError, UnknownNameError


def corrupt(
    out: Annotated[Path, typer.Option(help="Folder for the pictures; with --picture, a PNG file.")],
    data: Annotated[str | None, options.DATA] = None,
    root: Annotated[Path | None, options.ROOT] = None,
    picture: Annotated[
        Path | None, typer.Option(help="One picture instead: a sheet of every corruption and severity.")
    ] = None,
    side: Annotated[Literal["both", "query", "gallery"], typer.Option(help="What to corrupt.")] = "both",
    corruption: Annotated[
        str | None, typer.Option(help="This one on every picture, instead of a draw for each.")
    ] = None,
    severity: Annotated[int | None, typer.Option(min=1, max=5, help="With --corruption.")] = None,
    round: Annotated[
        int, typer.Option(min=0, max=options.LARGEST, help="Which draw of the evaluation, from 0.")
    ] = 0,
    seed: options.Seed = 0,
    reading: options.DatasetOptions = options.DatasetOptions(),
    workers: options.Threads = None,
) -> None:
    """Write what `evaluate --corruptions` sees: one round of a dataset as PNG files with a manifest.

    With --picture: one picture under all twenty corruptions, as a sheet.
    """
    from omnireid.core.images import decode
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
    manifest = write_corrupted(
        reading.read(data, root),
        out,
        seed=seed,
        round=round,
        draw=None if corruption is None or severity is None else Draw(corruption, severity),
        sides=("query", "gallery") if side == "both" else (side,),
        threads=workers,
        console=stderr,
    )
    stdout.print(f"manifest: {manifest}")
