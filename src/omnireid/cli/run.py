"""`omnireid run`: the main job, from data to a report, with one command."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.cli.opening import open_embedder
from omnireid.cli.process import keep_freed_memory
from omnireid.cli.train import (
    Initial,
    Overrides,
    Overwrite,
    Recipe,
    Resume,
    Seeds,
    check_init,
    check_seeds_folder,
    interrupted,
    recipe_overrides,
)
from omnireid.inference.options import Engine

if TYPE_CHECKING:
    from omnireid.evaluation.calibration import Calibration
    from omnireid.experiment.job import TargetResult
    from omnireid.gallery.datasets import FirstQuery
    from omnireid.gallery.gallery import Gallery

_ACTOR = "omnireid run"
_READS = ("search", "retention", "backup", "export-audit")
_DAY_S = 86_400


def run(
    out: Annotated[
        Path, typer.Option("--out", help="Folder for everything the run leaves.", file_okay=False)
    ],
    data: Annotated[
        str | None,
        typer.Option("--data", help="Dataset or layout, or several (A+B); rendered people when not given."),
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option("--root", help="Folder of the dataset, or the manifest file; of several: one, or each."),
    ] = None,
    reading: options.ScoredTargetOptions = options.ScoredTargetOptions(),
    recipe: Recipe = "quickstart",
    overrides: Overrides = None,
    init: Initial = None,
    seeds: Seeds = None,
    overwrite: Overwrite = False,
    resume: Resume = False,
    device: options.Device = "auto",
    threads: options.Threads = None,
    on_bad: options.Bad = "error",
) -> None:
    """Render or read datasets, train, evaluate, write the report, fill a gallery, answer one search.

    Several sources (A+B) are trained on together; each target is evaluated apart, into a folder of its own,
    and overview.html sets them side by side.
    --split-id all does the whole job for each random split of a benchmark, --seeds for each of several
    seeds; both report mean and deviation.
    """
    from omnireid.core.errors import ConfigError
    from omnireid.experiment.job import main_job
    from omnireid.experiment.several import seed_runs, summarise, write_summaries
    from omnireid.report.overview import write_overview
    from omnireid.report.table import rich_means, rich_table
    from omnireid.training.folder import check_run_folder, only_writer
    from omnireid.training.recipe import load_recipe

    if (data is None) != (root is None):
        raise ConfigError("--data and --root belong together: give both, or neither for rendered people")
    if data is None:
        options.refuse("on rendered people", "split_id")
    keep_freed_memory()
    changes = recipe_overrides(overrides, init)
    chosen = load_recipe(recipe, changes)
    split = options.split_id(reading.split_id)
    chosen_seeds = options.seeds(seeds, changes, split_id=split)
    check_seeds_folder(out, chosen_seeds)
    jobs = [
        (seeded, folder, one_split)
        for seeded, seed_folder in seed_runs(chosen, out, chosen_seeds)
        for folder, one_split in ([(seed_folder, None)] if data is None else _jobs(data, seed_folder, split))
    ]
    for _, folder, _ in jobs:
        check_run_folder(folder, resume=resume, overwrite=overwrite)
        check_init(folder, changes, resume=resume)
    results = []
    is_rendered = data is None
    try:
        if data is None:
            from omnireid.experiment.rendered import QUICKSTART
            from omnireid.synthetic.dataset import render_dataset

            data, root = "market-layout", [out / "data"]
            render_dataset(root[0], QUICKSTART, console=stderr)
        assert root is not None
        for seeded, folder, one_split in jobs:
            with only_writer(folder):
                dataset, targets = reading.read_sources(data, root, one_split)
                if is_rendered:
                    from omnireid.experiment.rendered import timed

                    targets = [timed(one) for one in targets]
                result = main_job(
                    seeded,
                    dataset,
                    folder,
                    targets=targets,
                    device=device,
                    threads=threads,
                    resume=resume,
                    overwrite=overwrite,
                    on_bad=on_bad,
                    console=stderr,
                )
                calibration = (
                    calibrate_rendered(result.weights, folder, device=device, threads=threads)
                    if is_rendered
                    else None
                )
                for one in result.results:
                    searched = fill_gallery(
                        result.weights,
                        one,
                        calibration=calibration,
                        # Rendered people walked past the cameras yesterday, from eight o'clock on.
                        first_s=time.time() // _DAY_S * _DAY_S - _DAY_S + 8 * 3600 if is_rendered else None,
                        device=device,
                        threads=threads,
                        on_bad=on_bad,
                    )
                    results.append((result.weights, one, searched))
    except KeyboardInterrupt:
        stderr.print(interrupted(*(folder for _, folder, _ in jobs)))
        raise typer.Exit(130) from None

    records = [one.record for _, one, _ in results]
    stdout.print(rich_table(records))
    for weights, one, searched in results:
        for skipped in one.record.dataset.skipped:
            stderr.print(f"skipped {skipped}")
        stdout.print(f"one search, query {Path(searched.frame).name}, other cameras:")
        for rank, found in enumerate(searched.result.candidates, start=1):
            stdout.print(
                f"  {rank}. {Path(found.item.source).name:<28} {found.item.camera}  score {found.score:.3f}"
                + (f"  {found.probability:6.1%}" if found.probability is not None else "")
                + f"  {found.identity or 'nobody of the queries'}",
            )
        if searched.result.decision is not None:
            stdout.print(f"decision: {searched.result.decision.value}")
        stdout.print(
            f"report:     {one.files.report}\n"
            f"record:     {one.files.record}\n"
            f"weights:    {weights}\n"
            f"embeddings: {one.embeddings}\n"
            f"gallery:    {gallery_folder(one)} (omnireid serve --model {weights} --gallery "
            f"{gallery_folder(one)})",
        )
    if is_rendered:
        stdout.print(f"to try:     {jobs[0][1] / 'try'} (twice somebody who is not in the gallery)")
    summaries = summarise(records)
    for summary, summary_file in zip(summaries, write_summaries(summaries, out), strict=True):
        stdout.print(rich_means(summary))
        stdout.print(f"means: {summary_file}")
    if len(results) > 1:
        overview = out / "overview.html"
        write_overview(overview, [(one.record, one.files.report) for _, one, _ in results], summaries)
        stdout.print(f"overview: {overview}")


def calibrate_rendered(
    weights: Path, folder: Path, *, device: str, threads: int | None
) -> Calibration | None:
    """A calibration on further people; None, and a word why, for a network that was hardly trained."""
    from omnireid.core.errors import InputError
    from omnireid.experiment.rendered import QUICKSTART, calibrate_on_others

    try:
        return calibrate_on_others(
            weights, folder, QUICKSTART, device=device, threads=threads, console=stderr
        )
    except InputError as error:
        stderr.print(f"no calibration: {error}")
        return None


def gallery_folder(result: TargetResult) -> Path:
    """Where the gallery of one target lies: beside its embeddings."""
    return result.embeddings.with_name("gallery")


def fill_gallery(
    weights: Path,
    result: TargetResult,
    *,
    calibration: Calibration | None,
    first_s: float | None,
    device: str,
    threads: int | None,
    on_bad: Literal["error", "skip"],
) -> FirstQuery:
    """Fill the target's gallery anew, and ask it the first query.

    Raises:
        InputError: somebody else has worked in the gallery that lies there; it is kept.
    """
    from omnireid.core.errors import InputError
    from omnireid.gallery.datasets import ask_first_query, fill_from_dataset
    from omnireid.gallery.gallery import Gallery

    folder = gallery_folder(result)
    if folder.is_dir():
        with Gallery.open(str(folder), actor=_ACTOR) as older:
            if _is_in_use(older):
                raise InputError(
                    f"{folder}: holds what others enrolled or named, and is kept; everything else of the run "
                    "is done. Move that gallery away, then --resume fills a new one"
                )
    # A resumed run may have trained on: what an earlier network embedded is of no use.
    shutil.rmtree(folder, ignore_errors=True)
    embedder = open_embedder(weights, Engine(device=device))
    with Gallery.open(str(folder), actor=_ACTOR, calibration=calibration) as gallery:
        fill_from_dataset(
            gallery,
            embedder,
            result.dataset,
            first_s=first_s,
            on_bad=on_bad,
            threads=threads,
            console=stderr,
        )
        return ask_first_query(gallery, embedder, result.dataset)


def _is_in_use(gallery: Gallery) -> bool:
    """Whether anybody but the main job has changed what a gallery holds."""
    after = None
    while page := gallery.audit(after=after, limit=1000):
        if any(entry.actor != _ACTOR and entry.action not in _READS for entry in page):
            return True
        after = page[-1].seq
    return False


def _jobs(data: str, out: Path, split_id: int | Literal["all"] | None) -> list[tuple[Path, int | None]]:
    """Folder and split of each network to train: one, or one for each random split of a benchmark."""
    from omnireid.core.errors import ConfigError
    from omnireid.data.combine import SEPARATOR
    from omnireid.data.datasets import dataset_card

    if split_id != "all":
        return [(out, split_id)]
    if SEPARATOR in data or dataset_card(data).num_splits == 1:
        raise ConfigError(f"--split-id all: {data} is not one benchmark with random splits")
    return [(out / data / f"split-{split:02d}", split) for split in range(dataset_card(data).num_splits)]
