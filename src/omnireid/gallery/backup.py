"""Backups: a gallery as it was at one moment, as Parquet files that need neither its store nor this package.

The moment is when the backup begins. Writers are held up while ids, identities and records are read; then
items are copied while writers go on. What is enrolled later is not in the backup. What is forgotten while it
is made is left out where it was not copied yet, and in any case named by a tombstone, so that it is not
restored.

    manifest.json     written last: without it the backup was interrupted. Sizes and SHA-256 of the files
    items.parquet     as `store.item_schema`: embeddings of the live model, thumbnails
    records.parquet   kind, id, and the record as JSON: identities, operations, cases, settings, tombstones, …
    audit.parquet     entries as JSON, the oldest first
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError
from rich.console import Console

import omnireid
from omnireid.core.card import ModelRef
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import InputError, StorageError
from omnireid.core.files import sha256_file, write_failure, write_text
from omnireid.core.progress import progress_bar
from omnireid.gallery.audit import CHAINS, SETTINGS
from omnireid.gallery.case_records import CASES, case_kinds
from omnireid.gallery.forgetting import TOMBSTONES
from omnireid.gallery.generations import Generation, Generations
from omnireid.gallery.identities import IDENTITIES, OPERATIONS
from omnireid.gallery.journal import finish_interrupted
from omnireid.gallery.options import StoredPrecision
from omnireid.gallery.rejections import REJECTIONS
from omnireid.gallery.retention import STEPS
from omnireid.gallery.rows import completed
from omnireid.gallery.site import SITE
from omnireid.gallery.store import GalleryStore, item_schema
from omnireid.gallery.watch_records import KINDS as WATCH_KINDS

MANIFEST, ITEMS, RECORDS, AUDIT = "manifest.json", "items.parquet", "records.parquet", "audit.parquet"

Records = dict[str, dict[str, Any]]

_KINDS = (IDENTITIES, OPERATIONS, SETTINGS, TOMBSTONES, CHAINS, CASES, REJECTIONS, *WATCH_KINDS, *SITE)
_RECORDS = pa.schema([(name, pa.string()) for name in ("kind", "id", "record")])
_ENTRIES = pa.schema([("entry", pa.string())])
_BATCH = 8192


class Snapshot:
    """A gallery in use, as it was at one moment. Memory holds the ids and identities of all items.

    A move to another model that has begun is left out.

    Attributes:
        name: where it comes from, for messages.
        generation: the live one; None in an empty gallery.
        precision: what its embeddings are stored with.
        num_items: how many items it has.
        heeded: ids of the tombstones that it had at that moment; what they are about is not among its items.
    """

    def __init__(self, store: GalleryStore) -> None:
        self.name = store.uri
        self.precision: StoredPrecision = "float32"
        self._store = store
        schema = pa.schema([("id", pa.string()), ("identity", pa.string()), ("enrolled", pa.float64())])
        batches = [schema.empty_table()]
        # Where nothing can be written there is no lock to take. Tombstones come first: a forgetting elsewhere
        # that has begun by then and not ended is an error here, and a later one's tombstones are late ones.
        with store.lock() if store.read_only is None else nullcontext():
            self.heeded = frozenset(store.records(TOMBSTONES))
            # After this, whatever these are about is deleted.
            finish_interrupted(store, STEPS)
            self.generation = generation = Generations(store).live(fresh=True)
            self._records = {kind: store.records(kind) for kind in _KINDS}
            self._records |= {kind: store.records(kind) for kind in case_kinds(self._records[CASES])}
            if generation is not None:
                self.precision = store.collections()[generation.collection].precision
                known = store.scan(generation.collection, columns=schema.names)
                batches.extend(rows.cast(schema) for rows in known)
        everything = pa.concat_tables(batches).sort_by("id").combine_chunks()
        self.num_items = everything.num_rows
        self._ids = np.array(everything["id"].to_pylist(), "S32")
        self._identities = everything["identity"]
        self._enrolled = everything["enrolled"].to_numpy()

    def rows(self) -> Iterator[pa.Table]:
        """Items, a batch at a time, as `item_schema`."""
        if self.generation is None or self.num_items == 0:
            return
        schema = item_schema(self.generation.model.dim)
        index = schema.get_field_index("identity")
        for rows in self._store.scan(self.generation.collection, columns=schema.names, batch_size=_BATCH):
            ids = np.array(rows["id"].to_pylist(), "S32")
            places = np.minimum(np.searchsorted(self._ids, ids), self.num_items - 1)
            # One that was deleted meanwhile and enrolled again is another item.
            was_there = (self._ids[places] == ids) & (self._enrolled[places] == rows["enrolled"].to_numpy())
            rows = rows.filter(pa.array(was_there)).cast(schema)
            if rows.num_rows:
                identities = self._identities.take(pa.array(places[was_there]))
                yield rows.set_column(index, schema.field(index), identities)

    def records(self) -> dict[str, Records]:
        """By kind and id. Tombstones are those of now: ask after the rows."""
        return {**self._records, TOMBSTONES: self._store.records(TOMBSTONES)}

    def audit(self) -> Iterator[dict[str, Any]]:
        """Entries, the oldest first."""
        return self._store.audit()


class BackupFile(ClosedModel):
    """A file of a backup."""

    bytes: int
    sha256: str


class Manifest(ClosedModel):
    """What a backup holds; `manifest.json`.

    Attributes:
        created: Unix seconds of the moment that it shows.
        model: name, sha256 and dim of the live model; None of an empty gallery.
        late_tombstones: ids of those that came while it was made.
    """

    format: Literal["omnireid-gallery-backup"] = "omnireid-gallery-backup"
    version: Literal[1, 2, 3] = 3
    omnireid: str
    source: str
    created: float
    model: tuple[str, str, int] | None
    precision: StoredPrecision
    items: int
    files: dict[str, BackupFile]
    late_tombstones: tuple[str, ...] = ()


def write_backup(
    source: Snapshot,
    folder: str | os.PathLike[str],
    *,
    clock: Callable[[], float] = time.time,
    console: Console | None = None,
) -> Manifest:
    """Write a backup. It holds pictures and embeddings of people in clear: keep it as safe as the gallery.

    Args:
        folder: new or empty.
        clock: Unix seconds.
        console: where to show progress; nothing is shown when None.

    Raises:
        InputError: the folder is not empty.
        StorageError: the disk is full, …; what was written is no backup, and says so when it is read.
    """
    target, created = Path(folder), clock()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target}: expected a new or an empty folder for the backup")
    model = None if source.generation is None else source.generation.model
    dim = 1 if model is None else model.dim
    try:
        target.mkdir(parents=True, exist_ok=True)
        num_items = _write_items(target / ITEMS, source, item_schema(dim), console)
        records = source.records()
        rows = [
            {"kind": kind, "id": key, "record": json.dumps(record)}
            for kind, entries in records.items()
            for key, record in sorted(entries.items())
        ]
        _write(target / RECORDS, _RECORDS, iter([pa.Table.from_pylist(rows, schema=_RECORDS)]))
        _write(target / AUDIT, _ENTRIES, _audit_tables(source.audit()))
        files = {
            name: BackupFile(bytes=(target / name).stat().st_size, sha256=sha256_file(target / name))
            for name in (ITEMS, RECORDS, AUDIT)
        }
    except OSError as error:
        raise StorageError(f"cannot write the backup {target}: {write_failure(error)}") from error
    manifest = Manifest(
        omnireid=omnireid.__version__,
        source=source.name,
        created=created,
        model=None if model is None else tuple(model),
        precision=source.precision,
        items=num_items,
        files=files,
        late_tombstones=tuple(sorted(records.get(TOMBSTONES, {}).keys() - source.heeded)),
    )
    write_text(target / MANIFEST, manifest.model_dump_json(indent=1) + "\n")
    return manifest


class Backup:
    """A folder that `write_backup` made; it gives what a `Snapshot` gave.

    Raises:
        InputError: no backup, an interrupted one, of a later version, or with a file that was changed.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self.manifest = _read_manifest(self._folder)
        self._check_files()
        self.name = str(self._folder)
        self.precision: StoredPrecision = self.manifest.precision
        self.num_items = self.manifest.items
        self.generation = None
        if self.manifest.model is not None:
            model = ModelRef(*self.manifest.model)
            self.generation = Generation(model, "", "live", self.manifest.created)
        self.heeded = frozenset(self.records().get(TOMBSTONES, {})) - self._late_tombstones()

    def rows(self) -> Iterator[pa.Table]:
        with pq.ParquetFile(self._folder / ITEMS) as items:
            for batch in items.iter_batches(_BATCH):
                rows = pa.Table.from_batches([batch])
                # Of an earlier version, it may lack columns.
                yield completed(rows, item_schema(rows.schema.field("embedding").type.list_size))

    def records(self) -> dict[str, Records]:
        records: dict[str, Records] = {}
        for row in pq.read_table(self._folder / RECORDS).to_pylist():
            records.setdefault(row["kind"], {})[row["id"]] = json.loads(row["record"])
        return records

    def audit(self) -> Iterator[dict[str, Any]]:
        with pq.ParquetFile(self._folder / AUDIT) as entries:
            for batch in entries.iter_batches():
                yield from map(json.loads, batch["entry"].to_pylist())

    def _late_tombstones(self) -> frozenset[str]:
        if self.manifest.version == 3:
            return frozenset(self.manifest.late_tombstones)
        # Earlier versions did not say which. There are none unless the audit, which was read last, has a
        # forgetting after the backup's own entry; where it has, all are taken to be.
        actions = [entry.get("action") for entry in self.audit()]
        since = actions[::-1][: actions[::-1].index("backup")] if "backup" in actions else actions
        return frozenset(self.records().get(TOMBSTONES, {})) if "forget" in since else frozenset()

    def _check_files(self) -> None:
        for name in (ITEMS, RECORDS, AUDIT):
            expected, path = self.manifest.files.get(name), self._folder / name
            if expected is None or not path.is_file():
                raise InputError(f"{path}: missing from the backup; take another one")
            if path.stat().st_size != expected.bytes or sha256_file(path) != expected.sha256:
                raise InputError(f"{path}: not what was written (its SHA-256 differs); take another backup")


def _read_manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        interrupted = any((folder / name).exists() for name in (ITEMS, RECORDS, AUDIT))
        why = "the backup was interrupted; take another one" if interrupted else "not a gallery's backup"
        raise InputError(f"{folder}: {why} (no {MANIFEST})")
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or MANIFEST
        raise InputError(
            f"{path}: {where}: {first['msg']}; the backup is damaged, or of a later version of omnireid"
        ) from error


def _write_items(path: Path, source: Snapshot, schema: pa.Schema, console: Console | None) -> int:
    num_items = 0
    with progress_bar(console) as progress:
        task = progress.add_task("backing up", total=source.num_items)

        def counted() -> Iterator[pa.Table]:
            nonlocal num_items
            for rows in source.rows():
                yield rows
                num_items += rows.num_rows
                progress.update(task, completed=num_items)

        _write(path, schema, counted())
    return num_items


def _write(path: Path, schema: pa.Schema, tables: Iterable[pa.Table]) -> None:
    # Embeddings and pictures do not get smaller: compressing them costs time for nothing.
    plain = {"thumbnail", "embedding.list.element"}
    columns = [name for name in schema.names if name not in ("box", "tags", "embedding")]
    nested = ["box.list.element", "tags.list.element", "embedding.list.element"]
    leaves = [*columns, *(leaf for leaf in nested if leaf.split(".")[0] in schema.names)]
    compression = {leaf: "none" if leaf in plain else "zstd" for leaf in leaves}
    dictionary = [leaf for leaf in leaves if leaf not in {*plain, "id", "entry", "record"}]
    with (
        path.open("wb") as stream,
        pq.ParquetWriter(stream, schema, compression=compression, use_dictionary=dictionary) as writer,
    ):
        for table in tables:
            writer.write_table(table)
        writer.close()
        stream.flush()
        os.fsync(stream.fileno())


def _audit_tables(entries: Iterable[Mapping[str, Any]]) -> Iterator[pa.Table]:
    texts = map(json.dumps, entries)
    while part := list(islice(texts, _BATCH)):
        yield pa.table({"entry": part}, schema=_ENTRIES)
