"""Tracklets from tables and from sequences in MOTChallenge format, and who was seen together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from omnireid.core.card import InputSpec
from omnireid.core.errors import DatasetError, ImageError, InputError
from omnireid.data.tracklets import (
    Sighting,
    Tracklet,
    read_tracklets,
    seen_together,
    spread_samples,
)

TABLE = """Path, camera ,tracklet,time,note
a/1.jpg,c1,x,2,
a/0.jpg,c1,x,1,first
b/0.jpg,c1,y,1,
b/1.jpg,c2,y,1,
"""


def write_table(folder: Path, text: str = TABLE) -> Path:
    file = folder / "crops.csv"
    file.write_text(text, encoding="utf-8")
    return file


def write_sequence(folder: Path, lines: list[str], *, tracks: str = "gt/gt.txt") -> Path:
    (folder / tracks).parent.mkdir(parents=True, exist_ok=True)
    (folder / "seqinfo.ini").write_text(
        f"[Sequence]\nname={folder.name}\nimDir=img1\nframeRate=10\nimExt=.png\n"
    )
    (folder / tracks).write_text("\n".join(lines) + "\n")
    return folder


def test_a_table_gives_tracklets_by_camera_in_order_of_time(tmp_path: Path) -> None:
    tracklets = read_tracklets(write_table(tmp_path))
    assert [(one.camera, one.name) for one in tracklets] == [("c1", "x"), ("c1", "y"), ("c2", "y")]
    assert tracklets[0].sightings == (
        Sighting(str(tmp_path / "a/0.jpg"), 1.0), Sighting(str(tmp_path / "a/1.jpg"), 2.0)
    )  # fmt: skip
    assert seen_together(tracklets).tolist() == [[0, 1]], "another camera proves nothing"


def test_ground_truth_keeps_pedestrians_who_can_be_seen(tmp_path: Path) -> None:
    folder = write_sequence(
        tmp_path / "SEQ",
        [
            "1,7,11,21,30,60,1,1,1.0",
            "2,7,12,21,30,60,1,1,0.9",
            "2,8,101,21,30,60,1,1,0.5",
            "2,9,1,1,30,60,0,1,1.0",
            "2,10,1,1,30,60,1,7,1.0",
            "2,11,1,1,30,60,1,1,0.49",
        ],
    )
    for source in (folder, tmp_path):
        first, second = read_tracklets(source)
        assert (first.camera, first.name, second.name) == ("SEQ", "7", "8")
        assert first.sightings[0] == Sighting(str(folder / "img1/000001.png"), 0.1, (10.0, 20.0, 40.0, 80.0))
        assert [one.time for one in first.sightings] == [0.1, 0.2]
        assert seen_together((first, second)).tolist() == [[0, 1]]


def test_a_trackers_output_is_taken_as_it_is(tmp_path: Path) -> None:
    lines = ["1,3,11,21,30,60,0.4,-1,-1,-1", "1,4,201,21,30,60,0.9,-1,-1,-1"]
    folder = write_sequence(tmp_path / "SEQ", lines, tracks="tracks.txt")
    assert [one.name for one in read_tracklets(folder)] == ["3", "4"]


def test_boxes_that_overlap_much_may_be_one_person() -> None:
    def at(name: str, *boxes: tuple[float, float, float, float] | None) -> Tracklet:
        return Tracklet("c", name, tuple(Sighting("f", float(t), box) for t, box in enumerate(boxes)))

    a = at("a", (0, 0, 10, 20), (0, 0, 10, 20))
    twice = at("b", (50, 0, 60, 20), (1, 0, 11, 20))  # apart once, IoU 9/11 later
    touching = at("c", (5, 0, 15, 20))  # IoU 1/3
    away = at("d", (90, 0, 99, 20))
    unboxed = at("e", None)
    found = seen_together((a, twice, touching, away, unboxed)).tolist()
    assert [0, 1] not in found
    assert [0, 2] in found
    assert [0, 3] in found
    assert [0, 4] in found
    assert [0, 1] in seen_together((a, twice), max_overlap=0.9).tolist()


def test_frames_are_spread_and_cut(tmp_path: Path) -> None:
    """Frame t is red in its left half, and its right half is t levels of blue."""
    folder = write_sequence(
        tmp_path / "SEQ",
        [f"{t},1,1,1,10,20,1,1,1" for t in range(1, 10)] + [f"{t},2,11,1,100,20,1,1,1" for t in (1, 2)],
    )
    (folder / "img1").mkdir()
    for t in range(1, 10):
        frame = np.zeros((20, 20, 3), np.uint8)
        frame[:, :10, 0], frame[:, 10:, 2] = 255, t
        Image.fromarray(frame).save(folder / f"img1/{t:06d}.png")
    tracklets = read_tracklets(folder)
    samples, load = spread_samples(tracklets, 3)
    assert sorted((one.pid, one.time) for one in samples) == [
        (0, 0.1),
        (0, 0.5),
        (0, 0.9),
        (1, 0.1),
        (1, 0.2),
    ]
    spec = InputSpec(height=20, width=10)
    for sample in samples:
        crop = load(sample, spec)
        expected = (255, 0, 0) if sample.pid == 0 else (0, 0, round(10 * sample.time))
        assert (crop == np.array(expected)).all(), "the box is clipped at the frame's edge"
    with pytest.raises(InputError, match="num_frames"):
        spread_samples(tracklets, 0)


def test_a_box_outside_of_its_frame_is_named(tmp_path: Path) -> None:
    folder = write_sequence(tmp_path / "SEQ", ["1,1,500,1,10,20,1,1,1"])
    (folder / "img1").mkdir()
    Image.new("RGB", (20, 20)).save(folder / "img1/000001.png")
    samples, load = spread_samples(read_tracklets(folder), 1)
    with pytest.raises(ImageError, match=r"lies outside of the 20×20 frame"):
        load(samples[0], InputSpec())


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("path,camera,time\n", "missing columns: tracklet"),
        ("path,camera,tracklet,time\n", "no tracklets"),
        ("path,camera,tracklet,time\na.jpg,,x,1\n", "line 2: column 'camera' is empty"),
        ("path,camera,tracklet,time\na.jpg,c,x,noon\n", "line 2: time: expected a number, got 'noon'"),
        ("path,camera,tracklet,time\na.jpg,c,x\n", "line 2: time: expected a number, got ''"),
        ("path,camera,tracklet,time\na.jpg,c,x,1\nb.jpg,c,x,1\n", "twice at the time 1"),
        ("", "missing columns"),
    ],
)
def test_a_bad_table_is_named(tmp_path: Path, table: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_tracklets(write_table(tmp_path, table))


def test_bad_sequences_are_named(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        read_tracklets(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match="no tracklets"):
        read_tracklets(tmp_path)
    binary = tmp_path / "x.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DatasetError, match="UTF-8"):
        read_tracklets(binary)
    for lines, message in ((["1,2,3"], "line 1: expected frame"), (["1,2,a,4,5,6"], "got 'a'")):
        with pytest.raises(DatasetError, match=message):
            read_tracklets(write_sequence(tmp_path / "SEQ", lines))
    (tmp_path / "SEQ/seqinfo.ini").write_text("[Other]\n")
    with pytest.raises(DatasetError, match=r"seqinfo.ini: not a seqinfo"):
        read_tracklets(tmp_path / "SEQ")
    empty = tmp_path / "EMPTY"
    empty.mkdir()
    (empty / "seqinfo.ini").write_text("[Sequence]\n")
    with pytest.raises(DatasetError, match=r"neither gt/gt.txt nor tracks.txt"):
        read_tracklets(empty)
