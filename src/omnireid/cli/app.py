"""The command tree."""

from __future__ import annotations

import errno
import sys
from pathlib import Path
from typing import Annotated

import typer

from omnireid import __version__
from omnireid.cli import (
    adapt,
    blur,
    calibrate,
    case,
    compare,
    corrupt,
    data,
    demo,
    embed,
    evaluate,
    export,
    gallery,
    models,
    options,
    recipes,
    run,
    search,
    serve,
    synth,
    track,
    train,
    verify,
    warm_up,
)
from omnireid.cli.console import guard_output, one_line, print_warnings, stderr
from omnireid.cli.process import end_as_on_ctrl_c, keep_to_the_quota, spin_briefly
from omnireid.cli.settings import PREFIX, read_settings
from omnireid.core.errors import OmniReIDError
from omnireid.core.extras import saying_the_extra
from omnireid.core.files import write_failure

app = options.App(
    name="omnireid",
    help="Find the same person across cameras: train, evaluate and use OSNet.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    # Help and usage errors in plain text: boxes cut names at 80 columns.
    rich_markup_mode=None,
)
app.command("run")(run.run)
app.command("train")(train.train)
app.command("adapt")(adapt.adapt)
app.command("search-architecture")(search.search_architecture)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("corrupt")(corrupt.corrupt)
app.command("calibrate")(calibrate.calibrate)
app.command("verify")(verify.verify)
app.command("embed")(embed.embed)
app.command("warm-up")(warm_up.warm_up)
app.command("export")(export.export)
app.command("demo")(demo.demo)
app.command("serve")(serve.serve)
app.command("synth")(synth.synth)
app.command("track")(track.track)
app.command("track-eval")(track.track_eval)
app.command("blur")(blur.blur)
app.add_typer(case.app, name="case")
app.add_typer(data.app, name="data")
app.add_typer(gallery.app, name="gallery")
app.add_typer(models.app, name="models")
app.add_typer(recipes.app, name="recipes")
app.add_typer(serve.token_app, name="token")


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"omnireid {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_print_version,
            is_eager=True,
            # Images and units set OMNIREID_VERSION to what they hold.
            allow_from_autoenv=False,
            help="Print the version.",
        ),
    ] = False,
    settings: Annotated[
        Path | None,
        typer.Option(
            help="YAML file with options of commands (docs/guides/service/settings.md).", dir_okay=False
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option(
            "--check",
            allow_from_autoenv=False,
            help="Say what the command would use, and where from; do nothing else.",
        ),
    ] = False,
) -> None:
    if settings is not None:
        context.default_map = read_settings(settings, context.command)
    context.meta[options.CHECK] = check


def main() -> None:
    """Entry point. An error the user can mend is one line on stderr and exit code 2.

    Besides our own errors these are the system's about a file of theirs, and memory that is not there; any
    other exception is a defect and keeps its traceback.
    """
    spin_briefly()
    keep_to_the_quota()
    end_as_on_ctrl_c()
    guard_output()
    print_warnings()
    try:
        try:
            with saying_the_extra():
                app(auto_envvar_prefix=PREFIX)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OmniReIDError as error:
        message = str(error)
    except OSError as error:
        if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        message = f"{error.filename or 'cannot write'}: {write_failure(error)}"
    except MemoryError as error:
        message = f"not enough memory: {error or 'use smaller numbers, or less data at once'}"
    stderr.print(f"error: {one_line(message)}", style="bold red")
    sys.exit(2)
