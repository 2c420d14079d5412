"""`omnireid train`: a recipe on a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.cli.process import keep_freed_memory
from omnireid.core.errors import ConfigError
from omnireid.training.options import RunOptions

if TYPE_CHECKING:
    from omnireid.training.loop import TrainedModel

Recipe = Annotated[
    str, typer.Option("--recipe", help="Recipe name (see 'omnireid recipes list') or YAML file.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Option("--set", help="Change a recipe value, e.g. --set optimiser.lr=0.01 (repeatable)."),
]
Initial = Annotated[
    str | None,
    typer.Option(
        "--init", help="Weights to start from; 'none' starts from scratch whatever the recipe says."
    ),
]
Architecture = Annotated[
    str | None,
    typer.Option("--architecture", help="Network (see 'omnireid models list'), as --set model=NAME."),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        "--seeds", help="Train with each of several seeds (1-5, or 1,3,7), and report mean ± deviation."
    ),
]


@dataclass(frozen=True)
class RunningOptions(RunOptions):
    """How a run goes about its work."""

    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an older run in --out.")] = False
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on from the checkpoint in --out; with more epochs, extend the run."
        ),
    ] = False
    device: options.Device = RunOptions.device
    threads: options.Threads = RunOptions.threads
    on_bad: options.Bad = RunOptions.on_bad


def train(
    data: Annotated[str, options.SEVERAL_DATA],
    root: Annotated[list[Path], options.ROOTS],
    recipe: Recipe,
    out: Annotated[Path, typer.Option(help="Folder for weights, checkpoint and history.", file_okay=False)],
    overrides: Overrides = None,
    init: Initial = None,
    architecture: Architecture = None,
    seeds: Seeds = None,
    running: RunningOptions = RunningOptions(),
    num_frames: Annotated[
        int | None,
        typer.Option(
            "--frames",
            min=1,
            max=options.LARGEST,
            help="Of tracklets: train on so many frames of each; by default on all.",
        ),
    ] = None,
    reading: options.TargetOptions = options.TargetOptions(),
) -> None:
    """Train a network by a recipe, on one dataset or several (A+B). Interrupt it at any time and --resume.

    --target matters only to recipes that evaluate in between.
    --seeds trains once with each seed, into a folder of its own, and reports mean and deviation.
    """
    from omnireid.experiment.training import train as train_networks
    from omnireid.report.table import rich_means

    keep_freed_memory()
    changes = recipe_overrides(overrides, init, architecture)
    try:
        trained = train_networks(
            out,
            reading.sources(data, root),
            recipe,
            running,
            changes=changes,
            seeds=options.seeds(seeds, changes),
            frames_per_tracklet=num_frames,
            console=stderr,
        )
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    for model in trained.models:
        report_training(model)
    if trained.summary is not None:
        stdout.print(rich_means(trained.summary))
        stdout.print(f"means: {trained.summary_file}")


def report_training(trained: TrainedModel) -> None:
    """Say what a training left, and how fast it was."""
    for skipped in trained.skipped:
        stderr.print(f"skipped {skipped}")
    best = trained.record.best
    if best is not None:
        stdout.print(
            f"best:    {trained.best_weights} (epoch {best.epoch}, {best.metric} {best.value:.3f} on "
            f"{best.evaluated_on})",
        )
    stdout.print(
        f"weights: {trained.weights}\n"
        f"{trained.record.images_per_second:.0f} images/s, {trained.record.data_wait_share:.1%} of the time "
        "waiting for data",
    )


def recipe_overrides(
    assignments: list[str] | None, init: str | None, architecture: str | None = None
) -> dict[str, Any]:
    """`["optimiser.lr=0.01"]` → `{"optimiser.lr": 0.01}`; values are YAML.

    Args:
        init: Becomes `initial_weights`.
        architecture: Becomes `model`.

    Raises:
        ConfigError: no equals sign, or not YAML.
    """
    import yaml

    values: dict[str, Any] = {}
    if init is not None:
        values["initial_weights"] = None if init == "none" else init
    if architecture is not None:
        values["model"] = architecture
    for assignment in assignments or []:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {assignment!r}: expected KEY=VALUE, e.g. --set optimiser.lr=0.01")
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {assignment!r}: the value is not valid YAML ({error})") from error
    return values
