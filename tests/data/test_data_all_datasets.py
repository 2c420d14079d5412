"""Every dataset that can be named is read, validated, counted and written, on a miniature of its layout."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image
from rich.console import Console

from data import miniatures_large as large
from data import miniatures_small as small
from data import miniatures_video as video
from data.miniatures_small import write_picture
from omnireid.core.errors import CountMismatchError, DatasetError, OmniReIDError
from omnireid.core.options import Protocol
from omnireid.core.types import Dataset
from omnireid.data.contact_sheet import choose_rows, draw_contact_sheet
from omnireid.data.datasets import dataset_card, list_datasets, read_dataset
from omnireid.data.datasets.manifest import write_manifest
from omnireid.data.stats import dataset_stats
from toy_people import write_toy_people

Build = Callable[[Path], object]


def build_market1501_500k(root: Path) -> None:
    write_toy_people(root)
    write_picture(root / "images" / "0000_c3s1_000001_00.jpg")


def build_folder_per_person(root: Path) -> None:
    for person in ("anna", "bob"):
        for camera in (1, 2):
            write_picture(root / person / f"{person}_c{camera}.jpg")


def build_manifest(root: Path) -> None:
    lines = ["path,pid,camid,split"]
    for pid, camid, split in ((1, 0, "query"), (1, 1, "gallery"), (2, 0, "train")):
        write_picture(root / f"{pid}_{camid}.jpg")
        lines.append(f"{pid}_{camid}.jpg,{pid},{camid},{split}")
    (root / "people.csv").write_text("\n".join(lines) + "\n")


def v1(root: Path) -> None:
    large.build_msmt17(root, "v1")


def v2(root: Path) -> None:
    large.build_msmt17(root, "v2")


# A dataset without a line here has no miniature, and its tests fail.
BUILD: dict[str, Build] = {
    "market1501": write_toy_people,
    "market1501-500k": build_market1501_500k,
    **dict.fromkeys(("cuhk03-detected", "cuhk03-labeled"), large.build_cuhk03),
    **dict.fromkeys(("cuhk03-classic-detected", "cuhk03-classic-labeled"), large.build_cuhk03),
    "dukemtmcreid": large.build_dukemtmcreid,
    **dict.fromkeys(("msmt17", "msmt17-trainval", "msmt17-all"), v1),
    **dict.fromkeys(("msmt17-v1", "msmt17-v1-trainval", "msmt17-v1-all"), v1),
    **dict.fromkeys(("msmt17-v2", "msmt17-v2-trainval", "msmt17-v2-all"), v2),
    "viper": small.build_viper,
    "grid": small.build_grid,
    "cuhk01": small.build_cuhk01,
    "cuhk02": small.build_cuhk02,
    "cuhksysu": small.build_cuhksysu,
    "ilids": small.build_ilids,
    "prid": small.build_prid,
    "sensereid": small.build_sensereid,
    "university1652": small.build_university1652,
    "mars": video.build_mars,
    "ilidsvid": video.build_ilidsvid,
    "prid2011": video.build_prid2011,
    "dukemtmcvidreid": video.build_dukemtmcvidreid,
    "cifar10": lambda root: small.build_class_folders(root / "cifar10"),
    "cifar100": lambda root: small.build_class_folders(root / "CIFAR-100-dataset"),
    "tiny-imagenet": small.build_tiny_imagenet,
    "imagenet": lambda root: small.build_class_folders(root / "imagenet", test="val"),
    "pa100k": small.build_pa100k,
    "class-folders": small.build_class_folders,
    "market-layout": write_toy_people,
    "folder-per-person": build_folder_per_person,
    "manifest": build_manifest,
}

every_dataset = pytest.mark.parametrize("name", list_datasets())


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The root of a dataset's miniature; built once for all names that share one."""
    built: dict[Build, Path] = {}

    def root_of(name: str) -> Path:
        build = BUILD[name]
        if build not in built:
            built[build] = tmp_path_factory.mktemp("miniature")
            build(built[build])
        return built[build] / "people.csv" if name == "manifest" else built[build]

    return root_of


@pytest.fixture
def read(miniature: Callable[[str], Path]) -> Callable[[str], Dataset]:
    # CUHK03's pictures have to come out of its .mat first.
    return lambda name: read_dataset(name, miniature(name), check_counts=False, extract=True)


def test_every_dataset_has_a_miniature_and_every_miniature_a_dataset():
    assert set(BUILD) == set(list_datasets())


@every_dataset
def test_validate_accepts_a_miniature_by_names_and_by_pictures(miniature, omnireid, name):
    command = ("data", "validate", name, "--root", miniature(name), "--no-check-counts", "--extract")
    for more, depth in ((["--names-only"], "names only"), ([], "names and pictures")):
        code, out, err = omnireid(*command, *more)
        assert code == 0, out + err
        assert "no errors" in out
        assert depth in out


@every_dataset
def test_a_miniature_is_not_taken_for_the_benchmark(miniature, name):
    card = dataset_card(name)
    if not card.counts:
        read_dataset(name, miniature(name))
        return
    with pytest.raises(CountMismatchError, match=r"card → found[\s\S]*→[\s\S]*\(!\)[\s\S]*--no-check-counts"):
        read_dataset(name, miniature(name), extract=True)


@pytest.mark.parametrize("name", [name for name in list_datasets() if dataset_card(name).source])
def test_an_archive_is_named_or_unpacked_on_request(read, miniature, tmp_path, omnireid, name):
    shutil.make_archive(str(tmp_path / "packed"), "zip", miniature(name))
    with pytest.raises(DatasetError, match=r"Found the archive .*packed\.zip.*--extract"):
        read_dataset(name, tmp_path, check_counts=False)
    options = ("--root", tmp_path, "--no-check-counts", "--names-only")
    code, out, err = omnireid("data", "validate", name, *options, "--extract")
    assert code == 0, out + err
    unpacked = read_dataset(name, tmp_path, check_counts=False)
    whole = read(name)
    relative = {
        str(Path(data.root)): [
            [(Path(sample.path).relative_to(data.root), sample.pid, sample.camid) for sample in split]
            for split in data.splits
        ]
        for data in (unpacked, whole)
    }
    assert len(relative) == 2
    assert relative[unpacked.root] == relative[whole.root]


@every_dataset
def test_statistics_are_what_a_count_by_hand_gives(read, name):
    data = read(name)
    card = dataset_card(name)
    found = dataset_stats(data, card)
    by_hand = {(one.split, one.what): one for one in found.counts}
    for split, stats in zip(data.splits, found.splits, strict=True):
        files = [file for sample in split for file in (sample.frames or (sample.path,))]
        if len(split):
            assert by_hand[split.name, "images"].found == len(files)
            assert by_hand[split.name, "pids"].found == len({sample.pid for sample in split})
        assert sum(stats.images_per_camera.values()) == len(files)
        people = {sample.pid for sample in split} - card.distractor_pids
        in_bins = sum(stats.images_per_pid.counts) if stats.images_per_pid else 0
        assert in_bins == len(people)
        nobody = [sample for sample in split if sample.pid in card.distractor_pids]
        assert stats.distractor_images == sum(len(sample.frames) or 1 for sample in nobody)
        if card.is_video and len(split):
            assert sum(stats.frames_per_tracklet.counts) == len(split)
            assert sum(stats.tracklets_per_pid.counts) == len(people)
    for split, counts in card.counts.items():
        for what, number in counts.stated().items():
            assert by_hand[split, what].card == number
            assert by_hand[split, what].differs == (by_hand[split, what].found != number)
    assert sum(found.skipped.values()) == len(data.skipped)
    first = {sample.path for split in data.splits for sample in split}
    assert found.sizes.num_measured == len(first)
    assert not found.sizes.num_unreadable
    heights = [Image.open(path).height for path in first]
    assert (found.sizes.height.minimum, found.sizes.height.maximum) == (min(heights), max(heights))
    assert sum(found.sizes.height.counts) == len(first)


@every_dataset
def test_tables_of_statistics_fit_into_eighty_columns(read, name):
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(dataset_stats(read(name), dataset_card(name)).tables())
    lines = console.export_text().splitlines()
    # A wrapped title would leave its second half on a line of its own.
    assert all(line.count("median") <= 1 and len(line) <= 80 for line in lines)
    assert any(line.startswith(("train: ", "gallery: ")) for line in lines)


@every_dataset
def test_a_contact_sheet_shows_pictures_with_their_own_pid_and_camera(read, name):
    data = read(name)
    distractors = dataset_card(name).distractor_pids
    rows = choose_rows(data, distractors=distractors)
    known = {
        (part, file): (sample.pid, sample.camid)
        for split in data.splits
        for part in ["train" if split.name == "train" else "test"]
        for sample in split
        for file in (sample.frames or (sample.path,))
    }
    assert rows
    for row in rows:
        assert row.pid not in distractors
        assert 1 <= len(row.pictures) <= 10
        for camid, path in row.pictures:
            assert known[row.part, path] == (row.pid, camid)
    assert draw_contact_sheet(data, distractors=distractors).height > 144 * len(rows)


def plain(data: Dataset) -> tuple[object, ...]:
    """What a manifest keeps of a dataset."""
    return tuple((split.name, split.samples) for split in data.splits)


@every_dataset
def test_a_manifest_reads_back_equal(read, tmp_path, name):
    data = read(name)
    # What matters is what each sample is; which place it had among several datasets is not of one dataset.
    write_manifest(data, tmp_path / "out" / "x.csv")
    protocol = None if data.protocol is Protocol.MARKET1501 else data.protocol
    again = read_dataset("manifest", tmp_path / "out" / "x.csv", protocol=protocol)
    assert plain(again) == plain(data)
    assert again.protocol == data.protocol
    assert again.skipped == ()


def test_every_random_split_becomes_a_file(miniature, omnireid, tmp_path):
    root = miniature("viper")
    command = ("data", "manifest", "viper", "--root", root, "--no-check-counts", "--out", tmp_path)
    code, out, err = omnireid(*command, "--split-id", "all")
    assert code == 0, err
    files = sorted(tmp_path.iterdir())
    assert [file.name for file in files] == [f"viper-split{number:02d}.csv" for number in range(20)]
    assert str(files[3]) in out
    for number in (0, 7, 19):
        direct = read_dataset("viper", root, check_counts=False, split_id=number)
        assert plain(read_dataset("manifest", files[number])) == plain(direct)
    assert files[0].read_text() != files[2].read_text()
    code, out, err = omnireid(*command, "--split-id", "4")
    assert code == 0, err
    assert "viper-split04.csv" in out


def test_a_manifest_names_the_protocol_it_must_be_read_with(miniature, omnireid, tmp_path):
    name = "cuhk03-classic-detected"
    root = miniature(name)
    code, out, err = omnireid(
        "data", "manifest", name, "--root", root, "--no-check-counts", "--extract", "--out", tmp_path
    )
    assert code == 0, err
    assert f"--root {tmp_path / name}-split00.csv --protocol single-gallery-shot" in out


def test_statistics_are_written_and_warn_of_real_people(miniature, omnireid, tmp_path):
    code, out, err = omnireid(
        "data", "stats", "grid", "--root", miniature("grid"), "--split-id", "3", "--out", tmp_path
    )
    assert code == 0, err
    assert "do not publish" in err
    assert "differs" in out
    record = json.loads((tmp_path / "stats.json").read_text())
    assert (record["dataset"], record["split_id"]) == ("grid", 3)
    for name in ("stats.png", "contact_sheet.png"):
        assert str(tmp_path / name) in err
        with Image.open(tmp_path / name) as picture:
            assert picture.format == "PNG"
            picture.load()
    first = (tmp_path / "contact_sheet.png").read_bytes()
    for seed, is_same in ((0, True), (1, False)):
        arguments = ("--split-id", 3, "--out", tmp_path, "--seed", seed)
        assert omnireid("data", "stats", "grid", "--root", miniature("grid"), *arguments)[0] == 0
        assert ((tmp_path / "contact_sheet.png").read_bytes() == first) is is_same


def test_statistics_of_names_open_no_picture(miniature, omnireid, tmp_path, monkeypatch):
    monkeypatch.setattr("omnireid.data.stats.picture_size", None)
    root = miniature("viper")
    code, out, err = omnireid("data", "stats", "viper", "--root", root, "--names-only", "--out", tmp_path)
    assert code == 0, err
    assert "height" not in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["stats.json", "stats.png"]


@pytest.mark.parametrize("command", ["validate", "stats"])
def test_commands_of_one_split_refuse_all(miniature, omnireid, command):
    code, _, err = omnireid("data", command, "viper", "--root", miniature("viper"), "--split-id", "all")
    assert code == 2
    assert "this command works on one split" in err


def test_the_list_is_grouped_and_counts_splits(omnireid):
    code, out, _ = omnireid("data", "list")
    assert code == 0
    lines = [line.split() for line in out.splitlines() if line.strip()]
    names = [line[0] for line in lines]
    kinds = list(dict.fromkeys(line[1] for line in lines[1:]))
    assert kinds == ["pictures", "video", "any"]
    assert names.index("grid") < names.index("mars") < names.index("manifest")
    splits = {line[0]: line[2] for line in lines}
    assert (splits["viper"], splits["grid"], splits["prid2011"]) == ("20", "10", "10")
    assert splits["market1501"] == "1"
    assert set(names) >= set(list_datasets())


@every_dataset
def test_every_card_can_be_shown_whole(omnireid, name):
    code, out, _ = omnireid("data", "show", name)
    assert code == 0
    card = dataset_card(name)
    words = out.split()
    for text in (card.title, card.notes, card.licence, card.ethics, card.citation, card.layout, card.source):
        assert not set(text.split()) - set(words)
    for counts in card.counts.values():
        assert all(f"{number:,}" in words for number in counts.stated().values())
    assert all(archive in out for archive in card.archives)
    if card.num_splits > 1:
        assert f"0 to {card.num_splits - 1}" in out


def test_distractors_are_shown_as_a_range(omnireid):
    assert "pid 201–749" in omnireid("data", "show", "prid")[1]
    lines = [line.split() for line in omnireid("data", "show", "grid")[1].splitlines()]
    assert ["distractors", "pid", "0"] in lines


# --- manifests in detail ----------------------------------------------------------------------------


@pytest.fixture
def mars(read) -> Dataset:
    return read("mars")


def test_pictures_below_a_manifest_move_with_it(tmp_path):
    write_toy_people(tmp_path / "old" / "people")
    data = read_dataset("market-layout", tmp_path / "old" / "people")
    write_manifest(data, tmp_path / "old" / "x.csv")
    (tmp_path / "old").rename(tmp_path / "new")
    again = read_dataset("manifest", tmp_path / "new" / "x.csv")
    assert [Path(path).is_file() for path in again.train.paths] == [True] * len(data.train)


def test_names_with_commas_quotes_line_breaks_and_odd_separators_survive(tmp_path):
    names = [
        'a,"b".jpg',
        "line\nbreak.jpg",
        "u2028\u2028.jpg",
        "x85\x85.jpg",
        " blanks .jpg",
        "ü.jpg",
        "0x1c\x1c.jpg",
    ]
    write_toy_people(tmp_path)
    data = read_dataset("market-layout", tmp_path)
    samples = tuple(
        replace(data.query.samples[0], path=str(tmp_path / name), time=0.1 * number)
        for number, name in enumerate(names)
    )
    data = replace(data, query=replace(data.query, samples=samples))
    write_manifest(data, tmp_path / "x.csv")
    assert plain(read_dataset("manifest", tmp_path / "x.csv")) == plain(data)


@pytest.mark.parametrize(
    "written",
    ["./a.jpg", "d//a.jpg", "d/./a.jpg", "a.jpg/", "../a.jpg", "d/../a.jpg", "/a.jpg", "//a//b.jpg", ".a"],
)
def test_a_path_is_read_as_pathlib_writes_it(tmp_path, written):
    (tmp_path / "x.csv").write_text(f"path,pid,camid,split\n{written},1,0,query\n")
    (path,) = read_dataset("manifest", tmp_path / "x.csv").query.paths
    assert path == str(tmp_path / written)


def test_one_file_written_in_two_ways_is_there_twice(tmp_path):
    (tmp_path / "x.csv").write_text("path,pid,camid,split\na.jpg,1,0,query\n./a.jpg,1,0,query\n")
    with pytest.raises(OmniReIDError, match=r"line 3, column 'path': .* already, at line 2"):
        read_dataset("manifest", tmp_path / "x.csv")


def test_tracklets_may_be_named_and_lie_apart(tmp_path):
    rows = [
        ("1.jpg", 1, 0, "query", "walk"),
        ("2.jpg", 2, 0, "query", ""),
        ("3.jpg", 1, 0, "query", "walk"),
        ("1.jpg", 1, 0, "gallery", "walk"),
        ("4.jpg", -1, 0, "gallery", "junk"),
        ("5.jpg", -1, 0, "gallery", "junk"),
    ]
    with (tmp_path / "x.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("path", "pid", "camid", "split", "tracklet"), *rows])
    data = read_dataset("manifest", tmp_path / "x.csv")
    frames = [[Path(frame).name for frame in sample.frames] for sample in data.query]
    assert frames == [["1.jpg", "3.jpg"], []]
    assert [Path(path).name for path in data.query.paths] == ["1.jpg", "2.jpg"]
    assert [len(sample.frames) for sample in data.gallery] == [1]
    assert [Path(file.path).name for file in data.skipped] == ["4.jpg", "5.jpg"]


@pytest.mark.parametrize("wrong", ["3.jpg,2,0,query,walk", "3.jpg,1,1,query,walk"])
def test_a_tracklet_of_two_people_or_cameras_is_named(tmp_path, wrong):
    lines = ["path,pid,camid,split,tracklet", "1.jpg,1,0,query,walk", wrong]
    (tmp_path / "x.csv").write_text("\n".join(lines) + "\n")
    with pytest.raises(OmniReIDError, match="line 3, column 'tracklet': 'walk' has another pid or camid"):
        read_dataset("manifest", tmp_path / "x.csv")


def test_parquet_takes_tracklets_too(tmp_path, mars):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {
            "path": frame,
            "pid": sample.pid,
            "camid": sample.camid,
            "split": split.name,
            "tracklet": float(number) if number else 0.0,
        }
        for split in mars.splits
        for number, sample in enumerate(split)
        for frame in sample.frames
    ]
    rows.append({**rows[0], "path": "/alone.jpg", "tracklet": None})
    rows.append({**rows[0], "path": "/single.jpg", "tracklet": float("nan")})  # as pandas writes it
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "x.parquet")
    again = read_dataset("manifest", tmp_path / "x.parquet")
    assert again.query == mars.query
    assert again.train.samples[:-2] == mars.train.samples
    assert [sample.frames for sample in again.train.samples[-2:]] == [(), ()]


def test_a_manifest_without_cameras_has_no_column_for_them(tmp_path):
    for person in "ab":
        for number in range(2):
            write_picture(tmp_path / "people" / person / f"{number}.jpg")
    data = read_dataset("folder-per-person", tmp_path / "people")
    write_manifest(data, tmp_path / "x.csv")
    assert (tmp_path / "x.csv").read_text().startswith("path,pid,split\n")
    assert plain(read_dataset("manifest", tmp_path / "x.csv", protocol="no-camera")) == plain(data)
    some = replace(data, query=replace(data.query, samples=(replace(data.query.samples[0], camid=0),)))
    with pytest.raises(OmniReIDError, match="4 of 5 samples have no camera"):
        write_manifest(some, tmp_path / "y.csv")
    assert not (tmp_path / "y.csv").exists()


def test_a_dataset_without_samples_is_not_written(tmp_path):
    write_toy_people(tmp_path)
    data = read_dataset("market-layout", tmp_path)
    empty = {split.name: replace(split, samples=()) for split in data.splits}
    with pytest.raises(OmniReIDError, match="no samples to write"):
        write_manifest(replace(data, **empty), tmp_path / "x.csv")
    assert not (tmp_path / "x.csv").exists()


def test_a_name_that_is_no_utf8_is_refused_and_leaves_no_file(tmp_path):
    write_toy_people(tmp_path)
    data = read_dataset("market-layout", tmp_path)
    odd = replace(data.query.samples[0], path=str(tmp_path / "\udcff.jpg"))
    data = replace(data, query=replace(data.query, samples=(odd,)))
    with pytest.raises(OmniReIDError, match="not UTF-8"):
        write_manifest(data, tmp_path / "x.csv")
    assert not list(tmp_path.glob("*.csv*"))
    assert not list(tmp_path.glob(".x*"))
