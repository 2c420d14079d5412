"""What the main job adds for rendered people: nobody who was trained or tested on calibrates the model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from omnireid import Embedder
from omnireid.core.images import decode
from omnireid.core.types import Dataset
from omnireid.data.datasets import read_dataset
from omnireid.experiment import rendered
from omnireid.synthetic.dataset import plan_dataset, render_dataset
from omnireid.synthetic.options import RenderOptions
from toy_people import stripes_onnx

OPTIONS = {
    "seed": 1, "num_train_pids": 2, "num_test_pids": 2, "num_cameras": 2, "crops_per_camera": 2,
    "num_distractors": 4, "num_junk": 0, "height": 32, "width": 16,
}  # fmt: skip


def subjects(options: RenderOptions) -> set[int]:
    return {crop.subject for crops in plan_dataset(options).values() for crop in crops}


def test_the_next_pid_is_nobody_of_a_dataset_its_strangers_included() -> None:
    for distractors in (0, 1, 4, 5):
        options = RenderOptions(**{**OPTIONS, "num_distractors": distractors, "first_pid": 7})
        assert min(subjects(options)) == 7
        assert max(subjects(options)) < options.next_pid
    assert subjects(RenderOptions(**OPTIONS)) == {1, 2, 3, 4, 5, 6}


def test_people_who_were_neither_trained_nor_tested_on_calibrate_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrated: list[Dataset] = []

    def fit(embedder: Embedder, people: Dataset, **_: object) -> SimpleNamespace:
        calibrated.append(people)
        return SimpleNamespace(calibration=SimpleNamespace(save=lambda path: path.write_text("fitted")))

    monkeypatch.setattr(rendered, "MOST_CALIBRATION_PIDS", 3)
    monkeypatch.setattr(rendered, "calibrate_labelled", fit)
    weights = stripes_onnx(tmp_path / "model.onnx", 1.0)
    rendered.calibrate_on_others(weights, tmp_path, RenderOptions(**OPTIONS))
    # Where `serve`, `search` and `verify` look for it.
    assert (tmp_path / "model.onnx.calibration.json").read_text() == "fitted"
    (people,) = calibrated
    assert set(people.query.pids) == {7, 8, 9}
    assert not set(people.query.pids) & subjects(RenderOptions(**OPTIONS))
    pictures = [decode(path) for path in sorted((tmp_path / "try").iterdir())]
    assert [picture.shape for picture in pictures] == [(32, 16, 3)] * 2
    assert (pictures[0] != pictures[1]).any()


def test_times_come_from_the_frame_numbers(tmp_path: Path) -> None:
    render_dataset(tmp_path, RenderOptions(**OPTIONS), workers=1)
    timed = rendered.timed(read_dataset("market-layout", tmp_path))
    for sample in timed.gallery:
        assert sample.time == int(Path(sample.path).name.split("_")[2]) / 25
