"""`omnireid train`: a recipe on a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.cli.process import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

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
Resume = Annotated[
    bool,
    typer.Option("--resume", help="Go on from the checkpoint in --out; with more epochs, extend the run."),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        "--seeds", help="Train with each of several seeds (1-5, or 1,3,7), and report mean ± deviation."
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an older run in --out.")]

FROM_SCRATCH = "none"


def train(
    data: Annotated[str, options.SEVERAL_DATA],
    root: Annotated[list[Path], options.ROOTS],
    recipe: Recipe,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for weights, checkpoint and history.", file_okay=False)
    ],
    overrides: Overrides = None,
    init: Initial = None,
    seeds: Seeds = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
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
    device: options.Device = "auto",
    threads: options.Threads = None,
    on_bad: options.Bad = "error",
) -> None:
    """Train a network by a recipe, on one dataset or several (A+B). Interrupt it at any time and --resume.

    --target matters only to recipes that evaluate in between.
    --seeds trains once with each seed, into a folder of its own, and reports mean and deviation.
    """
    from omnireid.core.record import MeansRecord
    from omnireid.data.datasets import require_splits
    from omnireid.experiment.several import seed_runs, write_summaries
    from omnireid.experiment.training import train_on
    from omnireid.report.table import rich_means
    from omnireid.training.folder import check_run_folder, holds_results
    from omnireid.training.recipe import load_recipe

    keep_freed_memory()
    changes = recipe_overrides(overrides, init)
    chosen_seeds = options.seeds(seeds, changes)
    check_seeds_folder(out, chosen_seeds)
    runs = seed_runs(load_recipe(recipe, changes), out, chosen_seeds)
    for _, folder in runs:
        check_run_folder(folder, resume=resume, overwrite=overwrite)
        check_init(folder, changes, resume=resume)
    dataset, targets = reading.read_sources(data, root, reading.one_split())
    require_splits(dataset, "train")
    if not runs[0][0].evaluation.every:
        why = "with a recipe that evaluates nothing in between (evaluation.every is 0)"
        options.refuse(why, "target", "target_root")
    if not dataset.train.is_video:
        options.refuse("on pictures", "num_frames")
    # Of several seeds, those that have not begun begin.
    begun = [folder for _, folder in runs if holds_results(folder)]
    models = []
    try:
        for seeded, folder in runs:
            trained = train_on(
                seeded,
                dataset,
                folder,
                targets=targets,
                frames_per_tracklet=num_frames,
                device=device,
                threads=threads,
                resume=resume and (folder in begun or not begun),
                overwrite=overwrite,
                on_bad=on_bad,
                console=stderr,
            )
            models.append(trained)
            report_training(trained)
    except KeyboardInterrupt:
        stderr.print(interrupted(*(folder for _, folder in runs)))
        raise typer.Exit(130) from None
    if chosen_seeds is not None:
        records = [trained.record for trained in models]
        summary = MeansRecord.of_training(dataset.name, models[0].card.name, records)
        stdout.print(rich_means(summary))
        stdout.print(f"means: {write_summaries([summary], out)[0]}")


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


def check_seeds_folder(out: Path, seeds: Sequence[int] | None) -> None:
    """Refuse to put the runs of several seeds into the folder of a single run.

    Raises:
        InputError: the folder holds one.
    """
    from omnireid.core.errors import InputError

    if seeds is not None and (out / "recipe.json").is_file():
        raise InputError(
            f"{out}: holds a single run; --seeds needs a folder of its own, choose another --out"
        )


def interrupted(*folders: Path) -> str:
    """What to tell a user who pressed Ctrl-C."""
    begun = [folder for folder in folders if (folder / "checkpoint.pt").is_file()]
    if begun:
        return (
            f"interrupted; the last finished epoch is in {begun[-1]}: the same command with --resume goes on "
            "(in place of --overwrite)"
        )
    return "interrupted before the first epoch was finished"


def check_init(out: Path, overrides: dict[str, Any], *, resume: bool) -> None:
    """Refuse other weights to start from than a run began with: --resume has no use for them.

    The same file by another path is the same, and --init need not be repeated.

    Raises:
        ConfigError: names both.
        TrainingError: the checkpoint is damaged.
    """
    from omnireid.core.errors import ConfigError
    from omnireid.training.checkpoint import CHECKPOINT, load_checkpoint

    if not resume or "initial_weights" not in overrides or not (out / CHECKPOINT).is_file():
        return
    given, began = overrides["initial_weights"], load_checkpoint(out / CHECKPOINT).recipe["initial_weights"]
    same_file = began is not None and given is not None and Path(began).resolve() == Path(given).resolve()
    if given != began and not same_file:
        raise ConfigError(
            f"--init {given or FROM_SCRATCH}: the run in {out} began with {began or FROM_SCRATCH}, and "
            "--resume goes on with the weights of its checkpoint; leave --init out"
        )


def recipe_overrides(assignments: list[str] | None, init: str | None) -> dict[str, Any]:
    """`["optimiser.lr=0.01"]` → `{"optimiser.lr": 0.01}`; values are YAML. `init` becomes initial_weights.

    Raises:
        ConfigError: no equals sign, or not YAML.
    """
    import yaml

    from omnireid.core.errors import ConfigError

    values: dict[str, Any] = {}
    if init is not None:
        values["initial_weights"] = None if init == FROM_SCRATCH else init
    for assignment in assignments or []:
        key, equals, text = assignment.partition("=")
        if not equals or not key:
            raise ConfigError(f"--set {assignment!r}: expected KEY=VALUE, e.g. --set optimiser.lr=0.01")
        try:
            values[key] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--set {assignment!r}: the value is not valid YAML ({error})") from error
    return values
