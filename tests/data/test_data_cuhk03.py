"""CUHK03: what is read, and pictures that come out of the .mat once, whatever interrupts it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data import miniatures_large as mini
from omnireid.core.errors import CountMismatchError, DatasetError, MissingExtraError, StorageError
from omnireid.core.options import Protocol
from omnireid.data.datasets import dataset_card, read_dataset


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """With pictures that another tool wrote. Read only."""
    root = tmp_path_factory.mktemp("whole")
    mini.build_cuhk03_with_pictures(root)
    return root


@pytest.fixture(scope="module")
def extracted(tmp_path_factory) -> Path:
    """With the detected pictures taken out of the .mat without interruption. Read only."""
    root = tmp_path_factory.mktemp("extracted")
    mini.build_cuhk03(root)
    read("cuhk03-detected", root, extract=True)
    return root


@pytest.fixture
def fresh(extracted, tmp_path) -> Path:
    """As it is handed out: the pictures are inside the .mat."""
    shutil.copytree(extracted, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("images_*"))
    return tmp_path


@pytest.fixture
def other(whole, tmp_path) -> Path:
    """With pictures that another tool wrote, to be changed."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return tmp_path


def read(name: str, root: Path, **options):
    return read_dataset(name, root, check_counts=False, **options)


def triples(split) -> list[tuple[str, int, int]]:
    return [(Path(sample.path).name, sample.pid, sample.camid) for sample in split]


def listing(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- new protocol ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", mini.KINDS)
def test_the_new_protocol_is_read_as_its_file_lists_it(whole, kind):
    data = read(f"cuhk03-{kind}", whole)
    labels = mini.cuhk03_labels()
    for split in data.splits:
        assert triples(split) == sorted(
            (cell.name, labels[cell.pair, cell.person], cell.view - 1)
            for cell in mini.cuhk03_new_split(kind)[split.name]
        )
        assert all(Path(path).parent == whole / "cuhk03" / f"images_{kind}" for path in split.paths)
    assert (data.protocol, data.skipped, data.partition) == (Protocol.MARKET1501, (), None)


def test_the_new_protocol_needs_no_mat_where_the_pictures_are(whole, monkeypatch):
    (whole / "cuhk03" / "cuhk03_release").rename(whole / "elsewhere")
    monkeypatch.setitem(sys.modules, "h5py", None)
    try:
        for options in ({}, {"extract": True}):
            assert len(read("cuhk03-detected", whole, **options).query) == 14
        with pytest.raises(DatasetError, match=r"missing: cuhk-03\.mat"):
            read("cuhk03-classic-detected", whole)
    finally:
        (whole / "elsewhere").rename(whole / "cuhk03" / "cuhk03_release")


@pytest.mark.parametrize("level", ["", "cuhk03", "cuhk03/cuhk03_release"])
def test_it_is_found_from_each_level(whole, level):
    for kind in mini.KINDS:
        assert read(f"cuhk03-classic-{kind}", whole / level).root == str(whole / "cuhk03")
        if level != "cuhk03/cuhk03_release":
            assert read(f"cuhk03-{kind}", whole / level).root == str(whole / "cuhk03")


def test_published_counts_are_on_the_cards():
    def stated(name):
        return {split: counts.stated() for split, counts in dataset_card(name).counts.items()}

    for kind, train, gallery in (("detected", 7365, 5332), ("labeled", 7368, 5328)):
        assert stated(f"cuhk03-{kind}") == {
            "train": {"images": train, "pids": 767, "cameras": 2},
            "query": {"images": 1400, "pids": 700, "cameras": 2},
            "gallery": {"images": gallery, "pids": 700, "cameras": 2},
        }
        classic = stated(f"cuhk03-classic-{kind}")
        assert [classic[split]["pids"] for split in ("train", "query", "gallery")] == [1367, 100, 100]
        assert classic["total"] == {"images": train + 1400 + gallery, "pids": 1467, "cameras": 2}


def test_the_published_numbers_are_read_without_complaint(tmp_path):
    """All 14,097 detected pictures as empty files: 1,467 people, 767 of them to train on."""
    from scipy.io import savemat

    per_pair = {1: 843, 2: 440, 3: 77, 4: 58, 5: 49}
    people = [(pair, number) for pair, count in per_pair.items() for number in range(1, count + 1)]
    in_train = dict.fromkeys(range(1, 768), 7365 // 767) | dict.fromkeys(range(1, 7365 % 767 + 1), 10)
    in_gallery = dict.fromkeys(range(768, 1468), 7) | dict.fromkeys(range(768, 768 + 5332 % 700), 8)
    names, labels, places = [], [], {"train": [], "query": [], "gallery": []}
    for label, (pair, person) in enumerate(people, start=1):
        wanted = in_train.get(label, 0) or 2 + in_gallery[label]
        for place in range(wanted):
            number = 1 + (place * 5) % 10 + place // 2 if place < 10 else 0
            names.append(f"{pair}_{person:03d}_{1 if number <= 5 else 2}_{number:02d}.png")
            labels.append(label)
            split = "train" if label < 768 else "query" if place < 2 else "gallery"
            places[split].append(len(names))
    assert len(set(names)) == 14_097
    folder = tmp_path / "images_detected"
    folder.mkdir()
    for name in names:
        (folder / name).touch()
    cells = np.empty((len(names), 1), object)
    cells[:, 0] = names
    variables = {f"{split}_idx": np.array(chosen, np.uint16) for split, chosen in places.items()}
    config = tmp_path / "cuhk03_new_protocol_config_detected.mat"
    savemat(config, {"filelist": cells, "labels": np.array(labels, np.uint16), **variables})
    data = read_dataset("cuhk03-detected", tmp_path)
    assert [(len(split), split.num_pids) for split in data.splits] == [(7365, 767), (1400, 700), (5332, 700)]


def test_wrong_counts_stand_side_by_side(whole):
    with pytest.raises(CountMismatchError, match=r"train +images 7,365 → 56 \(!\) +pids 767 → 8 \(!\)"):
        read_dataset("cuhk03-detected", whole)
    with pytest.raises(
        CountMismatchError, match=r"total +images 14,096 → 112 \(!\) +pids 1,467 → 15 \(!\) +cameras 2 → 2"
    ) as raised:
        read_dataset("cuhk03-classic-labeled", whole)
    assert "train   pids 1,367 → 11 (!)" in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": None}, "no variable 'labels'"),
        ({"labels": np.array([[1], [2]])}, r"112 names, but 2 labels"),
        ({"labels": np.array(["one", "two"], object)}, "'labels' does not hold numbers"),
        ({"query_idx": np.array([[0]])}, "'query_idx' holds 0, expected numbers from 1 to 112"),
        ({"gallery_idx": np.array([[113]])}, "'gallery_idx' holds 113, expected numbers from 1 to 112"),
        ({"filelist": np.array([["0001_c1.png"]], object)}, "'filelist' names '0001_c1.png', expected"),
    ],
)
def test_a_damaged_protocol_file_is_named(whole, tmp_path, changes, message):
    (tmp_path / "images_labeled").symlink_to(whole / "cuhk03" / "images_labeled")
    config = tmp_path / "cuhk03_new_protocol_config_labeled.mat"
    mini.write_cuhk03_config(config, "labeled", **changes)
    with pytest.raises(DatasetError, match=message) as raised:
        read("cuhk03-labeled", tmp_path)
    assert str(config) in str(raised.value)


# --- classic protocol -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", mini.KINDS)
@pytest.mark.parametrize("split_id", [0, 7, 19])
def test_a_classic_split_tests_on_its_people_and_trains_on_the_rest(whole, kind, split_id):
    data = read(f"cuhk03-classic-{kind}", whole, split_id=split_id)
    labels, tested = mini.cuhk03_labels(), mini.cuhk03_test_set(split_id)
    train, test = [], []
    for cell in mini.cuhk03_cells(kind):
        picture = (cell.name, labels[cell.pair, cell.person], cell.view - 1)
        (test if (cell.pair, cell.person) in tested else train).append(picture)
    assert [triples(split) for split in data.splits] == [train, test, test]
    assert [split.name for split in data.splits] == ["train", "query", "gallery"]
    assert data.protocol is Protocol.SINGLE_GALLERY_SHOT
    assert (data.partition.index, data.partition.count) == (split_id, 20)
    assert data.partition.origin == "testsets of cuhk-03.mat"


def test_each_classic_split_has_its_own_hash_wherever_it_lies(whole, fresh):
    there = [read("cuhk03-classic-detected", whole, split_id=i).partition.sha256 for i in range(20)]
    assert len(set(there)) == len({tuple(sorted(mini.cuhk03_test_set(i))) for i in range(20)}) > 5
    here = read("cuhk03-classic-detected", fresh, split_id=3, extract=True)
    assert here.partition.sha256 == there[3]


def test_a_test_set_with_people_that_have_no_pictures_is_refused(fresh, monkeypatch):
    monkeypatch.setattr(mini, "cuhk03_test_set", lambda index: [(1, 1), (4, 3)])
    mini.write_cuhk03_mat(fresh / "cuhk03" / "cuhk03_release" / "cuhk-03.mat")
    with pytest.raises(DatasetError, match=r"test set 0 names people .*\(1, first pair 4, person 3\)"):
        read("cuhk03-classic-detected", fresh, extract=True)


# --- pictures out of the .mat ---------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cuhk03-detected", "cuhk03-classic-detected"])
def test_without_extract_nothing_is_written_and_the_error_says_what_to_do(fresh, name):
    with pytest.raises(DatasetError, match=r"cuhk-03\.mat: found, but its pictures .*--extract"):
        read(name, fresh)
    assert sorted(path.name for path in (fresh / "cuhk03").iterdir()) == [
        "cuhk03_new_protocol_config_detected.mat",
        "cuhk03_new_protocol_config_labeled.mat",
        "cuhk03_release",
    ]


def test_extracting_writes_each_picture_of_one_kind_once(fresh):
    read("cuhk03-classic-labeled", fresh, extract=True)
    folder = fresh / "cuhk03" / "images_labeled"
    assert not (fresh / "cuhk03" / "images_detected").exists()
    cells = mini.cuhk03_cells("labeled")
    assert sorted(path.name for path in folder.glob("[!.]*")) == [cell.name for cell in cells]
    for cell in cells:
        found = np.asarray(Image.open(folder / cell.name))
        np.testing.assert_array_equal(found, mini.cuhk03_pixels("labeled", cell))
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    for name in ("cuhk03-labeled", "cuhk03-classic-labeled"):
        read(name, fresh, extract=True)
        read(name, fresh)
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_marked_folder_is_believed_and_a_changed_one_is_not(fresh, monkeypatch):
    read("cuhk03-classic-detected", fresh, extract=True)
    looked = []
    names = "omnireid.data.datasets.cuhk03.picture_names"
    monkeypatch.setattr(names, lambda *arguments: looked.append(arguments) or ["1_001_1_01.png"])
    read("cuhk03-classic-detected", fresh)
    assert not looked
    (fresh / "cuhk03" / "images_detected" / "3_001_1_02.png").unlink()
    with pytest.raises(DatasetError):
        read("cuhk03-classic-detected", fresh)
    assert looked


def test_the_archive_is_unpacked_and_then_the_pictures_are_extracted(fresh):
    release = fresh / "cuhk03" / "cuhk03_release"
    with zipfile.ZipFile(fresh / "cuhk03" / "cuhk03_release.zip", "w") as archive:
        archive.write(release / "cuhk-03.mat", "cuhk03_release/cuhk-03.mat")
    (release / "cuhk-03.mat").unlink()
    release.rmdir()
    with pytest.raises(DatasetError, match=r"no cuhk-03\.mat .*cuhk03_release\.zip.*--extract"):
        read("cuhk03-detected", fresh)
    assert len(read("cuhk03-detected", fresh, extract=True).query) == 14
    assert len(read("cuhk03-classic-labeled", fresh, extract=True).query) > 20


KILLED = """
import os, signal, sys
from pathlib import Path
from omnireid.data.datasets import read_dataset

stage, root = sys.argv[1:]
replaced, real_replace = [], Path.replace

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def replace(self, target):
    if stage == "in a picture" and len(replaced) == 30:
        die()
    if stage == "before the marker" and Path(target).name == ".extracted.json":
        die()
    real_replace(self, target)
    replaced.append(target)
    if stage == "after a picture" and len(replaced) == 30:
        die()
    if stage == "after the marker" and Path(target).name == ".extracted.json":
        die()

Path.replace = replace
read_dataset("cuhk03-detected", root, check_counts=False, extract=True)
"""


@pytest.mark.parametrize(
    "stage", ["in a picture", "after a picture", "before the marker", "after the marker"]
)
def test_after_sigkill_the_next_call_ends_with_the_same_files(fresh, extracted, stage):
    killed = subprocess.run([sys.executable, "-c", KILLED, stage, str(fresh)], check=False)
    assert killed.returncode == -signal.SIGKILL
    folder = fresh / "cuhk03" / "images_detected"
    complete = stage in ("before the marker", "after the marker")
    assert len(list(folder.glob("[!.]*"))) == (112 if complete else 30)
    for path in folder.glob("[!.]*"):
        Image.open(path).load()
    if not complete:
        for name in ("cuhk03-detected", "cuhk03-classic-detected"):
            with pytest.raises(DatasetError, match=r"82 of the 112 pictures .*--extract"):
                read(name, fresh)
    data = read("cuhk03-detected", fresh, extract=True)
    assert [len(split) for split in data.splits] == [56, 14, 42]
    assert listing(folder) == listing(extracted / "cuhk03" / "images_detected")


def test_two_processes_at_once_do_no_harm(fresh):
    code = "import sys\nfrom omnireid.data.datasets import read_dataset\n"
    code += "read_dataset('cuhk03-classic-labeled', sys.argv[1], check_counts=False, extract=True)"
    running = [subprocess.Popen([sys.executable, "-c", code, str(fresh)]) for _ in range(3)]
    assert [process.wait() for process in running] == [0, 0, 0]
    found = sorted(path.name for path in (fresh / "cuhk03" / "images_labeled").iterdir())
    assert found == [".extracted.json", *(cell.name for cell in mini.cuhk03_cells("labeled"))]


def test_a_file_in_the_making_that_another_process_cleared_away_is_no_failure(fresh, monkeypatch):
    """The other process is at its end: it wrote every picture and the marker, and clears what is left."""
    folder = fresh / "cuhk03" / "images_detected"
    real_save, taken = Image.Image.save, []

    def save(self, stream, *arguments, **options):
        real_save(self, stream, *arguments, **options)
        if not taken:
            for unfinished in folder.glob(".*.tmp"):
                unfinished.unlink()
                taken.append(unfinished)
            (folder / ".extracted.json").write_text("{}")

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(DatasetError, match="1 of the 112 pictures"):  # the one that nobody wrote here
        read("cuhk03-detected", fresh, extract=True)
    assert len(taken) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("written", [0, 20, 112])
def test_a_full_disk_is_a_storage_error_that_the_next_call_mends(fresh, monkeypatch, written):
    real_fdopen, opened = os.fdopen, []

    def full(descriptor, mode="r", *arguments, **options):
        opened.append(descriptor)
        if mode == "wb" and len(opened) > written:
            os.close(descriptor)
            descriptor = os.open("/dev/full", os.O_WRONLY)
        return real_fdopen(descriptor, mode, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdopen", full)
        with pytest.raises(StorageError, match="the disk is full"):
            read("cuhk03-detected", fresh, extract=True)
    folder = fresh / "cuhk03" / "images_detected"
    assert len(list(folder.iterdir())) == written
    read("cuhk03-detected", fresh, extract=True)
    assert len(list(folder.iterdir())) == 113


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_told_even_where_an_older_marker_lies(fresh, monkeypatch):
    read("cuhk03-detected", fresh, extract=True)
    (fresh / "cuhk03" / "images_detected" / "2_001_1_01.png").unlink()
    real_fdopen = os.fdopen

    def full(descriptor, mode="r", *arguments, **options):
        os.close(descriptor)
        return real_fdopen(os.open("/dev/full", os.O_WRONLY), mode, *arguments, **options)

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(StorageError, match="the disk is full"):
        read("cuhk03-detected", fresh, extract=True)


def test_a_folder_that_cannot_be_made_is_a_storage_error(fresh):
    (fresh / "cuhk03" / "images_detected").touch()
    with pytest.raises(StorageError, match=r"cannot write into .*images_detected"):
        read("cuhk03-detected", fresh, extract=True)


# --- folders that other tools made ----------------------------------------------------------------


def test_what_lies_beside_the_pictures_is_skipped_with_its_reason(other):
    folder = other / "cuhk03" / "images_detected"
    for name in ("1_001_1_99.png", "copy of 1_001_1_01.png", "readme.txt", "Thumbs.db", ".hidden.png"):
        (folder / name).touch()
    for name, source in (
        ("cuhk03-detected", "cuhk03_new_protocol_config_detected.mat"),
        ("cuhk03-classic-detected", "cuhk-03.mat"),
    ):
        data = read(name, other)
        assert {(Path(file.path).name, file.reason) for file in data.skipped} == {
            ("1_001_1_99.png", f"not in {source}"),
            ("copy of 1_001_1_01.png", f"not in {source}"),
            ("readme.txt", "not a picture (suffix)"),
        }
        assert len(data.train) + len(data.gallery) + (len(data.query) if "classic" not in name else 0) == 112


@pytest.mark.parametrize("name", ["cuhk03-labeled", "cuhk03-classic-labeled"])
def test_missing_pictures_are_counted_named_and_extracted(other, name):
    folder = other / "cuhk03" / "images_labeled"
    cells = mini.cuhk03_cells("labeled")
    for cell in cells[5:9]:
        (folder / cell.name).unlink()
    first = ", ".join(cell.name for cell in cells[5:8])
    with pytest.raises(DatasetError, match=rf"4 of the 112 pictures .*: {first}, …\. .*--extract"):
        read(name, other)
    kept = folder / cells[0].name
    before = kept.stat().st_mtime_ns
    assert len(read(name, other, extract=True).train) > 50
    assert kept.stat().st_mtime_ns == before


def test_a_damaged_picture_is_written_anew_and_another_one_is_refused(other):
    folder = other / "cuhk03" / "images_detected"
    first, second, third = mini.cuhk03_cells("detected")[:3]
    (folder / first.name).write_bytes((folder / first.name).read_bytes()[:100])
    (folder / second.name).write_bytes(b"")
    read("cuhk03-detected", other, extract=True)
    for cell in (first, second):
        found = np.asarray(Image.open(folder / cell.name))
        np.testing.assert_array_equal(found, mini.cuhk03_pixels("detected", cell))
    (folder / ".extracted.json").unlink()
    (folder / third.name).write_bytes((folder / first.name).read_bytes())
    with pytest.raises(DatasetError, match=rf"{third.name}: shows another picture .*move the folder away"):
        read("cuhk03-detected", other, extract=True)
    assert not (folder / ".extracted.json").exists()


@pytest.mark.parametrize("content", [b"", b"not json", b"[]", b'{"pictures": null}'])
def test_a_marker_that_says_nothing_is_no_marker(fresh, content):
    read("cuhk03-detected", fresh, extract=True)
    folder = fresh / "cuhk03" / "images_detected"
    (folder / ".extracted.json").write_bytes(content)
    (folder / "1_001_1_01.png").unlink(missing_ok=True)
    read("cuhk03-detected", fresh, extract=True)
    assert listing(folder)[".extracted.json"] == b'{"source": "cuhk-03.mat", "pictures": 112}\n'


# --- damaged files --------------------------------------------------------------------------------


def damage_mat(path: Path, how: str) -> None:
    if how == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "MATLAB 5":
        mini.write_cuhk03_config(path, "detected")
    elif how == "no pictures":
        mini.write_cuhk03_mat(path, without="detected")
    elif how == "no test sets":
        mini.write_cuhk03_mat(path, without="testsets")
    elif how == "19 test sets":
        mini.write_cuhk03_mat(path, num_test_sets=19)
    elif how == "numbers for pictures":
        import h5py

        with h5py.File(path, "r+") as mat:
            del mat["detected"]
            mat["detected"] = np.zeros((1, 5))
    elif how == "grey pictures":
        import h5py

        with h5py.File(path, "r+") as mat:
            cells = mat[mat["detected"][0, 0]]
            cells[0, 0] = mat["#refs#"].create_dataset("grey", data=np.zeros((1, 8, 20), np.uint8)).ref


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("truncated", r"damaged, or not the HDF5 file .*truncated file.*unpack or copy it again"),
        ("empty", r"damaged, or not the HDF5 file"),
        ("MATLAB 5", r"damaged, or not the HDF5 file .*signature"),
        ("no pictures", r"no variable 'detected' \(found: labeled, testsets\)"),
        ("no test sets", r"no variable 'testsets' \(found: detected, labeled\)"),
        ("19 test sets", r"19 test sets in 'testsets', expected 20"),
        ("numbers for pictures", r"damaged, or not the HDF5 file"),
        ("grey pictures", r"a picture .* is uint8 of shape \(20, 8, 1\), expected uint8 \(H, W, 3\)"),
    ],
)
def test_a_mat_that_cannot_be_read_is_named_with_the_reason(fresh, how, message):
    mat = fresh / "cuhk03" / "cuhk03_release" / "cuhk-03.mat"
    damage_mat(mat, how)
    with pytest.raises(DatasetError, match=message) as raised:
        read("cuhk03-classic-detected", fresh, extract=True)
    assert str(raised.value).startswith(str(mat))


@pytest.mark.parametrize("name", ["cuhk03-classic-detected", "cuhk03-detected"])
def test_without_the_extra_the_error_names_it(fresh, monkeypatch, name):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'omnireid\[datasets\]'"):
        read(name, fresh, extract=True)
