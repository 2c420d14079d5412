"""The detector that ships: its file, its boxes on a real video where there is one, pictures of any size."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from omnireid.core.detection import Detections
from omnireid.core.errors import InputError, WeightsError
from omnireid.video.boxes import Boxes, overlaps
from omnireid.video.detector import SHIPPED, NanoDet, detect_all, letterbox
from omnireid.video.mot import read_mot
from omnireid.video.reading import Video

VTEST = Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi")


@pytest.fixture(scope="module")
def detector() -> NanoDet:
    return NanoDet(threads=1)


def test_the_file_is_the_one_that_was_measured() -> None:
    digest = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    assert digest == "c5ef4355051dc8bc4b1b5f706d7aadac571acf7e7a845364b048146464e9d8b8"


@pytest.mark.parametrize(("height", "width"), [(1, 1), (30, 500), (700, 20), (416, 416), (1080, 1920)])
def test_pictures_of_any_size(detector: NanoDet, height: int, width: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    boxed = letterbox(picture, 416)
    assert boxed.picture.shape == (416, 416, 3)
    assert boxed.scale == pytest.approx(416 / max(height, width))
    (found,) = detector.detect_all([picture])
    assert found.boxes.shape == (len(found), 4)
    assert detector.detect_all([]) == []


def test_several_pictures_at_once_are_each_by_itself(detector: NanoDet) -> None:
    rng = np.random.default_rng(1)
    pictures = [rng.integers(0, 256, (240, 320, 3), dtype=np.uint8) for _ in range(3)]
    for picture, together in zip(pictures, detector.detect_all(pictures), strict=True):
        (alone,) = detector.detect_all([picture])
        np.testing.assert_allclose(together.scores, alone.scores, atol=1e-4)


def test_any_detector_of_the_socket_serves() -> None:
    class Fixed:
        name = "fixed"

        def detect(self, picture: np.ndarray) -> Detections:
            return Detections(np.array([[5.0, 6.0, 10.0, 20.0]]), np.array([0.7]))

    (found,) = detect_all(Fixed(), [np.zeros((50, 50, 3), np.uint8)])
    assert found.boxes.tolist() == [[5.0, 6.0, 15.0, 26.0]]

    class Wrong(Fixed):
        def detect(self, picture: np.ndarray) -> Detections:
            return Detections(np.array([[5.0, 6.0, -1.0, 20.0]]), np.array([0.7]))

    with pytest.raises(InputError, match="right > left"):
        detect_all(Wrong(), [np.zeros((50, 50, 3), np.uint8)])


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.onnx").write_text("no network")
    with pytest.raises(WeightsError, match=r"notes\.onnx: cannot be opened as a detector"):
        NanoDet(tmp_path / "notes.onnx")


def average_precision(truth: dict[int, Boxes], found: dict[int, Boxes]) -> float:
    """AP at overlap 0.5: the area under the precision envelope (Everingham et al., IJCV 2015)."""
    marks = []
    for frame, boxes in found.items():
        people = truth[frame].boxes
        free = np.ones(len(people), bool)
        for row in np.argsort(-boxes.scores, kind="stable"):
            overlap = overlaps(boxes.boxes[row : row + 1], people)[0] * free
            hit = bool(overlap.size) and overlap.max() >= 0.5
            if hit:
                free[int(np.argmax(overlap))] = False
            marks.append((float(boxes.scores[row]), hit))
    marks.sort(key=lambda mark: -mark[0])
    hits = np.cumsum([hit for _, hit in marks])
    recall = hits / sum(map(len, truth.values()))
    envelope = np.maximum.accumulate((hits / np.arange(1, len(marks) + 1))[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * envelope))


def test_people_of_a_real_video_are_found(detector: NanoDet, real_dir: Path) -> None:
    if not VTEST.is_file():
        pytest.skip("Debian's package opencv-doc is not installed: no real video at hand")
    pytest.importorskip("av")
    truth = read_mot(real_dir / "pets" / "gt.txt").detections()
    found = {
        frame.number: detector.detect_all([frame.picture])[0]
        for frame in Video(str(VTEST)).frames()
        if frame.number % 20 == 1
    }
    # 0.927 was measured for the published network on the 39 sampled frames from 20 on.
    assert average_precision({frame: truth[frame] for frame in found}, found) > 0.92
