"""Everybody is hidden but one person, also where only the detector or only the tracks know of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from omnireid.core.arrays import UInt8
from omnireid.core.detection import Detections
from omnireid.core.errors import InputError, StorageError
from omnireid.video.hiding import covered, hide_others
from omnireid.video.mot import Lines
from omnireid.video.reading import Video
from video.test_video_live import Stripes
from video.walks import box, street, write_video

LEFT, RIGHT = 80, 220


class Nobody:
    """A detector that finds nobody."""

    name = "nobody"

    def detect(self, picture: UInt8) -> Detections:
        return Detections(np.zeros((0, 4)), np.zeros(0))


def lines(*people: tuple[int, float], frames: int = 8) -> Lines:
    rows = [(frame, who, x) for frame in range(1, frames + 1) for who, x in people]
    boxes = np.stack([box(x, 120, 80) for _, _, x in rows])
    frames_N, ids = np.array([row[0] for row in rows]), np.array([row[1] for row in rows])
    return Lines(frames_N, ids, boxes, np.ones(len(rows), np.float32))


@pytest.mark.parametrize(
    ("known", "detector"), [(((1, LEFT),), Stripes()), (((1, LEFT), (2, RIGHT)), Nobody())]
)
def test_only_the_person_is_left(
    tmp_path: Path, known: tuple[tuple[int, float], ...], detector: Stripes | Nobody
) -> None:
    noisy = [street([(LEFT, 1), (RIGHT, 2)]) for _ in range(8)]
    for picture in noisy:  # a checkerboard in each of them, which no cell of colour keeps
        picture[80:160:2, 64:236:2] = 255 - picture[80:160:2, 64:236:2]
    video = write_video(tmp_path / "yard.mp4", noisy)
    out = tmp_path / "new" / "one.mp4"
    done = hide_others(str(video), lines(*known), 1, out, detector)
    assert (done.frames, done.shown, done.hidden) == (8, 8, 8)
    before, after = list(Video(str(video)).frames()), list(Video(str(out)).frames())
    assert [round(frame.time, 2) for frame in after] == [round(frame.time, 2) for frame in before]
    for old, new in zip(before, after, strict=True):
        assert np.abs(old.picture[80:160, 66:94].astype(int) - new.picture[80:160, 66:94]).mean() < 12
        assert np.abs(old.picture[80:160, 206:234].astype(int) - new.picture[80:160, 206:234]).mean() > 20
    assert list(out.parent.iterdir()) == [out]


def test_what_is_left_of_a_box_is_a_few_cells() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (100, 80, 3), dtype=np.uint8)
    done = covered(picture, np.array([[20, 20, 50, 80], [-30, 70, 10, 140], [200, 0, 220, 20]], np.float32))
    assert len(np.unique(done[20:80, 20:50].reshape(-1, 3), axis=0)) <= 3 * 6
    assert (done[:10] == picture[:10]).all()
    assert (picture == np.random.default_rng(0).integers(0, 256, (100, 80, 3), dtype=np.uint8)).all()
    assert not (done[80:, :8] == picture[80:, :8]).all()


def test_nobody_of_this_number_and_nowhere_to_write(tmp_path: Path) -> None:
    video = str(write_video(tmp_path / "yard.mp4", [street([(LEFT, 1)])] * 3))
    with pytest.raises(InputError, match=r"person 7.*\[1\]"):
        hide_others(video, lines((1, LEFT), frames=3), 7, tmp_path / "out.mp4", Stripes())
    with pytest.raises(StorageError, match="cannot be written"):
        hide_others(video, lines((1, LEFT), frames=3), 1, Path(video) / "out.mp4", Stripes())
    with pytest.raises(StorageError, match=r"out\.gif: cannot be written: .*libx264"):
        hide_others(video, lines((1, LEFT), frames=3), 1, tmp_path / "out.gif", Stripes())
    assert [path.name for path in tmp_path.iterdir()] == ["yard.mp4"]
