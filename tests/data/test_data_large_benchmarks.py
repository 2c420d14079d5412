"""DukeMTMC-reID and MSMT17 read from miniatures, and the protocols of these and CUHK03 scored."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import numpy as np
import pytest

from data import miniatures_large as mini
from omnireid import evaluate_embeddings
from omnireid.core.errors import CountMismatchError, DatasetError
from omnireid.core.options import Protocol
from omnireid.core.types import Embeddings
from omnireid.data.datasets import dataset_card, list_datasets, read_dataset


def read(name: str, root: Path, **options):
    return read_dataset(name, root, check_counts=False, **options)


def below(root: Path, split) -> list[tuple[str, int, int]]:
    return [(Path(s.path).relative_to(root).as_posix(), s.pid, s.camid) for s in split]


def stated(name: str) -> dict[str, dict[str, int]]:
    return {split: counts.stated() for split, counts in dataset_card(name).counts.items()}


# --- DukeMTMC-reID --------------------------------------------------------------------------------


@pytest.fixture
def duke(tmp_path) -> Path:
    mini.build_dukemtmcreid(tmp_path)
    return tmp_path / "dukemtmc-reid" / "DukeMTMC-reID"


@pytest.mark.parametrize("above", [0, 1, 2])
def test_duke_is_read_with_people_of_one_camera_in_the_gallery(duke, above):
    data = read("dukemtmcreid", duke if above == 0 else duke.parents[above - 1])
    assert data.root == str(duke)
    for split, folder in (
        ("train", "bounding_box_train"),
        ("query", "query"),
        ("gallery", "bounding_box_test"),
    ):
        expected = sorted((f"{folder}/{n}", pid, cam - 1) for n, pid, cam in mini.duke_lists()[folder])
        assert below(duke, getattr(data, split)) == expected
    assert set(mini.DUKE_ONE_CAMERA) <= set(data.gallery.pids.tolist())
    assert (data.protocol, data.skipped) == (Protocol.MARKET1501, ())


def test_what_does_not_belong_to_duke_is_skipped_with_its_reason(duke):
    for name in ("-1_c1_f0000001.jpg", "0005_c9_f0000001.jpg", "0005_c0_f0000001.jpg", "x.jpg", "a.txt"):
        (duke / "query" / name).touch()
    (duke / "query" / "Thumbs.db").touch()
    data = read("dukemtmcreid", duke)
    assert len(data.query) == len(mini.duke_lists()["query"])
    assert {Path(file.path).name: file.reason for file in data.skipped} == {
        "-1_c1_f0000001.jpg": "junk (pid −1)",
        "0005_c9_f0000001.jpg": "camera 9 is outside 1–8",
        "0005_c0_f0000001.jpg": "camera 0 is outside 1–8",
        "x.jpg": "the name is not <pid>_c<camera>…",
        "a.txt": "not a picture (suffix)",
    }


def test_duke_states_its_counts_and_that_it_was_withdrawn(duke):
    assert stated("dukemtmcreid") == {
        "train": {"images": 16522, "pids": 702, "cameras": 8},
        "query": {"images": 2228, "pids": 702, "cameras": 8},
        "gallery": {"images": 17661, "pids": 1110, "cameras": 8},
    }
    with pytest.raises(
        CountMismatchError,
        match=r"query +images 2,228 → 7 \(!\) +pids 702 → 3 \(!\) +cameras 8 → 6 \(!\)",
    ):
        read_dataset("dukemtmcreid", duke)
    shutil.rmtree(duke / "query")
    with pytest.raises(DatasetError, match=r"missing: query(.|\n)*withdrawn in June 2019"):
        read_dataset("dukemtmcreid", duke)
    assert "took the\ndata down in June 2019" in dataset_card("dukemtmcreid").ethics


# --- MSMT17 ---------------------------------------------------------------------------------------


@pytest.fixture
def msmt17(tmp_path) -> Path:
    mini.build_msmt17(tmp_path, "v1")
    return tmp_path / "msmt17" / "MSMT17_V1"


def expected_msmt17(
    version: str, parts: tuple[str, ...], first_test_pid: int = 0
) -> list[tuple[str, int, int]]:
    _, train, test = mini.MSMT17_FOLDERS[version]
    lists = mini.msmt17_lists()
    return sorted(
        (
            f"{train if part in ('train', 'val') else test}/{path}",
            pid + (0 if part in ("train", "val") else first_test_pid),
            camera - 1,
        )
        for part in parts
        for path, pid, camera in lists[part]
    )


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("asked", [True, False])
def test_msmt17_is_read_by_version_and_portion(tmp_path, version, asked):
    mini.build_msmt17(tmp_path, version)
    folder = tmp_path / "msmt17" / mini.MSMT17_FOLDERS[version][0]
    prefix = f"msmt17-{version}" if asked else "msmt17"
    for root in (tmp_path, tmp_path / "msmt17", folder):
        for portion, trained, unused in (("", ("train",), ("val",)), ("-trainval", ("train", "val"), ())):
            data = read(prefix + portion, root)
            assert (data.name, data.root) == (f"msmt17-{version}{portion}", str(folder))
            assert below(folder, data.train) == expected_msmt17(version, trained)
            assert below(folder, data.query) == expected_msmt17(version, ("query",))
            assert below(folder, data.gallery) == expected_msmt17(version, ("gallery",))
            assert below(folder, data.unused) == expected_msmt17(version, unused)
            assert (data.protocol, data.skipped) == (Protocol.MARKET1501, ())


def test_msmt17_all_is_one_training_split_of_everybody(msmt17):
    data = read("msmt17-all", msmt17)
    parts = ("train", "val", "query", "gallery")
    expected = expected_msmt17("v1", parts, first_test_pid=mini.MSMT17_TRAIN_PEOPLE)
    assert below(msmt17, data.train) == expected
    assert data.train.num_pids == mini.MSMT17_TRAIN_PEOPLE + mini.MSMT17_TEST_PEOPLE
    assert (len(data.query), len(data.gallery), data.unused) == (0, 0, ())


def test_where_both_versions_lie_msmt17_asks_which(msmt17):
    root = msmt17.parents[1]
    mini.build_msmt17(root, "v2")
    for portion in ("", "-trainval", "-all"):
        names = f"msmt17-v1{portion} or msmt17-v2{portion}$"
        with pytest.raises(
            DatasetError, match=rf"as V1 and as V2, and results on them differ; ask for {names}"
        ):
            read("msmt17" + portion, root)
        for version in ("v1", "v2"):
            assert read(f"msmt17-{version}{portion}", root).name == f"msmt17-{version}{portion}"
    assert read("msmt17", msmt17).name == "msmt17-v1"
    with pytest.raises(DatasetError, match="missing: mask_train_v2, mask_test_v2"):
        read("msmt17-v2", msmt17)


def test_msmt17_states_its_counts_under_each_name(msmt17):
    names = [name for name in list_datasets() if name.startswith("msmt17")]
    assert len(names) == 9
    test = {"query": {"images": 11659, "pids": 3060}, "gallery": {"images": 82161, "pids": 3060}}
    total = {"images": 126441, "cameras": 15}
    for name in names:
        if name.endswith("all"):
            expected = {"train": {"images": 126441, "pids": 4101, "cameras": 15}, "total": total}
        else:
            images = 32621 if name.endswith("trainval") else 30248
            expected = {"train": {"images": images, "pids": 1041}, **test, "total": total}
        assert stated(name) == expected
        assert ("V2" in dataset_card(name).title) == ("v1" not in name)
    with pytest.raises(
        CountMismatchError, match=r"total +images 126,441 → 54 \(!\) +cameras 15 → \d+ \(!\)"
    ) as raised:
        read_dataset("msmt17-trainval", msmt17)
    assert "train   images 32,621 → 24 (!)   pids 1,041 → 4 (!)" in str(raised.value)


@pytest.mark.parametrize(
    "line",
    [
        "0001/0001_000_16_0303morning_0015_0.jpg 1",  # camera 16
        "0001/0001_000_00_0303morning_0015_0.jpg 1",
        "0001/0001_000_07_0303morning_0015_0.jpg",  # no pid
        "0001/0001_000_07_0303morning_0015_0.jpg one",
        "0001/0001_000_07_0303morning_0015_0.jpg -1",
        "0001/0001_000_c7_0303morning_0015_0.jpg 1",
        "0001_000_07_0303morning_0015_0.jpg 1",  # no folder
        "0001/0001-000-07.jpg 1",
    ],
)
def test_a_line_that_cannot_be_read_is_named_with_its_number(msmt17, line):
    path = msmt17 / "list_gallery.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:6], line, *lines[6:]]))
    with pytest.raises(DatasetError, match=r"list_gallery\.txt: line 7 is ") as raised:
        read("msmt17", msmt17)
    assert repr(line) in str(raised.value)


def test_a_list_may_have_blank_lines_windows_endings_and_a_byte_order_mark(msmt17):
    before = read("msmt17", msmt17)
    for path in msmt17.glob("list_*.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_text().replace("\n", "\r\n\r\n").encode() + b"  \r\n")
    assert read("msmt17", msmt17) == before


def test_a_list_that_is_no_text_is_named(msmt17):
    (msmt17 / "list_val.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match=r"list_val\.txt: cannot be read"):
        read("msmt17", msmt17)


def test_pictures_that_lists_name_but_nobody_has_are_counted_and_named(msmt17):
    gone = [path for path, _, _ in mini.msmt17_lists()["gallery"]][4:8]
    for path in gone:
        (msmt17 / "test" / path).unlink()
    with pytest.raises(DatasetError) as raised:
        read("msmt17", msmt17)
    message = str(raised.value)
    assert f"{msmt17}/test: 4 of the 30 pictures that the lists name are not there" in message
    assert f"{gone[0]} (list_gallery.txt, line 5)" in message
    assert gone[3] not in message


def test_a_picture_that_is_named_twice_is_refused(msmt17):
    twice = (msmt17 / "list_train.txt").read_text().splitlines()[2]
    with (msmt17 / "list_val.txt").open("a") as stream:
        stream.write(f"{twice}\n")
    with pytest.raises(
        DatasetError, match=r"named twice: list_train\.txt, line 3, and list_val\.txt, line 5"
    ):
        read("msmt17", msmt17)


def test_what_no_list_names_is_skipped_with_its_reason(msmt17):
    mini.write_picture(msmt17 / "train" / "0001" / "0001_900_01_0303morning_0015_0.jpg")
    mini.write_picture(msmt17 / "test" / "loose.jpg")
    (msmt17 / "test" / "0000" / "notes.txt").touch()
    (msmt17 / "test" / "Thumbs.db").touch()
    data = read("msmt17-trainval", msmt17)
    assert len(data.train) == 24
    assert {Path(file.path).relative_to(msmt17).as_posix(): file.reason for file in data.skipped} == {
        "train/0001/0001_900_01_0303morning_0015_0.jpg": "named in none of the four lists",
        "test/loose.jpg": "named in none of the four lists",
        "test/0000/notes.txt": "not a picture (suffix)",
    }


@pytest.mark.parametrize("name", ["list_train.txt", "list_val.txt", "list_query.txt", "list_gallery.txt"])
def test_a_missing_list_is_named(msmt17, name):
    (msmt17 / name).unlink()
    with pytest.raises(DatasetError, match=rf"missing: {name}\)"):
        read("msmt17-v1-all", msmt17)


def test_lists_without_pictures_say_which_folders_are_missing(msmt17):
    shutil.rmtree(msmt17 / "train")
    with pytest.raises(DatasetError, match=r"neither train/ and test/ \(V1\) nor mask_train_v2/"):
        read("msmt17", msmt17)


# --- all of them ----------------------------------------------------------------------------------


def test_each_name_has_a_miniature():
    ours = ("cuhk03-", "dukemtmcreid", "msmt17")
    assert set(mini.BUILDERS) == {name for name in list_datasets() if name.startswith(ours)}


@pytest.mark.parametrize("name", mini.BUILDERS)
def test_reading_is_sorted_and_repeatable(tmp_path, name):
    mini.BUILDERS[name](tmp_path)
    data = read(name, tmp_path)
    assert read(name, tmp_path) == data
    for split in data.splits:
        assert list(split.paths) == sorted(split.paths)
        assert all(Path(path).is_file() for path in split.paths)
    assert not set(data.train.paths) & {*data.query.paths, *data.gallery.paths}


def embedded(split, seed: int) -> Embeddings:
    """The same picture gets the same embedding in query and gallery."""
    rows = [
        np.random.default_rng([seed, *Path(path).name.encode()]).normal(size=8) + pid % 7
        for path, pid in zip(split.paths, split.pids, strict=True)
    ]
    return Embeddings.from_arrays(np.array(rows, np.float32), split.pids, split.camids, split.paths)


def squared_distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(((a.astype(np.float64) - b.astype(np.float64)) ** 2).sum())


def test_market_style_protocols_score_as_a_plain_loop(tmp_path):
    """Same person and same camera is left out; AP is the mean precision at each hit (FACTS E1)."""
    for name in ("cuhk03-detected", "cuhk03-labeled", "dukemtmcreid", "msmt17-v2"):
        root = tmp_path / name
        mini.BUILDERS[name](root)
        data = read(name, root)
        query, gallery = embedded(data.query, 1), embedded(data.gallery, 1)
        precisions, firsts = [], []
        for q in range(len(query)):
            kept = [
                g
                for g in range(len(gallery))
                if not (gallery.pids[g] == query.pids[q] and gallery.camids[g] == query.camids[q])
            ]
            kept.sort(key=lambda g: squared_distance(query.vectors[q], gallery.vectors[g]))
            ranks = [1 + place for place, g in enumerate(kept) if gallery.pids[g] == query.pids[q]]
            if ranks:
                precisions.append(sum((hit + 1) / rank for hit, rank in enumerate(ranks)) / len(ranks))
                firsts.append(ranks[0])
        result = evaluate_embeddings(query, gallery, protocol=data.protocol)
        assert result.num_valid_queries == len(firsts) > 5
        assert 0 < np.mean(precisions) < 1
        assert result.mAP == pytest.approx(np.mean(precisions), abs=1e-9)
        for k in (1, 5, 10):
            assert result.rank(k) == pytest.approx(np.mean([first <= k for first in firsts]), abs=1e-9)


def test_the_classic_protocol_scores_as_a_plain_draw(tmp_path):
    """One random gallery picture of each person, the query's own camera of its person left out (FACTS E1)."""
    mini.build_cuhk03_with_pictures(tmp_path)
    chance = random.Random(4)
    drawn, scored = [], []
    for split_id in range(20):
        data = read("cuhk03-classic-labeled", tmp_path, split_id=split_id)
        query, gallery = embedded(data.query, split_id), embedded(data.gallery, split_id)
        result = evaluate_embeddings(query, gallery, protocol=data.protocol)
        assert (result.mAP, result.num_valid_queries) == (None, len(query))
        scored.append(result.cmc[:4])
        curves = []
        for q in range(len(query)):
            by_person = [
                [
                    (squared_distance(query.vectors[q], gallery.vectors[g]), g)
                    for g in range(len(gallery))
                    if gallery.pids[g] == pid
                    and (pid != query.pids[q] or gallery.camids[g] != query.camids[q])
                ]
                for pid in sorted(set(gallery.pids.tolist()))
            ]
            for _ in range(40):
                choice = sorted(chance.choice(pictures) for pictures in by_person)
                rank = 1 + [gallery.pids[g] for _, g in choice].index(query.pids[q])
                curves.append([rank <= k for k in range(1, 5)])
        drawn.append(np.mean(curves, axis=0))
    # 20 splits × 32 queries × 10 draws: the standard error is below 0.007.
    np.testing.assert_allclose(np.mean(scored, axis=0), np.mean(drawn, axis=0), atol=0.025)
    assert 0.3 < np.mean(scored, axis=0)[0] < 0.95
