"""Readers on folders that the tests make; Market-1501 itself as empty files with its real counts."""

from __future__ import annotations

import io
import itertools
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from omnireid.core.errors import CountMismatchError, DatasetError, UnknownNameError
from omnireid.core.options import Protocol
from omnireid.data.datasets import (
    SplitCounts,
    dataset_card,
    list_datasets,
    read_dataset,
    remarks_on,
    require_splits,
)
from omnireid.data.datasets.card import verify_counts
from omnireid.data.datasets.folders import MARKET_NAME
from omnireid.data.validate import validate_dataset


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names(split) -> list[str]:
    return [Path(path).name for path in split.paths]


# --- registry -----------------------------------------------------------------------------------


def test_every_dataset_has_a_complete_card():
    assert {"market1501", "market-layout", "folder-per-person", "manifest"} <= set(list_datasets())
    for name in list_datasets():
        card = dataset_card(name)
        assert card.name == name
        assert card.title
        assert card.layout
        assert card.licence
        if card.counts:
            assert card.ethics
            assert card.citation
            assert card.source.startswith("http")


def test_unknown_names_are_refused_with_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'market1501'"):
        read_dataset("market-1501", tmp_path)
    with pytest.raises(UnknownNameError, match="did you mean 'no-camera'"):
        read_dataset("market-layout", tmp_path, protocol="no_camera")


def test_a_missing_root_says_where_to_ask(tmp_path):
    with pytest.raises(DatasetError, match=r"no such file or folder.*liangzheng\.org"):
        read_dataset("market1501", tmp_path / "absent")
    touch(tmp_path / "file.zip")
    with pytest.raises(DatasetError, match="read from a folder"):
        read_dataset("market1501", tmp_path / "file.zip")


def test_reading_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import omnireid.data.datasets, omnireid.data.loading\n"
        "import omnireid.data.samplers, omnireid.data.validate\n"
        "print(sorted(m for m in sys.modules if m in ('pyarrow', 'matplotlib', 'onnxruntime')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- Market-1501 ----------------------------------------------------------------------------------


def make_market1501(root: Path) -> Path:
    """Empty files with the published numbers: 751/12,936, 750/3,368, 751/15,913 and 3,819 junk."""
    test_pids = [1, *range(753, 1502)]
    for folder, pids, images, junk in (
        ("bounding_box_train", list(range(2, 753)), 12_936, 0),
        ("query", test_pids, 3_368, 0),
        ("bounding_box_test", [0, *test_pids], 15_913, 3_819),
    ):
        path = root / folder
        path.mkdir(parents=True)
        for number in range(images):
            pid = pids[number % len(pids)]
            (path / f"{pid:04d}_c{number % 6 + 1}s1_{number:06d}_00.jpg").touch()
        for number in range(junk):
            (path / f"-1_c{number % 6 + 1}s1_{number:06d}_00.jpg").touch()
        (path / "Thumbs.db").touch()
    return root


@pytest.fixture(scope="module")
def market1501(tmp_path_factory) -> Path:
    # The parent folder's name looks like a file name with pid −7, camera 3.
    return make_market1501(
        tmp_path_factory.mktemp("run-7_c3 données") / "market1501" / "Market-1501-v15.09.15"
    )


def test_market1501_is_read_with_its_published_counts(market1501):
    data = read_dataset("market1501", market1501)
    counts = {split.name: (split.num_pids, len(split), split.num_cameras) for split in data.splits}
    assert counts == {"train": (751, 12_936, 6), "query": (750, 3_368, 6), "gallery": (751, 15_913, 6)}
    assert data.protocol is Protocol.MARKET1501
    assert len(data.skipped) == 3_819
    assert {file.reason for file in data.skipped} == {"junk (pid −1)"}
    assert min(data.gallery.pids) == 0
    assert set(data.train.camids) == set(range(6))


@pytest.mark.parametrize("above", [0, 1, 2])
def test_market1501_is_found_from_each_level(market1501, above):
    root = market1501 if above == 0 else market1501.parents[above - 1]
    assert read_dataset("market1501", root).root == str(market1501.resolve())


def test_wrong_counts_stand_side_by_side(market1501):
    extra = market1501 / "query" / "0002_c1s1_999999_00.jpg"
    extra.touch()
    try:
        with pytest.raises(
            CountMismatchError, match=r"query +images 3,368 → 3,369 \(!\) +pids 750 → 751 \(!\)"
        ):
            read_dataset("market1501", market1501)
        assert len(read_dataset("market1501", market1501, check_counts=False).query) == 3_369
    finally:
        extra.unlink()


def test_market1501_refuses_other_people_and_cameras_by_name(market_root):
    touch(market_root / "query/1502_c1s1_000001_00.jpg", market_root / "query/0001_c7s1_000001_00.jpg")
    data = read_dataset("market1501", market_root, check_counts=False)
    reasons = {Path(file.path).name: file.reason for file in data.skipped}
    assert reasons == {
        "-1_c1s1_000009_00.jpg": "junk (pid −1)",
        "1502_c1s1_000001_00.jpg": "pid 1502 is outside 0–1501",
        "0001_c7s1_000001_00.jpg": "camera 7 is outside 1–6",
    }


def test_market1501_names_the_missing_folder(market_root):
    (market_root / "query").rename(market_root / "probe")
    with pytest.raises(DatasetError, match="missing: query"):
        read_dataset("market1501", market_root)


def test_the_500k_distractors_follow_the_gallery(market_root):
    with pytest.raises(DatasetError, match="images"):
        read_dataset("market1501-500k", market_root, check_counts=False)
    touch(market_root / "images/0000_c1s1_000001_00.jpg", market_root / "images/0000_c3s1_000001_00.jpg")
    plain = read_dataset("market1501", market_root, check_counts=False)
    data = read_dataset("market1501-500k", market_root, check_counts=False)
    assert data.gallery.samples[: len(plain.gallery)] == plain.gallery.samples
    assert [(sample.pid, sample.camid) for sample in data.gallery.samples[len(plain.gallery) :]] == [
        (0, 0),
        (0, 2),
    ]


def test_counts_are_compared_by_split(market_root):
    data = read_dataset("market-layout", market_root)
    card = replace(dataset_card("market-layout"), counts={"query": SplitCounts(images=2, pids=2, cameras=2)})
    verify_counts(data, card)
    wrong = replace(card, counts={"query": SplitCounts(images=2, pids=2, cameras=3)})
    with pytest.raises(CountMismatchError, match=r"cameras 3 → 2 \(!\)"):
        verify_counts(data, wrong)


# --- the layout with anybody's data -----------------------------------------------------------------


def test_market_layout_in_sorted_order_with_zero_based_cameras(market_root):
    data = read_dataset("market-layout", market_root)
    assert names(data.gallery) == [
        "0000_c2s1_000001_00.jpg",
        "0001_c1s1_000002_00.jpg",
        "0001_c2s1_000001_00.jpg",
        "0002_c1s1_000001_00.jpg",
    ]
    assert list(data.gallery.pids) == [0, 1, 1, 2]
    assert list(data.gallery.camids) == [1, 0, 1, 0]


def test_market_layout_takes_many_cameras_formats_and_zero(tmp_path):
    touch(tmp_path / "query/12345_c15.PNG", tmp_path / "query/7_c0_x.webp", tmp_path / "query/8_c123s2.jpeg")
    data = read_dataset("market-layout", tmp_path)
    assert [(sample.pid, sample.camid) for sample in data.query] == [(12345, 15), (7, 0), (8, 123)]
    assert len(data.train) == 0


def test_camera_numbers_do_not_depend_on_which_cameras_occur(tmp_path):
    touch(tmp_path / "query/1_c3.jpg", tmp_path / "bounding_box_test/1_c2.jpg")
    data = read_dataset("market-layout", tmp_path)
    assert (data.query.samples[0].camid, data.gallery.samples[0].camid) == (2, 1)


def test_what_is_not_taken_is_named_and_system_files_are_not(tmp_path):
    touch(
        tmp_path / "query/0001_c1.jpg",
        tmp_path / "query/person.jpg",
        tmp_path / "query/x0001_c1.jpg",
        tmp_path / "query/0001_c1.gif",
        tmp_path / "query/readme.txt",
        tmp_path / "query/._0001_c1.jpg",
        tmp_path / "query/.DS_Store",
        tmp_path / "query/Thumbs.db",
        tmp_path / "query/sub/0001_c2.jpg",
    )
    data = read_dataset("market-layout", tmp_path)
    assert {Path(file.path).name for file in data.skipped} == {
        "person.jpg",
        "x0001_c1.jpg",
        "0001_c1.gif",
        "readme.txt",
        "sub",
    }
    assert len(data.query) == 1


def test_people_and_cameras_of_more_than_64_bits_are_counted(tmp_path):
    stamp = 20231130101143123450  # a time with microseconds
    touch(
        tmp_path / f"bounding_box_train/{stamp + 9}_c{stamp + 8}.jpg",
        tmp_path / f"query/{stamp + 5}_c{stamp + 4}.jpg",
        tmp_path / f"bounding_box_test/{stamp + 5}_c{stamp + 8}.jpg",
        tmp_path / f"bounding_box_test/0000_c{stamp + 8}.jpg",
        tmp_path / f"bounding_box_test/-1_c{stamp}.jpg",
    )
    data = read_dataset("market-layout", tmp_path)
    found = [[(s.pid, s.camid) for s in split] for split in data.splits]
    assert found == [[(2, 1)], [(1, 0)], [(0, 1), (1, 1)]]
    assert data.pid_names == {1: str(stamp + 5), 2: str(stamp + 9)}
    assert data.camera_names == {0: str(stamp + 4), 1: str(stamp + 8)}
    assert data.query.pids.dtype == data.query.camids.dtype == "int64"


def test_people_and_cameras_with_names_are_counted_in_their_order(tmp_path):
    touch(
        tmp_path / "query/zoë_maria_cB_1.jpg",
        tmp_path / "query/adam_cam-entrance_7.jpg",
        tmp_path / "bounding_box_test/zoe\u0308_maria_ca.jpg",  # the same name as another system writes it
        tmp_path / "bounding_box_test/0000_cam10_3.jpg",
        tmp_path / "bounding_box_test/adam_cam9.jpg",
        tmp_path / "bounding_box_test/adam_crop_1.jpg",
    )
    data = read_dataset("market-layout", tmp_path)
    assert dict(data.camera_names) == {0: "9", 1: "10", 2: "B", 3: "a", 4: "entrance"}
    assert dict(data.pid_names) == {1: "adam", 2: "zoë_maria"}
    found = {Path(s.path).name: (s.pid, s.camid) for split in data.splits for s in split}
    assert found["adam_cam-entrance_7.jpg"] == (1, 4)
    assert found["zoë_maria_cB_1.jpg"] == (2, 2)
    assert found["zoe\u0308_maria_ca.jpg"] == (2, 3)
    assert found["0000_cam10_3.jpg"] == (0, 1)
    assert [Path(file.path).name for file in data.skipped] == ["adam_crop_1.jpg"]


def test_letters_beside_numbers_and_negative_pids_are_not_taken(tmp_path):
    touch(tmp_path / "query/0001_c1.jpg", tmp_path / "query/0001_cA.jpg", tmp_path / "query/-2_c1.jpg")
    data = read_dataset("market-layout", tmp_path)
    assert names(data.query) == ["0001_c1.jpg"]
    assert {Path(file.path).name: file.reason[:20] for file in data.skipped} == {
        "0001_cA.jpg": "the name is not <pid",
        "-2_c1.jpg": "the pid is negative,",
    }


def test_what_is_not_taken_is_said_while_reading(market_root):
    touch(market_root / "query/0001_cA.jpg", market_root / "query/0002_cA.jpg", market_root / "query/a.txt")
    stream = io.StringIO()
    data = read_dataset("market-layout", market_root, console=Console(file=stream, width=500))
    assert stream.getvalue().splitlines() == [f"market-layout: {line}" for line in remarks_on(data)]
    assert "2 files were not taken, e.g. " in stream.getvalue()
    assert "0001_cA.jpg: the name is not <pid>_c<camera>" in stream.getvalue()
    assert "1 file was not taken" in stream.getvalue()
    assert "junk" not in stream.getvalue()


def test_a_folder_named_like_a_picture_stays_a_sample(tmp_path):
    (tmp_path / "query" / "0001_c1.jpg").mkdir(parents=True)
    assert len(read_dataset("market-layout", tmp_path).query) == 1


def test_an_empty_or_foreign_folder_says_what_was_expected(tmp_path):
    with pytest.raises(DatasetError, match="none of the folders"):
        read_dataset("market-layout", tmp_path)
    touch(tmp_path / "query/person.jpg")
    with pytest.raises(DatasetError, match=r"no picture taken, 1 files skipped, e\.g\. .*person\.jpg"):
        read_dataset("market-layout", tmp_path)


def test_wanted_splits_are_required_by_name(market_root):
    (market_root / "bounding_box_train").rename(market_root / "other")
    data = read_dataset("market-layout", market_root)
    require_splits(data, "query", "gallery")
    with pytest.raises(DatasetError, match=r"no pictures for train\.(?s:.*)bounding_box_train"):
        require_splits(data, "train", "query")


@given(pid=st.integers(-1, 10**9), camera=st.integers(0, 10**6), rest=st.text("s_0123456789", max_size=8))
def test_market_names_round_trip(pid, camera, rest):
    if rest[:1].isdigit():
        rest = "s" + rest
    match = MARKET_NAME.match(f"{pid:04d}_c{camera}{rest}.jpg")
    assert match
    assert (int(match[1]), int(match[2])) == (pid, camera)


def test_real_photographs_are_read(real_dir):
    data = read_dataset("market-layout", real_dir / "mot17mini")
    assert [(len(split), split.num_pids) for split in data.splits] == [(247, 31), (20, 20), (65, 20)]


# --- folder per person ------------------------------------------------------------------------------


def test_persons_without_splits_or_cameras_look_for_each_other(tmp_path):
    touch(tmp_path / "zoë/1.jpg", tmp_path / "zoë/2.jpg", tmp_path / "adam b/x.png", tmp_path / "notes.txt")
    data = read_dataset("folder-per-person", tmp_path)
    assert data.protocol is Protocol.NO_CAMERA
    assert data.query.samples == data.gallery.samples
    assert [(sample.pid, sample.camid) for sample in data.query] == [(1, -1), (2, -1), (2, -1)]
    assert [(Path(file.path).name, file.reason) for file in data.skipped] == [
        ("notes.txt", "not in a person folder")
    ]
    with pytest.raises(DatasetError, match="no picture has a camera"):
        read_dataset("folder-per-person", tmp_path, protocol=Protocol.MARKET1501)


def test_numbered_persons_keep_their_numbers(tmp_path):
    touch(
        tmp_path / "train/0007/a_c2_1.jpg",
        tmp_path / "query/12/b_cam10.jpg",
        tmp_path / "gallery/12/c3s1_4.jpg",
    )
    data = read_dataset("folder-per-person", tmp_path)
    assert data.protocol is Protocol.MARKET1501
    assert [(s.pid, s.camid) for split in data.splits for s in split] == [(7, 0), (12, 2), (12, 1)]


def test_two_folders_of_one_number_are_two_people(tmp_path):
    touch(tmp_path / "7/a.jpg", tmp_path / "007/a.jpg")
    assert sorted(read_dataset("folder-per-person", tmp_path).query.pids) == [1, 2]


def test_subfolders_are_cameras(tmp_path):
    for person in ("a", "b"):
        touch(tmp_path / person / "door 10/1.jpg", tmp_path / person / "door 9/1.jpg")
    data = read_dataset("folder-per-person", tmp_path)
    assert data.protocol is Protocol.MARKET1501
    assert [(Path(s.path).parent.name, s.camid) for s in data.gallery][:2] == [("door 10", 1), ("door 9", 0)]


def test_half_named_cameras_are_an_error_that_offers_the_way_out(tmp_path):
    touch(tmp_path / "a/x_c1.jpg", tmp_path / "a/x.jpg")
    with pytest.raises(DatasetError, match="'no-camera'"):
        read_dataset("folder-per-person", tmp_path)
    data = read_dataset("folder-per-person", tmp_path, protocol=Protocol.NO_CAMERA)
    assert [sample.camid for sample in data.query] == [-1, 0]


def test_junk_persons_are_skipped(tmp_path):
    touch(tmp_path / "-1/a.jpg", tmp_path / "3/a.jpg")
    data = read_dataset("folder-per-person", tmp_path)
    assert list(data.query.pids) == [3]
    assert [file.reason for file in data.skipped] == ["junk (pid −1)"]


def test_junk_stays_junk_beside_names(tmp_path):
    touch(tmp_path / "-1/a.jpg", tmp_path / "anna/a.jpg", tmp_path / "7/a.jpg", tmp_path / "007/a.jpg")
    data = read_dataset("folder-per-person", tmp_path)
    assert [(Path(s.path).parent.name, s.pid) for s in data.query] == [("007", 1), ("7", 2), ("anna", 3)]
    assert [file.reason for file in data.skipped] == ["junk (pid −1)"]


def test_folders_of_more_than_64_bits_and_odd_digits(tmp_path):
    touch(*(tmp_path / name / "door ²" / "a.jpg" for name in ("20231130101143123450", "٣", "1", "2")))
    data = read_dataset("folder-per-person", tmp_path)
    assert {name: pid for pid, name in data.pid_names.items()} == {
        "1": 1, "2": 2, "20231130101143123450": 3, "٣": 4
    }  # fmt: skip
    assert set(data.query.camids.tolist()) == {0}


def tree(root: Path, *levels: tuple[str, ...]) -> Path:
    touch(*(root.joinpath(*path) for path in itertools.product(*levels)))
    return root


PEOPLE = ("0001", "0002", "0003")


@pytest.mark.parametrize(
    "cameras", [("cam1", "cam2"), ("c1", "c2"), ("Camera_1", "Camera_2"), ("cA", "cam-gate")]
)
def test_folders_named_like_cameras_hold_people(tmp_path, cameras):
    data = read_dataset("folder-per-person", tree(tmp_path, cameras, PEOPLE, ("a.jpg", "b.jpg")))
    assert (data.query.num_pids, data.query.num_cameras) == (3, 2)
    assert {(Path(s.path).parts[-2], s.pid) for s in data.query} == {(name, int(name)) for name in PEOPLE}
    assert list(data.camera_names.values()) == sorted(cameras)
    assert "read as <camera>/<person>: 3 people (0001, 0002, 0003), 2 cameras" in data.remarks[0]
    problem = validate_dataset(data, decode=False).of_kind("read-as")
    assert problem is not None
    assert problem.items == data.remarks


def test_what_may_be_the_other_way_round_is_said(tmp_path):
    plain = read_dataset("folder-per-person", tree(tmp_path / "a", PEOPLE, ("in", "out"), ("a.jpg",)))
    assert (plain.query.num_pids, plain.remarks) == (3, ())
    doubtful = read_dataset("folder-per-person", tree(tmp_path / "b", ("in", "out"), PEOPLE, ("a.jpg",)))
    assert doubtful.query.num_pids == 2
    assert "2 people (in, out), 3 cameras (0001, 0002, 0003)" in doubtful.remarks[0]
    assert "name them like cameras: cam-in" in doubtful.remarks[0]
    flat = read_dataset("folder-per-person", tree(tmp_path / "c", ("cam1", "cam2"), ("a.jpg",)))
    assert "folders named like cameras (cam1, cam2)" in flat.remarks[0]


@pytest.mark.parametrize(
    ("folders", "expected"),
    [
        (("Train", "Query", "Gallery"), ["Train", "Query", "Gallery"]),
        (("TRAINING", "probe", "gallery"), ["TRAINING", "probe", "gallery"]),
        (
            ("bounding_box_train", "query", "bounding_box_test"),
            ["bounding_box_train", "query", "bounding_box_test"],
        ),
        (("train", "Test"), ["train", "Test", "Test"]),
        (("train", "val"), ["train", "val", "val"]),
        (("test", "val"), ["", "test", "test"]),
        (("Test/query", "Test/gallery", "train"), ["train", "query", "gallery"]),
        (("anna", "ben", "val"), ["", "anna ben val", "anna ben val"]),
    ],
)
def test_splits_by_the_names_that_people_give_them(tmp_path, folders, expected):
    levels = [folders, ("a_c1.jpg",)] if "anna" in folders else [folders, ("0001", "0002"), ("a_c1.jpg",)]
    data = read_dataset("folder-per-person", tree(tmp_path, *levels))
    above = -2 if "anna" in folders else -3
    found = [" ".join(sorted({Path(s.path).parts[above] for s in split})) for split in data.splits]
    assert found == expected
    assert len(data.remarks) == ("anna" in folders)


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        ((("train", "Train"), ("1",)), "both are the train split"),
        ((("query", "test"), ("1",)), "may be the other one of query and gallery"),
        ((("mall",), ("query", "gallery")), "lie inside of mall"),
        ((("0001", "0002"), ("train", "test")), "lie inside of 0001, 0002"),
    ],
)
def test_splits_that_contradict_each_other_are_refused(tmp_path, levels, message):
    with pytest.raises(DatasetError, match=message):
        read_dataset("folder-per-person", tree(tmp_path, *levels, ("a.jpg",)))


def test_lettered_cameras_in_file_names_count_where_every_name_has_one(tmp_path):
    data = read_dataset("folder-per-person", tree(tmp_path / "a", ("x", "y"), ("1_cA.jpg", "2_cam-gate.jpg")))
    assert (data.protocol, dict(data.camera_names)) == (Protocol.MARKET1501, {0: "A", 1: "gate"})
    assert data.query.camids.tolist() == [0, 1, 0, 1]
    web = read_dataset("folder-per-person", tree(tmp_path / "b", ("x", "y"), ("photo_ca.jpg", "selfie.jpg")))
    assert web.protocol is Protocol.NO_CAMERA


def test_no_person_folder_is_an_error(tmp_path):
    touch(tmp_path / "a.jpg")
    with pytest.raises(DatasetError, match="no person folder"):
        read_dataset("folder-per-person", tmp_path)


# --- manifests --------------------------------------------------------------------------------------

CSV = """path,pid,camid,split,time
a/1.jpg,4,0,train,1.5
/abs/2.jpg,5,1,query,
b.jpg,5,0,gallery,7
j.jpg,-1,0,gallery,
"""


def write_csv(folder: Path, text: str, *, encoding: str = "utf-8") -> Path:
    path = folder / "people.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_manifest_paths_are_relative_to_it(tmp_path):
    data = read_dataset("manifest", write_csv(tmp_path, CSV))
    assert data.train.samples[0].path == str(tmp_path.resolve() / "a/1.jpg")
    assert (data.train.samples[0].pid, data.train.samples[0].time) == (4, 1.5)
    assert (data.query.samples[0].path, data.query.samples[0].time) == ("/abs/2.jpg", None)
    assert [file.reason for file in data.skipped] == ["junk (pid −1)"]


def test_manifest_survives_spreadsheets(tmp_path):
    text = ' Path ,PID,CamID,Split,remark\r\n"a, b.jpg", 4 ,0,Train,x\r\n\r\nü.jpg,5,0,query\r\n'
    data = read_dataset("manifest", write_csv(tmp_path, text, encoding="utf-8-sig"))
    assert [names(split) for split in data.splits] == [["a, b.jpg"], ["ü.jpg"], []]


def test_bad_rows_are_named_by_line_and_column(tmp_path):
    text = (
        "path,pid,camid,split,time\n"
        "a.jpg,1,0,train,\n"
        "b.jpg,one,0,train,\n"
        '"c\nd.jpg",1,-1,train,\n'
        "e.jpg,1,0,test,\n"
        ",1,0,train,\n"
        "f.jpg,1,0,train,soon\n"
        "a.jpg,1,0,train,\n"
        "g.jpg,1\n"
        "h.jpg,1.5,0,train,nan\n"
    )
    with pytest.raises(DatasetError) as caught:
        read_dataset("manifest", write_csv(tmp_path, text))
    message = str(caught.value)
    for expected in (
        "8 bad rows",
        "line 3, column 'pid': expected an integer of at least -1, got 'one'",
        "line 4, column 'camid'",
        "line 6, column 'split': expected one of train, query, gallery, got 'test'",
        "line 7, column 'path'",
        "line 8, column 'time': expected a number, got 'soon'",
        "line 9, column 'path'",
        "line 2",
        "line 10, column 'split'",
        "line 11, column 'pid'",
    ):
        assert expected in message, message


def test_many_bad_rows_are_counted(tmp_path):
    text = "path,pid,camid,split\n" + "a.jpg,1.5,0,train\n" * 100
    with pytest.raises(DatasetError, match=r"100 bad rows(?s:.*)and 80 more"):
        read_dataset("manifest", write_csv(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "missing columns: path, pid, camid, split"),
        ("path;pid;camid;split\n", "missing columns"),
        ("path,pid,split\na,1,train\n", "missing columns: camid .*'no-camera'"),
        ("path,pid,camid,split,pid\na,1,0,train,1\n", "given twice: pid"),
        ("path,pid,camid,split\n", "no rows"),
        ('path,pid,camid,split\n"a,1,0,train\n', "line 2 is not CSV"),
    ],
)
def test_manifests_that_cannot_be_used(tmp_path, text, expected):
    with pytest.raises(DatasetError, match=expected):
        read_dataset("manifest", write_csv(tmp_path, text))


def test_manifest_without_cameras_has_to_be_asked_for(tmp_path):
    path = write_csv(tmp_path, "path,pid,split\na.jpg,1,query\nb.jpg,1,gallery\n")
    data = read_dataset("manifest", path, protocol="no-camera")
    assert data.protocol is Protocol.NO_CAMERA
    assert list(data.gallery.camids) == [-1]


def test_manifest_takes_numbers_as_pandas_writes_them_and_of_any_size(tmp_path):
    rows = "path,pid,camid,split\na.jpg,1.0,0.,query\nb.jpg,1,1.0,gallery\n"
    data = read_dataset("manifest", write_csv(tmp_path, rows))
    assert [(s.pid, s.camid) for split in data.splits for s in split] == [(1, 0), (1, 1)]
    rows = "path,pid,camid,split\na.jpg,20231130101143123451,1,query\nb.jpg,20231130101143123450,0,query\n"
    data = read_dataset("manifest", write_csv(tmp_path, rows))
    assert data.query.pids.tolist() == [2, 1]
    assert data.pid_names == {1: "20231130101143123450", 2: "20231130101143123451"}
    for odd in ("1e30", "inf", "nan", "None", "-2", "9" * 5000):
        with pytest.raises(DatasetError, match="line 2, column 'pid': expected an integer"):
            read_dataset(
                "manifest", write_csv(tmp_path, f"path,pid,camid,split\na.jpg,{odd},0,query\nb,1,0,query\n")
            )


def test_manifest_takes_names_of_people_and_cameras(tmp_path):
    rows = "path,pid,camid,split\n" + "".join(
        f"{number}.jpg,{pid},{camera},{split}\n"
        for number, (pid, camera, split) in enumerate(
            [("ben", "door10", "train"), ("anna", "door9", "query"), (-1, "door9", "gallery"),
             ("anna", "door10", "gallery"), (0, "door9", "gallery")]
        )
    )  # fmt: skip
    data = read_dataset("manifest", write_csv(tmp_path, rows))
    found = [[(s.pid, s.camid) for s in split] for split in data.splits]
    assert found == [[(2, 1)], [(1, 0)], [(1, 1), (0, 0)]]
    assert (data.pid_names, data.camera_names) == ({1: "anna", 2: "ben"}, {0: "door9", 1: "door10"})
    with pytest.raises(
        DatasetError, match=r"1 bad rows\n  line 3, column 'camid': .*'A' \(names stand in all"
    ):
        read_dataset("manifest", write_csv(tmp_path, "path,pid,camid,split\na,1,0,query\nb,1,A,query\n"))


def test_empty_cameras_matter_only_where_cameras_do(tmp_path):
    path = write_csv(tmp_path, "path,pid,camid,split\na.jpg,1,,query\nb.jpg,1,3,gallery\n")
    with pytest.raises(DatasetError, match=r"line 2, column 'camid': .*ask for the protocol 'no-camera'"):
        read_dataset("manifest", path)
    data = read_dataset("manifest", path, protocol="no-camera")
    assert [s.camid for split in data.splits for s in split] == [-1, 3]


def test_manifest_of_another_kind(tmp_path):
    with pytest.raises(DatasetError, match=r"a \.csv or \.parquet file"):
        read_dataset("manifest", tmp_path)
    (tmp_path / "people.csv").write_bytes(b"path,pid\n\xff\xfe")
    with pytest.raises(DatasetError, match="not UTF-8"):
        read_dataset("manifest", tmp_path / "people.csv")
    (tmp_path / "people.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DatasetError, match="not a Parquet file"):
        read_dataset("manifest", tmp_path / "people.parquet")


def test_parquet_reads_as_csv_does(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "path": ["a/1.jpg", "/abs/2.jpg", "b.jpg", "j.jpg"],
            "pid": [4.0, 5.0, 5.0, -1.0],  # as pandas writes them beside missing values
            "camid": [0, 1, 0, 0],
            "split": ["train", "query", "gallery", "gallery"],
            "time": [1.5, None, 7.0, None],
            "remark": [None, "x", None, None],
        }
    )
    pq.write_table(table, tmp_path / "people.parquet")
    from_csv = read_dataset("manifest", write_csv(tmp_path, CSV))
    from_parquet = read_dataset("manifest", tmp_path / "people.parquet")
    assert replace(from_parquet, root="") == replace(from_csv, root="")

    pq.write_table(table.set_column(1, "pid", pa.array([4, None, 5, 1])), tmp_path / "people.parquet")
    with pytest.raises(DatasetError, match="row 2, column 'pid'"):
        read_dataset("manifest", tmp_path / "people.parquet")
