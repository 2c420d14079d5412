"""Statistics of a dataset: bins, sizes, counts against the card, and the pictures drawn of them."""

from __future__ import annotations

import io
import itertools
import shutil
import statistics
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image
from rich.console import Console

from omnireid.core.errors import ImageError, InputError, StorageError
from omnireid.core.images import decode, picture_size
from omnireid.core.types import Dataset, Sample, SkippedFile, Split
from omnireid.data import stats
from omnireid.data.contact_sheet import choose_rows, draw_contact_sheet, save_contact_sheet
from omnireid.data.datasets import SplitCounts, dataset_card, read_dataset
from omnireid.data.datasets.card import DatasetCard
from omnireid.data.stats import Distribution, bin_labels, dataset_stats
from omnireid.data.stats_figure import save_figure
from toy_people import write_toy_people

CARD = DatasetCard("mini", "Mini", "", counts={"train": SplitCounts(images=4, pids=2, cameras=3)})


def dataset(
    train: list[Sample] = (), query: list[Sample] = (), gallery: list[Sample] = (), **more
) -> Dataset:
    return Dataset(
        "mini", "/mini", Split("train", tuple(train)), Split("query", tuple(query)),
        Split("gallery", tuple(gallery)), **more,
    )  # fmt: skip


def printed(found: stats.DatasetStats) -> str:
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(found.tables())
    return console.export_text()


# --- bins -------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=60))
def test_numbers_of_pictures_fall_into_growing_bins(values):
    found = Distribution.of(values, stats._growing_edges)
    assert_bins_hold(found, values)
    assert all(str(int(edge)).rstrip("0") in ("1", "2", "3", "5") for edge in found.edges)


@given(st.lists(st.integers(1, 64_000), min_size=1, max_size=60))
def test_sizes_fall_into_about_ten_equal_bins(values):
    found = Distribution.of(values, stats._even_edges)
    assert_bins_hold(found, values)
    (width,) = {high - low for low, high in itertools.pairwise(found.edges)}
    assert str(int(width)).rstrip("0") in ("1", "2", "5")
    assert len(found.counts) <= 11
    assert len(found.counts) >= 4 or width == 1


@given(st.lists(st.fractions(1, 6, max_denominator=300), min_size=1, max_size=60))
def test_ratios_fall_into_equal_bins_of_round_tenths(values):
    found = Distribution.of([float(value) for value in values], stats._fine_edges)
    assert_bins_hold(found, [float(value) for value in values])
    assert all(len(f"{edge:g}") <= 3 for edge in found.edges)
    assert len(found.counts) <= 11


def assert_bins_hold(found: Distribution, values: list[float]) -> None:
    assert (found.minimum, found.maximum) == (min(values), max(values))
    assert found.median == pytest.approx(statistics.median(values))
    by_hand = [sum(low <= value < high for value in values) for low, high in itertools.pairwise(found.edges)]
    assert list(found.counts) == by_hand
    assert sum(by_hand) == len(values)
    assert by_hand[0] > 0
    assert by_hand[-1] > 0


def test_no_values_have_no_distribution():
    assert Distribution.of([], stats._even_edges) is None


def test_bins_have_names_without_overlap():
    assert bin_labels([1, 2, 3, 5, 10, 20]) == ["1", "2", "3–4", "5–9", "10–19"]
    assert bin_labels([950, 1000, 1050]) == ["950–999", "1,000–1,049"]
    assert bin_labels([1.5, 2.0, 2.5]) == ["1.5–2", "2–2.5"]


# --- counts -------------------------------------------------------------------------------------------


def test_counts_stand_beside_the_card_and_differences_are_no_error():
    found = dataset_stats(
        dataset([Sample("a", 1, 0), Sample("b", 2, 1), Sample("c", 2, 1)]), CARD, measure=False
    )
    rows = {(one.split, one.what): (one.card, one.found, one.differs) for one in found.counts}
    assert rows == {
        ("train", "images"): (4, 3, True),
        ("train", "pids"): (2, 2, False),
        ("train", "cameras"): (3, 2, True),
    }
    text = printed(found)
    assert text.count("differs") == 2
    assert found.sizes is None
    assert "pixels" not in text


def test_a_split_of_the_card_that_is_empty_is_shown():
    found = dataset_stats(dataset(query=[Sample("a", 1, 0)]), CARD, measure=False)
    assert ("train", "images", 4, 0) in {(one.split, one.what, one.card, one.found) for one in found.counts}


def test_distractors_are_apart_and_reasons_counted():
    gallery = [Sample(f"{n}", 0, 0) for n in range(5)] + [Sample("x", 7, 1)]
    skipped = tuple(SkippedFile(f"{n}", "odd" if n else "junk") for n in range(3))
    card = replace(CARD, distractor_pids=frozenset({0}))
    found = dataset_stats(dataset(gallery=gallery, skipped=skipped), card, measure=False)
    split = found.splits[2]
    assert split.distractor_images == 5
    assert split.images_per_pid.maximum == 1
    assert split.images_per_camera == {0: 5, 1: 1}
    assert list(found.skipped.items()) == [("odd", 2), ("junk", 1)]
    text = printed(found)
    assert "5 of distractors apart" in text
    assert "odd" in text


def test_frames_count_as_pictures_and_tracklets_beside_them():
    train = [
        Sample("1", 4, 0, frames=("1", "2", "3")),
        Sample("4", 4, 1, frames=("4",)),
        Sample("5", 9, 1, frames=("5", "6")),
    ]
    found = dataset_stats(dataset(train), replace(CARD, counts={}), measure=False)
    split = found.splits[0]
    assert split.images_per_camera == {0: 3, 1: 3}
    assert (split.images_per_pid.minimum, split.images_per_pid.maximum) == (2, 4)
    assert (split.tracklets_per_pid.minimum, split.tracklets_per_pid.maximum) == (1, 2)
    assert (split.frames_per_tracklet.median, split.frames_per_tracklet.maximum) == (2, 3)
    assert found.is_video
    assert [one.what for one in found.counts] == ["tracklets", "images", "pids", "cameras"]


def test_pictures_have_no_tracklets():
    split = dataset_stats(dataset([Sample("a", 1, 0)]), CARD, measure=False).splits[0]
    assert split.tracklets_per_pid is None
    assert split.frames_per_tracklet is None


def test_what_no_source_states_cannot_differ():
    found = dataset_stats(dataset(query=[Sample("a", 1, 0)]), CARD, measure=False)
    assert [one.differs for one in found.counts if one.split == "query"] == [False, False, False]
    assert "–" in printed(found)


def test_many_cameras_are_summed_up(tmp_path):
    found = dataset_stats(dataset([Sample(f"{n}", 1, n) for n in range(1000)]), CARD, measure=False)
    text = printed(found)
    assert "980 more cameras" in text
    # c20 is the last to be shown: 20 cameras, one picture each.
    assert [line.split()[0] for line in text.splitlines() if line.rstrip().endswith("█" * 30)][:20] == [
        f"c{number}" for number in range(1, 21)
    ]
    assert not any(" c21 " in line for line in text.splitlines())


def test_one_picture_among_many_still_has_a_bar():
    many = [Sample(f"{n}", 1, 0) for n in range(100)]
    lines = printed(dataset_stats(dataset([*many, Sample("x", 1, 1)]), CARD, measure=False)).splitlines()
    assert [line.split() for line in lines if "▏" in line] == [["c2", "1", "▏"]]


def test_the_figure_of_many_cameras_says_how_many(tmp_path):
    found = dataset_stats(dataset([Sample(f"{n}", 1, n) for n in range(1000)]), CARD, measure=False)
    save_figure(found, tmp_path / "x.png")
    assert Image.open(tmp_path / "x.png").size == (1200, 700)


# --- sizes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_size_from_the_header_is_that_of_the_decoded_picture(tmp_path, orientation, suffix):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    path = tmp_path / f"x.{suffix}"
    Image.new("RGB", (12, 30)).save(path, exif=exif)
    height, width, _ = decode(path).shape
    assert picture_size(path) == (width, height)


def test_a_size_needs_the_header_only_and_a_picture(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 40, 3), dtype=np.uint8)).save(
        tmp_path / "x.png"
    )
    whole = (tmp_path / "x.png").read_bytes()
    (tmp_path / "x.png").write_bytes(whole[: len(whole) // 2])
    assert picture_size(tmp_path / "x.png") == (40, 90)
    (tmp_path / "y.png").write_bytes(b"no picture")
    for name in ("y.png", "absent.png"):
        with pytest.raises(ImageError, match=name):
            picture_size(tmp_path / name)


def test_sizes_are_measured_once_per_file_and_bad_files_are_named(tmp_path, monkeypatch):
    opened = []
    monkeypatch.setattr(stats, "picture_size", lambda path: (opened.append(path), picture_size(path))[1])
    samples = []
    for number, size in enumerate([(10, 20), (20, 40), (30, 90)]):
        path = tmp_path / f"{number}.png"
        Image.new("RGB", size).save(path)
        samples.append(Sample(str(path), 1, 0))
    bad = Sample(str(tmp_path / "absent.png"), 1, 0)
    found = dataset_stats(dataset(query=[*samples, bad], gallery=samples), CARD, threads=1).sizes
    assert (found.num_measured, found.num_unreadable) == (3, 1)
    assert found.unreadable == (bad.path,)
    assert opened == [*(sample.path for sample in samples), bad.path]
    assert (found.width.minimum, found.width.median, found.width.maximum) == (10, 20, 30)
    assert (found.height.minimum, found.height.median, found.height.maximum) == (20, 40, 90)
    assert (found.aspect_ratio.minimum, found.aspect_ratio.maximum) == (2, 3)
    assert "1 pictures cannot be read" in printed(dataset_stats(dataset(query=[*samples, bad]), CARD))


def test_without_any_good_picture_there_are_tables_and_a_figure(tmp_path):
    found = dataset_stats(dataset(query=[Sample("/absent.png", 1, 0)]), CARD)
    assert "cannot be read" in printed(found)
    save_figure(found, tmp_path / "x.png")
    found = dataset_stats(dataset(), CARD)
    printed(found)
    save_figure(found, tmp_path / "y.png")


def test_statistics_are_the_same_again_from_their_file(tmp_path, toy_root):
    found = dataset_stats(read_dataset("market-layout", toy_root), dataset_card("market-layout"))
    found.save(tmp_path / "stats.json")
    assert stats.DatasetStats.model_validate_json((tmp_path / "stats.json").read_text()) == found


# --- the contact sheet ------------------------------------------------------------------------------------


def test_a_draw_depends_on_names_and_seed_not_on_the_place(tmp_path):
    write_toy_people(tmp_path / "one", num_train=30, num_test=12)
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    draws = {}
    for place in ("one", "other"):
        data = read_dataset("market-layout", tmp_path / place)
        for seed in (0, 1):
            rows = choose_rows(data, seed=seed)
            draws[place, seed] = [(row.pid, [Path(path).name for _, path in row.pictures]) for row in rows]
    assert draws["one", 0] == draws["other", 0]
    assert draws["one", 0] != draws["one", 1]
    assert draws["one", 1] == draws["other", 1]


def test_half_of_the_people_are_of_train_and_half_of_test(tmp_path):
    data = read_dataset("market-layout", write_toy_people(tmp_path, num_train=9, num_test=9))
    for number, parts in ((8, (4, 4)), (7, (4, 3)), (1, (1, 0))):
        found = Counter(row.part for row in choose_rows(data, num_people=number))
        assert (found["train"], found["test"]) == parts
    only_test = replace(data, train=Split("train", ()))
    assert Counter(row.part for row in choose_rows(only_test)) == {"test": 8}


def test_cameras_take_turns_and_people_of_several_cameras_come_first():
    samples = [Sample(f"{pid}_{n}", pid, 0) for pid in range(20) for n in range(20)]
    samples += [
        Sample(f"{pid}_{camid}_{n}", pid, camid) for pid in (3, 8) for camid in (2, 5) for n in range(9)
    ]
    samples += [Sample("8_7_0", 8, 7)]
    rows = choose_rows(dataset(samples), num_people=2)
    assert [row.pid for row in rows] == [3, 8]
    of_cameras = [Counter(camid for camid, _ in row.pictures) for row in rows]
    assert sorted(of_cameras[0].values()) == [3, 3, 4]
    assert (of_cameras[1][7], len(of_cameras[1]), sum(of_cameras[1].values())) == (1, 4, 10)
    for row in rows:
        assert len({path for _, path in row.pictures}) == 10
        assert [camid for camid, _ in row.pictures] == sorted(camid for camid, _ in row.pictures)


def test_frames_of_all_tracklets_can_be_shown_and_distractors_not():
    samples = [Sample("a", 1, 0, frames=("a", "b")), Sample("c", 1, 0, frames=("c",)), Sample("d", 2, 0)]
    (row,) = choose_rows(dataset(query=samples), distractors=frozenset({2}))
    assert row.pictures == ((0, "a"), (0, "b"), (0, "c"))


@pytest.mark.parametrize(
    "more", [{"num_people": 0}, {"pictures_per_person": 0}, {"distractors": frozenset({1})}]
)
def test_nothing_to_show_is_an_error(more):
    with pytest.raises(InputError, match=r"nothing to show|no person to show"):
        choose_rows(dataset([Sample("a", 1, 0)]), **more)


def test_pictures_are_drawn_whole_in_their_place_and_bad_ones_are_grey(tmp_path):
    colours = {"tall": (200, 0, 0), "wide": (0, 200, 0)}
    for name, size in (("tall", (36, 144)), ("wide", (36, 72))):
        Image.new("RGB", size, colours[name]).save(tmp_path / f"{name}.png")
    paths = [tmp_path / "tall.png", tmp_path / "wide.png", tmp_path / "absent.png"]
    data = dataset([Sample(str(path), 5, camid) for camid, path in enumerate(paths)])
    sheet = draw_contact_sheet(data)
    pixels = np.asarray(sheet)[50:202, 90:]  # without the words, whose edges are of many greys
    red = (pixels == colours["tall"]).all(axis=2)
    green = (pixels == colours["wide"]).all(axis=2)
    grey = (pixels == 225).all(axis=2)
    # The cell is as wide as the median shape asks for: 144 high, 54 wide of 36×144 and 36×72.
    assert red.sum() == 36 * 144
    assert green.sum() == pytest.approx(54 * 108, rel=0.02)
    assert 0.8 * 54 * 144 < grey.sum() < 54 * 144
    assert red.any(axis=0).argmax() < green.any(axis=0).argmax() < grey.any(axis=0).argmax()
    bottoms = {int(np.flatnonzero(mask.any(axis=1)).max()) for mask in (red, green, grey)}
    assert len(bottoms) == 1


def test_a_sheet_that_cannot_be_written_is_named(tmp_path, toy_root):
    (tmp_path / "file").touch()
    sheet = draw_contact_sheet(read_dataset("market-layout", toy_root), num_people=1)
    with pytest.raises(StorageError, match="cannot write"):
        save_contact_sheet(sheet, tmp_path / "file" / "x.png")


def test_the_figure_of_a_dataset_is_drawn_without_pyplot(tmp_path, toy_root):
    import sys

    before = "matplotlib.pyplot" in sys.modules
    save_figure(
        dataset_stats(read_dataset("market-layout", toy_root), dataset_card("market-layout")),
        tmp_path / "x.png",
    )
    assert ("matplotlib.pyplot" in sys.modules) == before
    pixels = np.asarray(Image.open(tmp_path / "x.png").convert("RGB")).reshape(-1, 3)
    drawn = {tuple(map(int, colour)) for colour in np.unique(pixels, axis=0)}
    for colour in ("0072b2", "d55e00", "009e73", "56707f"):
        assert tuple(bytes.fromhex(colour)) in drawn
