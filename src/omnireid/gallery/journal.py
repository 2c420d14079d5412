"""Work of several writes that a crash cannot leave half done.

Before the first write its tasks are recorded, in one commit. Whoever opens the gallery after a crash carries
out what is left, from the first task on: a task may run twice, and the second run must do no harm.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from omnireid.core.errors import StorageError
from omnireid.gallery.store import GalleryStore

KIND = "operation-journal"
_END = "end"
RESTORING = "restore"
"""Kind of the record that a gallery has while it is filled from a backup."""

Step = Callable[[GalleryStore, Mapping[str, Any]], None]
"""How a task is done: given its `what`; must be idempotent, and wait for nobody."""


class Task(NamedTuple):
    """One thing to do: the name of its step, and what the step is to do it with.

    `what` is a small JSON object (a few tens of kilobytes at most, which every store holds).
    """

    step: str
    what: Mapping[str, Any]


def carry_out(store: GalleryStore, tasks: Sequence[Task], steps: Mapping[str, Step]) -> None:
    """Do tasks in their order; once this has begun, a crash only delays them.

    An error (a full disk) leaves the rest recorded too: it is done with the next operation, or when the
    gallery is opened again.

    Args:
        steps: every step that any task of this gallery may name, by name.
    """
    if not tasks:
        return
    with store.lock():
        # Those of a crash go first, so that tasks are never done out of order.
        finish_interrupted(store, steps)
        first = time.time_ns()
        records = {f"{first:020d}-{number:06d}": task._asdict() for number, task in enumerate(tasks)}
        records[f"{first:020d}-{_END}"] = Task(_END, {})._asdict()
        store.put_records(KIND, records)
        _finish(store, records, steps)


def finish_interrupted(store: GalleryStore, steps: Mapping[str, Step]) -> int:
    """Do what a crash has left; how many tasks that were.

    Raises:
        StorageError: a task that this version does not know.
    """
    if not store.records(KIND):
        return 0
    with store.lock():
        # Read again: until the lock was ours, another process was perhaps doing them.
        left = store.records(KIND)
        _finish(store, left, steps)
        return len(left)


def check_whole(store: GalleryStore) -> None:
    """Refuse a gallery that a restore has not filled completely.

    Raises:
        StorageError: names the source.
    """
    for mark in store.records(RESTORING).values():
        raise StorageError(
            f"{store.uri}: restoring it from {mark['source']} was interrupted, or is going on; restore again"
        )


def _finish(store: GalleryStore, records: Mapping[str, Mapping[str, Any]], steps: Mapping[str, Step]) -> None:
    ends = sorted(name for name in records if name.endswith(_END))
    names = sorted(records.keys() - set(ends))
    for name in names:
        task = Task(**records[name])
        if task.step not in steps:
            raise StorageError(
                f"{store.uri}: holds an unfinished task {task.step!r} that this version does not know; "
                "open it with the version of omnireid that wrote it, or a newer one"
            )
        steps[task.step](store, task.what)
    # Tasks may name who was forgotten, so their own traces go as well. The last record names nobody, and
    # stays until they are gone.
    if names:
        store.delete_records(KIND, names)
    if records:
        store.purge_records()
        store.delete_records(KIND, ends)
