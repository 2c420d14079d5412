"""`omnireid export`: a model file for another engine, with the proof that it gives the same embeddings."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout
from omnireid.core.errors import ConfigError
from omnireid.inference.options import ExportForm, ExportFormat, ExportPrecision

if TYPE_CHECKING:
    from omnireid.core.types import Dataset
    from omnireid.inference.export.parity import ParityRecord


def export(
    weights: Annotated[
        str | None,
        typer.Argument(metavar="MODEL", help="Weights (.safetensors), or the name of pulled weights."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="The same as MODEL, as other commands have it."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File to write; by default the model's name with the format's suffix.",
            dir_okay=False,
        ),
    ] = None,
    format: Annotated[ExportFormat, typer.Option("--format", "-f", help="Engine that will run it.")] = "onnx",
    precision: Annotated[
        ExportPrecision, typer.Option("--precision", "-p", help="What convolutions are computed in.")
    ] = "fp32",
    embedding: Annotated[
        Literal["raw", "normalised"],
        typer.Option(help="What the file gives: as the network, or L2-normalised."),
    ] = "raw",
    crops: Annotated[
        str | None,
        typer.Option(
            help="Folder, pattern or manifest of pictures to compare on, int8 to calibrate on too; "
            "by default those of the dataset."
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="Dataset whose ranking is compared; by default rendered people.")
    ] = None,
    root: Annotated[Path | None, options.ROOT] = None,
    reading: options.DatasetOptions = options.DatasetOptions(),
    seed: options.Seed = 0,
    threads: options.Threads = None,
) -> None:
    """Export weights to a file that runs elsewhere: uint8 crops in, embeddings out.

    Nothing is kept unless it gives the network's embeddings (smallest cosine 0.99999 in fp32, 0.999 in fp16
    and bf16, 0.99 in int8, which may lose at most 0.5 points of mAP). The proof lies beside the file.
    """
    from omnireid.inference.export.exporter import check_options, export_model
    from omnireid.inference.export.material import choose_crops, render_people
    from omnireid.inference.export.metadata import read_metadata
    from omnireid.inference.export.parity import Comparison
    from omnireid.inference.formats import FORMATS, identify
    from omnireid.inference.lookup import find_weights
    from omnireid.models.weight_file import read_header
    from omnireid.models.weights import load_weights

    if (weights is None) == (model is None):
        raise ConfigError("name one model: omnireid export MODEL, or --model MODEL")
    if (data is None) != (root is None):
        raise ConfigError("--data and --root belong together")
    source = find_weights(model or weights or "")
    if source.suffix == ".onnx" and identify(source).name == "onnx":
        raise ConfigError(
            f"{source}: export starts from weights; convert it first: omnireid models convert {source} "
            f"--out {source.with_suffix('.safetensors').name}"
        )
    network, card = load_weights(source)
    if card.notes:
        stderr.print(f"note: {card.name}: {card.notes}")
    suffix = FORMATS[format].suffix
    named = source.stem if precision == "fp32" else f"{source.stem}.{precision}"
    target = Path(f"{named}{suffix}") if out is None else out
    calibrates = precision == "int8"
    check_options(target, format, precision)
    if (
        target.is_file()
        and read_metadata(target) is None
        and not (format == "safetensors" and read_header(target).ranges)
    ):
        raise ConfigError(f"{target}: lies there already and is no export of ours; choose another --out")
    chosen = None
    if crops is not None:
        chosen = choose_crops(crops, card.input, calibrates=calibrates, console=stderr)
    with ExitStack() as stack:
        dataset: Dataset
        if data is not None and root is not None:
            dataset = reading.read(data, root)
        else:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            dataset = render_people(folder, seed=seed, calibrates=calibrates, console=stderr)
        if chosen is None:
            chosen = choose_crops(dataset, card.input, calibrates=calibrates, console=stderr)
        proof = export_model(
            network,
            card,
            target,
            ExportForm(format, precision, normalised=embedding == "normalised"),
            Comparison(*chosen, dataset),
            threads=threads,
            console=stderr,
        )
    _print_proof(target, proof)


def _print_proof(target: Path, proof: ParityRecord) -> None:
    lines = [
        f"{target}: {proof.format}, {proof.precision}, {proof.embedding} embeddings",
        f"  cosine to the network: smallest {proof.min_cosine:.7f}, 1st percentile {proof.p1_cosine:.7f}, "
        f"median {proof.median_cosine:.7f} over {proof.num_crops} crops ({proof.crops})",
    ]
    if proof.accuracy is not None:
        accuracy = proof.accuracy
        lines.append(
            f"  {accuracy.dataset}: rank-1 {accuracy.rank1:.2%} (network {accuracy.rank1_reference:.2%}), "
            f"mAP {accuracy.mAP:.2%} (network {accuracy.mAP_reference:.2%}), "
            f"{accuracy.num_valid_queries:,} queries"
        )
    times = ", ".join(f"{entry.median_ms:.1f} ms for {entry.batch}" for entry in proof.latency)
    lines.append(f"  {times} on {proof.device}, {proof.threads} threads")
    stdout.print("\n".join(lines))
