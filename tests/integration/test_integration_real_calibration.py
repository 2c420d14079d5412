"""Real photographs, unlabelled: thresholds from half of the sequences hold on the other half."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evaluation.error_rates import error_rate
from omnireid import Embedder
from omnireid.cli.app import main
from omnireid.data.loading import Reading
from omnireid.data.tracklets import Tracklet, read_tracklets, seen_together, spread_samples
from omnireid.evaluation.calibration import Calibration, Decision
from omnireid.evaluation.calibration_pairs import CalibrationPairs, pair_scores, tracklet_pairs
from omnireid.evaluation.options import CalibrationOptions
from omnireid.experiment.calibration import calibrate_tracklets

# MOT17 sequences by their number in the crops' names, two and two: 16 and 35 people.
HALVES = (("s1", "s3"), ("s2", "s4"))
OPTIONS = CalibrationOptions((0.1, 0.05, 0.01, 0.001), miss_rate=0.1)


@pytest.fixture(scope="module")
def embedder(real_dir: Path) -> Embedder:
    return Embedder.open(real_dir / "osnet_x0_25_msmt17.onnx", threads=1)


@pytest.fixture(scope="module")
def tracklets(real_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tracklet, ...]:
    """Crops as a tracker would leave them: 0001_c1s2_000003_00.jpg is frame 3 of tracklet 0001 in s2."""
    folder = real_dir / "mot17mini"
    if not folder.is_dir():
        pytest.skip("shared/real/mot17mini is absent: no real photographs to calibrate with")
    rows = ["path,camera,tracklet,time"]
    for picture in sorted(folder.glob("*/*.jpg")):
        person, place, frame, _ = picture.stem.split("_")
        rows.append(f"{picture},{place[2:]},{person},{frame}")
    table = tmp_path_factory.mktemp("real") / "crops.csv"
    table.write_text("\n".join(rows))
    return read_tracklets(table)


def pairs_of(
    embedder: Embedder, tracklets: list[Tracklet], calibration: Calibration
) -> tuple[np.ndarray, CalibrationPairs]:
    samples, load = spread_samples(tracklets, 8)
    found = embedder.embed_samples(samples, Reading(load=load))
    times = np.array([sample.time for sample in samples], np.float64)
    pairs = tracklet_pairs(found.pids, times, seen_together(tracklets))
    return pair_scores(calibration.transform(found.vectors), pairs), pairs


@pytest.mark.parametrize("fit", [0, 1])
def test_thresholds_of_one_half_hold_on_the_other(embedder: Embedder, tracklets, fit: int) -> None:
    own, others = ([one for one in tracklets if one.camera in HALVES[half]] for half in (fit, 1 - fit))
    calibration = calibrate_tracklets(embedder, own, OPTIONS, source="half").calibration
    scores, pairs = pairs_of(embedder, others, calibration)
    measurable = [one for one in calibration.record.false_alarms if one.is_measurable]
    assert [one.wanted for one in measurable] == ([0.1, 0.05], [0.1, 0.05, 0.01])[fit], "81 and 471 couples"
    for alarm in measurable:
        observed, (low, high) = error_rate("false-alarm", scores, pairs, alarm.threshold)
        assert low <= alarm.wanted <= high, f"{alarm.wanted}: {observed} on people of other sequences"
    miss, (low, high) = error_rate("miss", scores, pairs, calibration.record.miss.threshold)
    assert low <= 0.1 <= high, f"{miss} of the pairs of one person"
    # At the strictest rate: nearly everybody recognised, nearly nobody confused, and the rest "unsure".
    rate = measurable[-1].wanted
    decisions = np.array([calibration.decide(score, rate=rate).value for score in scores])
    assert (decisions[pairs.same] == Decision.SAME.value).mean() > 0.97
    assert (decisions[~pairs.same] == Decision.NEW.value).mean() > 0.9


def test_frames_of_two_sequences_calibrate_and_verify_from_the_command_line(
    real_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    frames, crops = real_dir / "frames", real_dir / "mot17mini"
    if not (frames.is_dir() and crops.is_dir()):
        pytest.skip("shared/real/frames or mot17mini is absent")

    def omnireid(*arguments: object) -> str:
        monkeypatch.setattr("sys.argv", ["omnireid", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code
        return capsys.readouterr().out

    model, out = real_dir / "osnet_x0_25_msmt17.onnx", tmp_path / "calibration.json"
    wanted = ["--false-alarm-rate", 0.05, "--miss-rate", 0.1]
    said = omnireid("calibrate", "--model", model, "--tracklets", frames, "--out", out, *wanted)
    assert "from 15 tracklets in 59 pictures" in said
    assert json.loads(out.read_text())["source"]["couples"] == 61
    # People of sequences that were not in it: frames a while apart, and two who walk side by side.
    one = [crops / f"bounding_box_train/0014_{frame}_00.jpg" for frame in ("c1s2_000001", "c2s2_000008")]
    other = crops / "bounding_box_train/0015_c1s2_000001_00.jpg"
    assert "same person" in omnireid("verify", *one, "--model", model, "--calibration", out)
    assert "another person" in omnireid("verify", one[0], other, "--model", model, "--calibration", out)
