"""`omnireid adapt`: a network to a site, without labels."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.cli.process import keep_freed_memory
from omnireid.cli.train import RecipeValues, RunningOptions


@dataclass(frozen=True)
class RoundOptions(RecipeValues):
    """How pictures become clusters, how clusters are learned, and how often."""

    rounds: Annotated[int, typer.Option(min=1, max=99, help="How often to cluster anew and train.")] = 5
    max_distance: Annotated[
        float, typer.Option(help="Jaccard distance up to which two pictures are neighbours, below 1.")
    ] = 0.5
    min_pictures: Annotated[
        int, typer.Option(min=2, max=options.LARGEST, help="Neighbours that found a cluster.")
    ] = 4
    k1: Annotated[
        int, typer.Option(min=1, max=options.LARGEST, help="Neighbours that may be reciprocal.")
    ] = 12
    any_camera: Annotated[
        bool, typer.Option("--any-camera", help="Do not subtract each camera's mean embedding first.")
    ] = False
    recipe: Annotated[
        str, typer.Option(help="Recipe of each round: its name (see 'omnireid recipes list') or YAML file.")
    ] = "adapt"


def adapt(
    data: Annotated[str, options.SEVERAL_DATA],
    root: Annotated[list[Path], options.ROOTS],
    init: Annotated[str, typer.Option(help="Weights to adapt: a file, or the name of weights.")],
    out: Annotated[Path, typer.Option(help="Folder for clusters, runs and weights.", file_okay=False)],
    rounds: RoundOptions = RoundOptions(),
    running: RunningOptions = RunningOptions(),
    reading: options.DatasetOptions = options.DatasetOptions(),
) -> None:
    """Adapt a network to the people and cameras of a site, whose labels are not looked at.

    Clusters of the train split's pictures stand for people. Interrupt it at any time and --resume.
    """
    from omnireid.data.options import Sources
    from omnireid.evaluation.clusters import Clustering
    from omnireid.evaluation.options import Reranking
    from omnireid.experiment.adaptation import Adaptation
    from omnireid.experiment.adaptation import adapt as adapt_network

    keep_freed_memory()
    clustering = Clustering(
        max_distance=rounds.max_distance,
        min_pictures=rounds.min_pictures,
        by_camera=not rounds.any_camera,
        neighbours=Reranking(k1=rounds.k1, k2=-(-rounds.k1 // 3)),
    )
    sources = Sources(
        data,
        root,
        split_id=reading.one_split(),
        check_counts=not reading.no_check_counts,
        extract=reading.extract,
    )
    adapt_network(
        out,
        sources,
        init,
        rounds.recipe,
        running,
        how=Adaptation(rounds.rounds, clustering),
        changes=rounds.values(),
        console=stderr,
    )
    stdout.print(f"weights: {out / 'model.safetensors'}")
