"""`omnireid train`: a recipe on a dataset."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.cli.process import keep_freed_memory
from omnireid.core.errors import ConfigError
from omnireid.training.options import RunOptions
from omnireid.training.processes import Rank

if TYPE_CHECKING:
    from omnireid.training.loop import TrainedModel

Recipe = Annotated[
    str, typer.Option("--recipe", help="Recipe name (see 'omnireid recipes list') or YAML file.")
]


@dataclass(frozen=True)
class RecipeValues:
    """What is changed of a recipe, value by value."""

    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change a recipe value, e.g. --set optimiser.lr=0.01 (repeatable)."),
    ] = None

    def values(self) -> dict[str, Any]:
        """By name, as the recipe has it: `--set optimiser.lr=0.01` is `{"optimiser.lr": 0.01}`; YAML.

        Raises:
            ConfigError: no equals sign, or not YAML.
        """
        import yaml

        values: dict[str, Any] = {}
        for assignment in self.overrides or ():
            key, equals, text = assignment.partition("=")
            if not equals or not key:
                raise ConfigError(f"--set {assignment!r}: expected KEY=VALUE, e.g. --set optimiser.lr=0.01")
            try:
                values[key] = yaml.safe_load(text)
            except yaml.YAMLError as error:
                raise ConfigError(f"--set {assignment!r}: the value is not valid YAML ({error})") from error
        return values


@dataclass(frozen=True)
class RecipeChanges(RecipeValues):
    """What is changed of a recipe, and with which seeds it is run."""

    init: Annotated[
        str | None,
        typer.Option(help="Weights to start from; 'none' starts from scratch whatever the recipe says."),
    ] = None
    teacher: Annotated[
        str | None,
        typer.Option(help="Model to learn from, by the losses teacher_…: any file that embeds."),
    ] = None
    architecture: Annotated[
        str | None, typer.Option(help="Network (see 'omnireid models list'), as --set model=NAME.")
    ] = None
    seeds: Annotated[
        str | None,
        typer.Option(help="Train with each of several seeds (1-5, or 1,3,7), and report mean ± deviation."),
    ] = None

    def values(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        if self.init is not None:
            values["initial_weights"] = None if self.init == "none" else self.init
        if self.teacher is not None:
            values["teacher"] = self.teacher
        if self.architecture is not None:
            values["model"] = self.architecture
        return values | super().values()


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
    devices: Annotated[
        int,
        typer.Option(
            min=1, max=1024, help="Devices of this machine that share each batch; see also torchrun."
        ),
    ] = RunOptions.devices


@dataclass(frozen=True)
class SharedOptions(RunningOptions, options.WorkerOptions):
    """How a run goes about its work, and who does it."""


def train(
    data: Annotated[str, options.SEVERAL_DATA],
    root: Annotated[list[Path], options.ROOTS],
    recipe: Recipe,
    out: Annotated[Path, typer.Option(help="Folder for weights, checkpoint and history.", file_okay=False)],
    changes: RecipeChanges = RecipeChanges(),
    running: SharedOptions = SharedOptions(),
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
    from omnireid.experiment.training_on_ray import train_on_ray
    from omnireid.report.table import rich_means

    if running.where == "local":
        options.refuse("without --engine ray", "address", "count", "cpus", "gpus")
    else:
        options.refuse("with --engine ray, which has --workers", "devices")
    keep_freed_memory()
    leads = Rank.of_torchrun().leads
    values = changes.values()
    work = partial(
        train_networks,
        out,
        reading.sources(data, root),
        recipe,
        running,
        changes=values,
        seeds=options.seeds(changes.seeds, values),
        frames_per_tracklet=num_frames,
    )
    if running.where == "ray":
        trained = train_on_ray(work, running)
    else:
        trained = work(console=stderr if leads else None)
    if not leads:
        return
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
