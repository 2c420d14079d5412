"""Frames of files, folders and sequences; damage, and what is no video."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from omnireid.core.errors import InputError
from omnireid.video import reading
from omnireid.video.follower import Camera
from omnireid.video.mot import read_mot, write_lines
from omnireid.video.reading import FrameReading, Mark, Video, VideoError, pyav
from video.walks import street, write_video

PICTURES = [street([(40 + 10 * n, 1)]) for n in range(20)]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "walk.mp4", PICTURES)


def test_a_file_gives_every_frame_with_its_time(video: Path) -> None:
    frames = list(Video(str(video)).frames())
    assert [frame.number for frame in frames] == list(range(1, 21))
    assert [frame.time for frame in frames] == pytest.approx([n / 10 for n in range(20)])
    error = np.abs(frames[7].picture.astype(float) - PICTURES[7])
    assert error.mean() < 8  # it was compressed


def test_fewer_frames_a_second(video: Path) -> None:
    frames = list(Video(str(video), FrameReading(fps=5)).frames())
    assert [frame.number for frame in frames] == list(range(1, 21, 2))
    # What is asked for cannot be more than there is.
    assert len(list(Video(str(video), FrameReading(fps=100)).frames())) == 20


def test_a_folder_and_a_sequence(tmp_path: Path) -> None:
    folder = tmp_path / "seq" / "img1"
    folder.mkdir(parents=True)
    for n, picture in enumerate(PICTURES[:6]):
        Image.fromarray(picture).save(folder / f"{n:06d}.png")
    (folder / "000002.png").write_bytes(b"damaged")
    (folder / "notes.txt").write_text("no picture")
    loose = Video(str(folder), FrameReading(source_fps=2))
    assert [(frame.number, frame.time) for frame in loose.frames()] == [
        (1, 0.0), (2, 0.5), (4, 1.5), (5, 2.0), (6, 2.5)
    ]  # fmt: skip
    assert loose.health.damaged == 1
    (tmp_path / "seq" / "seqinfo.ini").write_text("[Sequence]\nframeRate=30\nimDir=img1\n")
    times = [frame.time for frame in Video(str(tmp_path / "seq")).frames()]
    assert times == pytest.approx([0.0, 1 / 30, 3 / 30, 4 / 30, 5 / 30])


def test_pictures_are_in_order_of_the_numbers_in_their_names(tmp_path: Path) -> None:
    for number in (1, 2, 9, 10, 100):
        Image.new("L", (8, 8), number).save(tmp_path / f"{number}.png")
    assert [int(f.picture.max()) for f in Video(str(tmp_path)).frames()] == [1, 2, 9, 10, 100]


def test_damage_in_the_middle_is_passed_over_and_counted(video: Path, tmp_path: Path) -> None:
    content = bytearray(video.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 400] = bytes(400)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(content)
    frames = list(Video(str(broken)).frames())
    assert 10 <= len(frames) <= 20
    assert [frame.time for frame in frames] == sorted({frame.time for frame in frames})


def test_a_file_that_breaks_off_gives_what_is_there(video: Path, tmp_path: Path) -> None:
    matroska = write_video(tmp_path / "whole.mkv", PICTURES)
    content = matroska.read_bytes()
    short = tmp_path / "short.mkv"
    short.write_bytes(content[: len(content) * 2 // 3])
    assert 5 <= len(list(Video(str(short)).frames())) < 20


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("absent.mp4", None, "not found"),
        ("empty.mp4", b"", "cannot be read as a video"),
        ("notes.mp4", b"this is text, not a video" * 50, "cannot be read as a video"),
    ],
)
def test_what_is_no_video_is_named(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(VideoError, match=rf"{name}: {message}"):
        list(Video(str(tmp_path / name)).frames())


def test_a_folder_without_pictures_and_a_bad_sequence(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="holds no pictures"):
        list(Video(str(tmp_path)).frames())
    (tmp_path / "seqinfo.ini").write_text("[Sequence]\nframeRate=quick\n")
    with pytest.raises(VideoError, match="expected \\[Sequence\\] with frameRate"):
        list(Video(str(tmp_path)).frames())


def test_a_stream_that_nobody_sends_is_given_up() -> None:
    silent = Video("http://127.0.0.1:9/stream", FrameReading(patience_s=0.3, timeout_s=0.5))
    with pytest.raises(VideoError, match=r"no picture within 0.3 s"):
        list(silent.frames())


class _Webcam:
    """PyAV, but any device is a film, which perhaps breaks off."""

    def __init__(self, film: Path, packets: int) -> None:
        self._av = pyav()
        self.FFmpegError = self._av.FFmpegError
        self._film, self._packets = film, packets

    def open(self, _: str, **__: object) -> Any:
        return self

    def __enter__(self) -> Any:
        self._container = self._av.open(str(self._film))
        self.streams = self._container.streams
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

    def demux(self, stream: Any) -> Iterator[Any]:
        yield from islice(self._container.demux(stream), self._packets)
        raise self.FFmpegError(19, "No such device")


def test_a_webcam_that_is_pulled_out_ends_and_one_that_goes_on_gives_its_next_frames(
    video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    webcams = _Webcam(video, 5)
    monkeypatch.setattr(reading, "pyav", lambda: webcams)
    webcam = Video("7")
    numbers = [frame.number for frame in webcam.frames()]
    assert numbers
    assert webcam.health.broke_off == "the webcam /dev/video7 broke off: No such device"
    later = Video("7", mark=Mark(1_000, 40.0))
    assert [frame.number - 1_000 for frame in later.frames()] == numbers


def test_senseless_rates_are_refused() -> None:
    with pytest.raises(InputError, match="fps: expected a number above 0, got 0"):
        FrameReading(fps=0)


def test_mot_text_is_read_as_it_was_written(tmp_path: Path) -> None:
    near, far = np.array([1, 2, 11, 22], np.float32), np.array([0, 0, 5, 9], np.float32)
    write_lines(tmp_path / "a.txt", [(3, 2, near, 0.5), (1, 1, far, 1.0)])
    lines = read_mot(tmp_path / "a.txt")
    assert (lines.frames.tolist(), lines.ids.tolist()) == ([1, 3], [1, 2])
    assert lines.boxes.tolist() == [[0, 0, 5, 9], [1, 2, 11, 22]]
    assert lines.detections()[3].scores.tolist() == [0.5]


@pytest.mark.parametrize("text", ["1,2,3", "1,1,0,0,-5,9,1", "1,1,0,0,five,9,1", "1,1,nan,0,5,9,1"])
def test_a_line_that_is_no_box_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(f"1,1,0,0,5,9,1\n{text}\n")
    with pytest.raises(Exception, match=r"a\.txt, line 2: expected frame, id"):
        read_mot(tmp_path / "a.txt")


def test_no_error_and_no_result_tells_the_password_of_a_stream() -> None:
    address = "rtsp://warden:secret@127.0.0.1:1/yard?token=secret"
    video = Video(address, FrameReading(patience_s=0.2, timeout_s=0.2))
    with pytest.raises(VideoError, match=r"rtsp://127.0.0.1:1/yard: ") as told:
        next(video.frames())
    assert "secret" not in str(told.value)
    assert Camera("yard", address).shown_source == "rtsp://127.0.0.1:1/yard"
