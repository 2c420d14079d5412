"""The detector that ships: its file, its boxes on a real video where there is one, pictures of any size."""

from __future__ import annotations

import hashlib
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from omnireid.core.detection import Detections
from omnireid.core.errors import DatasetError, InputError, MissingExtraError, WeightsError
from omnireid.video.boxes import Boxes, overlaps
from omnireid.video.coco import read_boxes
from omnireid.video.detecting import Tiled, as_detector, detect_all, open_detector, supervision_frames
from omnireid.video.detector import SHIPPED, NanoDet, NetworkDetector, fitted_in
from omnireid.video.heads import HEADS
from omnireid.video.mot import read_mot
from omnireid.video.reading import Video
from video.walks import track

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
    fitted = fitted_in(picture, 416, 416)
    assert fitted.picture.shape == (416, 416, 3)
    assert fitted.scale == pytest.approx([416 / max(height, width)] * 2)
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


def constant_onnx(path: Path, outputs: list[np.ndarray], side: int = 64) -> Path:
    """A network that puts out the same whatever it sees."""
    onnx = pytest.importorskip("onnx")
    make, floats = onnx.helper, onnx.TensorProto.FLOAT
    graph = make.make_graph(
        [
            make.make_node(
                "Constant", [], [f"out{n}"], value=onnx.numpy_helper.from_array(output.astype(np.float32))
            )
            for n, output in enumerate(outputs)
        ],
        "constant",
        [make.make_tensor_value_info("images", floats, [1, 3, side, side])],
        [make.make_tensor_value_info(f"out{n}", floats, o.shape) for n, o in enumerate(outputs)],
    )
    onnx.save(make.make_model(graph, opset_imports=[make.make_opsetid("", 17)], ir_version=9), str(path))
    return path


def bins(sides: tuple[int, ...], count: int) -> np.ndarray:
    """Logits of distributions that lie wholly on these numbers of strides."""
    logits = np.zeros((4, count))
    logits[range(4), sides] = 50.0
    return logits.ravel()


def published(head: str) -> tuple[list[np.ndarray], list[float]]:
    """What a head puts out of 64 × 64 pixels for one person, and the box that this means."""
    if head == "nanodet":  # the middle of the cell in column 3, row 2 of stride 8: (28, 20)
        rows = np.zeros((1, 64 + 16 + 4, 80 + 4 * 11))
        rows[0, 2 * 8 + 3] = [0.9, *[0.0] * 79, *bins((2, 1, 3, 4), 11)]
        return [rows], [28 - 16, 20 - 8, 28 + 24, 20 + 32]
    if head == "nanodet-plus":  # the corner of the cell in column 1, row 2 of stride 16: (16, 32)
        rows = np.zeros((1, 64 + 16 + 4 + 1, 80 + 4 * 8))
        rows[0, 64 + 2 * 4 + 1] = [0.9, *[0.0] * 79, *bins((1, 2, 1, 1), 8)]
        return [rows], [0, 0, 32, 48]
    if head == "yolox":  # stride 32, column 1, row 0
        rows = np.zeros((1, 84, 85))
        rows[0, 80 + 1, :6] = [-0.25, 0.5, 0.0, np.log(0.75), 1.0, 0.9]
        return [rows], [24 - 16, 16 - 12, 24 + 16, 16 + 12]
    if head == "yolov8":
        rows = np.zeros((1, 84, 84))
        rows[0, :5, 7] = [30, 20, 10, 24, 0.9]
        return [rows], [25, 8, 35, 32]
    logits, boxes = np.zeros((1, 5, 92)), np.full((1, 5, 4), 0.5)
    logits[..., 91] = 20.0
    logits[0, 2, 1] = 20.0 + np.log(9.0)  # nine to one against "nothing"
    boxes[0, 2] = [0.5, 0.25, 0.25, 0.5]
    return [logits, boxes], [24, 0, 40, 32]


@pytest.mark.parametrize("kind", ["nanodet", "nanodet-plus", "yolox", "yolov8", "detr"])
def test_heads_of_others_are_decoded_as_published(tmp_path: Path, kind: str) -> None:
    outputs, box = published(kind)
    head = kind.partition("-")[0]
    detector = NetworkDetector(constant_onnx(tmp_path / f"{kind}.onnx", outputs), head)
    # Half the size; DETR's input is filled, so that there only the width is halved.
    found, _ = detector.detect_all([np.zeros((64 if head == "detr" else 128, 128, 3), np.uint8)] * 2)
    height = 1 if head == "detr" else 2
    assert found.scores == pytest.approx([0.9], abs=1e-3)
    np.testing.assert_allclose(found.boxes[0], np.array(box) * [2, height, 2, height], atol=1e-3)
    assert detector.name == kind


def test_networks_get_colours_as_they_were_trained() -> None:
    frames = np.array([[[[255, 128, 0]]]], np.uint8)
    inputs = {name: HEADS[name].prepare(frames).ravel() for name in HEADS}
    assert inputs["yolox"].tolist() == [0, 128, 255]
    assert inputs["yolov8"] == pytest.approx([1, 128 / 255, 0])
    assert inputs["nanodet"] == pytest.approx([-103.53 / 57.375, 11.72 / 57.12, 131.325 / 58.395], abs=1e-4)
    assert inputs["detr"] == pytest.approx(
        [0.515 / 0.229, (128 / 255 - 0.456) / 0.224, -0.406 / 0.225], abs=1e-4
    )


def test_a_file_of_another_head_is_named(tmp_path: Path) -> None:
    file = constant_onnx(tmp_path / "a.onnx", [np.zeros((1, 7, 9))])
    for head in ("nanodet", "yolox"):
        with pytest.raises(WeightsError, match=f"--head {head}: expected .* candidates in a picture, got 7"):
            NetworkDetector(file, head).detect(np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(WeightsError, match="does not put out what its head says"):
        NetworkDetector(file, "detr").detect(np.zeros((9, 9, 3), np.uint8))
    with pytest.raises(InputError, match="unknown head 'yolo9'"):
        NetworkDetector(file, "yolo9")
    with pytest.raises(InputError, match="--detector and --head belong together"):
        open_detector(file, None)


class Spots:
    """A detector that boxes white spots which are large enough in what it is given."""

    name = "spots"

    def detect(self, picture: np.ndarray) -> Detections:
        from scipy.ndimage import find_objects, label

        scale = 100 / max(picture.shape[:2])
        boxes = [
            (x.start, y.start, x.stop - x.start, y.stop - y.start)
            for y, x in find_objects(label(picture[..., 0] > 128)[0])
            if (y.stop - y.start) * scale >= 8
        ]
        return Detections(np.array(boxes, float).reshape(-1, 4), np.full(len(boxes), 0.9))


def test_tiles_find_small_people_and_cut_nobody() -> None:
    picture = np.zeros((300, 400, 3), np.uint8)
    small = [(20, 30), (150, 200), (220, 10), (370, 250)]  # the second lies where tiles meet
    for left, top in small:
        picture[top : top + 20, left : left + 10] = 255
    picture[40:260, 300:360] = 255  # larger than a tile
    assert len(Spots().detect(picture).boxes) == 1
    tiled = Tiled(Spots(), 3)
    boxes = sorted(map(tuple, tiled.detect(picture).boxes.astype(int).tolist()))
    assert boxes == sorted([*((left, top, 10, 20) for left, top in small), (300, 40, 60, 220)])
    with pytest.raises(InputError, match="tiles: expected 2 or more"):
        Tiled(Spots(), 1)


class Supervision:
    """What `supervision.Detections` has, as far as it is read."""

    xyxy = np.array([[5.0, 6.0, 15.0, 26.0], [0.0, 0.0, 9.0, 9.0]])
    confidence = np.array([0.7, 0.8])
    data = {"class_name": np.array(["person", "dog"])}


def test_functions_and_supervisions_detections_serve() -> None:
    (found,) = detect_all(as_detector(lambda picture: Supervision()), [np.zeros((50, 50, 3), np.uint8)])
    assert (found.boxes.tolist(), found.scores.tolist()) == ([[5, 6, 15, 26]], [pytest.approx(0.7)])
    with pytest.raises(InputError, match="a detector gave int; expected boxes and scores"):
        as_detector(lambda picture: 7).detect(np.zeros((9, 9, 3), np.uint8))


def test_tracks_become_supervisions_detections(monkeypatch: pytest.MonkeyPatch) -> None:
    tracks = [track(4, 0.1, 0.2, 1), track(2, 0.2, 0.3, 2)]
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtraError, match="supervision"):
        list(supervision_frames(tracks))
    package = types.SimpleNamespace(Detections=types.SimpleNamespace)
    monkeypatch.setitem(sys.modules, "supervision", package)
    frames = dict(supervision_frames(tracks))
    assert {frame: found.tracker_id.tolist() for frame, found in frames.items()} == {
        1: [4],
        2: [4, 2],
        3: [2],
    }
    assert frames[2].xyxy.shape == (2, 4)


def test_boxes_in_cocos_json(tmp_path: Path) -> None:
    file = tmp_path / "boxes.json"
    person = {"image_id": 3, "category_id": 1, "bbox": [1, 2, 10, 20], "score": 0.5}
    file.write_text(json.dumps([person, person | {"category_id": 2}]))
    found = read_boxes(file)
    assert list(found) == [3]
    assert (found[3].boxes.tolist(), found[3].scores.tolist()) == ([[1, 2, 11, 22]], [0.5])
    images = [{"id": 70, "file_name": "a10.jpg"}, {"id": 80, "file_name": "a9.jpg"}]
    entries = [{"image_id": 70, "category_id": 5, "bbox": [1, 2, 10, 20], "iscrowd": n} for n in (0, 1)]
    people = [{"id": 5, "name": "person"}]
    file.write_text(json.dumps({"images": images, "categories": people, "annotations": entries}))
    assert {frame: len(boxes) for frame, boxes in read_boxes(file).items()} == {2: 1}
    no_entry = json.dumps({"images": images, "categories": people, "annotations": [[7]]})
    for text in ("{", "{}", '[{"image_id": "x"}]', "[7]", '[{"image_id": 1e999}]', no_entry):
        file.write_text(text)
        with pytest.raises(DatasetError, match=r"boxes\.json: "):
            read_boxes(file)


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
