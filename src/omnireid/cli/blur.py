"""`omnireid blur`: a video in which everybody is hidden but one person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli.console import stdout


def blur(
    video: Annotated[str, typer.Argument(help="The video that was tracked.")],
    people: Annotated[
        Path, typer.Option("--people", help="Its file of people: identities/NAME.txt of 'omnireid track'.")
    ],
    person: Annotated[int, typer.Option("--person", min=1, help="Number of the one who is shown.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File that is written, .mp4.", dir_okay=False)],
) -> None:
    """Write a video that can be handed on: everybody is hidden but the person who was asked for.

    Look at all of it before you hand it on: whom no detector finds is not hidden. It has no sound.
    """
    from omnireid.video.detector import NanoDet
    from omnireid.video.hiding import LEAST_SCORE, hide_others
    from omnireid.video.mot import read_mot

    done = hide_others(video, read_mot(people), person, out, NanoDet(least_score=LEAST_SCORE))
    stdout.print(
        f"{out}: person {person} in {done.shown:,} of {done.frames:,} frames; "
        f"{done.hidden:,} boxes of others hidden"
    )
