"""VIPeR, GRID, CUHK01, CUHK02, CUHK-SYSU, QMUL-iLIDS, PRID, SenseReID and University-1652.

What each reader should find is worked out here from what the miniatures were made of, by the protocol as
FACTS E2 states it: `expected_…` give (path below the root, pid, camid) of training, query and gallery.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from data import miniatures_small as mini
from omnireid import evaluate_embeddings
from omnireid.core.errors import CountMismatchError, DatasetError, InputError
from omnireid.core.types import Embeddings
from omnireid.data.datasets import dataset_card, read_dataset, require_splits
from omnireid.data.datasets.card import total
from omnireid.data.validate import Severity, validate_dataset

Lists = tuple[list[tuple[str, int, int]], list[tuple[str, int, int]], list[tuple[str, int, int]]]


def drawn(items, dataset: str, draw: int) -> list:
    """The rule that `partitions` states: by the SHA-256 of "<dataset>/<seed>/<draw>/<item>"."""
    return sorted(items, key=lambda item: hashlib.sha256(f"{dataset}/0/{draw}/{item}".encode()).hexdigest())


def expected_viper(split_id: int) -> Lists:
    # Sorted order pairs the two views: the n-th of one and the n-th of the other are one person.
    angles = {"cam_a": (0, 45, 90), "cam_b": (90, 135, 180, 225)}
    views = [
        [
            (f"{view}/{pid:03d}_{angles[view][place % len(angles[view])]}.bmp", pid, camid)
            for place, pid in enumerate(sorted(mini.VIPER_PIDS))
        ]
        for camid, view in enumerate(("cam_a", "cam_b"))
    ]
    train_pids = drawn(mini.VIPER_PIDS, "viper", split_id // 2)[:6]
    train = [item for view in views for item in view if item[1] in train_pids]
    a, b = ([item for item in view if item[1] not in train_pids] for view in views)
    return (train, a, b) if split_id % 2 == 0 else (train, b, a)


def expected_grid(split_id: int) -> Lists:
    train_pids = mini.GRID_TRAIN[split_id]
    train, query, gallery = [], [], []
    for pid in range(1, 13):
        camera = pid % 7 + 1
        probe = (f"probe/{pid:04d}_{camera}_25004_107_32_106_221.jpeg", pid, camera - 1)
        (train if pid in train_pids else query).append(probe)
    for stranger in range(5):
        gallery.append((f"gallery/0000_{stranger + 3}_2569{stranger}_101_16_87_246.jpeg", 0, stranger + 2))
    for pid in range(1, 13):
        camera = pid % 7 + 2
        match = (f"gallery/{pid:04d}_{camera}_25023_116_134_128_330.jpeg", pid, camera - 1)
        (train if pid in train_pids else gallery).append(match)
    return train, query, gallery


def expected_cuhk01(split_id: int) -> Lists:
    train_pids = drawn(mini.CUHK01_PIDS, "cuhk01", split_id // 2)[:4]  # nine people: the smaller half
    train, a, b = [], [], []
    for pid in mini.CUHK01_PIDS:
        for picture, camid in ((1, 0), (2, 0), (3, 1), (4, 1)):
            item = (f"campus/{pid:04d}{picture:03d}.png", pid, camid)
            (train if pid in train_pids else a if camid == 0 else b).append(item)
    return (train, a, b) if split_id % 2 == 0 else (train, b, a)


def expected_cuhk02(split_id: int) -> Lists:
    cameras = []
    for pair, people in (("P1", 4), ("P2", 2), ("P3", 3), ("P4", 1), ("P5", 4)):
        for camera in ("cam1", "cam2"):
            cameras.append(
                [
                    (f"{pair}/{camera}/{n:03d}_{k}.png", int(pair[1]) * 10_000 + n, len(cameras))
                    for n in range(1, people + 1)
                    for k in (1, 2)
                ]
            )
    return [item for camera in cameras[:8] for item in camera], cameras[8], cameras[9]


def expected_cuhksysu(split_id: int) -> Lists:
    train = [
        (f"cropped_images/p{pid}_s{16900 + 3 * pid + k}_{k + 1}.jpg", pid, 0)
        for pid, pictures in mini.CUHKSYSU_PICTURES.items()
        for k in range(pictures)
    ]
    return sorted(train), [], []


def expected_ilids(split_id: int) -> Lists:
    train_pids = drawn(mini.ILIDS_PICTURES, "ilids", split_id)[:3]  # seven people: the smaller half
    train, query, gallery = [], [], []
    for pid, count in mini.ILIDS_PICTURES.items():
        pictures = {
            f"{pid:04d}{n:03d}.jpg": (f"Persons/{pid:04d}{n:03d}.jpg", pid, n - 1)
            for n in range(1, count + 1)
        }
        if pid in train_pids:
            train += pictures.values()
        else:
            first, second = drawn(pictures, "ilids", split_id)[:2]
            query.append(pictures[first])
            gallery.append(pictures[second])
    return train, query, gallery


def expected_prid(split_id: int) -> Lists:
    train_pids = drawn(range(1, 11), "prid", split_id)[:5]
    test_pids = [pid for pid in range(1, 11) if pid not in train_pids]
    a = [(f"cam_a/person_{pid:04d}.png", pid, 0) for pid in range(1, 11)]
    b = [(f"cam_b/person_{pid:04d}.png", pid, 1) for pid in (*range(1, 11), 201, 202, 203, 749)]
    return (
        [item for item in a + b if item[1] in train_pids],
        [item for item in a if item[1] in test_pids],
        [item for item in b if item[1] in test_pids or item[1] > 200],
    )


def expected_sensereid(split_id: int) -> Lists:
    query = [(f"test_probe/{pid:05d}_{c}.jpg", pid, c) for pid in (3, 5, 8, 13) for c in (0, 1)]
    gallery = [
        (f"test_gallery/{pid:05d}_{c}.jpg", pid, c) for pid in (3, 4, 5, 8, 9, 13, 1716) for c in (0, 1)
    ]
    return [], query, gallery


def expected_university1652(split_id: int) -> Lists:
    train = [(f"train/drone/{b:04d}/image-0{n}.jpeg", b) for b in (839, 842, 1000) for n in (1, 2, 3)]
    train += [(f"train/satellite/{b:04d}/{b:04d}.jpg", b) for b in (839, 842, 1000)]
    train += [(f"train/street/{b:04d}/1.jpg", b) for b in (839, 842)]
    query = [(f"test/query_drone/{b:04d}/image-0{n}.jpeg", b) for b in (1, 12, 700) for n in (1, 2)]
    gallery = [(f"test/gallery_satellite/{b:04d}/{b:04d}.jpg", b) for b in (1, 2, 12, 700, 1651)]
    numbers = iter(range(1000))
    return tuple([(*item, next(numbers)) for item in part] for part in (train, query, gallery))


BENCHMARKS: dict[str, tuple[Callable[[Path], None], Callable[[int], Lists]]] = {
    name: (getattr(mini, f"build_{name}"), globals()[f"expected_{name}"])
    for name in (
        "viper",
        "grid",
        "cuhk01",
        "cuhk02",
        "cuhksysu",
        "ilids",
        "prid",
        "sensereid",
        "university1652",
    )
}
NUM_SPLITS = {"viper": 20, "grid": 10, "cuhk01": 20, "ilids": 10, "prid": 10}
SCORED = [name for name in BENCHMARKS if name != "cuhksysu"]


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """All miniatures side by side. Read only."""
    root = tmp_path_factory.mktemp("small")
    for build, _ in BENCHMARKS.values():
        build(root)
    return root


def read(name: str, root: Path, split_id: int | None = None):
    return read_dataset(name, root, check_counts=False, split_id=split_id)


def listed(dataset) -> Lists:
    return tuple(
        [(os.path.relpath(s.path, dataset.root).replace(os.sep, "/"), s.pid, s.camid) for s in split]
        for split in dataset.splits
    )


# --- what is read -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "split_id"),
    [(name, split) for name in BENCHMARKS for split in range(NUM_SPLITS.get(name, 1))],
)
def test_the_splits_are_those_of_the_protocol(root, name, split_id):
    data = read(name, root, split_id if name in NUM_SPLITS else None)
    assert listed(data) == BENCHMARKS[name][1](split_id)
    assert data.skipped == ()
    assert data.name == name


@pytest.mark.parametrize("name", NUM_SPLITS)
def test_partitions_are_named_distinct_and_the_same_anywhere(root, tmp_path, name):
    BENCHMARKS[name][0](tmp_path)
    count = NUM_SPLITS[name]
    assert dataset_card(name).num_splits == count
    hashes = set()
    for split_id in range(count):
        here, there = read(name, root, split_id).partition, read(name, tmp_path, split_id).partition
        assert here == there
        assert (here.index, here.count) == (split_id, count)
        assert here.origin.startswith(
            "features_and_partitions.mat" if name == "grid" else "drawn with seed 0"
        )
        hashes.add(here.sha256)
    assert len(hashes) == count
    assert read(name, root).partition.index == 0
    with pytest.raises(InputError, match=f"splits 0 to {count - 1}"):
        read(name, root, count)


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if name not in NUM_SPLITS])
def test_fixed_partitions_take_no_split_id(root, name):
    assert read(name, root).partition is None
    with pytest.raises(InputError, match="one fixed partition"):
        read(name, root, 1)


@pytest.mark.parametrize("name", SCORED)
def test_no_test_person_is_trained_on_and_every_query_has_a_match(root, name):
    for split_id in range(NUM_SPLITS.get(name, 1)):
        data = read(name, root, split_id if name in NUM_SPLITS else None)
        assert not set(data.train.pids) & (set(data.query.pids) | set(data.gallery.pids))
        assert set(data.query.pids) <= set(data.gallery.pids)


@pytest.mark.parametrize("name", ["viper", "cuhk01"])
def test_both_directions_of_a_draw_share_their_training_people(root, name):
    for split_id in range(0, 20, 2):
        there, back = read(name, root, split_id), read(name, root, split_id + 1)
        assert there.train.samples == back.train.samples
        assert there.query.samples == back.gallery.samples
        assert there.gallery.samples == back.query.samples
        assert set(there.query.camids) == {0}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_miniatures_validate_without_errors_or_warnings(root, name):
    report = validate_dataset(read(name, root), threads=1)
    assert [p for p in report.problems if p.severity is not Severity.NOTE] == []


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmarks_are_found_from_every_level(root, name):
    folder = Path(read(name, root).root)
    assert folder != root
    while folder != root:
        assert read(name, folder).root == read(name, root).root
        folder = folder.parent


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_missing_folder_is_named_with_the_archive_that_may_hold_it(tmp_path, name):
    card = dataset_card(name)
    BENCHMARKS[name][0](tmp_path)
    folder = Path(read(name, tmp_path).root)
    shutil.rmtree(folder)
    archive = (card.archives or (f"{name}.zip",))[0]
    folder.parent.mkdir(parents=True, exist_ok=True)
    (folder.parent / archive).touch()
    with pytest.raises(DatasetError) as caught:
        read(name, tmp_path)
    message = str(caught.value)
    assert f"missing: {card.markers[0]}" in message
    assert archive in message
    assert "--extract" in message
    assert card.source in message


# --- how it is scored -------------------------------------------------------------------------------


def naive_scores(query: Embeddings, gallery: Embeddings) -> tuple[float, float, float, int]:
    """Rank-1, rank-3, mAP and the number of valid queries, as FACTS E1 states them."""
    firsts, precisions = [], []
    for q in range(len(query)):
        order = []
        for g in range(len(gallery)):
            if gallery.pids[g] == query.pids[q] and gallery.camids[g] == query.camids[q]:
                continue
            order.append((float(((query.vectors[q] - gallery.vectors[g]) ** 2).sum()), g))
        hits, at_hits, first = 0, [], None
        for rank, (_, g) in enumerate(sorted(order), start=1):
            if gallery.pids[g] == query.pids[q]:
                hits += 1
                at_hits.append(hits / rank)
                first = first or rank
        if first is not None:
            firsts.append(first)
            precisions.append(sum(at_hits) / len(at_hits))
    return (
        sum(first <= 1 for first in firsts) / len(firsts),
        sum(first <= 3 for first in firsts) / len(firsts),
        sum(precisions) / len(precisions),
        len(firsts),
    )


def random_embeddings(split, seed: int) -> Embeddings:
    vectors = np.random.default_rng(seed).normal(size=(len(split), 6)).astype(np.float32)
    return Embeddings.from_arrays(vectors, split.pids, split.camids, split.paths)


@pytest.mark.parametrize("name", SCORED)
def test_scores_equal_a_naive_loop_and_every_query_is_valid(root, name):
    data = read(name, root)
    query, gallery = random_embeddings(data.query, 1), random_embeddings(data.gallery, 2)
    result = evaluate_embeddings(query, gallery, protocol=data.protocol)
    rank1, rank3, mean_precision, num_valid = naive_scores(query, gallery)
    assert result.num_valid_queries == num_valid == len(data.query)
    assert result.num_gallery == len(data.gallery)
    assert result.cmc[0] == pytest.approx(rank1)
    assert result.cmc[2] == pytest.approx(rank3)
    assert result.mAP == pytest.approx(mean_precision)


@pytest.mark.parametrize(("name", "strangers"), [("grid", {0}), ("prid", {201, 202, 203, 749})])
def test_distractors_are_in_every_gallery_and_can_only_be_wrong(root, name, strangers):
    assert strangers <= dataset_card(name).distractor_pids
    for split_id in range(10):
        data = read(name, root, split_id)
        assert strangers <= set(data.gallery.pids)
        assert not dataset_card(name).distractor_pids & (set(data.query.pids) | set(data.train.pids))


def test_prid_has_no_place_for_people_of_camera_a_alone(root):
    data = read("prid", root)
    assert [Path(sample.path).name for sample in data.unused] == [
        "person_0201.png",
        "person_0202.png",
        "person_0385.png",
    ]
    assert {Path(sample.path).parent.name for sample in data.unused} == {"cam_a"}


def test_ilids_keeps_the_other_pictures_of_test_people_aside(root):
    data = read("ilids", root)
    taken = {path for split in data.splits for path in split.paths}
    assert not taken & {sample.path for sample in data.unused}
    assert len(taken) + len(data.unused) == len(total(data)) == sum(mini.ILIDS_PICTURES.values())
    assert not set(data.train.pids) & {sample.pid for sample in data.unused}


def test_university1652_numbers_pictures_so_that_nothing_is_junk(root):
    data = read("university1652", root)
    camids = [camid for split in data.splits for camid in split.camids]
    assert camids == list(range(len(camids)))
    assert not any("google" in path for path in data.train.paths)


# --- published counts -------------------------------------------------------------------------------


def touch_all(folder: Path, names) -> None:
    """Empty files; folders are made once."""
    made = set()
    for name in names:
        path = folder / name
        if path.parent not in made:
            path.parent.mkdir(parents=True, exist_ok=True)
            made.add(path.parent)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY))


def spread(total: int, groups: int) -> list[int]:
    """Sizes of `groups` groups that sum to `total`."""
    return [total // groups + (place < total % groups) for place in range(groups)]


def full_viper(root: Path) -> None:
    touch_all(root, (f"{view}/{pid:03d}_45.bmp" for view in ("cam_a", "cam_b") for pid in range(632)))


def full_grid(root: Path) -> None:
    touch_all(root / "probe", (f"{pid:04d}_{pid % 8 + 1}_a.jpeg" for pid in range(1, 251)))
    touch_all(root / "gallery", (f"{pid:04d}_{(pid + 1) % 8 + 1}_a.jpeg" for pid in range(1, 251)))
    touch_all(root / "gallery", (f"0000_{n % 8 + 1}_{n}.jpeg" for n in range(775)))
    halves = tuple(tuple(sorted((k + 3 * j) % 250 + 1 for j in range(125))) for k in range(10))
    mini.write_grid_partitions(root / "features_and_partitions.mat", halves)


def full_cuhk01(root: Path) -> None:
    touch_all(root / "campus", (f"{pid:04d}{n:03d}.png" for pid in range(1, 972) for n in range(1, 5)))


def full_cuhk02(root: Path) -> None:
    for pair, people in (("P1", 971), ("P2", 306), ("P3", 107), ("P4", 193), ("P5", 239)):
        for camera in ("cam1", "cam2"):
            touch_all(root / pair / camera, (f"{n:03d}_1.png" for n in range(1, people + 1)))


def full_ilids(root: Path) -> None:
    pictures = enumerate(spread(476, 119), start=1)
    touch_all(root / "Persons", (f"{pid:04d}{n + 1:03d}.jpg" for pid, size in pictures for n in range(size)))


def full_prid(root: Path) -> None:
    touch_all(root / "cam_a", (f"person_{pid:04d}.png" for pid in range(1, 386)))
    touch_all(root / "cam_b", (f"person_{pid:04d}.png" for pid in range(1, 750)))


def full_sensereid(root: Path) -> None:
    for folder, images, people in (("test_probe", 1_040, 522), ("test_gallery", 3_388, 1_717)):
        pictures = enumerate(spread(images, people))
        touch_all(root / folder, (f"{pid:05d}_{n}.jpg" for pid, size in pictures for n in range(size)))


# FACTS E2 (and A5 for VIPeR and GRID): people and pictures; … is what no source states for every partition.
PUBLISHED = {
    "viper": {"train": (316, 632), "query": (316, 316), "gallery": (316, 316), "total": (632, 1_264)},
    "grid": {"train": (125, 250), "query": (125, 125), "gallery": (126, 900), "total": (251, 1_275)},
    "cuhk01": {"train": (485, 1_940), "query": (486, 972), "gallery": (486, 972), "total": (971, 3_884)},
    "cuhk02": {"train": (1_577, ...), "query": (239, ...), "gallery": (239, ...), "total": (1_816, ...)},
    "cuhksysu": {"train": (11_934, 34_574)},
    "ilids": {"train": (59, ...), "query": (60, 60), "gallery": (60, 60), "total": (119, 476)},
    "prid": {"train": (100, 200), "query": (100, 100), "gallery": (649, 649), "total": (..., 385 + 749)},
    "sensereid": {"query": (522, 1_040), "gallery": (1_717, 3_388)},
    "university1652": {"train": (701, 50_218), "query": (701, 37_855), "gallery": (951, 951)},
}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_cards_state_the_published_counts(name):
    counts = dataset_card(name).counts
    stated = {part: (counts[part].pids or ..., counts[part].images or ...) for part in counts}
    assert stated == PUBLISHED[name]


@pytest.mark.parametrize("name", [name for name in BENCHMARKS if f"full_{name}" in globals()])
def test_the_published_counts_are_accepted(tmp_path, name):
    globals()[f"full_{name}"](tmp_path)
    for split_id in sorted({0, NUM_SPLITS.get(name, 1) // 2, NUM_SPLITS.get(name, 1) - 1}):
        data = read_dataset(name, tmp_path, split_id=split_id if name in NUM_SPLITS else None)
        assert data.skipped == ()


@pytest.mark.parametrize("name", BENCHMARKS)
def test_a_miniature_is_refused_with_the_numbers_side_by_side(root, name):
    with pytest.raises(CountMismatchError) as caught:
        read_dataset(name, root)
    data = read(name, root)
    message = str(caught.value)
    for split, counts in dataset_card(name).counts.items():
        part = total(data) if split == "total" else getattr(data, split)
        if counts.pids is not None:
            assert f"pids {counts.pids:,} → {part.num_pids:,} (!)" in message
        if counts.images is not None:
            assert f"images {counts.images:,} → {len(part):,} (!)" in message
    assert "--no-check-counts" in message


def test_one_picture_less_of_ilids_is_seen_in_the_total_wherever_it_was(tmp_path):
    full_ilids(tmp_path)
    data = read_dataset("ilids", tmp_path)
    Path(data.unused[0].path).unlink()
    with pytest.raises(CountMismatchError, match=r"total +images 476 → 475 \(!\) +pids 119 → 119"):
        read_dataset("ilids", tmp_path)


def test_the_refusal_says_what_was_not_taken_and_why(tmp_path):
    full_ilids(tmp_path)
    persons = tmp_path / "Persons"
    for number in range(1, 4):
        (persons / f"{number:04d}001.jpg").rename(persons / f"{number:04d}-1.jpg")
    with pytest.raises(CountMismatchError, match=r"not taken: 3 × the name is not .* e\.g\. .*0001-1\.jpg"):
        read_dataset("ilids", tmp_path)


# --- what does not belong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "stray", "reason"),
    [
        ("viper", "cam_a/000_45.jpg", "not <pid>_<angle>.bmp"),
        ("viper", "cam_b/12_45.bmp", "not <pid>_<angle>.bmp"),
        ("grid", "probe/0000_1_2.jpeg", "pid 0 is outside 1–250"),
        ("grid", "gallery/0251_1_2.jpeg", "pid 251 is outside 0–250"),
        ("grid", "gallery/0007_9_2.jpeg", "camera 9 is outside 1–8"),
        ("grid", "gallery/7.jpeg", "not <pid>_<camera>"),
        ("cuhk01", "campus/0001005.png", "picture 5 is outside 1–4"),
        ("cuhk01", "campus/0972001.png", "pid 972 is outside 1–971"),
        ("cuhk01", "campus/0001_001.png", "four digits"),
        ("cuhk01", "campus/notes.txt", "not a picture"),
        ("cuhk02", "P1/cam1/001.png", "not <person>_….png"),
        ("cuhksysu", "cropped_images/11422_s16929_1.jpg", "not p<pid>_s<scene>_<number>.jpg"),
        ("ilids", "Persons/0001000.jpg", "count from 1"),
        ("ilids", "Persons/001001.jpg", "four digits"),
        ("prid", "cam_a/person_0386.png", "pid 386 is outside 1–385"),
        ("prid", "cam_b/person_0750.png", "pid 750 is outside 1–749"),
        ("prid", "cam_b/0001.png", "not person_<four digits"),
        ("sensereid", "test_probe/00003.jpg", "not <pid>_<camera>.jpg"),
        ("university1652", "train/drone/campus/1.jpg", "number of a building"),
        ("university1652", "test/query_drone/notes.txt", "number of a building"),
        ("university1652", "test/query_drone/0042", "number of a building"),
        ("university1652", "test/query_drone/0001/notes.txt", "not a picture"),
    ],
)
def test_what_does_not_belong_is_skipped_with_its_reason(tmp_path, name, stray, reason):
    BENCHMARKS[name][0](tmp_path)
    before = read(name, tmp_path)
    path = Path(before.root) / stray
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    data = read(name, tmp_path)
    (skipped,) = data.skipped
    assert reason in skipped.reason
    assert stray.startswith(os.path.relpath(skipped.path, data.root).replace(os.sep, "/"))
    assert data.splits == before.splits


def test_a_person_without_a_second_view_is_a_query_without_a_match(tmp_path):
    mini.build_viper(tmp_path)
    whole = read("viper", tmp_path)
    Path(whole.gallery.samples[0].path).unlink()
    data = read("viper", tmp_path)
    assert (len(data.query), len(data.gallery)) == (6, 5)
    result = evaluate_embeddings(random_embeddings(data.query, 1), random_embeddings(data.gallery, 2))
    assert result.num_valid_queries == 5


def test_splits_that_a_benchmark_does_not_have_are_named(root):
    with pytest.raises(DatasetError, match=r"no pictures for query and gallery(?s:.*)no query and gallery"):
        require_splits(read("cuhksysu", root), "query", "gallery")
    with pytest.raises(DatasetError, match=r"no pictures for train(?s:.*)no training split"):
        require_splits(read("sensereid", root), "train")


# --- the partitions of GRID ---------------------------------------------------------------------------


@pytest.fixture
def grid(tmp_path) -> Path:
    mini.build_grid(tmp_path)
    return tmp_path / "grid" / "underground_reid" / "features_and_partitions.mat"


def refusal(partitions: Path) -> str:
    with pytest.raises(DatasetError) as caught:
        read("grid", partitions.parent)
    assert str(partitions) in str(caught.value)
    return str(caught.value)


def test_grid_without_its_partitions_says_so(grid):
    grid.unlink()
    with pytest.raises(DatasetError, match=r"missing: features_and_partitions\.mat"):
        read("grid", grid.parent)


def test_a_truncated_file_of_partitions_is_damaged(grid):
    whole = grid.read_bytes()
    for size in range(0, len(whole) - 2000, 1111):
        grid.write_bytes(whole[:size])
        refusal(grid)
    grid.write_bytes(whole[:-2000])
    assert "damaged" in refusal(grid)
    grid.write_bytes(b"<html>not found</html>" * 20)
    assert "damaged" in refusal(grid)


def test_partitions_in_another_form_are_refused_with_what_was_found(grid):
    from scipy.io import savemat

    savemat(grid, {"splits": np.arange(3)})
    assert "no variable 'trainIdxAll'; it has: splits" in refusal(grid)
    savemat(grid, {"trainIdxAll": np.arange(10.0)})
    assert "no field 'personIdx' (found: no struct)" in refusal(grid)
    mini.write_grid_partitions(grid, mini.GRID_TRAIN[:9])
    assert "9 cells, expected 10" in refusal(grid)
    mini.write_grid_partitions(grid, mini.GRID_TRAIN, field="people")
    assert "found: probeImIdx, galleryImIdx, people" in refusal(grid)
    for wrong in ((0, 1, 2), (1, 251), (1.5, 2), ()):
        mini.write_grid_partitions(grid, (wrong, *mini.GRID_TRAIN[1:]))
        assert "does not list people 1–250" in refusal(grid)
