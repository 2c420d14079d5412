"""`omnireid warm-up`: what the first picture would wait for, done at install."""

from __future__ import annotations

from omnireid.cli import options
from omnireid.cli.console import stdout
from omnireid.inference.options import DEFAULT_MODEL


def warm_up(
    model: options.Model = DEFAULT_MODEL,
    engine: options.EngineOptions = options.EngineOptions(),
) -> None:
    """Compile what embeds and searches, and keep it, so that later processes answer at once.

    Run it when you install, with the options that will be used: as root for all users of the machine, or
    with NUMBA_CACHE_DIR naming a folder that they all read.
    """
    from omnireid.experiment.warming import warm_up as warm

    kept = warm(engine.open(model))
    where = ", ".join(map(str, kept.folders)) or "nowhere: this engine compiles nothing"
    stdout.print(f"{kept.files} files of compiled code ({kept.size / 1e6:.1f} MB) are kept in {where}")
