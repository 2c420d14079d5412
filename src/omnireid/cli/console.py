"""Where output goes: results on stdout, progress and messages on stderr."""

from __future__ import annotations

import io
import json
import os
import sys
import unicodedata
import warnings
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from rich.console import Console, Group
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from omnireid.core.errors import OmniReIDWarning, StorageError
from omnireid.core.files import write_failure
from omnireid.core.progress import message_console

_WIDE = 100_000


class _Results(Console):
    """Prints tables as rich draws them where they fit a terminal, and else as plain lines, one for each row.

    Nothing in a table is ever cut, and in a pipe nothing is wrapped: what is listed can be found and copied.
    Columns that must stay whole in a terminal are `no_wrap`.
    """

    def print(self, *objects: Any, **options: Any) -> None:
        super().print(*map(self._whole, objects), **options)

    def _whole(self, shown: Any) -> Any:
        if isinstance(shown, Group):
            return Group(*map(self._whole, shown.renderables))
        if not isinstance(shown, Table):
            return shown
        # Measured as if there were room enough: else what does not fit counts as cut already.
        fits = Measurement.get(self, self.options.update_width(_WIDE), shown).minimum <= self.width
        return shown if self.is_terminal and fits else Text("\n".join(_plain_lines(shown)))


def _plain_lines(table: Table) -> list[str]:
    columns = [
        [one_line(str(cell)) for cell in (*([column.header] if table.show_header else []), *column.cells)]
        for column in table.columns
    ]
    widths = [max(map(len, cells), default=0) for cells in columns]
    lines = [
        "  ".join(
            cell.rjust(width) if column.justify == "right" else cell.ljust(width)
            for cell, width, column in zip(row, widths, table.columns, strict=True)
        ).rstrip()
        for row in zip(*columns, strict=True)
    ]
    title, caption = (str(text).split("\n") if text else [] for text in (table.title, table.caption))
    return [*title, *lines, *caption]


# What users call things is never taken for rich's markup or emoji.
stdout = _Results(soft_wrap=True, highlight=False, markup=False, emoji=False)
stderr = message_console()


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    print(json.dumps(value, indent=1, ensure_ascii=False))


def print_rows(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    as_json: bool = False,
    right: Collection[str] = (),
    whole: Collection[str] = (),
) -> None:
    """A list on stdout: a table, or JSON objects with the columns' names.

    Args:
        right: columns that are aligned as numbers are.
        whole: columns that are never folded, as numbers and the first are not: they are there to be copied.
    """
    rows = list(rows)
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
        return
    table = Table(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        is_number = all(isinstance(row[index], int | float) for row in rows)
        table.add_column(
            column.replace("_", " "),
            justify="right" if is_number or column in right else "left",
            no_wrap=is_number or index == 0 or column in whole,
            overflow="fold",
        )
    for row in rows:
        table.add_row(
            *(f"{cell:,}" if isinstance(cell, int) else str("" if cell is None else cell) for cell in row)
        )
    stdout.print(table)


def print_facts(facts: Iterable[tuple[str, Any]]) -> None:
    """Labels and values on stdout, without those of which nothing is known."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    for label, value in facts:
        if value not in (None, "", {}):
            table.add_row(label, str(value))
    stdout.print(table)


class _Output(io.FileIO):
    """stdout or stderr. Once its reader has gone (`| head`), the rest is dropped and the work goes on.

    Results that cannot be stored are an error; of messages on stderr nobody could be told.
    """

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 (a device, by its number)
                os.dup2(nowhere.fileno(), self.fileno())
            if self.fileno() == 1 and not isinstance(error, BrokenPipeError):
                raise StorageError(f"cannot write to standard output: {write_failure(error)}") from error
            return len(data)


def guard_output() -> None:
    """Let no state of stdout and stderr end in a traceback: closed, full, without a reader, ASCII only."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            # Else the next file to be opened would get the number, and what libraries print there.
            os.open(os.devnull, os.O_RDWR)
    if os.name != "posix":
        return
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        # A test's or a notebook's stream stays.
        if stream is None or stream is not getattr(sys, f"__{name}__"):
            continue
        raw = io.BufferedWriter(_Output(stream.fileno(), "wb", closefd=False))
        wrapped = io.TextIOWrapper(
            raw, stream.encoding, errors="backslashreplace", line_buffering=stream.line_buffering
        )
        setattr(sys, name, wrapped)


def one_line(text: str) -> str:
    """Text on one line, with what a terminal would obey or cannot show written as escapes."""
    return "".join(map(_shown, " ".join(line.strip(" \t\r") for line in text.split("\n"))))


def _shown(character: str) -> str:
    # Joiners belong to words of some scripts.
    is_obeyed = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    if is_obeyed and character not in "\u200c\u200d":
        return character.encode("unicode_escape").decode()
    return character


def print_warnings() -> None:
    """Have our warnings shown as lines of their own, as the other messages are."""
    usual = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *where: Any, **options: Any) -> None:
        if issubclass(category, OmniReIDWarning):
            stderr.print(f"warning: {one_line(str(message))}", style="yellow")
        else:
            usual(message, category, *where, **options)

    warnings.showwarning = show
