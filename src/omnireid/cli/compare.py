"""`omnireid compare`: results side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from omnireid.cli import options
from omnireid.cli.console import print_json, stderr, stdout
from omnireid.core.errors import ConfigError
from omnireid.report.options import TableFormat


def compare(
    results: Annotated[
        list[Path], typer.Argument(help="Records (result.json), or folders that 'evaluate' wrote.")
    ],
    plot: Annotated[
        Path | None, typer.Option(help="CMC curves and mAP as .png, .svg or .pdf.", dir_okay=False)
    ] = None,
    any_protocol: Annotated[
        bool, typer.Option("--any-protocol", help="Set results side by side that were not measured alike.")
    ] = False,
    table: Annotated[
        TableFormat | None,
        typer.Option("--format", help="Only a table for a paper: Markdown, LaTeX (booktabs), CSV."),
    ] = None,
    name: Annotated[
        list[str] | None, typer.Option(help="With --format: what to call each result, in their order.")
    ] = None,
    seed: options.Seed = 0,
    as_json: options.AsJson = False,
) -> None:
    """A table, a plot, and whether each result is better than the first: difference, interval, p-value.

    Results of different datasets, splits or protocols are refused unless --any-protocol is given. With
    --format a result may also be a folder with seeds.json or splits.json: its mean and deviation.
    """
    if table is not None:
        options.refuse("with --format", "plot", "seed", "as_json")
        print_paper_table(results, name or [], table, any_protocol=any_protocol)
        return
    options.refuse("without --format", "name")
    from omnireid.evaluation.metrics import METRICS
    from omnireid.experiment.comparison import compare as compare_files
    from omnireid.report.comparison import plot_results, rich_versus
    from omnireid.report.table import rich_table

    comparison = compare_files(results, any_protocol=any_protocol, seed=seed)
    records = [result.record for result in comparison.results]
    names = [result.name for result in comparison.results]
    for line in comparison.differences:
        stderr.print(f"not alike: {line}", style="yellow")
    for result in comparison.results:
        if result.queries is None:
            stderr.print(f"{result.name}: no queries.csv beside the record, not compared query by query")
    if as_json:
        shown = [
            {"name": name, "record": record.model_dump(mode="json")}
            for name, record in zip(names, records, strict=True)
        ]
        print_json(
            {"results": shown, "against_first": [versus.model_dump() for versus in comparison.against_first]}
        )
    else:
        stdout.print(rich_table(records, names=names))
        rows = [
            (versus.name, METRICS[metric].label, paired)
            for versus in comparison.against_first
            for metric, paired in versus.by_metric().items()
        ]
        stdout.print(rich_versus(names[0], rows))
    if plot is not None:
        plot_results(plot, records, names)
        stderr.print(f"plot: {plot}")


def print_paper_table(
    results: list[Path], names: list[str], kind: TableFormat, *, any_protocol: bool
) -> None:
    """Write the table to standard output, as it is: no colours, no line breaks of a terminal.

    Raises:
        ConfigError: not one name for each result.
        InputError: as `load_row` and `check_alike`.
    """
    from omnireid.experiment.comparison import check_alike, differences, load_row
    from omnireid.report.paper import paper_table

    if names and len(names) != len(results):
        raise ConfigError(f"--name: expected {len(results)}, one for each result, got {len(names)}")
    rows = [load_row(path, names[index] if names else None) for index, path in enumerate(results)]
    records = [row.record for row in rows]
    if not any_protocol:
        check_alike(records)
    for line in differences(records):
        stderr.print(f"not alike: {line}", style="yellow", markup=False)
    print(paper_table(rows, kind), end="")
