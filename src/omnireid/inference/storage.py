"""Embeddings on disk: Parquet (streamed, for any size) and npz (NumPy only, held in memory).

Parquet: one row a picture, columns `path` (string), `pid`, `camid` (int64), `time` (float64, null where
unknown), `dsetid` (int64), `frames` (list of strings), `embedding` (fixed-size list of float32); file
metadata `omnireid.model` (name and short hash), `omnireid.ref` (name, hash and size as JSON),
`omnireid.normalised`, `omnireid.card`.
npz: arrays `embeddings` (N, D) float32, `pids`, `camids`, `dsetids` (N,) int64, `times` (N,) float64 with NaN
where unknown, `paths` (N,) text, `frames` (F,) text of all tracklets with `num_frames` (N,) int64 of each,
and `model`, `ref`, `normalised`, `card` as scalars. No pickle in either.

A folder of parts holds such Parquet files of one run, and a plan (`PLAN`) whose metadata `omnireid.parts`
names them in order. It is not read until all are there.

Files of before version 0.2 have neither `time`, `dsetid`, `frames` nor `ref`. Their model is that of the
card; where there is none, only its name and the first twelve digits of its hash are known.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import chain, pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from omnireid.core.card import ModelCard, ModelRef
from omnireid.core.errors import InputError
from omnireid.core.extras import saying_the_extra
from omnireid.core.files import atomic_write
from omnireid.core.types import Embeddings, SampleColumns, concatenate

SUFFIXES = (".parquet", ".npz")
PLAN = "_plan.parquet"
"""Of a folder of parts: what it will hold. Parquet readers of others leave out what begins with `_`."""
PARTS = b"omnireid.parts"
"""Of a plan's metadata: names of its parts, and how many rows each has, as JSON."""

_ROW_GROUP = 4096
_PREFIX = "omnireid."


class EmbeddingWriter:
    """Writes embeddings one part after the other into one file, which appears when the block ends.

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
            MissingExtraError: Parquet without pyarrow.
        """
        self.path = Path(path)
        _check_suffix(self.path)
        self.num_rows = 0
        self._card = card
        self._first: Embeddings | None = None
        self._waiting: list[Embeddings] = []
        self._stream: BinaryIO
        self._parquet: Any = None

    def __enter__(self) -> EmbeddingWriter:
        self._block = self._open()
        return self._block.__enter__()

    def write(self, part: Embeddings) -> None:
        """Add rows.

        Raises:
            InputError: from another model, of another size, or normalised otherwise than the rows before;
                or a path that is no text.
        """
        if self._first is None:
            self._first = part
        for what in ("model", "is_unit"):
            before, now = getattr(self._first, what), getattr(part, what)
            if before != now:
                raise InputError(f"{self.path}: {what} {now} after rows with {what} {before}")
        for path in chain(part.paths, *part.columns.frames):
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
                    raise InputError(f"{self.path}: nothing was written; write one part, it may be empty")
                if self.path.suffix == ".npz":
                    self._write_npz()
                elif self._waiting:
                    self._write_row_group()
            finally:
                # Left open, pyarrow would close it when it is collected, after the file under it.
                if self._parquet is not None:
                    self._parquet.close()

    def _write_row_group(self) -> None:
        with saying_the_extra():
            import pyarrow as pa
            import pyarrow.parquet as pq

        part = concatenate(self._waiting)
        self._waiting = []
        values = pa.array(np.ascontiguousarray(part.vectors, np.float32).reshape(-1))
        table = (
            sample_table(part.columns)
            .append_column("embedding", pa.FixedSizeListArray.from_arrays(values, part.dim))
            .replace_schema_metadata({_PREFIX + name: fact for name, fact in self._facts(part).items()})
        )
        if self._parquet is None:
            # A dictionary and statistics cost time on embeddings and save nothing.
            self._parquet = pq.ParquetWriter(
                self._stream,
                table.schema,
                compression="zstd",
                use_dictionary=["path", "frames"],
                write_statistics=False,
            )
        self._parquet.write_table(table)

    def _facts(self, part: Embeddings) -> dict[str, str]:
        return {
            "model": part.model.short,
            "ref": json.dumps(part.model._asdict()),
            "normalised": "true" if part.is_unit else "false",
            "card": "" if self._card is None else self._card.to_json(),
        }

    def _write_npz(self) -> None:
        whole = concatenate(self._waiting)
        columns, facts = whole.columns, self._facts(whole)
        np.savez(
            self._stream,
            embeddings=whole.vectors,
            pids=columns.pids,
            camids=columns.camids,
            times=columns.times,
            dsetids=columns.dsetids,
            paths=np.array(columns.paths, dtype=np.str_),
            frames=np.array(list(chain(*columns.frames)), dtype=np.str_),
            num_frames=np.array([len(frames) for frames in columns.frames or [()] * len(whole)], np.int64),
            normalised=np.array(whole.is_unit),
            model=np.array(facts["model"]),
            ref=np.array(facts["ref"]),
            card=np.array(facts["card"]),
        )


def write_embeddings(
    path: str | os.PathLike[str], embeddings: Embeddings, *, card: ModelCard | None = None
) -> None:
    """Write embeddings; `.parquet` or `.npz`, atomically.

    Raises:
        InputError: another suffix.
        StorageError: the file could not be written; an old one stays.
    """
    with EmbeddingWriter(path, card=card) as writer:
        writer.write(embeddings)


def read_embeddings(path: str | os.PathLike[str]) -> Embeddings:
    """Read what `EmbeddingWriter` or `write_embeddings` wrote, or a folder of parts.

    Raises:
        InputError: missing, another suffix, damaged, a file of something else, or a folder of which parts are
            missing yet.
    """
    path = Path(path)
    if path.is_dir():
        return concatenate(_read(file)[0] for file in _whole(path))
    return _read(path)[0]


def read_card(path: str | os.PathLike[str]) -> ModelCard | None:
    """Card of the model that made the embeddings in a file; None where none was stored.

    Raises:
        InputError: as `read_embeddings`.
        WeightsError: the card in it cannot be read.
    """
    path = Path(path)
    text = _read(_whole(path)[0] if path.is_dir() else path)[1]
    return ModelCard.from_json(text, source=str(path)) if text else None


def sample_table(columns: SampleColumns) -> Any:
    """Samples as an Arrow table: what a file of embeddings holds besides these."""
    with saying_the_extra():
        import pyarrow as pa

    return pa.table(
        {
            "path": pa.array(columns.paths, pa.string()),
            "pid": pa.array(columns.pids, pa.int64()),
            "camid": pa.array(columns.camids, pa.int64()),
            "time": pa.array(columns.times, pa.float64(), from_pandas=True),
            "dsetid": pa.array(columns.dsetids, pa.int64()),
            "frames": pa.array(columns.frames or [()] * len(columns), pa.list_(pa.string())),
        }
    )


def samples_of(table: Any) -> SampleColumns:
    """The samples of an Arrow table that `sample_table` made, or version 0.1 with fewer columns."""
    given = set(table.column_names)
    frames = table.column("frames").to_pylist() if "frames" in given else []
    return SampleColumns(
        tuple(table.column("path").to_pylist()),
        np.array(table.column("pid"), dtype=np.int64),
        np.array(table.column("camid"), dtype=np.int64),
        np.array(table.column("time"), np.float64) if "time" in given else np.full(len(table), np.nan),
        np.array(table.column("dsetid"), np.int64) if "dsetid" in given else np.zeros(len(table), np.int64),
        tuple(map(tuple, frames)) if any(frames) else (),
    )


def _whole(folder: Path) -> list[Path]:
    """The parts of a folder, in their order."""
    with saying_the_extra():
        import pyarrow.parquet as pq

    plan = folder / PLAN
    if not plan.is_file():
        raise InputError(f"{folder}: no embeddings of OmniReID, its {PLAN} is missing")
    with refusing_other_plans(plan):
        files = [folder / name for name in json.loads(pq.read_schema(plan).metadata[PARTS])]
    if any(file.suffix != ".parquet" for file in files):
        raise InputError(f"{folder}: its pictures were enrolled in a gallery, which keeps their embeddings")
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise InputError(
            f"{folder}: {len(missing):,} of {len(files):,} parts are not there yet ({missing[0].name}); run "
            "the same command again"
        )
    return files


@contextmanager
def refusing_other_plans(path: Path) -> Iterator[None]:
    """Turn what a plan raises that is damaged, or something else, into an `InputError`."""
    with saying_the_extra():
        import pyarrow as pa

    try:
        yield
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a plan of OmniReID ({error})") from error


def _read(path: Path) -> tuple[Embeddings, str]:
    _check_suffix(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file of embeddings")
    return _read_parquet(path) if path.suffix == ".parquet" else _read_npz(path)


def _read_parquet(path: Path) -> tuple[Embeddings, str]:
    with saying_the_extra():
        import pyarrow as pa
        import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            metadata = file.schema_arrow.metadata or {}
            facts = {
                name.decode().removeprefix(_PREFIX): value.decode()
                for name, value in metadata.items()
                if name.startswith(_PREFIX.encode())
            }
            missing = {"path", "pid", "camid", "embedding"} - set(file.schema_arrow.names)
            if missing or "normalised" not in facts:
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
    vectors = np.array(values, dtype=np.float32).reshape(-1, column.type.list_size)
    return _embeddings(path, vectors, samples_of(table), facts)


def _read_npz(path: Path) -> tuple[Embeddings, str]:
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
            paths = tuple(file["paths"].tolist())
            ends = np.cumsum(file["num_frames"]).tolist() if "num_frames" in file else []
            frames = file["frames"].tolist() if ends and ends[-1] else []
            columns = SampleColumns(
                paths,
                file["pids"].astype(np.int64, copy=False),
                file["camids"].astype(np.int64, copy=False),
                file["times"] if "times" in file else np.full(len(paths), np.nan),
                file["dsetids"] if "dsetids" in file else np.zeros(len(paths), np.int64),
                tuple(tuple(frames[begin:end]) for begin, end in pairwise([0, *ends])) if frames else (),
            )
            facts = {name: str(file[name]) for name in ("model", "card", "ref") if name in file}
            facts["normalised"] = "true" if file["normalised"] else "false"
            vectors = file["embeddings"].astype(np.float32, copy=False)
            return _embeddings(path, vectors, columns, facts)
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, AttributeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a whole npz file of arrays ({error})") from error


def _embeddings(
    path: Path, vectors: npt.NDArray[np.float32], columns: SampleColumns, facts: Mapping[str, str]
) -> tuple[Embeddings, str]:
    """What a file holds, and the text of its card."""
    card, dim = facts.get("card", ""), int(vectors.shape[1])
    model = ModelRef.from_short(facts.get("model", ""), dim)
    if "ref" in facts:
        model = ModelRef(**json.loads(facts["ref"]))
    elif card:
        model = ModelCard.from_json(card, source=str(path)).ref._replace(dim=dim)
    return Embeddings(vectors, columns, model, facts["normalised"] == "true"), card


def _is_utf8(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_suffix(path: Path) -> None:
    if path.suffix not in SUFFIXES:
        raise InputError(
            f"{path}: embeddings are written as {' or '.join(SUFFIXES)}, chosen by the suffix; a folder of "
            "parts has a name without a dot"
        )
