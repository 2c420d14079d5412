"""A LanceDB database that is a gallery: its format, its records, and its tables by name."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import os
import platform
import shutil
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from omnireid.core.errors import InputError, StorageError
from omnireid.core.extras import saying_the_extra
from omnireid.core.machine import processor_features
from omnireid.gallery.lance.failures import RECORDS, check_there, committing, reading, storing
from omnireid.gallery.lance.filters import absent_sql, quoted
from omnireid.gallery.lance.layout import layout_of
from omnireid.gallery.lance.old_files import old_files, remove
from omnireid.gallery.lance.purging import merge_files
from omnireid.gallery.store import item_schema

FORMAT = "2"
"""Of what this store writes. "1" is brought forward, a later one is refused.

Columns that are missing are no other format: they are added when a gallery is opened (`bring_forward`).
"""

_OLDER = "1"
_FORMAT_KEY = b"omnireid_gallery_format"
_AUDIT = "audit"
_RECORD_SCHEMA = pa.schema(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("content", pa.string(), nullable=False),
    ],
    metadata={_FORMAT_KEY: FORMAT},
)

# What earlier versions did not write, and other columns tell.
_SQL = {"has_thumbnail": "thumbnail IS NOT NULL"}

# Later files keep a column whose values are all alike as one value for a whole page, and make all of the page
# to give some rows of it: 10 items of a million take 9 ms in place of 4 ms.
_FILE_VERSION = "2.1"

# Bounds of LanceDB's caches; the index of a million items fits. Metadata take 70 kB for each file: those of
# all that is there fit many times over, and files that come and go do not fill the memory.
_INDEX_CACHE_BYTES = 1 << 30
_METADATA_CACHE_BYTES = 32 << 20
_MOST_TABLES = 10_000
_MOST_REMEMBERED = 1 << 16
# Writes of records after which their files are merged.
_MERGED_EACH = 32

# LanceDB's wheel for x86-64 is built for Haswell; LLVM's words, and the makers'.
_NEEDED = {
    "avx2": "AVX2",
    "fma": "FMA",
    "bmi": "BMI1",
    "bmi2": "BMI2",
    "f16c": "F16C",
    "lzcnt": "LZCNT",
    "movbe": "MOVBE",
}

_log = logging.getLogger("omnireid.gallery")


class Connection:
    """Tables and records of one gallery. Every read sees what any process has committed before it began.

    Attributes:
        record_table: the LanceDB table of the records.
        is_older: it is of an older format; `bring_forward` before anything else.
    """

    def __init__(self, uri: str, folder: Path | None, storage_options: Mapping[str, str] | None) -> None:
        check_processor()
        # Its level, taken when it is loaded: it warns on stderr of what does not concern a user.
        os.environ.setdefault("LANCEDB_LOG", "error")
        with saying_the_extra():
            import lancedb

        self.uri = uri
        self._folder = folder
        self._tables: dict[str, Any] = {}
        self._read: dict[str, tuple[int, dict[str, str]]] = {}
        if folder is not None:
            _check_folder(folder)
        with storing(f"cannot open the gallery {uri}"):
            self._database = lancedb.connect(
                uri if folder is None else folder,
                read_consistency_interval=timedelta(0),
                storage_options=dict(storage_options or {}) or None,
                session=lancedb.Session(
                    index_cache_size_bytes=_INDEX_CACHE_BYTES, metadata_cache_size_bytes=_METADATA_CACHE_BYTES
                ),
            )
            if RECORDS not in self._table_names():
                self._database.create_table(RECORDS, schema=_RECORD_SCHEMA, exist_ok=True)
            self.record_table = self._database.open_table(RECORDS)
            written = (self.record_table.schema.metadata or {}).get(_FORMAT_KEY, b"").decode()
        if written not in (FORMAT, _OLDER):
            raise InputError(
                f"{uri}: a gallery of format {written or 'unknown'}, and this version reads format {FORMAT}; "
                "install the version of omnireid that wrote it, or a later one"
            )
        self.is_older = written == _OLDER

    def lacks_columns(self, collections: Iterable[str]) -> bool:
        """Whether tables with items lack columns, because an earlier version made them."""
        return any(self._missing(name) for name in collections)

    def _missing(self, name: str) -> list[str]:
        there = self.table(name).schema.names
        return [column for column in item_schema(1).names if column not in there]

    def bring_forward(self, collections: Iterable[str]) -> None:
        """Add the columns that an earlier version did not write, with their absent values; mark it `FORMAT`.

        Interrupted, or done by another process meanwhile, it may be done again. No other write may be under
        way: it would be lost.

        Args:
            collections: names of the tables with items.
        """
        what = f"cannot bring the gallery {self.uri} forward"
        for name in collections:
            for column in self._missing(name):
                values = _SQL.get(column) or absent_sql(column)
                # A column that may be null is added without a look at the rows.
                added = {column: values} if values else item_schema(1).field(column)
                committing(what, partial(self.table(name).add_columns, added))
        if self.is_older:
            with storing(what):
                records = self.record_table.to_arrow().replace_schema_metadata(_RECORD_SCHEMA.metadata)
                # Last, for it says that all is done; one commit.
                self._database.create_table(RECORDS, data=records, mode="overwrite")
            self.is_older = False

    def table(self, name: str) -> Any:
        """The LanceDB table of this name."""
        if name not in self._tables:
            with storing(f"cannot open {name} in the gallery {self.uri}"):
                self._tables[name] = self._database.open_table(name)
        return self._tables[name]

    def create_table(self, prefix: str, schema: pa.Schema) -> str:
        """Make an empty table and give its name, which is new: leftovers of a drop are never met."""
        name = f"{prefix}-{uuid.uuid4().hex[:12]}"
        with storing(f"cannot make a table in the gallery {self.uri}"):
            self._tables[name] = self._database.create_table(
                name, schema=schema, storage_options={"new_table_data_storage_version": _FILE_VERSION}
            )
        return name

    def drop_tables(self, prefix: str, kept: Collection[str]) -> None:
        """Delete tables made with a prefix ("" for any) but those to be kept; also what is left of one."""
        with storing(f"cannot delete a table of the gallery {self.uri}"):
            for name in self._table_names():
                if name.startswith(f"{prefix}-" if prefix else "") and name not in {RECORDS, _AUDIT, *kept}:
                    self._tables.pop(name, None)
                    self._drop(name)

    def _table_names(self) -> list[str]:
        if self._folder is not None:
            return sorted(path.stem for path in self._folder.glob("*.lance"))
        return list(self._database.list_tables(limit=_MOST_TABLES).tables)

    def _drop(self, name: str) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder / f"{name}.lance")
        else:
            self._database.drop_table(name)

    def put_records(self, kind: str, records: Mapping[str, Mapping[str, Any]]) -> None:
        if not records:
            return
        contents = [json.dumps(record, ensure_ascii=False) for record in records.values()]
        rows = pa.table(
            {"kind": [kind] * len(records), "id": list(records), "content": contents}, schema=_RECORD_SCHEMA
        )
        merge = self.record_table.merge_insert(["kind", "id"])
        merge = merge.when_matched_update_all().when_not_matched_insert_all()
        committing(f"cannot write to the gallery {self.uri}", lambda: merge.execute(rows))
        self._merge_record_files()

    def _merge_record_files(self) -> None:
        """Each write leaves a file and a version, and every read opens all files."""
        try:
            # The version counts the writes of all processes, also of those that write once and end.
            if reading("cannot read the gallery", lambda: self.record_table.version) % _MERGED_EACH == 0:
                merge_files(self.record_table)
                folder = None if self._folder is None else self._folder / f"{RECORDS}.lance"
                if folder is not None and (newest := layout_of(self.record_table, folder)) is not None:
                    remove(old_files(folder, newest))
        except StorageError as error:  # What was to be written is there; a later write tries again.
            _log.warning("%s: the files of many small writes were not merged: %s", self.uri, error)

    def delete_records(self, kind: str, ids: Sequence[str]) -> None:
        if ids:
            predicate = f"kind = {quoted(kind)} AND id IN ({', '.join(map(quoted, ids))})"
            what = f"cannot write to the gallery {self.uri}"
            committing(what, lambda: self.record_table.delete(predicate))

    def records(self, kind: str) -> dict[str, dict[str, Any]]:
        check_there(self._folder)

        def read() -> tuple[int, dict[str, str]]:
            # Before the rows: what is remembered may be newer than its version, never older.
            version = self.record_table.version
            known = self._read.get(kind)
            if known is not None and known[0] == version:
                return known
            search = self.record_table.search().where(f"kind = {quoted(kind)}")
            rows = search.select(["id", "content"]).to_arrow()
            return version, dict(zip(rows["id"].to_pylist(), rows["content"].to_pylist(), strict=True))

        version, contents = reading(f"cannot read the gallery {self.uri}", read)
        # Small ones are asked for by every enrolment and search.
        if sum(map(len, contents.values())) <= _MOST_REMEMBERED:
            self._read[kind] = version, contents
        return {name: json.loads(contents[name]) for name in sorted(contents)}

    def append_audit(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Add entries to a table, in one commit: for where there are no files to append to."""
        rows = pa.table({"content": [json.dumps(entry, ensure_ascii=False) for entry in entries]})
        with storing(f"cannot write the audit log of {self.uri}"):
            self._database.create_table(_AUDIT, schema=rows.schema, exist_ok=True).add(rows)

    def audit(self) -> Iterator[dict[str, Any]]:
        """Entries of that table, in the order of their commits."""
        if _AUDIT in self._table_names():
            rows = self.table(_AUDIT)
            what = f"cannot read the audit log of {self.uri}"
            yield from map(json.loads, reading(what, lambda: rows.search().to_arrow())["content"].to_pylist())

    def audit_page(self, known: int | None, limit: int, *, latest: bool) -> list[tuple[int, dict[str, Any]]]:
        """As `GalleryStore.audit_page`: rows of that table by their number, of which none is ever deleted."""
        if _AUDIT not in self._table_names():
            return []
        rows = self.table(_AUDIT)

        def read() -> list[tuple[int, dict[str, Any]]]:
            count = rows.count_rows()
            if latest:
                end = count if known is None else min(known, count)
                places = range(max(0, end - limit), end)
            else:
                first = 0 if known is None else known + 1
                places = range(first, min(first + limit, count))
            if not places:
                return []
            taken = rows.take_offsets(list(places)).select(["content"]).with_row_id().to_arrow()
            contents = taken.sort_by("_rowid")["content"].to_pylist()
            pairs = list(zip(places, map(json.loads, contents), strict=True))
            return pairs[::-1] if latest else pairs

        return reading(f"cannot read the audit log of {self.uri}", read)


def check_processor() -> None:
    """Refuse a processor on which loading LanceDB would end the process (illegal instruction).

    Raises:
        InputError: names what the processor lacks.
    """
    if platform.machine().lower() not in ("x86_64", "amd64") or not (features := processor_features()):
        return
    missing = [word for name, word in _NEEDED.items() if name not in features]
    if missing and not _has_compatible_lancedb():
        raise InputError(
            f"galleries in a folder need {' and '.join(missing[:2])}, which this processor lacks; "
            "install lancedb-compat in place of lancedb, or use Milvus"
        )


def _has_compatible_lancedb() -> bool:
    try:
        importlib.metadata.distribution("lancedb-compat")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _check_folder(folder: Path) -> None:
    with storing(f"cannot make the gallery {folder}"):
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: expected the folder of a gallery, got a file")
        folder.mkdir(parents=True, exist_ok=True)
        is_gallery = (folder / f"{RECORDS}.lance").is_dir()
        others = [] if is_gallery else [path.name for path in folder.iterdir() if path.name[0] != "."]
    if others:
        raise InputError(
            f"{folder}: not a gallery, it holds {sorted(others)[0]!r}; choose a folder that is new or empty"
        )
