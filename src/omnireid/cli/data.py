"""`omnireid data`: what can be read, and whether it is whole."""

from __future__ import annotations

from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import stderr, stdout

app = typer.Typer(help="Datasets: list, describe, validate.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Dataset or layout; see 'omnireid data list'.")]


@app.command("list")
def list_() -> None:
    """List benchmarks and layouts."""
    from rich.table import Table

    from omnireid.data.datasets import dataset_card, list_datasets

    table = Table("name", "what it is", "protocol", box=None)
    for name in list_datasets():
        card = dataset_card(name)
        table.add_row(name, card.title, card.protocol.value)
    stdout.print(table)


@app.command()
def show(name: Name) -> None:
    """Print a dataset's card: layout, counts, terms, ethics, where to ask for it."""
    from omnireid.data.datasets import dataset_card

    card = dataset_card(name)
    stdout.print(f"{card.name}: {card.title}\n\n{card.layout.strip()}\n", markup=False)
    for split, counts in card.counts.items():
        stdout.print(
            f"{split:<8}{counts.images:>8,} images {counts.pids:>6,} pids {counts.cameras:>3} cameras"
        )
    for label, text in (
        ("protocol", card.protocol.value),
        ("licence", card.licence),
        ("ethics", card.ethics),
        ("citation", card.citation),
        ("where to ask", card.source),
    ):
        if text:
            stdout.print(f"{label}: {text}", markup=False)


@app.command()
def validate(
    name: Name,
    root: options.Root,
    protocol: options.Protocol = None,
    no_check_counts: options.AnyCounts = False,
    names_only: Annotated[bool, typer.Option("--names-only", help="Do not open the pictures.")] = False,
) -> None:
    """Check a dataset before work depends on it; exit code 1 if it has errors."""
    from omnireid.data.datasets import read_dataset
    from omnireid.data.validate import validate_dataset

    dataset = read_dataset(
        name, root, check_counts=not no_check_counts, protocol=protocol.value if protocol else None
    )
    report = validate_dataset(dataset, decode=not names_only, console=stderr)
    stdout.print(report.table())
    raise typer.Exit(0 if report.ok else 1)
