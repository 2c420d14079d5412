"""MARS, i-LIDS-VID, PRID 2011 and DukeMTMC-VideoReID on miniatures, against what these were built from."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from data.miniatures_video import (
    DUKE_VIDEO,
    ILIDSVID_PIDS,
    ILIDSVID_SPLITS,
    MARS_QUERIES,
    MARS_TEST,
    MARS_TRAIN,
    PRID2011_SPLITS,
    Track,
    build_dukemtmcvidreid,
    build_ilidsvid,
    build_mars,
    build_prid2011,
    ilidsvid_frames,
    mars_names,
    prid2011_frames,
    write_ilidsvid_splits,
    write_mars_info,
)
from omnireid import evaluate_embeddings
from omnireid.core.errors import CountMismatchError, DatasetError
from omnireid.core.types import Dataset, Embeddings, Split
from omnireid.data.datasets import dataset_card, read_dataset

BUILDERS = {
    "mars": build_mars,
    "ilidsvid": build_ilidsvid,
    "prid2011": build_prid2011,
    "dukemtmcvidreid": build_dukemtmcvidreid,
}

# What a test expects of a tracklet: pid, zero-based camera, names of its frames.
Expected = tuple[int, int, list[str]]


@pytest.fixture
def root(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """The miniature that the test's name starts with."""
    (name,) = (name for name in BUILDERS if request.node.name.startswith(f"test_{name}_"))
    BUILDERS[name](tmp_path)
    return tmp_path


def read(name: str, root: Path, **options) -> Dataset:
    return read_dataset(name, root, check_counts=False, **options)


def found(split: Split) -> list[Expected]:
    for sample in split:
        assert sample.path == sample.frames[0]
        assert len({Path(frame).parent for frame in sample.frames}) == 1
        assert all(Path(frame).is_file() for frame in sample.frames)
    return [(one.pid, one.camid, [Path(frame).name for frame in one.frames]) for one in split]


# --- all of them --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILDERS)
def test_cards_speak_of_tracklets(name):
    card = dataset_card(name)
    assert card.is_video
    assert all(counts.tracklets for counts in card.counts.values())
    assert set(card.counts) == {"train", "query", "gallery"}


@pytest.mark.parametrize("name", BUILDERS)
def test_other_counts_stand_side_by_side_and_may_be_accepted(name, tmp_path):
    BUILDERS[name](tmp_path)
    wanted = dataset_card(name).counts["query"].tracklets
    with pytest.raises(CountMismatchError) as caught:
        read_dataset(name, tmp_path)
    data = read(name, tmp_path)
    assert f"query   tracklets {wanted:,} → {len(data.query)} (!)" in str(caught.value)
    assert "--no-check-counts" in str(caught.value)


@pytest.mark.parametrize("name", BUILDERS)
def test_datasets_are_found_from_each_level(name, tmp_path):
    BUILDERS[name](tmp_path)
    data = read(name, tmp_path)
    for place in {tmp_path, *(Path(data.root).parents[i] for i in range(len(Path(data.root).parents)))}:
        if place.is_relative_to(tmp_path):
            assert read(name, place) == data
    assert read(name, Path(data.root)) == data


@pytest.mark.parametrize("name", BUILDERS)
def test_an_empty_folder_is_told_the_layout(name, tmp_path):
    with pytest.raises(DatasetError, match=r"missing: .* Expected:\n") as caught:
        read(name, tmp_path)
    assert dataset_card(name).layout in str(caught.value)
    assert dataset_card(name).source in str(caught.value)


def naive_scores(query: Embeddings, gallery: Embeddings) -> tuple[list[float], float, int]:
    """CMC at 1…5, mAP and number of valid queries, one query after the other."""
    precisions, firsts = [], []
    for q in range(len(query)):
        order = sorted(
            (float(np.linalg.norm(query.vectors[q].astype(float) - gallery.vectors[g])), g)
            for g in range(len(gallery))
        )
        is_match = [
            gallery.pids[g] == query.pids[q]
            for _, g in order
            if not (gallery.pids[g] == query.pids[q] and gallery.camids[g] == query.camids[q])
        ]
        ranks = [rank for rank, match in enumerate(is_match, 1) if match]
        if ranks:
            precisions.append(sum(hit / rank for hit, rank in enumerate(ranks, 1)) / len(ranks))
            firsts.append(ranks[0])
    cmc = [sum(first <= k for first in firsts) / len(firsts) for k in range(1, 6)]
    return cmc, sum(precisions) / len(precisions), len(firsts)


@pytest.mark.parametrize("name", BUILDERS)
def test_scores_are_those_of_a_naive_loop(name, tmp_path):
    BUILDERS[name](tmp_path)
    data = read(name, tmp_path)
    rng = np.random.default_rng(4)

    def embed(split: Split) -> Embeddings:
        return Embeddings.from_arrays(
            rng.normal(size=(len(split), 3)).astype(np.float32),
            split.pids,
            split.camids,
            split.paths,
        )

    query, gallery = embed(data.query), embed(data.gallery)
    result = evaluate_embeddings(query, gallery, protocol=data.protocol)
    cmc, mean_ap, num_valid = naive_scores(query, gallery)
    np.testing.assert_allclose(result.cmc[:5], cmc)
    assert result.mAP == pytest.approx(mean_ap)
    assert int(result.valid.sum()) == num_valid
    assert num_valid < len(query) or name != "mars"


# --- MARS -------------------------------------------------------------------------------------------


def mars_expected(tracks: tuple[Track, ...], rows: Iterable[int]) -> list[Expected]:
    names, tracklets = mars_names(tracks), []
    for pid, camera, num_frames in tracks:
        tracklets.append((pid, camera - 1, names[:num_frames]))
        names = names[num_frames:]
    return [tracklets[row] for row in rows if tracklets[row][0] != -1]


def test_mars_tracklets_are_those_of_the_tables(root):
    data = read("mars", root)
    queries = [row - 1 for row in MARS_QUERIES]
    others = [row for row in range(len(MARS_TEST)) if row not in queries]
    assert found(data.train) == mars_expected(MARS_TRAIN, range(len(MARS_TRAIN)))
    assert found(data.query) == mars_expected(MARS_TEST, queries)
    assert found(data.gallery) == mars_expected(MARS_TEST, others)
    assert [file.reason for file in data.skipped] == ["junk (pid −1)"] * 2
    assert [Path(file.path).parts[-2:] for file in data.skipped] == [
        ("00-1", "00-1C1T0001F001.jpg"),
        ("00-1", "00-1C3T0001F001.jpg"),
    ]
    assert 0 in data.gallery.pids
    assert data.gallery.num_images == sum(MARS_TEST[row][2] for row in others if MARS_TEST[row][0] != -1)


def test_mars_reads_tables_of_its_real_size(tmp_path):
    """1,191,003 frames with the published counts; pids and cameras in turn, files none."""
    train = spread([range(1, 626)], [8_298], 509_914)
    test = spread(
        [[-1], [0], range(1501, 2127), [*range(1501, 2113), *range(3001, 3009)]],
        [870, 3_248, 1_980, 6_082],
        681_089,
    )
    frames = [track[2] for track in test]
    # The query rows hold 114,493 frames, the junk 23,380.
    for rows, wanted in ((range(870), 23_380), (range(4_118, 6_098), 114_493)):
        base, rest = divmod(wanted, len(rows))
        for place, row in enumerate(rows):
            frames[row] = base + (place < rest)
    base, rest = divmod(543_216, 9_330)
    for place, row in enumerate([*range(870, 4_118), *range(6_098, 12_180)]):
        frames[row] = base + (place < rest)
    test = [(pid, camera, count) for (pid, camera, _), count in zip(test, frames, strict=True)]
    write_mars_info(tmp_path, train, test, range(4_119, 6_099))
    for part, tracks in (("train", train), ("test", test)):
        for pid in {pid for pid, *_ in tracks if pid != -1}:
            (tmp_path / f"bbox_{part}" / f"{pid:04d}").mkdir(parents=True)
    data = read_dataset("mars", tmp_path)
    assert len(data.skipped) == 870
    assert (data.train.num_images, data.gallery.num_pids) == (509_914, 621)


def spread(pids: list[Iterable[int]], tracklets: list[int], num_frames: int) -> list[Track]:
    """Tracks that take pids, cameras and frames in turn."""
    total = sum(tracklets)
    base, rest = divmod(num_frames, total)
    tracks: list[Track] = []
    for group, count in zip(pids, tracklets, strict=True):
        group = list(group)
        for place in range(count):
            tracks.append((group[place % len(group)], place % 6 + 1, base + (len(tracks) < rest)))
    return tracks


def test_mars_names_and_tracks_must_belong_together(root):
    info = root / "mars" / "info"
    names = mars_names(MARS_TEST)
    (info / "test_name.txt").write_text("\n".join(names[:-1]))
    with pytest.raises(
        DatasetError, match=r"tracks_test_info.mat: row 14 \(29, 30, 8, 4\) .* 29, .* both again"
    ):
        read("mars", root)
    moved = [names[-1], *names[:-1]]
    (info / "test_name.txt").write_text("\n".join(moved))
    with pytest.raises(
        DatasetError, match=r"row 1 says pid -1, camera 1, .* 0008C4T0001F002.jpg .*lines 1 to 2"
    ):
        read("mars", root)
    camera = [name.replace("0002C3", "0002C4") for name in names]
    (info / "test_name.txt").write_text("\n".join(camera))
    with pytest.raises(DatasetError, match=r"row 8 says pid 2, camera 3, .* 0002C4T0001F001.jpg"):
        read("mars", root)
    (info / "test_name.txt").write_text("\n".join([*names[:4], "notes", *names[5:]]))
    with pytest.raises(DatasetError, match=r"test_name.txt: line 5: expected a name like .* got 'notes'"):
        read("mars", root)
    (info / "test_name.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match=r"test_name.txt: cannot be read"):
        read("mars", root)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ([[1, 2, 1]], r"shape \(1, 3\), expected \(tracks, 4\)"),
        ([[0, 2, 1, 1]], r"row 1 \(0, 2, 1, 1\) is no track"),
        ([[1, 3, 1, 1], [4, 3, 1, 1]], r"row 2 \(4, 3, 1, 1\) is no track"),
        ([[1, 3, -2, 1]], r"row 1 \(1, 3, -2, 1\) is no track"),
        ([[1, 3, 1, 7]], r"row 1 \(1, 3, 1, 7\) is no track"),
        ([[1, 2.5, 1, 1]], "something else than whole numbers"),
        ([[1, np.nan, 1, 1]], "something else than whole numbers"),
    ],
)
def test_mars_tracks_that_cannot_be_are_named(root, table, message):
    path = root / "mars" / "info" / "tracks_train_info.mat"
    savemat(path, {"track_train_info": np.array(table, np.float64)})
    with pytest.raises(DatasetError, match=message) as caught:
        read("mars", root)
    assert str(path) in str(caught.value)


def test_mars_damaged_files_are_named(root):
    info = root / "mars" / "info"
    whole = (info / "query_IDX.mat").read_bytes()
    (info / "query_IDX.mat").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError, match=r"query_IDX.mat: damaged, or no MATLAB file"):
        read("mars", root)
    savemat(info / "query_IDX.mat", {"queries": [1]})
    with pytest.raises(DatasetError, match=r"no variable 'query_IDX'; it has: queries"):
        read("mars", root)
    savemat(info / "query_IDX.mat", {"query_IDX": [1, 15]})
    with pytest.raises(DatasetError, match=r"query 15 is none of the 14 tracks"):
        read("mars", root)
    savemat(info / "query_IDX.mat", {"query_IDX": ["one"]})
    with pytest.raises(DatasetError, match=r"something else than whole numbers"):
        read("mars", root)
    (info / "query_IDX.mat").unlink()
    with pytest.raises(DatasetError, match=r"missing: info/query_IDX.mat"):
        read("mars", root)


def test_mars_missing_persons_are_counted(root):
    shutil.rmtree(root / "mars" / "bbox_test" / "00-1")
    read("mars", root)  # junk is never opened
    for pid in ("0004", "0008"):
        shutil.rmtree(root / "mars" / "bbox_test" / pid)
    with pytest.raises(
        DatasetError, match=r"2 of 5 persons' folders are missing, the first 0004; unpack bbox_test"
    ):
        read("mars", root)


# --- i-LIDS-VID -----------------------------------------------------------------------------------


def ilidsvid_expected(pids: Iterable[int], cameras: tuple[int, ...]) -> list[Expected]:
    return [
        (
            pid,
            camera - 1,
            [
                f"cam{camera}_person{pid:03d}_{95 + 5 * n:05d}.png"
                for n in range(ilidsvid_frames(pid, camera))
            ],
        )
        for camera in cameras
        for pid in sorted(pids)
    ]


@pytest.mark.parametrize("split_id", [None, 0, 3, 9])
def test_ilidsvid_tests_the_first_half_of_a_row(root, split_id):
    data = read("ilidsvid", root, split_id=split_id)
    row = [ILIDSVID_PIDS[place - 1] for place in ILIDSVID_SPLITS[split_id or 0]]
    assert found(data.query) == ilidsvid_expected(row[:6], (1,))
    assert found(data.gallery) == ilidsvid_expected(row[:6], (2,))
    assert found(data.train) == ilidsvid_expected(row[6:], (1, 2))
    assert data.skipped == ()
    assert data.partition.index == (split_id or 0)
    assert (data.partition.count, data.partition.origin) == (10, "train_test_splits_ilidsvid.mat")


def test_ilidsvid_splits_have_hashes_of_their_own(root):
    hashes = {read("ilidsvid", root, split_id=split).partition.sha256 for split in range(10)}
    assert len(hashes) == 10


def test_ilidsvid_of_its_real_size_has_the_published_counts(tmp_path):
    for camera in (1, 2):
        for pid in range(1, 301):
            person = tmp_path / "i-LIDS-VID" / "sequences" / f"cam{camera}" / f"person{pid:03d}"
            person.mkdir(parents=True)
            (person / "1.png").touch()
    splits = np.stack([np.random.default_rng(k).permutation(300) + 1 for k in range(10)])
    write_ilidsvid_splits(tmp_path, splits)
    for split_id in (0, 9):
        data = read_dataset("ilidsvid", tmp_path, split_id=split_id)
        assert set(data.query.pids) == set(splits[split_id][:150])


def test_ilidsvid_leaves_out_what_does_not_belong(root):
    camera = root / "ilids-vid" / "i-LIDS-VID" / "sequences" / "cam1"
    (camera / "readme.txt").touch()
    (camera / "person001 (copy)").mkdir()
    (camera / "person001" / "track.txt").touch()
    (camera / "person001" / "._cam1_person001_00095.png").touch()
    (camera / "Thumbs.db").touch()
    data = read("ilidsvid", root)
    assert {Path(file.path).name: file.reason for file in data.skipped} == {
        "person001 (copy)": "not a person's folder (person<number>)",
        "readme.txt": "not a person's folder (person<number>)",
        "track.txt": "not a picture (suffix)",
    }
    assert len(data.train) == 12


def test_ilidsvid_folders_and_splits_must_fit(root):
    folder = root / "ilids-vid"
    cameras = [folder / "i-LIDS-VID" / "sequences" / name for name in ("cam1", "cam2")]
    for file in (cameras[1] / "person008").iterdir():
        file.unlink()
    with pytest.raises(DatasetError, match=r"cam2: no frames of person008, but .*splits_ilidsvid.mat"):
        read("ilidsvid", root)
    shutil.rmtree(cameras[1] / "person008")
    with pytest.raises(DatasetError, match=r"person008 is in one camera only \(1 such"):
        read("ilidsvid", root)
    shutil.rmtree(cameras[0] / "person008")
    with pytest.raises(DatasetError, match=r"shape \(10, 12\), but 10 splits of the 11 person folders"):
        read("ilidsvid", root)
    splits = np.tile(np.arange(1, 12), (10, 1))
    splits[4, 2] = 1
    write_ilidsvid_splits(folder, splits)
    with pytest.raises(DatasetError, match=r"split 4 does not name each of 1 to 11 once"):
        read("ilidsvid", root)


# --- PRID 2011 ------------------------------------------------------------------------------------


def prid2011_expected(persons: Iterable[str], cameras: tuple[str, ...]) -> list[Expected]:
    return [
        (
            int(person[-4:]),
            "ab".index(camera[-1]),
            [f"{n + 1:04d}.png" for n in range(prid2011_frames(int(person[-4:]), camera))],
        )
        for camera in cameras
        for person in sorted(persons)
    ]


@pytest.mark.parametrize("split_id", [0, 4, 9])
def test_prid2011_takes_the_published_splits(root, split_id):
    data = read("prid2011", root, split_id=split_id)
    split = PRID2011_SPLITS[split_id]
    assert found(data.query) == prid2011_expected(split["test"], ("cam_a",))
    assert found(data.gallery) == prid2011_expected(split["test"], ("cam_b",))
    assert found(data.train) == prid2011_expected(split["train"], ("cam_a", "cam_b"))
    assert {Path(path).parent.parent.name for path in data.gallery.paths} == {"cam_b"}
    assert (data.partition.index, data.partition.origin) == (split_id, "splits_prid2011.json")


def write_long_tracklets(folder: Path) -> None:
    """Empty files: 200 people, every ninth with 26 frames in one camera; numbers above show other people."""
    for camera, last in (("cam_a", 385), ("cam_b", 749)):
        for pid in [*range(1, 201), *range(201, last + 1, 9)]:
            person = folder / "prid_2011" / "multi_shot" / camera / f"person_{pid:04d}"
            person.mkdir(parents=True)
            is_short = pid % 9 == 0 and (camera == "cam_a") == (pid % 2 == 0)
            for frame in range(26 if is_short else 27):
                (person / f"{frame + 1:04d}.png").touch()


def test_prid2011_draws_from_178_people_without_the_file(tmp_path):
    write_long_tracklets(tmp_path)
    tested = []
    for split_id in (0, 1):
        data = read_dataset("prid2011", tmp_path, split_id=split_id)
        assert set(data.query.pids) == set(data.gallery.pids)
        assert set(data.query.pids) | set(data.train.pids) == {p for p in range(1, 201) if p % 9}
        assert data.partition.origin == (
            "drawn with seed 0: order of SHA-256, of 178 persons with at least 27 frames in both cameras"
        )
        tested.append(set(data.query.pids))
    assert len(tested[0] & tested[1]) < 80  # 44.5 by chance


def test_prid2011_says_when_nobody_can_be_drawn(root):
    (root / "prid2011" / "splits_prid2011.json").unlink()
    with pytest.raises(
        DatasetError, match=r"0 persons with at least 27 frames .* or add splits_prid2011.json"
    ):
        read("prid2011", root)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"train": [', "cannot be read as JSON"),
        ('{"train": []}', "expected a list of 10 splits, found dict"),
        (json.dumps(PRID2011_SPLITS[:9]), "expected a list of 10 splits, found 9 entries"),
        (json.dumps([{"train": ["person_0001"]}] * 10), "split 0 has no list of folder names 'test'"),
        (json.dumps([{"train": [1], "test": []}] * 10), "split 0 has no list of folder names 'train'"),
        (json.dumps([["person_0001"]] * 10), "split 0 has no list of folder names 'train'"),
        (
            json.dumps([{"train": ["person_0001"], "test": ["person_0001"]}] * 10),
            "split 0 both trains on and tests person_0001",
        ),
        (
            json.dumps([{"train": ["person_0001"], "test": ["person_0201"]}] * 10),
            r"cam_a: no frames of person_0201, but splits_prid2011.json names them",
        ),
    ],
)
def test_prid2011_damaged_splits_are_named(root, content, message):
    (root / "prid2011" / "splits_prid2011.json").write_text(content)
    with pytest.raises(DatasetError, match=message):
        read("prid2011", root)


# --- DukeMTMC-VideoReID -----------------------------------------------------------------------------


def test_dukemtmcvidreid_tracklets_are_folders(root):
    data = read("dukemtmcvidreid", root)
    for split in data.splits:
        assert [(sample.pid, sample.camid, len(sample.frames)) for sample in split] == [
            (pid, camera - 1, len(frames)) for pid, _, camera, frames in DUKE_VIDEO[split.name]
        ]
    assert [Path(path).name for path in data.train.samples[1].frames] == [
        "0001_C2_F0002_X30824.jpg",
        "0001_C2_F0003_X30836.jpg",
    ]
    assert [Path(path).name for path in data.query.samples[1].frames] == [
        "0005C3F0001X30812.jpg",
        "0005C3F0002X30824.jpg",
        "0005C3F0010X30920.jpg",
    ]
    assert data.skipped == ()
    assert data.partition is None


def test_dukemtmcvidreid_orders_frames_by_number(root):
    folder = root / "dukemtmc-vidreid" / "DukeMTMC-VideoReID" / "train" / "0007" / "0001"
    (folder / "0007_C8_F10000_X1.jpg").touch()
    (folder / "0007_C8_F9999_X1.jpg").touch()
    sample = read("dukemtmcvidreid", root).train.samples[2]
    assert [Path(path).name.split("_")[2] for path in sample.frames] == ["F0001", "F9999", "F10000"]


def test_dukemtmcvidreid_leaves_out_what_does_not_belong(root):
    train = root / "dukemtmc-vidreid" / "DukeMTMC-VideoReID" / "train"
    (train / "split.json").touch()
    (train / "0001" / "list.txt").touch()
    (train / "0001" / "0009").mkdir()
    (train / "0001" / "0001" / "frame1.jpg").touch()
    (train / "0001" / "0001" / "0001_C9_F0001_X1.jpg").touch()
    (train / "0001" / "0001" / "0001_C6_F0001_X1.txt").touch()
    data = read("dukemtmcvidreid", root)
    assert {Path(file.path).name: file.reason for file in data.skipped} == {
        "split.json": "not a person's folder (a number)",
        "list.txt": "not a tracklet's folder",
        "0009": "no frame in this folder",
        "frame1.jpg": "the name is not <pid>_C<camera 1–8>_F<frame>_X<frame>.jpg",
        "0001_C9_F0001_X1.jpg": "the name is not <pid>_C<camera 1–8>_F<frame>_X<frame>.jpg",
        "0001_C6_F0001_X1.txt": "not a picture (suffix)",
    }
    assert len(data.train) == 3


@pytest.mark.parametrize("stranger", ["0001_C5_F0009_X1.jpg", "0002_C6_F0009_X1.jpg"])
def test_dukemtmcvidreid_refuses_mixed_tracklets(root, stranger):
    folder = root / "dukemtmc-vidreid" / "DukeMTMC-VideoReID" / "train" / "0001" / "0001"
    (folder / stranger).touch()
    with pytest.raises(DatasetError, match=rf"person 1 in one camera, but it holds .*{stranger}"):
        read("dukemtmcvidreid", root)


def test_dukemtmcvidreid_refuses_a_tracklet_in_another_persons_folder(root):
    train = root / "dukemtmc-vidreid" / "DukeMTMC-VideoReID" / "train"
    (train / "0007").rename(train / "0008")
    with pytest.raises(DatasetError, match=r"shows person 8 in one camera, but it holds 0007_C8"):
        read("dukemtmcvidreid", root)


def test_dukemtmcvidreid_of_its_real_size_has_the_published_counts(tmp_path):
    for split, num_pids, num_tracklets in (
        ("train", 702, 2_196),
        ("query", 702, 702),
        ("gallery", 1_110, 2_636),
    ):
        for place in range(num_tracklets):
            pid = place % num_pids + 1
            folder = tmp_path / "DukeMTMC-VideoReID" / split / f"{pid:04d}" / f"{place:04d}"
            folder.mkdir(parents=True)
            (folder / f"{pid:04d}_C{place % 8 + 1}_F0001_X0.jpg").touch()
    assert len(read_dataset("dukemtmcvidreid", tmp_path).gallery) == 2_636
