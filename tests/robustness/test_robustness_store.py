"""Corrupted copies on disk hold the pixels that an evaluation sees."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnireid.core.errors import DatasetError, InputError
from omnireid.core.images import decode
from omnireid.data.datasets import read_dataset
from omnireid.robustness.draw import Draw, corrupt_sample
from omnireid.robustness.pictures import PictureCache, key
from omnireid.robustness.sheet import write_sheet
from omnireid.robustness.store import write_corrupted


def digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_round_on_disk_is_the_round_of_an_evaluation(toy_root: Path, tmp_path: Path) -> None:
    dataset = read_dataset("market-layout", toy_root)
    manifest = write_corrupted(dataset, tmp_path / "out", seed=4, round=2, threads=2)
    stored = read_dataset("manifest", manifest)
    assert [len(split) for split in stored.splits] == [len(split) for split in dataset.splits]
    assert stored.train.paths == dataset.train.paths  # not corrupted: the originals
    by_name = {Path(sample.path).stem: sample for sample in (*stored.query, *stored.gallery)}
    for sample in (*dataset.query, *dataset.gallery):
        copy = by_name[Path(sample.path).stem]
        assert (copy.pid, copy.camid) == (sample.pid, sample.camid)
        name = str(Path(sample.path).relative_to(toy_root))
        expected = corrupt_sample(decode(sample.path), name, seed=4, round=2)
        np.testing.assert_array_equal(decode(copy.path), expected)
    with (tmp_path / "out" / "corruptions.csv").open() as table:
        assert len(list(csv.DictReader(table))) == len(dataset.query) + len(dataset.gallery)


def test_one_side_and_one_corruption(toy_root: Path, tmp_path: Path) -> None:
    dataset = read_dataset("market-layout", toy_root)
    manifest = write_corrupted(dataset, tmp_path, draw=Draw("contrast", 5), sides=["query"])
    stored = read_dataset("manifest", manifest)
    assert set(stored.gallery.paths) == set(dataset.gallery.paths)
    rows = list(csv.DictReader((tmp_path / "corruptions.csv").open()))
    assert {(row["corruption"], row["severity"]) for row in rows} == {("contrast", "5")}


def test_an_interrupted_copy_goes_on_and_other_settings_do_not_mix(toy_root: Path, tmp_path: Path) -> None:
    dataset = read_dataset("market-layout", toy_root)
    write_corrupted(dataset, tmp_path / "out", seed=1)
    whole = digests(tmp_path / "out")
    for missing in ("manifest.csv", "corruptions.csv", next(name for name in whole if name.endswith(".png"))):
        (tmp_path / "out" / missing).unlink()
    write_corrupted(dataset, tmp_path / "out", seed=1)
    assert digests(tmp_path / "out") == whole
    with pytest.raises(InputError, match="other settings"):
        write_corrupted(dataset, tmp_path / "out", seed=2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("do not touch")
    with pytest.raises(InputError, match="not an empty folder"):
        write_corrupted(dataset, tmp_path / "mine")
    with pytest.raises(InputError, match="expected train, query or gallery, got probe"):
        write_corrupted(dataset, tmp_path / "new", sides=["probe"])


def test_two_pictures_for_one_file_are_named(tmp_path: Path) -> None:
    for suffix in ("jpg", "bmp"):
        path = tmp_path / "data" / "query" / f"0001_c1.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 16), "red").save(path)
    dataset = read_dataset("market-layout", tmp_path / "data")
    with pytest.raises(DatasetError, match=r"0001_c1\.jpg and .*0001_c1\.bmp would both be written"):
        write_corrupted(dataset, tmp_path / "out")


def test_keys_are_relative_posix_paths(tmp_path: Path) -> None:
    assert key("/data/market/query/a.jpg", "/data/market") == "query/a.jpg"
    assert key("/elsewhere/a.jpg", "/data/market") == "/elsewhere/a.jpg"
    (tmp_path / "people.csv").write_text("")
    assert key(str(tmp_path / "crops" / "a.jpg"), str(tmp_path / "people.csv")) == "crops/a.jpg"


def test_cache_stays_within_its_bytes_and_is_not_needed(tmp_path: Path) -> None:
    paths = []
    for index in range(4):
        paths.append(str(tmp_path / f"{index}.png"))
        Image.new("RGB", (10, 20), (index, 0, 0)).save(paths[-1])
    cache = PictureCache(2 * 10 * 20 * 3 + 1)
    for _ in range(2):
        assert [int(cache.get(path)[0, 0, 0]) for path in paths] == [0, 1, 2, 3]
    for path in paths[:2]:  # held: the file is not opened again
        Path(path).unlink()
        assert cache.get(path).shape == (20, 10, 3)
    Image.new("RGB", (10, 20), (99, 0, 0)).save(paths[3])
    assert int(cache.get(paths[3])[0, 0, 0]) == 99


def test_sheet_shows_every_corruption(tmp_path: Path) -> None:
    crop = np.random.default_rng(0).integers(0, 256, (96, 40, 3), dtype=np.uint8)
    write_sheet(crop, tmp_path / "sheet.png", seed=1)
    first = decode(tmp_path / "sheet.png")
    write_sheet(crop, tmp_path / "again.png", seed=1)
    np.testing.assert_array_equal(first, decode(tmp_path / "again.png"))
    assert first.shape[0] > 1000
