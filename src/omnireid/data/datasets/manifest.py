"""A table of pictures: CSV or Parquet with path, pid, camid, split and, if known, time and tracklet."""

from __future__ import annotations

import csv
import io
import math
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from omnireid.core.errors import DatasetError
from omnireid.core.files import absolute, atomic_write
from omnireid.core.options import Protocol
from omnireid.core.remote import is_remote
from omnireid.core.types import DISTRACTOR_PID, JUNK_PID, Dataset, Sample, SkippedFile
from omnireid.data.datasets.card import SPLITS, DatasetCard, Reader, ReadOptions
from omnireid.data.datasets.folders import JUNK
from omnireid.data.datasets.labels import (
    LARGEST,
    Label,
    label,
    names_of,
    number_cameras,
    number_people,
)

REQUIRED = ("path", "pid", "camid", "split")
OPTIONAL = ("time", "tracklet", "attributes")
MAX_NAMED_ROWS = 20
UNKNOWN_CAMERA = -1

# Tables that went through pandas hold whole numbers as "1.0".
_INTEGER = re.compile(r"([+-]?[0-9]{1,1000})(?:\.0*)?")
_NO_NAME = re.compile(r"[+-]?(?:[0-9]*\.?[0-9]+|[0-9]+\.)(?:e[+-]?[0-9]+)?|[+-]?inf", re.IGNORECASE)
# How tables write that a cell is empty.
_EMPTY = frozenset({"", "nan", "<na>", "none", "null"})
_FIRST_CODE = JUNK_PID - 1
_SHOWN = 60

CARD = DatasetCard(
    name="manifest",
    title="a CSV or Parquet table of pictures",
    layout=(
        "A .csv (UTF-8, comma, header line) or .parquet file with the columns path, pid, camid, split\n"
        "and optionally time, tracklet and attributes. path: absolute, or relative to the manifest.\n"
        "pid: integer ≥ −1 (−1 is junk). camid: integer ≥ 0; the column or its cells may be empty with the\n"
        "no-camera protocol. A column of names is counted: people from 1 in alphabetical order, cameras\n"
        "from 0, c10 after c9. split: train, query or gallery. time: a number or empty.\n"
        "tracklet: any name; rows of one split with the same name are the frames of one tracklet, in\n"
        "order; empty for a picture. attributes: a 1 or 0 for each, 0110. Other columns are left alone."
    ),
    licence="that of the data",
)


class _BadCell(Exception):  # noqa: N818 (never leaves this module)
    def __init__(self, column: str, reason: str) -> None:
        super().__init__(f"column {column!r}: {reason}")


def read(root: Path, options: ReadOptions) -> Dataset:
    """Read a manifest file.

    Raises:
        DatasetError: not a manifest, a missing column, or bad rows; names up to twenty by line and
            column and says how many there are.
    """
    columns, rows = _open(root)
    _require_columns(root, columns, options.protocol)
    samples: dict[str, list[Sample]] = {name: [] for name in SPLITS}
    tracklets: dict[str, dict[str, list[Sample]]] = {name: {} for name in SPLITS}
    first_line: dict[str, dict[str, str]] = {name: {} for name in SPLITS}
    skipped: list[SkippedFile] = []
    bad: list[tuple[int, str]] = []
    folder = str(root.parent)
    people = _LabelColumn("pid", minimum=JUNK_PID)
    cameras = _LabelColumn("camid", minimum=0, may_be_empty=options.protocol is Protocol.NO_CAMERA)
    for number, (where, row) in enumerate(rows):
        try:
            split = _choice(row, "split", SPLITS)
            sample = Sample(
                path=_path(row, folder),
                pid=people.read(row, number, where),
                camid=cameras.read(row, number, where) if "camid" in columns else UNKNOWN_CAMERA,
                time=_time(row),
                attributes=_attributes(row),
            )
            earlier = first_line[split].setdefault(sample.path, where)
            if earlier != where:
                raise _BadCell("path", f"{sample.path} is in the split {split!r} already, at {earlier}")
            tracklet = _tracklet(row)
            frames = tracklets[split].setdefault(tracklet, []) if tracklet else []
            if frames and (sample.pid, sample.camid) != (frames[0].pid, frames[0].camid):
                raise _BadCell("tracklet", f"{tracklet!r} has another pid or camid in an earlier row")
        except _BadCell as error:
            bad.append((number, f"{where}, {error}"))
            continue
        if sample.pid == JUNK_PID:
            skipped.append(SkippedFile(sample.path, JUNK))
        elif not frames:  # a picture, or the first frame, which keeps the tracklet's place
            samples[split].append(sample)
        if tracklet:
            frames.append(sample)
    bad = sorted([*bad, *people.mixed(), *cameras.mixed()])
    if bad:
        shown = "\n  ".join(text for _, text in bad[:MAX_NAMED_ROWS])
        more = f"\n  … and {len(bad) - MAX_NAMED_ROWS:,} more" if len(bad) > MAX_NAMED_ROWS else ""
        raise DatasetError(f"{root}: {len(bad):,} bad rows\n  {shown}{more}")
    if not any(first_line.values()):
        raise DatasetError(f"{root}: the manifest has no rows")
    pids, camids = people.final(number_people), cameras.final(number_cameras)
    if pids or camids:
        for name in SPLITS:
            samples[name] = [
                replace(
                    sample,
                    pid=pids.get(sample.pid, sample.pid),
                    camid=camids.get(sample.camid, sample.camid),
                )
                for sample in samples[name]
            ]
    splits = {name: _with_frames(samples[name], tracklets[name].values()) for name in SPLITS}
    return CARD.dataset(
        root,
        options,
        [splits[name] for name in SPLITS],
        skipped=skipped,
        pid_names=people.names,
        camera_names=cameras.names,
    )


class _LabelColumn:
    """The column of people or of cameras: numbers, or names that are counted when all of them are known.

    Until then a name goes by a number of its own, below all that a cell may hold.
    """

    def __init__(self, column: str, *, minimum: int, may_be_empty: bool = False) -> None:
        self.column, self.minimum, self.may_be_empty = column, minimum, may_be_empty
        self.found: set[int] = set()
        self.codes: dict[str, int] = {}
        self.rows_of_names: list[tuple[int, str, str]] = []
        self.names: dict[int, str] = {}

    def read(self, row: Mapping[str, Any], number: int, where: str) -> int:
        value = row.get(self.column)
        known = _label(value)
        if isinstance(known, str):
            self.rows_of_names.append((number, where, known))
            return self.codes.setdefault(known, _FIRST_CODE - len(self.codes))
        if self.may_be_empty and (known == UNKNOWN_CAMERA or _is_empty(value)):
            return UNKNOWN_CAMERA
        if known is None or known < self.minimum:
            raise _BadCell(self.column, self._expected(value))
        self.found.add(known)
        return known

    def mixed(self) -> Iterator[tuple[int, str]]:
        """Rows that hold a name while others hold a number: a slip, perhaps. Pids −1 and 0 go with names."""
        if self.found - ({JUNK_PID, DISTRACTOR_PID} if self.column == "pid" else set()):
            for number, where, name in self.rows_of_names:
                reason = f"{self._expected(name)} (names stand in all rows or in none)"
                yield number, f"{where}, {_BadCell(self.column, reason)}"

    def final(self, count: Callable[[Iterable[Label]], dict[Label, int]]) -> dict[int, int]:
        """What `read` returned → pid or camid, where they differ; `names` are known from then on."""
        counted = count([*self.found, *self.codes])
        self.names = names_of(counted)
        changed = {label: number for label, number in counted.items() if label != number}
        return {self.codes[label] if isinstance(label, str) else label: changed[label] for label in changed}

    def _expected(self, value: object) -> str:
        hint = ""
        if self.column == "camid" and _is_empty(value):
            hint = f"; without cameras, ask for the protocol {Protocol.NO_CAMERA.value!r}"
        shown = value[:_SHOWN] if isinstance(value, str) else value
        return f"expected an integer of at least {self.minimum}, got {shown!r}{hint}"


def _with_frames(samples: list[Sample], tracklets: Iterable[list[Sample]]) -> tuple[Sample, ...]:
    """The samples, those that begin a tracklet with its frames."""
    frames_of = {frames[0].path: tuple(frame.path for frame in frames) for frames in tracklets}
    if not frames_of:
        return tuple(samples)
    return tuple(replace(sample, frames=frames_of.get(sample.path, ())) for sample in samples)


def write_manifest(dataset: Dataset, path: str | os.PathLike[str]) -> None:
    """Write a dataset's three splits as a CSV file that `read` reads back equal.

    Pictures below the manifest's folder are named relative to it, so that both can move together, others
    by their absolute path. Columns for time, tracklets and attributes are written where there are any;
    without any camera, none for cameras. The protocol, names of attributes and what a partition leaves
    unused have no place in a manifest.

    Raises:
        DatasetError: nothing to write, some samples with a camera and some without, or a file name that
            is not UTF-8.
        StorageError: the file cannot be written; an old one stays.
    """
    path = absolute(path)
    samples = [sample for split in dataset.splits for sample in split]
    if not samples:
        raise DatasetError(f"{dataset.root}: no samples to write")
    num_unknown = sum(sample.camid == UNKNOWN_CAMERA for sample in samples)
    if 0 < num_unknown < len(samples):
        raise DatasetError(
            f"{dataset.root}: {num_unknown:,} of {len(samples):,} samples have no camera; a manifest has "
            "cameras for all of them or none"
        )
    has_time = any(sample.time is not None for sample in samples)
    is_video = any(sample.frames for sample in samples)
    columns = ["path", "pid", *(["camid"] if not num_unknown else []), "split"]
    columns += [*(["time"] if has_time else []), *(["tracklet"] if is_video else [])]
    columns += ["attributes"] if any(sample.attributes for sample in samples) else []
    try:
        with atomic_write(path) as stream:
            text = io.TextIOWrapper(stream, "utf-8", newline="")
            table = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
            table.writeheader()
            table.writerows(_rows(dataset, path.parent))
            text.detach()  # writes the rest and leaves the file open
    except UnicodeEncodeError as error:
        raise DatasetError(f"{error.object!r}: a file name that is not UTF-8; rename it") from error


def _rows(dataset: Dataset, folder: Path) -> Iterator[dict[str, object]]:
    prefix = f"{folder}{os.sep}"
    for split in dataset.splits:
        for number, sample in enumerate(split, start=1):
            for file in sample.frames or (sample.path,):
                yield {
                    "path": file.removeprefix(prefix),
                    "pid": sample.pid,
                    "camid": sample.camid,
                    "split": split.name,
                    "time": sample.time,
                    "tracklet": number if sample.frames else "",
                    "attributes": "".join(map(str, sample.attributes)),
                }


def _open(path: Path) -> tuple[list[str], Iterator[tuple[str, Mapping[str, Any]]]]:
    """Column names in lower case, and (where, row) for each row."""
    suffix = path.suffix.lower()
    if path.is_dir() or suffix not in (".csv", ".parquet"):
        raise DatasetError(f"{path}: a manifest is a .csv or .parquet file. Expected:\n{CARD.layout}")
    return _open_csv(path) if suffix == ".csv" else _open_parquet(path)


def _open_csv(path: Path) -> tuple[list[str], Iterator[tuple[str, Mapping[str, Any]]]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DatasetError(f"{path}: not UTF-8 (byte {error.start:,}); save the table as UTF-8") from error
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror or error})") from error
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = next(reader, None) or []
    columns = [name.strip().lower() for name in header]

    def rows() -> Iterator[tuple[str, Mapping[str, Any]]]:
        line = reader.line_num + 1
        try:
            for cells in reader:
                if cells:
                    # A short row misses its last cells, which the checks then name as empty.
                    yield f"line {line}", dict(zip(columns, cells, strict=False))
                line = reader.line_num + 1
        except csv.Error as error:
            raise DatasetError(f"{path}: line {reader.line_num} is not CSV ({error})") from error

    return columns, rows()


def _open_parquet(path: Path) -> tuple[list[str], Iterator[tuple[str, Mapping[str, Any]]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DatasetError(f"{path}: not a Parquet file that can be read ({error})") from error
    table = table.rename_columns([name.strip().lower() for name in table.column_names])
    known = [name for name in (*REQUIRED, *OPTIONAL) if name in table.column_names]

    def rows() -> Iterator[tuple[str, Mapping[str, Any]]]:
        number = 0
        for batch in table.select(known).to_batches(max_chunksize=65_536):
            for row in batch.to_pylist():
                number += 1
                yield f"row {number}", row

    return table.column_names, rows()


def _require_columns(path: Path, columns: list[str], protocol: Protocol | None) -> None:
    missing = [name for name in REQUIRED if name not in columns]
    if protocol is Protocol.NO_CAMERA and "camid" in missing:
        missing.remove("camid")
    if missing:
        hint = (
            f"; without cameras, ask for the protocol {Protocol.NO_CAMERA.value!r}"
            if missing == ["camid"]
            else ""
        )
        raise DatasetError(
            f"{path}: missing columns: {', '.join(missing)} (found: {', '.join(columns) or 'none'}){hint}. "
            f"Expected:\n{CARD.layout}"
        )
    twice = sorted({name for name in (*REQUIRED, *OPTIONAL) if columns.count(name) > 1})
    if twice:
        raise DatasetError(f"{path}: columns given twice: {', '.join(twice)}")


def _path(row: Mapping[str, Any], folder: str) -> str:
    value = row.get("path")
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise _BadCell("path", f"expected a file name, got {value!r}")
    if is_remote(value):
        return value
    path = os.path.join(folder, value)  # noqa: PTH118
    # pathlib writes one file in one way (without "./" and "//"), and takes three seconds for a million.
    is_plain = os.sep == "/" and "//" not in path and "/." not in path and path[-1] != "/"
    return path if is_plain else str(Path(path))


def _choice(row: Mapping[str, Any], column: str, known: tuple[str, ...]) -> str:
    value = row.get(column)
    text = value.strip().lower() if isinstance(value, str) else value
    if text not in known:
        raise _BadCell(column, f"expected one of {', '.join(known)}, got {value!r}")
    return str(text)


def _label(value: object) -> Label | None:
    """The number or the name in a cell; None where there is neither."""
    if isinstance(value, str):
        text = value.strip()
        integer = _INTEGER.fullmatch(text)
        if integer:
            return int(integer[1])
        return None if text.lower() in _EMPTY or _NO_NAME.fullmatch(text) else label(text)
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    # Floats, as pandas writes them beside missing values, tell whole numbers apart up to 2^53.
    is_whole = isinstance(value, float) and value.is_integer() and abs(value) <= LARGEST
    is_whole = is_whole or (isinstance(value, Decimal) and value == value.to_integral_value())
    return int(value) if is_whole else None  # type: ignore[call-overload]


def _is_empty(value: object) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in _EMPTY
    return value is None or (isinstance(value, float) and math.isnan(value))


def _tracklet(row: Mapping[str, Any]) -> str:
    value = row.get("tracklet")
    return "" if _is_empty(value) else str(value).strip()


def _attributes(row: Mapping[str, Any]) -> tuple[int, ...]:
    value = row.get("attributes")
    text = "" if _is_empty(value) else str(value).strip()
    # A number has lost the zeros before its first one.
    if text.strip("01") or not (text == "" or isinstance(value, str)):
        raise _BadCell("attributes", f"expected a 1 or 0 for each, as text, got {value!r}")
    return tuple(map(int, text))


def _time(row: Mapping[str, Any]) -> float | None:
    value = row.get("time")
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    try:
        time = float(value)
    except (TypeError, ValueError):
        time = math.nan
    if not math.isfinite(time):
        raise _BadCell("time", f"expected a number, got {value!r}")
    return time


READERS = (Reader(CARD, read),)
