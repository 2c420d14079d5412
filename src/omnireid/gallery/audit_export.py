"""The audit as a file: CSV to read, or JSON Lines with a proof that can be checked without the gallery.

A JSON Lines export begins with a line about itself, has one line for each entry and ends with a line that
states how many there are and where every chain stands. Each line carries a seal: the SHA-256 of the seal
before it and of its own content. `verify_export` follows the seals, and the chains as far as the entries go.

Who can change the file can also seal it anew. Three things find that too: the last seal, where somebody has
written it down; the gallery, whose key made the hash of every entry; and the export's own entry in the log,
which stands at the end of the file and cannot be made without that key.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any, Literal

from omnireid.core.display import short_repr
from omnireid.core.errors import InputError
from omnireid.gallery.audit import START
from omnireid.gallery.audit_reading import AuditFilter, public, stored
from omnireid.gallery.audit_words import facts, sentence
from omnireid.gallery.gallery import Gallery

ACTION = "export-audit"
VERSION = 1

Format = Literal["jsonl", "csv"]
FORMATS: tuple[Format, ...] = ("jsonl", "csv")
COLUMNS = (
    "time", "who", "what", "action", "count", "details", "subjects", "seq", "writer", "n", "prev", "hash",
)  # fmt: skip
"""Of the CSV: what people read first, then what proves it."""

_MAGIC = "omnireid_audit"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_LONGEST_LINE = 10_000_000


def export(gallery: Gallery, where: AuditFilter, file_format: Format, *, name: str = "") -> Iterator[str]:
    """Write down that the audit is exported, then give the export line by line, the oldest entry first.

    The entry about the export itself is its last one, whatever the filter; what is written later is not in
    it. (Of a gallery that can only be read the export has no such entry.)

    Args:
        where: which entries; `Gallery.audit_filter` makes one.
        file_format: "jsonl" or "csv".
        name: name of the gallery, for the first line.

    Raises:
        InputError: another format.
        StorageError: the log cannot be written or read.
    """
    if file_format not in FORMATS:
        raise InputError(f"format: expected one of {', '.join(FORMATS)}, got {file_format!r}")
    conditions = {
        condition: getattr(where, condition) for condition in where.conditions if condition != "person"
    }
    told = gallery.tell(
        ACTION,
        count=0,
        detail={"format": file_format, "conditions": list(where.conditions)},
    )
    entries = _until(gallery, where, None if told is None else told["hash"])
    if file_format == "csv":
        return _csv(entries)
    about = {
        _MAGIC: VERSION,
        "gallery": name,
        "exported": gallery.clock() if told is None else told["time"],
        "where": conditions,
        "about_a_person": where.subjects is not None,
        "own_entry": None if told is None else told["hash"],
    }
    return _json_lines(about, entries)


def _until(gallery: Gallery, where: AuditFilter, own: str | None) -> Iterator[tuple[int, dict[str, Any]]]:
    """Entries that meet the filter, up to the one with the hash `own`, which comes last in any case."""
    for seq, entry in stored(gallery.store):
        is_last = own is not None and entry.get("hash") == own
        if is_last or where.accepts(entry):
            yield seq, entry
        if is_last:
            return


def _json_lines(about: Mapping[str, Any], entries: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[str]:
    seal = START
    chains: dict[str, dict[str, Any]] = {}

    def sealed(content: Mapping[str, Any]) -> str:
        nonlocal seal
        seal = _seal(seal, content)
        return json.dumps({**content, "seal": seal}, ensure_ascii=False) + "\n"

    yield sealed(about)
    count = 0
    for seq, entry in entries:
        count += 1
        _follow(chains, entry)
        yield sealed({"seq": seq, "says": sentence(public(seq, entry)), "entry": entry})
    yield sealed({"end": True, "entries": count, "chains": chains})


def _csv(entries: Iterable[tuple[int, dict[str, Any]]]) -> Iterator[str]:
    # Spreadsheets take UTF-8 for something else without its mark.
    yield "\ufeff" + _csv_row(COLUMNS)
    for seq, entry in entries:
        shown = public(seq, entry)
        yield _csv_row(
            (
                _iso(shown.time),
                shown.actor,
                sentence(shown),
                shown.action,
                shown.count,
                "; ".join(f"{label}: {value}" for label, value in facts(shown)),
                " ".join(shown.subjects),
                seq,
                *(entry.get(field, "") for field in ("writer", "n", "prev", "hash")),
            )
        )


def _csv_row(cells: Iterable[object]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([_harmless(cell) for cell in cells])
    return line.getvalue()


def _harmless(cell: object) -> object:
    """A text that a spreadsheet does not take for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def _iso(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds, timezone.utc).isoformat().replace("+00:00", "Z")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"


def _seal(before: str, content: Mapping[str, Any]) -> str:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def _follow(chains: dict[str, dict[str, Any]], entry: Mapping[str, Any]) -> None:
    """Note where the entry's chain stands now."""
    writer, n = str(entry.get("writer")), entry.get("n")
    known = chains.setdefault(writer, {"first": n, "entries": 0})
    known |= {"last": n, "head": entry.get("hash"), "entries": known["entries"] + 1}


@dataclass(frozen=True)
class VerifiedExport:
    """What `verify_export` found.

    Attributes:
        entries: number of entries in the file.
        first, last: times of the first and the last, Unix seconds; None where there are none.
        chains: for each writer {first, last, entries, head}: the numbers of its first and last entry in the
            file, how many there are, and the hash of the last.
        is_whole: nothing was filtered out.
        seal: hash of the last line: whoever wrote it down can tell this file from any other.
        problems: what was changed, removed or added, in words; empty where all is well.
        is_checked_by_key: every entry was also checked with the key of its gallery.
        is_compared: and the file holds all that its gallery's log has.
    """

    entries: int
    first: float | None
    last: float | None
    chains: Mapping[str, Mapping[str, Any]]
    is_whole: bool
    seal: str
    problems: tuple[str, ...]
    is_checked_by_key: bool
    is_compared: bool

    __repr__ = short_repr


def verify_export(path: str | os.PathLike[str], gallery: Gallery | None = None) -> VerifiedExport:
    """Check a JSON Lines export: alone, or against the gallery that it was made of (or a copy of that).

    Args:
        path: the file.
        gallery: the gallery whose key and log to check with.

    Raises:
        InputError: the file cannot be read, or is no such export.
    """
    try:
        with Path(path).open(encoding="utf-8") as file:
            return _Check(path, gallery).run(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not an export of the audit: {error}") from error


class _Check:
    """Goes through one file."""

    def __init__(self, path: str | os.PathLike[str], gallery: Gallery | None) -> None:
        self._path, self._gallery = path, gallery
        self._problems: list[str] = []
        self._chains: dict[str, dict[str, Any]] = {}
        self._seal = START
        self._entries = 0
        self._first: float | None = None
        self._newest: Mapping[str, Any] = {}
        self._logged: Iterator[Mapping[str, Any]] | None = None
        self._is_compared = False

    def run(self, file: IO[str]) -> VerifiedExport:
        lines = self._lines(file)
        about = next(lines, None)
        if about is None or about.get(_MAGIC) is None:
            raise InputError(
                f"{self._path}: not an export of the audit (of those, JSON Lines can be checked)"
            )
        if about[_MAGIC] != VERSION:
            raise InputError(f"{self._path}: an export of version {about[_MAGIC]}; this one reads {VERSION}")
        where, about_a_person = about.get("where") or {}, bool(about.get("about_a_person"))
        is_whole = not where and not about_a_person
        # Against the log, where the filter can be applied again: which entries a person has may have changed.
        if self._gallery is not None and not about_a_person:
            self._logged = self._expected(where, about.get("own_entry"))
            self._is_compared = True
        end: Mapping[str, Any] | None = None
        for number, line in enumerate(lines, start=2):
            if end is not None:
                self._problems.append(f"line {number}: stands behind the end")
            elif line.get("end"):
                end = line
                self._check_end(number, line)
            else:
                self._check_entry(number, line, is_whole)
        if end is None:
            self._problems.append("the end is missing: the file was cut off")
        if about.get("own_entry") not in (None, self._newest.get("hash")):
            self._problems.append("the export's own entry, which ends it, is missing")
        elif about.get("own_entry") and self._logged and next(self._logged, None) is not None:
            self._problems.append("the gallery's log has entries that are missing at the end")
        return VerifiedExport(
            self._entries,
            self._first,
            self._newest.get("time"),
            self._chains,
            is_whole,
            self._seal,
            tuple(self._problems),
            self._gallery is not None,
            self._is_compared,
        )

    def _lines(self, file: IO[str]) -> Iterator[Mapping[str, Any]]:
        """Lines without their seals, which are checked here."""
        number = 0
        while text := file.readline(_LONGEST_LINE):
            number += 1
            try:
                line = json.loads(text)
            except (ValueError, RecursionError):
                line = None
            if not isinstance(line, dict):
                if number == 1:
                    yield {}
                    return
                self._problems.append(f"line {number}: cannot be read")
                continue
            seal = line.pop("seal", None)
            if seal != _seal(self._seal, line):
                self._problems.append(f"line {number}: it, or what stood before it, was changed or removed")
            # Go on from what it says: what follows is then judged by itself.
            self._seal = str(seal)
            yield line

    def _check_entry(self, number: int, line: Mapping[str, Any], is_whole: bool) -> None:
        entry = line.get("entry")
        if not isinstance(entry, dict) or not isinstance(entry.get("n"), int):
            self._problems.append(f"line {number}: holds no entry")
            return
        self._entries += 1
        self._newest = entry
        if self._first is None:
            self._first = entry.get("time")
        n, writer = entry["n"], str(entry.get("writer"))
        known = self._chains.get(writer)
        follows = 0 if known is None else known["last"] + 1
        # Of a filtered export some entries are missing: those that follow each other must fit.
        if (is_whole and n != follows) or n < follows:
            self._problems.append(f"line {number}: entries of {writer} before it were removed or moved")
        elif n == follows and entry.get("prev") != (START if known is None else known["head"]):
            self._problems.append(f"line {number}: does not fit what {writer} wrote before it")
        _follow(self._chains, entry)
        if self._gallery is None:
            return
        if not self._gallery.log.is_ours(entry):
            self._problems.append(f"line {number}: is not as the gallery wrote it")
        if self._logged is not None and next(self._logged, {}).get("hash") != entry.get("hash"):
            self._problems.append(f"line {number}: the gallery's log has something else here")
            # Everything behind it would be another one, too.
            self._logged = None

    def _expected(self, where: Mapping[str, Any], own: str | None) -> Iterator[Mapping[str, Any]]:
        assert self._gallery is not None
        try:
            wanted = AuditFilter(**where)
        except TypeError as error:
            raise InputError(f"{self._path}: an export with a filter of another version: {error}") from error
        return (entry for _, entry in _until(self._gallery, wanted, own))

    def _check_end(self, number: int, line: Mapping[str, Any]) -> None:
        if line.get("entries") != self._entries:
            self._problems.append(
                f"line {number}: {line.get('entries')} entries were exported, {self._entries} are here"
            )
        stated = line.get("chains")
        stated = stated if isinstance(stated, dict) else {}
        for writer in sorted({*stated, *self._chains}):
            if stated.get(writer) != self._chains.get(writer):
                self._problems.append(f"line {number}: what {writer} wrote ends elsewhere")
