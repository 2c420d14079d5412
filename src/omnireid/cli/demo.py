"""`omnireid demo`: from nothing to a search in the browser."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli.console import stderr, stdout
from omnireid.cli.process import keep_freed_memory
from omnireid.cli.run import print_run
from omnireid.inference.options import DEFAULT_MODEL
from omnireid.training.options import RunOptions


def demo(
    out: Annotated[
        Path, typer.Option(help="Folder for the gallery and the pictures to try.", file_okay=False)
    ] = Path("runs/demo"),
    trained: Annotated[
        Path | None,
        typer.Option(
            "--run",
            help="Folder of a quick start, trained now where it is missing; by default the weights that ship "
            "or, where none do, runs/quickstart.",
        ),
    ] = None,
    people: Annotated[int, typer.Option(min=1, max=100_000, help="Visitors to render.")] = 60,
    days: Annotated[int, typer.Option(min=1, max=3_650, help="Days of visits.")] = 3,
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    browser: Annotated[bool, typer.Option(help="Open the page.")] = True,
    serve: Annotated[bool, typer.Option(help="Start the server; without, only prepare.")] = True,
) -> None:
    """Render a camera network and its visitors, fill a gallery, and open the page with something to search.

    Nobody in it exists. The model is the one that ships, or the quick start's, which is trained first where
    it is missing (some minutes). Everything is kept, so the second start is quick.
    """
    from omnireid.cli import options
    from omnireid.experiment.demo import prepare_demo
    from omnireid.experiment.rendered import QUICKSTART
    from omnireid.models.shipped import list_shipped

    if not serve:
        options.refuse("with --no-serve", "port", "browser")
    if trained is None and DEFAULT_MODEL not in list_shipped():
        trained = Path("runs/quickstart")
    if trained is not None and not (
        (trained / "model.safetensors").is_file() and (trained / "data").is_dir()
    ):
        stderr.print(f"{trained}: no quick start yet, so it is trained now")
        from omnireid.experiment.run import run

        keep_freed_memory()
        print_run(run(trained, options=RunOptions(resume=True), console=stderr))
    ready = prepare_demo(
        out,
        run=trained,
        world=QUICKSTART.world,
        num_people=people,
        num_days=days,
        now=time.time(),
        console=stderr,
    )
    stdout.print(f"pictures to search for: {ready.pictures}")
    if not serve:
        return
    from omnireid.cli.serve import serve as start

    start(model=str(ready.model), gallery=[str(ready.gallery)], port=port, browser=browser)
