"""Known ids, stored embeddings and the audit's files, each by itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from gallery.lance_rows import DIM, item_table, noise, unit_rows
from omnireid.gallery.encoding import decode, encode, matrix, scores
from omnireid.gallery.items import Filter
from omnireid.gallery.lance import auditing
from omnireid.gallery.lance.collection import _Best
from omnireid.gallery.lance.filters import condition
from omnireid.gallery.lance.known_ids import KnownIds, prefixes
from omnireid.gallery.lance.store import LanceStore, local_folder
from omnireid.gallery.options import StoredPrecision
from omnireid.gallery.store import CollectionInfo


def made_ids(count: int, seed: int) -> list[str]:
    return [noise(f"{seed} {n}", 16).hex() for n in range(count)]


def test_prefixes_are_the_first_16_digits() -> None:
    ids = ["0123456789abcdef" + "f" * 16, "fedcba9876543210" + "0" * 16, *made_ids(50, 0)]
    assert prefixes(pa.array(ids)).tolist() == [int(name[:16], 16) for name in ids]
    assert prefixes(pa.array(ids).slice(3, 7)).tolist() == [int(name[:16], 16) for name in ids[3:10]]


def test_known_ids_are_those_that_were_given() -> None:
    known = KnownIds()
    assert not known.may_hold(prefixes(pa.array(made_ids(3, 0)))).any()
    ids = [pa.array(made_ids(100, seed)) for seed in range(2)]
    known.follow(7, ids, np.array([5, 3 << 32], np.uint64))
    assert (known.version, known.fragments) == (7, 4)
    for seed in range(2, 40):
        known.add(prefixes(pa.array(made_ids(seed % 3, seed))))
    known.follow(9, [pa.array([], pa.string())], np.empty(0, np.uint64))
    assert (known.version, known.fragments) == (9, 4)
    assert known.may_hold(prefixes(pa.array(made_ids(100, 1) + made_ids(2, 2) + made_ids(2, 38)))).all()
    assert not known.may_hold(prefixes(pa.array(made_ids(1000, 40)))).any()


def test_items_added_by_turns_by_two_handles_are_added_once(tmp_path: Path) -> None:
    handles = [LanceStore(str(tmp_path / "gallery")) for _ in range(2)]
    handles[0].create_collection(CollectionInfo("c", DIM, "float32"))
    rows = item_table(240)
    for start in range(0, 240, 20):
        part = rows.slice(start, 20)
        first, second = handles if start % 40 else handles[::-1]
        assert first.add("c", part).all()
        assert not second.add("c", part).any()
        if start % 60 == 0:
            second.set_identity("c", part["id"].to_pylist(), "somebody")
            second._tidy("c")
    assert first.count("c") == 240


def test_many_are_added_once_though_another_handle_writes_and_deletes(tmp_path: Path) -> None:
    one, other = (LanceStore(str(tmp_path / "gallery")) for _ in range(2))
    one.create_collection(CollectionInfo("c", DIM, "float32"))
    rows = item_table(1500)
    assert one.add("c", rows.slice(0, 600)).all()
    assert other.add("c", rows.slice(300, 600)).tolist() == [False] * 300 + [True] * 300
    assert one.add("c", rows).tolist() == [False] * 900 + [True] * 600
    gone = rows["id"].to_pylist()[:400]
    assert other.delete("c", Filter(ids=frozenset(gone))) == 400
    assert one.add("c", rows).tolist() == [True] * 400 + [False] * 1100
    assert one.count("c") == 1500


@pytest.mark.parametrize(("precision", "bound"), [("float32", 0.0), ("float16", 3e-4), ("int8", 1e-2)])
def test_embeddings_come_back_within_what_the_precision_allows(
    precision: StoredPrecision, bound: float
) -> None:
    rows = item_table(200)
    back = matrix(decode(encode(rows, precision))["embedding"])
    assert back.dtype == np.float32
    assert np.abs(back - unit_rows(200, 0)).max() <= bound
    assert np.abs(np.linalg.norm(back, axis=1) - 1).max() < 1e-6


def test_scores_are_the_same_whatever_is_beside_them() -> None:
    rows, query = unit_rows(500, 0), unit_rows(1, 1)[0]
    together = scores(rows, query)
    assert [scores(rows[n : n + 1], query)[0] for n in range(0, 500, 50)] == together[::50].tolist()
    assert np.abs(together - rows.astype(np.float64) @ query).max() < 1e-7


def test_the_best_are_kept_with_their_ties() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 40, 1000).astype(np.float32) / 40
    best = _Best(25)
    for start in range(0, 1000, 70):
        part = slice(start, start + 70)
        best.offer(values[part], pa.array([str(n) for n in range(1000)][part]))
    least = np.sort(values)[-25]
    assert sorted(best.ids()) == sorted(str(n) for n in np.flatnonzero(values >= least))


def test_a_filter_is_written_with_doubled_quotes_only() -> None:
    where = Filter(cameras=frozenset({"o'x' OR 'a'='a"}), since=1e22, attributes={"a'": "\\'"})
    assert condition(where) == (
        "camera IN ('o''x'' OR ''a''=''a') AND time >= 1e+22 AND array_has(tags, 'a''=\"\\\\''\"')"
    )
    assert condition(Filter()) is None
    assert condition(Filter(ids=frozenset())) == "false"


@pytest.mark.parametrize(
    ("uri", "folder"),
    [
        ("runs/gallery", Path("runs/gallery")),
        ("file:///srv/a%20b", Path("/srv/a b")),
        ("s3://bucket/prefix", None),
        ("az://container/prefix", None),
    ],
)
def test_what_a_uri_means(uri: str, folder: Path | None) -> None:
    assert local_folder(uri) == folder


def test_the_audit_goes_on_after_a_line_that_was_cut(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    auditing.append(folder, [{"time": 1.0, "n": 1}, {"time": 2.0, "n": 2}])
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:-4])
    assert [entry["n"] for entry in auditing.entries(folder)] == [1]
    auditing.append(folder, [{"time": 3.0, "n": 3}])
    assert [entry["n"] for entry in auditing.entries(folder)] == [1, 3]


@pytest.mark.parametrize("block", [1, 7, 64, 1 << 16])
def test_pages_of_the_audit_are_those_of_all_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(auditing, "_BLOCK", block)
    months = {
        "2025-11": b'{"n": 1}\n{"n": 2, "text": "\xc3\xa9\\n"}\n',
        "2025-12": b'{"n": 3}\n{"n": \n\n[4]\n{"n": 5}\n{"n": 6}',
        "2026-01": b"",
        "2026-02": b'{"n": 7}\n{"n"',
    }
    for month, content in months.items():
        (tmp_path / f"{month}.jsonl").write_bytes(content)
    whole = [1, 2, 3, 5, 7]
    assert [entry["n"] for entry in auditing.entries(tmp_path)] == whole
    for limit in range(1, 7):
        for latest in (False, True):
            found: list[tuple[int, dict[str, object]]] = []
            while page := auditing.page(tmp_path, found[-1][0] if found else None, limit, latest=latest):
                found += page
                assert len(found) <= len(whole)
            assert [entry["n"] for _, entry in found] == (whole[::-1] if latest else whole)
            assert sorted(found, key=lambda one: one[0], reverse=latest) == found
    # A place that no entry has is between two.
    for known in range(671 * 2**40, 671 * 2**40 + 60):  # December 2025
        later = [entry["n"] for _, entry in auditing.page(tmp_path, known, 9, latest=False)]
        earlier = [entry["n"] for _, entry in auditing.page(tmp_path, known, 9, latest=True)]
        assert later == whole[len(whole) - len(later) :]
        assert earlier == whole[: len(earlier)][::-1]
        assert 4 <= len(later) + len(earlier) <= 5


def test_a_page_of_the_audit_reads_what_it_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    auditing.append(tmp_path, [{"time": 4e6 * month, "n": n} for month in range(3) for n in range(4000)])
    parsed, read = auditing._parsed, []

    def counted(line: bytes) -> dict[str, object] | None:
        read.append(line)
        return parsed(line)

    monkeypatch.setattr(auditing, "_parsed", counted)
    known = None
    for _ in range(3):
        page = auditing.page(tmp_path, known, 50, latest=True)
        known = page[-1][0]
    assert page[-1][1]["n"] == 3850
    assert [entry["n"] for _, entry in auditing.page(tmp_path, known, 50, latest=False)] == [
        *range(3851, 3901)
    ]
    assert len(read) <= 4 * 52


def test_the_audit_has_a_file_for_each_month(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    times = [1_764_547_199.0, 1_764_547_200.0, 1_764_547_201.5]  # around the end of November 2025, UTC
    auditing.append(folder, [{"time": time} for time in times])
    assert sorted(path.name for path in folder.iterdir()) == ["2025-11.jsonl", "2025-12.jsonl"]
    assert [entry["time"] for entry in auditing.entries(folder)] == times
    assert json.loads((folder / "2025-11.jsonl").read_text()) == {"time": times[0]}
