"""One row per query: what two results must hold to be compared query by query."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from omnireid.core.arrays import Float64, Int64
from omnireid.core.display import short_repr
from omnireid.core.errors import InputError
from omnireid.core.files import csv_text, write_text
from omnireid.core.types import Embeddings
from omnireid.evaluation.result import RetrievalResult

QUERIES = "queries.csv"
COLUMNS = ("path", "pid", "camid", "ap", "inp", "first_match_rank")


@dataclass(frozen=True, eq=False)
class QueryScores:
    """Scores of every query; NaN where it has no match that counts.

    Attributes:
        paths: Q picture files, relative to the dataset's root.
        pids: (Q,) int64.
        ap, inp, first_match_rank: (Q,) float64.
    """

    paths: tuple[str, ...]
    pids: Int64
    ap: Float64
    inp: Float64
    first_match_rank: Float64

    __repr__ = short_repr


def write_queries(path: Path, result: RetrievalResult, query: Embeddings, root: str) -> None:
    """Write `queries.csv`, atomically. Cells of a query without a match that counts are empty.

    Args:
        root: Where the dataset lies; paths are relative to it.

    Raises:
        StorageError: the file cannot be written.
    """
    rows = []
    for row, name in enumerate(query.paths):
        picture = Path(name)
        relative = picture.relative_to(root) if picture.is_relative_to(root) else picture
        scores = (float(values[row]) for values in (result.ap, result.inp, result.first_match_rank))
        rows.append(
            (
                relative.as_posix(),
                int(query.pids[row]),
                int(query.camids[row]),
                *(None if math.isnan(score) else score for score in scores),
            )
        )
    write_text(path, csv_text(COLUMNS, rows))


def read_queries(path: Path) -> QueryScores:
    """Read `queries.csv`.

    Raises:
        InputError: missing, or not such a table; names the line.
    """
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({error}); 'omnireid evaluate' writes it") from error
    paths, pids, scores = [], [], []
    for line, row in enumerate(rows, start=2):
        try:
            paths.append(row["path"])
            pids.append(int(row["pid"]))
            scores.append([float(row[name]) if row[name] else math.nan for name in COLUMNS[3:]])
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: line {line} is not a row of {', '.join(COLUMNS)}") from error
    if not rows:
        raise InputError(f"{path}: no queries in it")
    ap, inp, first = np.array(scores, np.float64).T
    return QueryScores(tuple(paths), np.array(pids, np.int64), ap, inp, first)
