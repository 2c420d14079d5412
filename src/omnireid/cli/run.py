"""`omnireid run`: the main job, from data to a report, with one command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.cli.process import keep_freed_memory
from omnireid.cli.train import Recipe, RecipeChanges, RunningOptions
from omnireid.core.errors import ConfigError

if TYPE_CHECKING:
    from omnireid.experiment.run import RunResult, RunTarget
    from omnireid.experiment.several import Overall
    from omnireid.gallery.datasets import FirstQuery


def run(
    out: Annotated[Path, typer.Option(help="Folder for everything the run leaves.", file_okay=False)],
    data: Annotated[
        str | None, typer.Option(help="Dataset or layout, or several (A+B); rendered people when not given.")
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of the dataset, or the manifest file; of several: one, or each."),
    ] = None,
    reading: options.ScoredTargetOptions = options.ScoredTargetOptions(),
    recipe: Recipe = "quickstart",
    changes: RecipeChanges = RecipeChanges(),
    running: RunningOptions = RunningOptions(),
) -> None:
    """Render or read datasets, train, evaluate, write the report, fill a gallery, answer one search.

    Several sources (A+B) are trained on together; each target is evaluated apart, into a folder of its own,
    and overview.html sets them side by side.
    --split-id all does the whole job for each random split of a benchmark, --seeds for each of several
    seeds; both report mean and deviation.
    """
    from omnireid.experiment.run import run as run_job

    if (data is None) != (root is None):
        raise ConfigError("--data and --root belong together: give both, or neither for rendered people")
    if data is None:
        options.refuse("on rendered people", "split_id")
    keep_freed_memory()
    values = changes.values()
    seeds = options.seeds(changes.seeds, values, split_id=options.split_id(reading.split_id))
    result = run_job(
        out,
        None if data is None or root is None else reading.sources(data, root),
        recipe,
        running,
        changes=values,
        seeds=seeds,
        console=stderr,
    )
    print_run(result)


def print_run(result: RunResult) -> None:
    """Say what a run reached, and where everything lies."""
    from omnireid.report.table import rich_table

    beside = [other.record for target in result.targets for other in target.result.beside]
    stdout.print(rich_table([*result.records, *beside]))
    for target in result.targets:
        _print_target(target)
    if result.visitors is not None:
        stdout.print(f"to try:     {result.visitors} (twice somebody who is not in the gallery)")
    print_overall(result.overall)


def print_overall(overall: Overall) -> None:
    """Say what several results say together."""
    from omnireid.report.table import rich_means

    for summary, file in zip(overall.summaries, overall.files, strict=True):
        stdout.print(rich_means(summary))
        stdout.print(f"means: {file}")
    if overall.overview is not None:
        stdout.print(f"overview: {overall.overview}")


def _print_target(target: RunTarget) -> None:
    result = target.result
    for skipped in result.record.dataset.skipped:
        stderr.print(f"skipped {skipped}")
    if target.first_query is not None:
        _print_search(target.first_query)
    stdout.print(
        f"report:     {result.files.report}\nrecord:     {result.files.record}\nweights:    {target.weights}"
    )
    if target.gallery is not None:
        stdout.print(
            f"embeddings: {result.embeddings}\n"
            f"gallery:    {target.gallery} (omnireid serve --model {target.weights} --gallery "
            f"{target.gallery})"
        )


def _print_search(first_query: FirstQuery) -> None:
    answer = first_query.result
    stdout.print(f"one search, query {Path(first_query.frame).name}, other cameras:")
    for rank, candidate in enumerate(answer.candidates, start=1):
        item, probability = candidate.item, candidate.probability
        stdout.print(
            f"  {rank}. {Path(item.source).name:<28} {item.camera}  score {candidate.score:.3f}"
            + (f"  {probability:6.1%}" if probability is not None else "")
            + f"  {candidate.identity or 'nobody of the queries'}",
        )
    if answer.decision is not None:
        stdout.print(f"decision: {answer.decision.value}")
