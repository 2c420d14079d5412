"""Validation names what is wrong: each fault is planted once in a miniature dataset."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from data.miniatures_video import build_dukemtmcvidreid, build_ilidsvid, build_mars, build_prid2011
from omnireid.core.options import Protocol
from omnireid.core.types import Dataset, Sample, Split
from omnireid.data.datasets import read_dataset
from omnireid.data.validate import Severity, ValidationReport, validate_dataset


def check(root: Path, **options) -> ValidationReport:
    return validate_dataset(read_dataset("market-layout", root), threads=2, **options)


def kinds(report: ValidationReport) -> dict[str, Severity]:
    return {problem.kind: problem.severity for problem in report.problems}


def printed(report: ValidationReport) -> str:
    stream = io.StringIO()
    Console(file=stream, width=300).print(report.table())
    return stream.getvalue()


def test_a_sound_dataset_has_no_error(market_root):
    report = check(market_root)
    assert report.ok
    assert kinds(report) == {"junk": Severity.NOTE}
    assert report.num_files == 9
    assert "no errors" in printed(report)
    (market_root / "bounding_box_test" / "-1_c1s1_000009_00.jpg").unlink()
    assert "nothing found" in printed(check(market_root))


def test_bad_files_are_named_by_kind(market_root):
    test = market_root / "bounding_box_test"
    (test / "0003_c1s1_000001_00.jpg").touch()
    (test / "0003_c2s1_000001_00.jpg").mkdir()
    (test / "0003_c3s1_000001_00.jpg").symlink_to("nowhere")
    whole = (test / "0001_c1s1_000002_00.jpg").read_bytes()
    (test / "0003_c4s1_000001_00.jpg").write_bytes(whole[: len(whole) // 2])
    (test / "0003_c5s1_000001_00.jpg").write_text("<html>404</html>")
    report = check(market_root)
    assert not report.ok
    found = {
        kind: report.of_kind(kind).items for kind in ("empty-file", "directory", "missing", "unreadable")
    }
    assert [Path(item.split(": ")[0]).name for items in found.values() for item in items] == [
        "0003_c1s1_000001_00.jpg",
        "0003_c2s1_000001_00.jpg",
        "0003_c3s1_000001_00.jpg",
        "0003_c4s1_000001_00.jpg",
        "0003_c5s1_000001_00.jpg",
    ]
    assert "truncated" in found["unreadable"][0]
    assert "0003_c5s1_000001_00.jpg: not a picture" in printed(report)
    names_only = check(market_root, decode=False)
    assert "unreadable" not in kinds(names_only)
    assert {"empty-file", "directory", "missing"} <= set(kinds(names_only))


def test_converted_pictures_are_warned_about(market_root):
    test = market_root / "bounding_box_test"
    image = Image.new("RGB", (8, 16), "teal")
    image.convert("CMYK").save(test / "0001_c3.jpg")
    image.convert("P").save(test / "0001_c4.png")
    Image.fromarray(np.full((16, 8), 40_000, np.uint16)).save(test / "0001_c5.png")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.save(test / "0001_c6.jpg", exif=exif)
    frames = [Image.new("RGB", (8, 16), colour) for colour in ("red", "blue")]
    frames[0].save(test / "0001_c7.gif", save_all=True, append_images=frames[1:])
    (test / "0001_c7.gif").rename(test / "0001_c7.png")
    report = check(market_root)
    assert report.ok
    items = report.of_kind("converted").items
    reasons = {Path(item.split(": ")[0]).name: item.split(": ")[1] for item in items}
    assert reasons == {
        "0001_c3.jpg": "CMYK",
        "0001_c4.png": "palette",
        "0001_c5.png": "16-bit grey",
        "0001_c6.jpg": "rotated by EXIF",
        "0001_c7.png": "palette, several frames (the first is used)",
    }


def test_files_with_wrong_names_are_listed(market_root):
    (market_root / "query" / "person one.jpg").touch()
    problem = check(market_root).of_kind("not-taken")
    assert problem.severity is Severity.WARNING
    assert "person one.jpg: the name is not <pid>_c<camera>" in problem.items[0]


def test_queries_without_another_camera_are_counted_and_the_way_out_offered(market_root):
    (market_root / "bounding_box_test" / "0001_c2s1_000001_00.jpg").unlink()
    report = check(market_root)
    problem = report.of_kind("unmatched-queries")
    assert problem.severity is Severity.WARNING
    assert problem.message.startswith("1 of 2 queries (1 people)")
    assert "0001_c1s1_000001_00.jpg: pid 1, camera 0" in problem.items[0]
    assert "--protocol no-camera" in problem.next_step

    (market_root / "bounding_box_test" / "0002_c1s1_000001_00.jpg").unlink()
    problem = check(market_root).of_kind("unmatched-queries")
    assert problem.severity is Severity.ERROR
    assert "nothing can be scored" in problem.message


def test_without_cameras_only_the_own_file_is_no_match(tmp_path, picture):
    for name in ("anna/1.jpg", "anna/2.jpg", "ben/1.jpg"):
        picture(tmp_path / name, seed=len(name))
    dataset = read_dataset("folder-per-person", tmp_path)
    assert dataset.protocol is Protocol.NO_CAMERA
    problem = validate_dataset(dataset).of_kind("unmatched-queries")
    assert problem.message.startswith("1 of 3 queries")
    assert "ben" in problem.items[0]
    assert "--protocol" not in problem.next_step


def test_duplicates_across_train_and_test_are_found_by_content(market_root):
    shutil.copy(
        market_root / "bounding_box_train" / "0005_c1s1_000001_00.jpg",
        market_root / "bounding_box_test" / "0077_c1s1_000001_00.jpg",
    )
    report = check(market_root)
    assert kinds(report)["train-test-duplicates"] is Severity.ERROR
    (item,) = report.of_kind("train-test-duplicates").items
    assert "0005_c1s1_000001_00.jpg = " in item
    assert "0077_c1s1_000001_00.jpg" in item
    # Other people may share a number across the two parts, so the labels do not contradict.
    assert report.of_kind("contradictory-pids") is None


def test_files_of_one_size_and_other_content_are_no_duplicates(market_root):
    for folder, colour in (("bounding_box_train", 10), ("bounding_box_test", 200)):
        Image.fromarray(np.full((4, 4, 3), colour, np.uint8)).save(market_root / folder / "0009_c1.bmp")
    assert check(market_root).of_kind("train-test-duplicates") is None


def test_one_picture_of_two_people_is_an_error(market_root):
    test = market_root / "bounding_box_test"
    shutil.copy(test / "0001_c1s1_000002_00.jpg", test / "0002_c2s1_000009_00.jpg")
    (item,) = check(market_root).of_kind("contradictory-pids").items
    assert item.endswith("pids 1 and 2")


def test_a_query_copied_into_the_gallery_is_a_warning(market_root):
    shutil.copy(
        market_root / "query" / "0001_c1s1_000001_00.jpg",
        market_root / "bounding_box_test" / "0001_c2s1_000008_00.jpg",
    )
    assert kinds(check(market_root))["query-gallery-duplicates"] is Severity.WARNING


def test_a_picture_is_no_duplicate_of_itself(tmp_path, picture):
    """Where query and gallery are the same files, only another file of the same content counts."""
    one = picture(tmp_path / "anna" / "1.png")
    picture(tmp_path / "ben" / "2.png")
    assert (
        validate_dataset(read_dataset("folder-per-person", tmp_path)).of_kind("query-gallery-duplicates")
        is None
    )
    shutil.copy(one, tmp_path / "anna" / "3.png")
    problem = validate_dataset(read_dataset("folder-per-person", tmp_path)).of_kind(
        "query-gallery-duplicates"
    )
    left, right = problem.items[0].split(" = ")
    assert {Path(left).name, Path(right).name} == {"1.png", "3.png"}


def test_people_in_train_and_test_are_a_warning(market_root, picture):
    picture(market_root / "bounding_box_test" / "0003_c1s1_000008_00.jpg", seed=5)
    problem = check(market_root).of_kind("shared-pids")
    assert problem.severity is Severity.WARNING
    assert problem.items == ("pid 3",)


@pytest.mark.parametrize(
    ("gone", "severity"),
    [
        (["query"], Severity.ERROR),
        (["bounding_box_train"], Severity.NOTE),
        (["query", "bounding_box_test"], Severity.NOTE),
    ],
)
def test_empty_splits(market_root, gone, severity):
    for folder in gone:
        shutil.rmtree(market_root / folder)
    assert kinds(check(market_root))["empty-split"] is severity


def test_nothing_at_all_is_an_error():
    empty = [Split(name, ()) for name in ("train", "query", "gallery")]
    report = validate_dataset(Dataset("market-layout", "nowhere", *empty))
    assert not report.ok
    assert report.num_files == 0


def test_a_picture_in_two_splits_is_read_once(market_root):
    path = str(market_root / "query" / "0001_c1s1_000001_00.jpg")
    split = (Sample(path, 1, 0),)
    dataset = Dataset("x", "x", Split("train", ()), Split("query", split), Split("gallery", split))
    assert validate_dataset(dataset).num_files == 1


def test_progress_is_shown_where_asked(market_root):
    stream = io.StringIO()
    check(market_root, console=Console(file=stream, force_terminal=True, width=120))
    assert "checking" in stream.getvalue()


def test_real_photographs_are_sound(real_dir):
    assert check(real_dir / "mot17mini").problems == ()


# --- tracklets ------------------------------------------------------------------------------------


def validate_video(name: str, root: Path, **options) -> ValidationReport:
    return validate_dataset(read_dataset(name, root, check_counts=False), threads=2, **options)


@pytest.mark.parametrize("build", [build_mars, build_ilidsvid, build_prid2011, build_dukemtmcvidreid])
def test_every_frame_of_a_tracklet_is_checked(tmp_path, build):
    name = build.__name__.removeprefix("build_")
    build(tmp_path)
    data = read_dataset(name, tmp_path, check_counts=False)
    report = validate_video(name, tmp_path)
    assert report.ok, printed(report)
    assert report.num_files == len({frame for split in data.splits for one in split for frame in one.frames})

    middle = Path(
        max((one for split in data.splits for one in split), key=lambda one: len(one.frames)).frames[1]
    )
    whole = middle.read_bytes()
    middle.write_bytes(whole[: len(whole) // 2])
    report = validate_video(name, tmp_path)
    assert [item.split(": ")[0] for item in report.of_kind("unreadable").items] == [str(middle)]
    assert validate_video(name, tmp_path, decode=False).ok


def test_frames_that_the_list_names_and_the_disk_lacks_are_missing(tmp_path):
    build_mars(tmp_path)
    (frame,) = tmp_path.glob("mars/bbox_test/0002/0002C3T0001F002.jpg")
    frame.unlink()
    report = validate_video("mars", tmp_path, decode=False)
    assert report.of_kind("missing").items == (f"{frame}: no such file",)
    assert "2 junk tracklets (pid −1)" in report.of_kind("junk").message


def test_a_frame_in_train_and_test_is_found(tmp_path):
    build_prid2011(tmp_path)
    data = read_dataset("prid2011", tmp_path, check_counts=False)
    trained = next(one for one in data.train if len(one.frames) > 2).frames[1]
    tested = next(one for one in data.gallery if len(one.frames) > 2).frames[2]
    shutil.copy(trained, tested)
    report = validate_video("prid2011", tmp_path)
    assert report.of_kind("train-test-duplicates").items == (f"{trained} = {tested}",)
