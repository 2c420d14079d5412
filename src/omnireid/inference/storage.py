"""Embeddings on disk: Parquet (streamed, for any size) and npz (NumPy only, held in memory).

Parquet: one row a picture, columns `path` (string), `pid`, `camid` (int64), `embedding` (fixed-size list of
float32); file metadata `omnireid.model`, `omnireid.normalised`, `omnireid.card`.
npz: arrays `embeddings` (N, D) float32, `pids`, `camids` (N,) int64, `paths` (N,) text, and `model`,
`normalised`, `card` as scalars. No pickle in either.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np

from omnireid.core.card import ModelCard
from omnireid.core.errors import InputError
from omnireid.core.files import atomic_write
from omnireid.core.types import EmbeddingSet

SUFFIXES = (".parquet", ".npz")

_ROW_GROUP = 4096
_MODEL, _NORMALISED, _CARD = b"omnireid.model", b"omnireid.normalised", b"omnireid.card"


class EmbeddingWriter:
    """Writes embedding sets one after the other into one file, which appears when the block ends.

    ```python
    with EmbeddingWriter("people.parquet", card=embedder.card) as writer:
        for part in embedder.embed_stream(samples):
            writer.write(part)
    ```

    Parquet holds at most one row group in memory. npz holds everything: its format asks for the length first.
    When the block ends with an error, an old file of that name stays as it was.
    """

    def __init__(self, path: str | os.PathLike[str], *, card: ModelCard | None = None) -> None:
        """Choose the format by suffix.

        Raises:
            InputError: a suffix that is neither `.parquet` nor `.npz`.
        """
        self.path = Path(path)
        _check_suffix(self.path)
        self.num_rows = 0
        self._card = card
        self._first: EmbeddingSet | None = None
        self._waiting: list[EmbeddingSet] = []
        self._stream: BinaryIO
        self._parquet: Any = None

    def __enter__(self) -> EmbeddingWriter:
        self._block = self._open()
        return self._block.__enter__()

    def write(self, part: EmbeddingSet) -> None:
        """Add rows.

        Raises:
            InputError: from another model, of another size, or normalised otherwise than the rows before;
                or a path that is no text.
        """
        if self._first is None:
            self._first = part
        for what in ("dim", "model", "normalised"):
            before, now = getattr(self._first, what), getattr(part, what)
            if before != now:
                raise InputError(f"{self.path}: {what} {now!r} after rows with {what} {before!r}")
        for path in part.paths:
            if not _is_utf8(path):
                raise InputError(f"{self.path}: a path is not valid UTF-8 ({path!a}); rename that picture")
        self._waiting.append(part)
        self.num_rows += len(part)
        if self.path.suffix == ".parquet" and sum(map(len, self._waiting)) >= _ROW_GROUP:
            self._write_row_group()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._block.__exit__(kind, error, trace)

    @contextmanager
    def _open(self) -> Iterator[EmbeddingWriter]:
        with atomic_write(self.path) as self._stream:
            try:
                yield self
                if self._first is None:
                    raise InputError(f"{self.path}: nothing was written; write one set, it may be empty")
                if self.path.suffix == ".npz":
                    self._write_npz()
                elif self._waiting:
                    self._write_row_group()
            finally:
                # Left open, pyarrow would close it when it is collected, after the file under it.
                if self._parquet is not None:
                    self._parquet.close()

    def _write_row_group(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        part = concatenate(self._waiting)
        self._waiting = []
        values = pa.array(np.ascontiguousarray(part.embeddings, np.float32).reshape(-1))
        table = pa.table(
            {
                "path": pa.array(part.paths, pa.string()),
                "pid": pa.array(part.pids, pa.int64()),
                "camid": pa.array(part.camids, pa.int64()),
                "embedding": pa.FixedSizeListArray.from_arrays(values, part.dim),
            }
        ).replace_schema_metadata(self._metadata(part))
        if self._parquet is None:
            # A dictionary and statistics cost time on embeddings and save nothing.
            self._parquet = pq.ParquetWriter(
                self._stream,
                table.schema,
                compression="zstd",
                use_dictionary=["path"],
                write_statistics=False,
            )
        self._parquet.write_table(table)

    def _metadata(self, part: EmbeddingSet) -> dict[bytes, bytes]:
        metadata = {_MODEL: part.model.encode(), _NORMALISED: b"true" if part.normalised else b"false"}
        if self._card is not None:
            metadata[_CARD] = self._card.to_json().encode()
        return metadata

    def _write_npz(self) -> None:
        whole = concatenate(self._waiting)
        np.savez(
            self._stream,
            embeddings=whole.embeddings,
            pids=whole.pids,
            camids=whole.camids,
            paths=np.array(whole.paths, dtype=np.str_),
            model=np.array(whole.model),
            normalised=np.array(whole.normalised),
            card=np.array("" if self._card is None else self._card.to_json()),
        )


def write_embeddings(
    path: str | os.PathLike[str], embeddings: EmbeddingSet, *, card: ModelCard | None = None
) -> None:
    """Write one set; `.parquet` or `.npz`, atomically.

    Raises:
        InputError: another suffix.
        StorageError: the file could not be written; an old one stays.
    """
    with EmbeddingWriter(path, card=card) as writer:
        writer.write(embeddings)


def read_embeddings(path: str | os.PathLike[str]) -> EmbeddingSet:
    """Read what `EmbeddingWriter` or `write_embeddings` wrote.

    Raises:
        InputError: missing, another suffix, damaged, or a file of something else.
    """
    return _read(Path(path))[0]


def read_card(path: str | os.PathLike[str]) -> ModelCard | None:
    """Card of the model that made the embeddings in a file; None where none was stored.

    Raises:
        InputError: as `read_embeddings`.
        WeightsError: the card in it cannot be read.
    """
    text = _read(Path(path))[1]
    return ModelCard.from_json(text, source=str(path)) if text else None


def _read(path: Path) -> tuple[EmbeddingSet, str]:
    _check_suffix(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file of embeddings")
    return _read_parquet(path) if path.suffix == ".parquet" else _read_npz(path)


def _read_parquet(path: Path) -> tuple[EmbeddingSet, str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            metadata = file.schema_arrow.metadata or {}
            names = set(file.schema_arrow.names)
            missing = {"path", "pid", "camid", "embedding"} - names
            if missing or _NORMALISED not in metadata:
                absent = f"columns {sorted(missing)}" if missing else "OmniReID's metadata"
                raise InputError(f"{path}: not embeddings of OmniReID, {absent} missing")
            table = file.read().combine_chunks()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not a whole Parquet file ({error})") from error
    column = table.column("embedding")
    if not pa.types.is_fixed_size_list(column.type):
        raise InputError(
            f"{path}: column 'embedding' is {column.type}, expected a fixed-size list of float32"
        )
    values = pa.concat_arrays([chunk.flatten() for chunk in column.chunks] or [pa.array([], pa.float32())])
    embeddings = EmbeddingSet(
        embeddings=np.array(values, dtype=np.float32).reshape(-1, column.type.list_size),
        pids=np.array(table.column("pid"), dtype=np.int64),
        camids=np.array(table.column("camid"), dtype=np.int64),
        paths=tuple(table.column("path").to_pylist()),
        normalised=metadata[_NORMALISED] == b"true",
        model=metadata.get(_MODEL, b"").decode(),
    )
    return embeddings, metadata.get(_CARD, b"").decode()


def _read_npz(path: Path) -> tuple[EmbeddingSet, str]:
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise InputError(f"{path}: not a whole npz file of arrays, but one array")
        with loaded as file:
            missing = {"embeddings", "pids", "camids", "paths", "model", "normalised", "card"} - set(
                file.files
            )
            if missing:
                raise InputError(f"{path}: not embeddings of OmniReID, arrays {sorted(missing)} missing")
            embeddings = EmbeddingSet(
                embeddings=file["embeddings"].astype(np.float32, copy=False),
                pids=file["pids"].astype(np.int64, copy=False),
                camids=file["camids"].astype(np.int64, copy=False),
                paths=tuple(file["paths"].tolist()),
                normalised=bool(file["normalised"]),
                model=str(file["model"]),
            )
            return embeddings, str(file["card"])
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a whole npz file of arrays ({error})") from error


def concatenate(parts: Iterable[EmbeddingSet]) -> EmbeddingSet:
    """One set from several of the same model, at least one, in their order."""
    listed = list(parts)
    return EmbeddingSet(
        embeddings=np.concatenate([part.embeddings for part in listed]),
        pids=np.concatenate([part.pids for part in listed]),
        camids=np.concatenate([part.camids for part in listed]),
        paths=tuple(path for part in listed for path in part.paths),
        normalised=listed[0].normalised,
        model=listed[0].model,
    )


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise InputError(f"{path}: embeddings are written as {' or '.join(SUFFIXES)}, chosen by the suffix")
