"""Looks for what spoils training and evaluation before they start, and names every case."""

from __future__ import annotations

import os
import stat
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from enum import Enum

from rich.console import Console
from rich.table import Table

from omnireid.core.display import short_repr
from omnireid.core.errors import ImageError
from omnireid.core.files import sha256_file
from omnireid.core.images import conversions, narrow_range
from omnireid.core.images import decode as decode_picture
from omnireid.core.options import Protocol
from omnireid.core.types import Dataset, Sample
from omnireid.data.datasets.folders import JUNK
from omnireid.data.parallel import map_files

_EXAMPLES_SHOWN = 3


class Severity(str, Enum):
    """ERROR makes results wrong or work fail; WARNING may; NOTE is for information."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Problem:
    """One kind of problem with everything it was found in.

    Attributes:
        kind: short fixed name, e.g. "unreadable".
        message: what it is and how often.
        items: every case: a file with its reason, or a person.
        next_step: what to do about it.
    """

    severity: Severity
    kind: str
    message: str
    items: tuple[str, ...] = ()
    next_step: str = ""

    __repr__ = short_repr


@dataclass(frozen=True, slots=True)
class ValidationReport:
    """What validation found, errors first."""

    dataset: str
    root: str
    num_files: int
    decoded: bool
    problems: tuple[Problem, ...] = field(default=())

    __repr__ = short_repr

    @property
    def ok(self) -> bool:
        """Whether there is no error (warnings may remain)."""
        return not any(problem.severity is Severity.ERROR for problem in self.problems)

    def of_kind(self, kind: str) -> Problem | None:
        return next((problem for problem in self.problems if problem.kind == kind), None)

    def table(self) -> Table:
        """For printing with rich."""
        depth = "names and pictures" if self.decoded else "names only"
        verdict = "no errors" if self.ok else "ERRORS"
        table = Table(title=f"{self.dataset}: {self.num_files:,} files, {depth}: {verdict}", show_lines=True)
        for column in ("", "problem", "for example", "next step"):
            table.add_column(column, overflow="fold")
        colours = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "dim"}
        for problem in self.problems:
            examples = [item.replace(f"{self.root}/", "") for item in problem.items[:_EXAMPLES_SHOWN]]
            if len(problem.items) > _EXAMPLES_SHOWN:
                examples.append(f"… {len(problem.items) - _EXAMPLES_SHOWN:,} more")
            table.add_row(
                problem.severity.value,
                problem.message,
                "\n".join(examples),
                problem.next_step,
                style=colours[problem.severity],
            )
        if not self.problems:
            table.add_row("", "nothing found", "", "")
        return table


@dataclass(frozen=True, slots=True)
class _FileCheck:
    size: int = -1  # −1: no regular file
    fault: str = ""  # kind of problem
    reason: str = ""
    conversions: tuple[str, ...] = ()
    narrow: str = ""  # the part of its range that a deep picture uses


def validate_dataset(
    dataset: Dataset, *, decode: bool = True, threads: int | None = None, console: Console | None = None
) -> ValidationReport:
    """Check a dataset's files, people and splits.

    Args:
        decode: open every picture; without it, truncated files and duplicates are not found.
        threads: number of threads for reading and decoding; None takes the cores of this machine.
        console: where to show progress; None shows none.
    """
    splits = [split.samples for split in dataset.splits]
    paths = list(dict.fromkeys(file for samples in splits for sample in samples for file in _files(sample)))
    checks = map_files(
        lambda path: _check_file(path, decode), paths, title="checking", threads=threads, console=console
    )

    problems = _file_problems(checks)
    problems += _split_problems(dataset)
    problems += _people_problems(dataset)
    problems += _skipped_problems(dataset)
    if dataset.remarks:
        problems.append(
            Problem(Severity.WARNING, "read-as", "the layout can be meant otherwise", dataset.remarks)
        )
    if decode:
        same_size = Counter(check.size for check in checks.values() if check.size > 0)
        suspects = [path for path, check in checks.items() if same_size[check.size] > 1 and not check.fault]
        hashes = map_files(sha256_file, suspects, title="comparing", threads=threads, console=console)
        problems += _duplicate_problems(dataset, hashes)
    order = list(Severity)
    problems.sort(key=lambda problem: order.index(problem.severity))
    return ValidationReport(dataset.name, dataset.root, len(paths), decode, tuple(problems))


def _files(sample: Sample) -> tuple[str, ...]:
    """The picture, or every frame of the tracklet."""
    return sample.frames or (sample.path,)


def _check_file(path: str, decode: bool) -> _FileCheck:
    try:
        status = os.stat(path)  # noqa: PTH116 (a Path costs more than the call)
    except FileNotFoundError:
        return _FileCheck(fault="missing", reason="no such file")
    except OSError as error:
        return _FileCheck(fault="unreadable", reason=error.strerror or str(error))
    if stat.S_ISDIR(status.st_mode):
        return _FileCheck(fault="directory", reason="is a directory")
    if status.st_size == 0:
        return _FileCheck(0, fault="empty-file", reason="0 bytes")
    if not decode:
        return _FileCheck(status.st_size)
    try:
        decode_picture(path)
        return _FileCheck(status.st_size, conversions=conversions(path), narrow=narrow_range(path))
    except ImageError as error:
        return _FileCheck(status.st_size, fault="unreadable", reason=error.reason)


_FILE_FAULTS = {
    "missing": ("files are missing", "Restore them, or take them out of the manifest."),
    "directory": ("pictures are directories", "Move them away, or restore the pictures."),
    "empty-file": ("files hold nothing (0 bytes)", "Copy or unpack them again."),
    "unreadable": ("pictures cannot be decoded", "Copy or unpack them again, or skip them (--on-bad skip)."),
}


def _file_problems(checks: dict[str, _FileCheck]) -> list[Problem]:
    problems = []
    for kind, (message, next_step) in _FILE_FAULTS.items():
        items = [f"{path}: {check.reason}" for path, check in checks.items() if check.fault == kind]
        problems += _counted((Severity.ERROR, kind, items, message, next_step))
    converted = [
        f"{path}: {', '.join(check.conversions)}" for path, check in checks.items() if check.conversions
    ]
    narrow = [f"{path}: {check.narrow}" for path, check in checks.items() if check.narrow]
    return problems + _counted(
        (
            Severity.WARNING,
            "converted",
            converted,
            "pictures are converted when they are read",
            "Nothing, if the colours look right; other tools may read them differently.",
        ),
        (
            Severity.WARNING,
            "narrow-range",
            narrow,
            "deep pictures use little of their range, so little is left in 8 bits",
            "Scale all of them by one range (of the sensor) to 0 … 65,535, or to 8 bits.",
        ),
    )


def _counted(*rows: tuple[Severity, str, list[str], str, str]) -> list[Problem]:
    """Problems of which there are some: severity, kind, every case, what they are, next step."""
    return [
        Problem(severity, kind, f"{len(items):,} {message}", tuple(items), next_step)
        for severity, kind, items, message, next_step in rows
        if items
    ]


def _split_problems(dataset: Dataset) -> list[Problem]:
    empty = [split.name for split in dataset.splits if not len(split)]
    if not empty:
        return []
    # One of query and gallery is of no use without the other; a dataset may well lack train or both.
    is_useless = len(empty) == len(dataset.splits) or ("query" in empty) != ("gallery" in empty)
    is_useless = is_useless and dataset.protocol is not Protocol.ATTRIBUTES
    return [
        Problem(
            Severity.ERROR if is_useless else Severity.NOTE,
            "empty-split",
            f"no pictures for {' and '.join(empty)}",
            next_step="Evaluation needs query and gallery, training needs train.",
        )
    ]


def _people_problems(dataset: Dataset) -> list[Problem]:
    problems = []
    train = {sample.pid for sample in dataset.train}
    test = {sample.pid for sample in (*dataset.query, *dataset.gallery)} - {0}
    if dataset.protocol is not Protocol.CLASSES and (shared := sorted(train & test)):
        problems.append(
            Problem(
                Severity.WARNING,
                "shared-pids",
                f"{len(shared):,} pids occur in train and in query or gallery",
                tuple(f"pid {pid}" for pid in shared),
                "If they are the same people, results measure memory: move them. "
                "Nothing, if both parts merely number their people from the same start.",
            )
        )
    if len(dataset.query) and len(dataset.gallery):
        unmatched = _unmatched_queries(dataset)
        if unmatched:
            problems.append(_unmatched_problem(dataset, unmatched))
    return problems


def _unmatched_queries(dataset: Dataset) -> list[Sample]:
    """Queries without a gallery picture that the protocol would count as a match."""
    if not dataset.protocol.uses_cameras:
        paths_of: dict[int, set[str]] = defaultdict(set)
        for sample in dataset.gallery:
            paths_of[sample.pid].add(sample.path)
        return [sample for sample in dataset.query if not paths_of[sample.pid] - {sample.path}]
    cameras_of: dict[int, set[int]] = defaultdict(set)
    for sample in dataset.gallery:
        cameras_of[sample.pid].add(sample.camid)
    return [sample for sample in dataset.query if not cameras_of[sample.pid] - {sample.camid}]


def _unmatched_problem(dataset: Dataset, unmatched: list[Sample]) -> Problem:
    pids = sorted({sample.pid for sample in unmatched})
    is_all = len(unmatched) == len(dataset.query)
    without_cameras = not dataset.protocol.uses_cameras
    wanted = "another gallery picture" if without_cameras else "a gallery picture from another camera"
    next_step = "Add pictures of these people to the gallery, or leave the queries out."
    if not without_cameras:
        next_step += (
            " If this data has no cameras, or all pictures come from one, say so: "
            f"--protocol {Protocol.NO_CAMERA.value} (protocol=Protocol.NO_CAMERA) ignores camera ids."
        )
    return Problem(
        Severity.ERROR if is_all else Severity.WARNING,
        "unmatched-queries",
        f"{'all ' if is_all else ''}{len(unmatched):,} of {len(dataset.query):,} queries "
        f"({len(pids):,} people) have no match: {wanted} of the same pid. They are left out of every mean"
        + ("; nothing can be scored" if is_all else ""),
        tuple(f"{sample.path}: pid {sample.pid}, camera {sample.camid}" for sample in unmatched),
        next_step,
    )


def _skipped_problems(dataset: Dataset) -> list[Problem]:
    kind = "tracklets" if any(split.is_video for split in dataset.splits) else "pictures"
    junk = [file.path for file in dataset.skipped if file.reason == JUNK]
    others = [f"{file.path}: {file.reason}" for file in dataset.skipped if file.reason != JUNK]
    return _counted(
        (
            Severity.WARNING,
            "not-taken",
            others,
            "files lie among the pictures and were not taken",
            "Rename what should have been read, move the rest away.",
        ),
        (Severity.NOTE, "junk", junk, f"junk {kind} (pid −1) are skipped by the protocol", ""),
    )


def _duplicate_problems(dataset: Dataset, hashes: dict[str, str]) -> list[Problem]:
    same_content: dict[str, list[str]] = defaultdict(list)
    for path, digest in hashes.items():
        same_content[digest].append(path)
    groups = [paths for paths in same_content.values() if len(paths) > 1]

    in_train, in_query, in_gallery = (
        {file for sample in split for file in _files(sample)} for split in dataset.splits
    )
    in_test = in_query | in_gallery
    pid_of = {file: sample.pid for split in dataset.splits for sample in split for file in _files(sample)}

    leaked, repeated, contradictory = [], [], []
    for paths in groups:
        train, test = [p for p in paths if p in in_train], [p for p in paths if p in in_test]
        if train and test:
            leaked.append(_equal(train[0], test[0]))
        # Train and test may number other people alike, so labels are compared within each only.
        for part in (train, test):
            other = next((path for path in part if pid_of[path] != pid_of[part[0]]), None)
            if other:
                contradictory.append(f"{_equal(part[0], other)}, pids {pid_of[part[0]]} and {pid_of[other]}")
        query, gallery = [p for p in paths if p in in_query], [p for p in paths if p in in_gallery]
        pair = next(((q, g) for q in query for g in gallery if q != g), None)
        if pair:
            repeated.append(_equal(*pair))
    return _counted(
        (
            Severity.ERROR,
            "train-test-duplicates",
            leaked,
            "pictures are in train and in query or gallery",
            "Remove them from one side: results would measure memory.",
        ),
        (
            Severity.ERROR,
            "contradictory-pids",
            contradictory,
            "pictures carry the pids of two people",
            "Decide who it is, and remove the other.",
        ),
        (
            Severity.WARNING,
            "query-gallery-duplicates",
            repeated,
            "pictures are in query and, under another name, in the gallery",
            "Remove them from the gallery: the protocol does not know that they are the query itself.",
        ),
    )


def _equal(first: str, other: str) -> str:
    return f"{first} = {other}"
