"""`omnireid data`: what can be read, what is in it, and whether it is whole."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import print_facts, print_json, print_rows, stderr, stdout
from omnireid.core.options import Protocol

if TYPE_CHECKING:
    from omnireid.core.types import Dataset
    from omnireid.data.datasets import DatasetCard

app = options.App(help="Datasets: list, describe, validate, count, write as tables.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Dataset or layout; see 'omnireid data list'.")]


@app.command("list")
def list_(as_json: options.AsJson = False) -> None:
    """List benchmarks of pictures and of video, and layouts of one's own data."""
    from omnireid.data.datasets import dataset_card, list_datasets

    kinds = ("pictures", "video", "any data")
    # Only benchmarks can be asked for somewhere.
    rows = [
        (card.name, kinds[int(card.is_video) if card.source else 2], card.num_splits, card.title)
        for card in map(dataset_card, list_datasets())
    ]
    print_rows(
        ("name", "kind", "splits", "title"),
        sorted(rows, key=lambda row: kinds.index(row[1])),
        as_json=as_json,
    )


@app.command()
def show(name: Name, as_json: options.AsJson = False) -> None:
    """Print a dataset's card: layout, counts, notes, terms, ethics, where to ask for it."""
    from omnireid.data.datasets import dataset_card

    card = dataset_card(name)
    splits = f"{card.num_splits}, --split-id 0 to {card.num_splits - 1}" if card.num_splits > 1 else ""
    facts = {
        "protocol": card.protocol.value,
        "random splits": splits,
        "distractors": f"pid {_ranges(card.distractor_pids)}" if card.distractor_pids else "",
        "archives": ", ".join(card.archives),
        "notes": _flowing(card.notes),
        "licence": _flowing(card.licence),
        "ethics": _flowing(card.ethics),
        "citation": _flowing(card.citation),
        "where to ask": card.source,
    }
    facts = {label: text for label, text in facts.items() if text}
    counts = {split: counts.stated() for split, counts in card.counts.items()}
    if as_json:
        print_json({"name": card.name, "title": card.title, "layout": card.layout, "counts": counts, **facts})
        return
    stdout.print(f"{card.name}: {card.title}\n", style="bold")
    stdout.print(card.layout.strip())
    if counts:
        known = {what for stated in counts.values() for what in stated}
        columns = [what for what in ("tracklets", "images", "pids", "cameras") if what in known]
        rows = [(split, *(stated.get(what, "–") for what in columns)) for split, stated in counts.items()]
        stdout.print()
        print_rows(("counts", *columns), rows, right=columns)
    stdout.print()
    print_facts(facts.items())


@app.command()
def validate(
    name: Name,
    root: Annotated[Path, options.ROOT],
    reading: options.ScoredDatasetOptions = options.ScoredDatasetOptions(),
    names_only: Annotated[bool, typer.Option("--names-only", help="Do not open the pictures.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Check a dataset before work depends on it; exit code 1 if it has errors."""
    from omnireid.data.validate import validate_dataset

    report = validate_dataset(reading.read(name, root), decode=not names_only, console=stderr)
    if as_json:
        print_json({**asdict(report), "ok": report.ok})
    else:
        stdout.print(report.table())
    raise typer.Exit(0 if report.ok else 1)


@app.command()
def stats(
    name: Name,
    root: Annotated[Path, options.ROOT],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for stats.json, stats.png and contact_sheet.png.", file_okay=False),
    ] = None,
    split_id: options.SplitId = None,
    extract: options.Extract = False,
    names_only: Annotated[
        bool, typer.Option("--names-only", help="Do not open the pictures: no sizes, no contact sheet.")
    ] = False,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """Show counts beside the card's, pictures per person and camera, and sizes of the crops.

    Counts that differ from the card are shown, and are no error here. The contact sheet shows real people
    where the dataset does: it is for your eyes, not for publication. --seed draws others.
    """
    from omnireid.data.datasets import dataset_card
    from omnireid.data.stats import dataset_stats

    card = dataset_card(name)
    if out is None:
        options.refuse("without --out", "seed")
    else:
        from omnireid.data.stats_figure import save_figure
    if names_only:
        options.refuse("with --names-only, which draws no contact sheet", "seed")
    reading = options.DatasetOptions(split_id, no_check_counts=True, extract=extract)
    dataset = reading.read(name, root)
    measured = dataset_stats(dataset, card, measure=not names_only, console=stderr)
    if as_json:
        print_json(measured.model_dump(mode="json"))
    else:
        stdout.print(measured.tables())
    if out is None:
        return
    measured.save(out / "stats.json")
    save_figure(measured, out / "stats.png")
    written = [out / "stats.json", out / "stats.png"]
    if not names_only and any(len(split) for split in dataset.splits):
        written.append(out / "contact_sheet.png")
        _write_sheet(dataset, card, written[-1], seed)
    for path in written:
        stderr.print(f"wrote {path}")


@app.command("manifest")
def manifest_(
    name: Name,
    root: Annotated[Path, options.ROOT],
    out: Annotated[Path, typer.Option(help="Folder for the CSV files.", file_okay=False)],
    reading: options.DatasetOptions = options.DatasetOptions(),
) -> None:
    """Write a dataset as CSV tables that --data manifest reads back, one for each random split asked for.

    So a split becomes a file that can be stored, handed on and changed.
    """
    from omnireid.data.datasets import dataset_card
    from omnireid.data.datasets.manifest import write_manifest

    card = dataset_card(name)
    for dataset in reading.read_all(name, [root]):
        number = f"-split{dataset.partition.index:02d}" if card.num_splits > 1 and dataset.partition else ""
        path = out / f"{name}{number}.csv"
        write_manifest(dataset, path)
        sizes = ", ".join(f"{split.name} {len(split):,}" for split in dataset.splits)
        protocol = "" if dataset.protocol is Protocol.MARKET1501 else f" --protocol {dataset.protocol.value}"
        stdout.print(f"wrote {path}: {sizes}; read it with --data manifest --root {path}{protocol}")


def _flowing(text: str) -> str:
    """Prose without its line breaks, except those that end a sentence."""
    lines = text.strip().splitlines()
    return "".join(line + ("\n" if line.endswith(".") else " ") for line in lines).strip()


def _ranges(numbers: frozenset[int]) -> str:
    """ "0", "201–749", "1, 5–7"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}–{run[-1]}" for run in runs)


def _write_sheet(dataset: Dataset, card: DatasetCard, path: Path, seed: int) -> None:
    from omnireid.data.contact_sheet import WARNING, draw_contact_sheet, save_contact_sheet

    save_contact_sheet(draw_contact_sheet(dataset, seed=seed, distractors=card.distractor_pids), path)
    stderr.print(f"{path.name}: {WARNING}", style="yellow")
