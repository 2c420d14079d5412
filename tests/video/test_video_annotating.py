"""Films with a box around everybody, and cameras in step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import ImageColor

from omnireid.core.arrays import UInt8
from omnireid.core.errors import StorageError
from omnireid.video.annotating import COLOURS, TOGETHER, Films, annotate
from omnireid.video.film import Film
from omnireid.video.follower import Camera
from omnireid.video.mot import write_lines
from omnireid.video.reading import Video
from video.walks import write_video

pytest.importorskip("av")

GREY = np.full((120, 160, 3), 90, np.uint8)


def near(picture: UInt8, x: int, y: int, colour: str) -> bool:
    return bool(np.abs(picture[y, x].astype(int) - ImageColor.getrgb(colour)).max() < 45)


@pytest.fixture
def cameras(tmp_path: Path) -> dict[str, Camera]:
    """Two cameras of 2 s, the second begins a second later; person 2 is in frames 5 to 14 of each."""
    cameras = {}
    for name, offset in (("yard", 0.0), ("hall", 1.0)):
        film = write_video(tmp_path / f"{name}.avi", [GREY] * 20)
        cameras[name] = Camera(name, str(film), offset, (120, 160), 20, offset + 2.0)
        box = np.array([40, 40, 100, 110], np.float32)
        write_lines(tmp_path / "identities" / f"{name}.txt", [(n, 2, box, 1.0) for n in range(5, 15)])
    return cameras


def test_everybody_has_a_box_of_their_colour_in_their_frames(
    cameras: dict[str, Camera], tmp_path: Path
) -> None:
    cameras["live"] = Camera("live", "rtsp://nobody.local/stream", 0.0, (120, 160), 7)
    annotate(cameras, {2: "2"}, tmp_path)
    assert {path.name for path in (tmp_path / "videos").iterdir()} == {"yard.mp4", "hall.mp4"}
    frames = list(Video(str(tmp_path / "videos" / "hall.mp4")).frames())
    assert [near(frame.picture, 41, 80, COLOURS[1]) for frame in frames] == [
        5 <= n < 15 for n in range(1, 21)
    ]
    assert frames[-1].time - frames[0].time == pytest.approx(1.9)


def test_cameras_stand_side_by_side_in_step(cameras: dict[str, Camera], tmp_path: Path) -> None:
    annotate(cameras, {}, tmp_path)
    frames = list(Video(str(tmp_path / TOGETHER)).frames())
    # Tiles of the pictures' own shape, four times as large: the box begins at x = 160 of each half.
    assert frames[0].picture.shape == (480, 1280, 3)
    yard, hall = (
        [frame.time for frame in frames if near(frame.picture, 640 * column + 163, 320, COLOURS[1])]
        for column in (0, 1)
    )
    assert len(yard) == 10
    assert hall == pytest.approx([time + 1.0 for time in yard], abs=0.11)


def test_everybody_is_hidden_but_who_was_asked_for(cameras: dict[str, Camera], tmp_path: Path) -> None:
    stripes = np.tile(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8), (120, 80, 1))
    write_video(Path(cameras["hall"].source), [stripes] * 20)
    with (tmp_path / "identities" / "hall.txt").open("a") as file:
        file.writelines(f"{n},3,110,40,40,70,1\n" for n in range(15, 18))
    annotate({"hall": cameras["hall"]}, {2: "2"}, tmp_path, Films(only=2))
    frames = [frame.picture for frame in Video(str(tmp_path / "videos" / "hall.mp4")).frames()]
    # Person 2 is there in frames 5 to 14 as they were; person 3 in 15 to 17, hidden from 13 on.
    assert [frame[60:90, 60:90].std() > 60 for frame in frames] == [True] * 20
    assert [frame[60:90, 120:140].std() < 40 for frame in frames] == [n >= 13 for n in range(1, 21)]
    assert [near(frame, 41, 80, COLOURS[1]) for frame in frames] == [5 <= n < 15 for n in range(1, 21)]
    assert not any(near(frame, 111, 80, COLOURS[2]) for frame in frames)


def test_films_end_where_following_was_stopped(cameras: dict[str, Camera], tmp_path: Path) -> None:
    cameras["hall"].last_s = 1.0 + 0.6  # its seventh frame
    annotate({"hall": cameras["hall"]}, {}, tmp_path)
    assert len(list(Video(str(tmp_path / "videos" / "hall.mp4")).frames())) == 7


def test_a_film_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"), Film(tmp_path / "file" / "a.mp4"):
        pass
    with pytest.raises(IndexError), Film(tmp_path / "a.mp4") as film:
        film.add(0.0, GREY[0, 0, 0, 0])
    assert list(tmp_path.glob("a.*")) == []
