"""Progress of long work: a bar with rate and time left, or nothing when nobody asked."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", style="progress.data.speed")


def message_console() -> Console:
    """A console on stderr for messages: what users call things is never taken for rich's markup or emoji."""
    return Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)


def progress_bar(console: Console | None, *, transient: bool = False) -> Progress:
    """A rich progress bar on `console`; silent when `console` is None.

    Use as a context manager; `add_task(description, total=...)` and `advance(task, n)`.
    """
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _RateColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        disable=console is None,
        transient=transient,
    )
