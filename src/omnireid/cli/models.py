"""`omnireid models`: what is known, weights from elsewhere, and how those that ship are made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import print_json, print_rows, stderr, stdout
from omnireid.core.errors import ConfigError, WeightsError
from omnireid.core.files import sha256_file
from omnireid.training.options import RunOptions

if TYPE_CHECKING:
    from omnireid.core.card import ModelCard

app = options.App(help="Models: list, describe, convert, pull, make again.", no_args_is_help=True)


@app.command("list")
def list_(as_json: options.AsJson = False) -> None:
    """List architectures, the weights that ship, and published ones."""
    from omnireid.models.cards import list_models, model_card

    cards = [model_card(name) for name in list_models()]
    if as_json:
        print_json([card.model_dump(mode="json") for card in cards])
        return
    print_rows(
        ("name", "parameters", "trained on", "terms", "rank-1 / mAP on"),
        [
            (
                card.name,
                card.num_parameters or 0,
                card.training_data or "–",
                card.licence if card.training_data else "–",
                _metrics_text(card),
            )
            for card in cards
        ],
    )


def _metrics_text(card: ModelCard) -> str:
    return "  ".join(
        f"{metric.dataset} {metric.rank1:.1%} / {metric.mAP:.1%}"
        for metric in card.metrics
        if metric.rank1 is not None and metric.mAP is not None
    )


@app.command()
def show(
    model: Annotated[str, typer.Argument(help="Name, or a model file.")],
    card: options.ForeignCardFile = None,
) -> None:
    """Print a model's card as JSON."""
    from omnireid.models.cards import model_card

    path = Path(model)
    if not path.is_file():
        print(model_card(model).to_json())
        return
    if path.suffix == ".safetensors":
        from omnireid.models.weight_file import read_header

        print(read_header(path).card.model_copy(update={"sha256": sha256_file(path)}).to_json())
        return
    from omnireid.inference.embedder import Embedder

    print(Embedder.open(path, card=card).card.to_json())


@app.command()
def convert(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="Their file (.pth, .pth.tar, .pt, .ckpt, .safetensors, .onnx), or checkpoint.pt of a run."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write (.safetensors).")],
    architecture: Annotated[
        str | None, typer.Option(help="What it must be; inferred when not given.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Which network, where a file holds several, e.g. ema.")
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Store matrices in float16: half the file; it computes as before.")
    ] = False,
) -> None:
    """Convert a checkpoint or an ONNX file to safetensors with a card, without running its code."""
    from omnireid.models.convert import read_network
    from omnireid.models.weights import holds_weights, save_weights

    if out.suffix != ".safetensors":
        raise ConfigError(f"--out {out}: safetensors are written; give a name that ends in .safetensors")
    if out.exists() and checkpoint.exists() and out.samefile(checkpoint):
        raise ConfigError(f"--out {out}: is the file to convert, which would be lost; name another")
    network, card = read_network(checkpoint, architecture, key=key)
    if out.exists() and (not out.is_file() or not holds_weights(out, network, half=half)):
        raise WeightsError(f"{out}: lies there already and holds something else; choose another --out")
    save_weights(out, network, card, half=half)
    stdout.print(f"{out}: {card.architecture}, {card.num_parameters or 0:,} parameters")
    if card.notes:
        stdout.print(card.notes)


@app.command()
def pull(
    name: Annotated[
        str, typer.Argument(help="Published weights (see 'list'), or owner/repository/path/file.")
    ],
    revision: Annotated[
        str | None, typer.Option(help="Full commit hash on the Hub; the card's by default.")
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="Hash the file must have; the card's by default.")
    ] = None,
    cache_dir: Annotated[
        Path | None, typer.Option(help="Where to keep it; the Hub's usual cache by default.")
    ] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Look into the cache only.")] = False,
) -> None:
    """Fetch published weights from the Hugging Face Hub, at a pinned revision, and verify their hash."""
    from omnireid.models.pull import pull as fetch

    stdout.print(str(fetch(name, revision=revision, sha256=sha256, cache_dir=cache_dir, offline=offline)))


@app.command()
def reproduce(
    name: Annotated[str, typer.Argument(help="A network that comes with the package, or is to.")],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Folder for pictures, run, weights, calibration.", file_okay=False),
    ],
    scale: Annotated[
        float, typer.Option("--scale", help="Share of the people, to try the way: 0.01 takes minutes.")
    ] = 1.0,
    trained: Annotated[
        Path | None,
        typer.Option(
            "--trained", help="Weights that its trainings made already, instead of training.", dir_okay=False
        ),
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", help="Also measure on these datasets (A+B); none is trained on.")
    ] = None,
    root: Annotated[list[Path] | None, options.ROOTS] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=options.MOST_THREADS, help="Processes that render.")
    ] = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
) -> None:
    """Make a network that ships again: render, train, store, measure, calibrate. Run again, it goes on."""
    from omnireid.data.combine import read_datasets
    from omnireid.experiment.reproduction import reproduce as make

    if (data is None) != (root is None):
        raise ConfigError("give both --data and --root, or neither")
    targets = [] if data is None or root is None else read_datasets(data, root, console=stderr)
    done = make(
        name,
        out,
        RunOptions(device=device, threads=threads),
        scale=scale,
        trained=trained,
        targets=targets,
        workers=workers,
        console=stderr,
    )
    stdout.print(f"weights:     {done.weights}\ncalibration: {done.calibration}")
    if done.description is not None:
        stdout.print(f"description: {done.description}")
    stdout.print(f"rank-1 / mAP: {_metrics_text(done.card)}")
