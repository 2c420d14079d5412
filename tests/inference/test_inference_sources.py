"""Folders, patterns, files and manifests as samples."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from omnireid import collect_samples
from omnireid.core.errors import DatasetError, InputError
from omnireid.core.types import Sample


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "crops"
    for name in ("b/2.jpg", "b/1.JPG", "a.png", "c/d/e.jpeg", ".hidden/x.jpg", "b/._1.jpg", "notes.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 8)).save(root / name, format="JPEG")
    (root / "c" / "loop").symlink_to(root)
    (root / "folder.jpg").mkdir()
    return root


def names(samples: list[Sample], root: Path) -> list[str]:
    return [os.path.relpath(sample.path, root) for sample in samples]


def test_a_folder_is_searched_in_order(tree: Path) -> None:
    found = collect_samples(tree)
    assert names(found, tree) == ["a.png", "b/1.JPG", "b/2.jpg", "c/d/e.jpeg"]
    assert {(sample.pid, sample.camid) for sample in found} == {(-1, -1)}
    assert collect_samples(str(tree)) == found


def test_the_order_is_that_of_the_names_not_of_the_disk(tmp_path: Path) -> None:
    expected = sorted(f"{number * 7919 % 1000}.png" for number in range(40))
    for name in reversed(expected[20:] + expected[:20]):
        Image.new("RGB", (4, 8)).save(tmp_path / name)
    assert names(collect_samples(tmp_path), tmp_path) == expected
    assert names(collect_samples(tmp_path / "*"), tmp_path) == expected


def test_patterns_and_single_files(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names(collect_samples(tree / "b" / "*"), tree) == ["b/1.JPG", "b/2.jpg"]
    assert names(collect_samples(f"{tree}/c/d/**/*.jpeg"), tree) == ["c/d/e.jpeg"]
    assert names(collect_samples(tree / "notes.txt"), tree) == ["notes.txt"]
    monkeypatch.chdir(tree)
    assert [sample.path for sample in collect_samples("b/[12].*")] == ["b/1.JPG", "b/2.jpg"]
    # A name that exists is that file, whatever a pattern would make of it.
    Image.new("RGB", (4, 8)).save("odd[1].jpg")
    assert [sample.path for sample in collect_samples("odd[1].jpg")] == ["odd[1].jpg"]


def test_a_manifest_brings_its_facts(tree: Path) -> None:
    (tree / "list.csv").write_text(
        "path,pid,camid,split,time\nb/2.jpg,7,1,gallery,2.5\na.png,3,0,query,\nb/1.JPG,-1,0,gallery,\n"
    )
    found = collect_samples(tree / "list.csv")
    assert names(found, tree) == ["a.png", "b/2.jpg"]
    assert [(sample.pid, sample.camid, sample.time) for sample in found] == [(3, 0, None), (7, 1, 2.5)]
    (tree / "bare.csv").write_text("path,pid,split\na.png,3,query\n")
    assert collect_samples(tree / "bare.csv")[0].camid == -1
    (tree / "wrong.csv").write_text("file\na.png\n")
    with pytest.raises(DatasetError, match="missing columns"):
        collect_samples(tree / "wrong.csv")
    (tree / "junk.csv").write_text("path,pid,split\na.png,-1,query\n")
    with pytest.raises(InputError, match="no picture"):
        collect_samples(tree / "junk.csv")


def test_nothing_found_is_an_error(tree: Path) -> None:
    (tree / "empty").mkdir()
    for source, complaint in (
        (tree / "empty", r"empty: no picture found; known suffixes: \.bmp"),
        (tree / "*.webp", "no picture found"),
        (tree / "absent", "no such folder, picture or manifest"),
    ):
        with pytest.raises(InputError, match=complaint):
            collect_samples(source)


def test_what_is_no_picture_is_said(tmp_path: Path) -> None:
    for name in ("a.jpg", "b.heic", "sub/c.heic", ".hidden.heic", "Thumbs.db"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    stream = io.StringIO()
    assert len(collect_samples(tmp_path, console=Console(file=stream, width=500))) == 1
    assert stream.getvalue().startswith("2 files were not taken, e.g. ")
    assert "b.heic: not a picture (suffix)" in stream.getvalue()


def test_a_list_of_pictures(tree: Path) -> None:
    """Parquet without splits: names, and what else is known."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"path": ["b/2.jpg", str(tree / "a.png")]}), tree / "bare.parquet")
    paths = [str(tree / "b" / "2.jpg"), str(tree / "a.png")]
    assert collect_samples(tree / "bare.parquet") == [Sample(path, -1, -1) for path in paths]
    labels = {"pid": [3, None], "camid": [1, 2], "time": [None, 2.5]}
    pq.write_table(pa.table({"path": paths, **labels}), tree / "labelled.parquet")
    assert collect_samples(tree / "labelled.parquet") == [
        Sample(paths[0], 3, 1),
        Sample(paths[1], -1, 2, 2.5),
    ]
    for column, cell in (("pid", "anna"), ("pid", 2.5), ("camid", -7), ("time", "noon"), ("path", 3)):
        pq.write_table(pa.table({"path": paths[:1], column: [cell]}), tree / "bad.parquet")
        with pytest.raises(InputError, match=rf"bad\.parquet, row 1: .*{column} {cell!r}"):
            collect_samples(tree / "bad.parquet")
    pq.write_table(pa.table({"path": pa.array([], pa.string())}), tree / "empty.parquet")
    with pytest.raises(InputError, match="no row with a column 'path'"):
        collect_samples(tree / "empty.parquet")
