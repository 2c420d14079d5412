"""What we assume of LanceDB beyond its documented interface; its bounds in pyproject.toml are for these.

Not here: that a conflict of two commits has "conflict" in its text (`lance.failures.committing`). LanceDB
tries again by itself before it says so; 48 updates of one row by eight threads did not bring it about.
"""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
import pytest

from omnireid.gallery.lance import layout
from omnireid.gallery.lance.failures import is_gone

SCHEMA = pa.schema([("id", pa.string()), ("number", pa.int64())])


def rows(first: int, count: int) -> pa.Table:
    numbers = range(first, first + count)
    return pa.table({"id": [str(number) for number in numbers], "number": list(numbers)}, SCHEMA)


@pytest.fixture
def table(tmp_path: Path) -> Any:
    """Three commits: a fragment each, of 5, 3 and 2 rows."""
    made = lancedb.connect(tmp_path).create_table("things", rows(0, 5))
    made.add(rows(5, 3))
    made.add(rows(8, 2))
    return made


def addresses(table: Any) -> np.ndarray:
    return np.sort(table.search().select(["_rowaddr"]).to_arrow()["_rowaddr"].to_numpy())


def test_the_address_of_a_row_is_its_fragment_and_place(table: Any) -> None:
    """`lance.resident`, `purging`, `collection` and `known_ids` split `_rowaddr` at 32 bits."""
    found = addresses(table)
    assert (found >> 32).tolist() == [0] * 5 + [1] * 3 + [2] * 2
    assert (found & 0xFFFFFFFF).tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 0, 1]


def test_rows_are_chosen_by_their_address(table: Any) -> None:
    """`lance.purging`, `lance.resident` and `lance.collection` write conditions on `_rowaddr`."""
    assert table.count_rows(f"_rowaddr >= {1 << 32} AND _rowaddr < {2 << 32}") == 3


def test_an_updated_row_moves_to_a_new_fragment(table: Any) -> None:
    """`lance.purging` has rows written again by an update; `lance.resident` reads new fragments alone."""
    done = table.update(where=f"_rowaddr >= {1 << 32} AND _rowaddr < {2 << 32}", values_sql={"id": "id"})
    assert done.version == table.version
    numbers, counts = np.unique(addresses(table) >> 32, return_counts=True)
    assert dict(zip(numbers.tolist(), counts.tolist(), strict=True)) == {0: 5, 2: 2, 3: 3}


def test_tables_are_folders_named_after_them(table: Any, tmp_path: Path) -> None:
    """`lance.connection` lists, removes and looks for tables as `NAME.lance`."""
    assert [path.name for path in tmp_path.iterdir()] == ["things.lance"]


def test_a_manifest_is_found_and_says_which_files_there_are(table: Any, tmp_path: Path) -> None:
    """`lance.layout` reads it, named by 2^64 − 1 less the version; `lance.old_files` removes files by it."""
    folder = tmp_path / "things.lance"
    assert sorted(layout.manifests(folder)) == list(range(1, table.version + 1))
    known = layout.layout_of(table, folder)
    assert known is not None
    assert [fragment.rows for fragment in known.fragments] == [5, 3, 2]
    assert {path.name for path in folder.iterdir()} == {layout.DATA, layout.VERSIONS, layout.TRANSACTIONS}


def test_deleted_rows_leave_a_file_named_by_their_fragment(table: Any, tmp_path: Path) -> None:
    """`lance.purging` finds the fragments that hold deleted rows by `_deletions/NUMBER-…`."""
    table.delete("number = 6")
    files = list((tmp_path / "things.lance" / layout.DELETIONS).iterdir())
    assert [path.name.split("-")[0] for path in files] == ["1"]


def test_deleted_rows_are_rewritten_from_a_tenth_of_a_fragment_on(table: Any, tmp_path: Path) -> None:
    """`lance.purging` sees to it that this holds, so that the bytes are gone after `optimize`."""
    table.delete("number = 6")
    table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
    assert not list((tmp_path / "things.lance").glob(f"{layout.DELETIONS}/*"))


def test_a_missing_file_is_told_in_these_words(table: Any, tmp_path: Path) -> None:
    """`lance.failures.is_gone` reads again where a purge has removed a file, by the text of the error."""
    shutil.rmtree(tmp_path / "things.lance" / layout.DATA)
    with pytest.raises(Exception, match=r"(?i)not found|no such file") as caught:
        table.search().to_arrow()
    assert is_gone(caught.value)


def test_errors_carry_the_number_of_the_system(table: Any, tmp_path: Path) -> None:
    """`lance.failures` reads "(os error N)" where a folder may not be written."""
    data = tmp_path / "things.lance" / layout.DATA
    shutil.rmtree(data)
    data.write_text("no folder")
    with pytest.raises((OSError, RuntimeError), match=r"os error \d+\)"):
        table.add(rows(20, 1))
