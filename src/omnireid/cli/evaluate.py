"""`omnireid evaluate`: a model on one dataset or several, by their protocols, clean or corrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.cli.run import print_overall
from omnireid.core.errors import ConfigError
from omnireid.data.options import FrameSampling, Pooling, Sampling
from omnireid.evaluation.options import DistanceName, QueryExpansion, Ranking, Reranking, RerankingVariant
from omnireid.experiment.options import Corruptions, EvaluationOptions, Gates
from omnireid.inference.options import DEFAULT_MODEL, Engine
from omnireid.synthetic.options import SwapOptions

_OF_DATASETS = (
    "json", "distance", "normalise", "flip", "num_frames", "frame_sampling", "pooling", "reranking",
    "expansion", "camera_means", "gate_clusters", "no_analysis", "corruptions", "split_id", "protocol",
)  # fmt: skip


def evaluate(
    data: Annotated[str | None, options.SEVERAL_DATA] = None,
    root: Annotated[list[Path] | None, options.ROOTS] = None,
    model: options.Model = DEFAULT_MODEL,
    out: Annotated[
        Path, typer.Option(help="Folder for result.json and report.html.", file_okay=False)
    ] = Path("runs/evaluation"),
    json: Annotated[
        Path | None, typer.Option(help="Write the result record to this file as well.", dir_okay=False)
    ] = None,
    distance: Annotated[
        DistanceName, typer.Option(help="How far apart two embeddings are.")
    ] = Ranking.distance,
    normalise: Annotated[
        bool | None,
        typer.Option(
            "--normalise/--raw",
            help="L2-normalise embeddings, or rank them as they are; by default raw, with --corruptions "
            "normalised, as the published figures.",
        ),
    ] = None,
    flip: Annotated[
        bool, typer.Option("--flip", help="Embed each picture with its mirror image; takes twice as long.")
    ] = False,
    num_frames: Annotated[
        int | None,
        typer.Option(
            "--frames",
            min=1,
            max=options.LARGEST,
            help="Of tracklets: how many frames are embedded; by default 15.",
        ),
    ] = None,
    frame_sampling: Annotated[
        Sampling | None, typer.Option(help="Of tracklets: which frames; by default evenly.")
    ] = None,
    pooling: Annotated[
        Pooling | None, typer.Option(help="Of tracklets: over the frames' embeddings; by default the mean.")
    ] = None,
    reranking: Annotated[
        RerankingVariant | None,
        typer.Option(help="k-reciprocal re-ranking: the paper's, its code's or torchreid's."),
    ] = None,
    k1: Annotated[
        int, typer.Option(min=1, max=options.LARGEST, help="Reciprocal neighbours, with --reranking.")
    ] = Reranking.k1,
    k2: Annotated[
        int, typer.Option(min=1, max=options.LARGEST, help="Neighbours averaged, with --reranking.")
    ] = Reranking.k2,
    lambda_: Annotated[
        float, typer.Option("--lambda", min=0, max=1, help="Weight of the distance, with --reranking.")
    ] = Reranking.lambda_,
    expansion: Annotated[
        int | None,
        typer.Option(
            "--query-expansion",
            min=1,
            max=options.LARGEST,
            help="Average each query with this many neighbours.",
        ),
    ] = None,
    expansion_alpha: Annotated[
        float, typer.Option(min=0, help="Weight neighbours by similarity to this power.")
    ] = QueryExpansion.alpha,
    camera_means: Annotated[
        bool, typer.Option("--camera-means", help="Subtract each camera's mean embedding first.")
    ] = False,
    gate_clusters: Annotated[
        int | None,
        typer.Option(
            min=2,
            max=99,
            help="In the report: so many groups of pictures that the network's gates weigh alike.",
        ),
    ] = None,
    gate_block: Annotated[
        str | None, typer.Option(help="Block of these gates, e.g. conv3.0; by default the last.")
    ] = None,
    no_analysis: Annotated[
        bool,
        typer.Option("--no-analysis", help="Leave out intervals, breakdowns and open-set metrics."),
    ] = False,
    corruptions: Annotated[
        bool,
        typer.Option("--corruptions", help="Also evaluate on corrupted pictures (Market-1501-C and so on)."),
    ] = False,
    rounds: Annotated[
        int, typer.Option(min=1, max=options.LARGEST, help="Draws of corruptions to average over.")
    ] = Corruptions.rounds,
    fresh_draw: Annotated[
        bool,
        typer.Option("--fresh-draw", help="Draw corruptions from a new seed, which the record names."),
    ] = False,
    no_table: Annotated[
        bool, typer.Option("--no-table", help="Leave out the table per corruption and severity.")
    ] = False,
    clothes_swap: Annotated[
        bool,
        typer.Option(
            "--clothes-swap", help="Measure how much is clothes, on rendered people; --data may be left out."
        ),
    ] = False,
    clothes_groups: Annotated[
        int,
        typer.Option(
            min=2, max=10_000, help="With --clothes-swap: groups of two people in two sets of clothes."
        ),
    ] = SwapOptions.num_groups,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=options.MOST_THREADS,
            help="Threads that decode and corrupt (in each worker of a cluster), or processes that "
            "render; by default one per core.",
        ),
    ] = None,
    reading: options.ScoredDatasetOptions = options.ScoredDatasetOptions(),
    seed: options.Seed = Ranking.seed,
    engine: options.BatchEngineOptions = options.BatchEngineOptions(),
    on_bad: options.Bad = "error",
    cluster: options.ClusterOptions = options.ClusterOptions(),
) -> None:
    """Rank a dataset's gallery for its queries; write the result record and the report.

    By default as the published OSNet figures: raw embeddings, Euclidean distance. Those of OSNet-AIN use
    --distance cosine. Several datasets (A+B), or all random splits of one (--split-id all), are evaluated
    apart, each into a folder of its own; overview.html sets them side by side, and the splits' mean and
    deviation are in splits.json.

    --clothes-swap renders people who change clothes, and strangers in the same ones, and says how much of the
    judgement is clothes.

    --corruptions measures for hours; stopped, the same command goes on. --engine ray shares it out.
    """
    from omnireid.experiment.measure import evaluate as measure
    from omnireid.report.analysis import rich_analysis
    from omnireid.report.robustness import rich_robustness
    from omnireid.report.table import rich_table

    if reranking is None:
        options.refuse("without --reranking", "k1", "k2", "lambda_")
    if expansion is None:
        options.refuse("without --query-expansion", "expansion_alpha")
    if gate_clusters is None:
        options.refuse("without --gate-clusters", "gate_block")
    if not corruptions:
        alone = () if clothes_swap else ("workers",)
        options.refuse("without --corruptions", "rounds", "fresh_draw", "no_table", "where", *alone)
    if cluster.where == "local":
        options.refuse("without --engine ray", "address", "cpus", "gpus")
    if frame_sampling == "all":
        options.refuse("with --frame-sampling all", "num_frames")
    if not clothes_swap:
        options.refuse("without --clothes-swap", "clothes_groups")
    if (data is None) != (root is None) or (data is None and not clothes_swap):
        raise ConfigError("give --data and --root, or --clothes-swap, which needs no data")
    if data is None:
        options.refuse("without --data", *_OF_DATASETS)
    if clothes_swap:
        _measure_clothes(model, out, SwapOptions(num_groups=clothes_groups, seed=seed), engine, workers)
    if data is None or root is None:
        return
    if cluster.where == "ray":  # its workers have another working folder
        root = [path.absolute() for path in root]
    datasets = reading.read_all(data, root)
    if json is not None and len(datasets) > 1:
        raise ConfigError("--json takes one record, and there are several; find them below --out")
    frames = None
    if num_frames or frame_sampling or pooling:
        frames = FrameSampling(
            num_frames or FrameSampling.num_frames,
            frame_sampling or FrameSampling.sampling,
            pooling or FrameSampling.pooling,
        )
    measured = measure(
        model,
        datasets,
        out=out,
        ranking=Ranking(
            distance,
            camera_means,
            expansion=None if expansion is None else QueryExpansion(expansion, expansion_alpha),
            reranking=None if reranking is None else Reranking(k1, k2, lambda_, reranking),
            seed=seed,
        ),
        options=EvaluationOptions(
            normalise=normalise,
            frames=frames,
            analysis=not no_analysis,
            corruptions=Corruptions(rounds, None if fresh_draw else seed, not no_table, workers)
            if corruptions
            else None,
            on_bad=on_bad,
            flip=flip,
            gates=None if gate_clusters is None else Gates(gate_clusters, gate_block),
            workers=cluster,
        ),
        engine=engine,
        console=stderr,
    )
    for record, files in zip(measured.records, measured.files, strict=True):
        for skipped in record.dataset.skipped:
            stderr.print(f"skipped {skipped}")
        stdout.print(f"report: {files.report}\nrecord: {files.record}")
        if record.analysis is not None:
            stdout.print(rich_analysis(record.analysis))
        if record.robustness is not None:
            stdout.print(rich_robustness(record.robustness))
    if json is not None:
        measured.records[0].save(json)
    stdout.print(rich_table(measured.records))
    print_overall(measured.overall)


def _measure_clothes(model: str, out: Path, swaps: SwapOptions, engine: Engine, workers: int | None) -> None:
    from omnireid.experiment.clothes import PICTURES, RECORD, evaluate_clothes
    from omnireid.experiment.opening import open_model
    from omnireid.report.clothes import rich_clothes

    embedder = open_model(model, engine, console=stderr)
    record = evaluate_clothes(embedder, out, swaps, workers=workers, threads=engine.threads, console=stderr)
    stdout.print(f"pictures: {out / PICTURES}\nrecord: {out / RECORD}")
    stdout.print(rich_clothes(record))
