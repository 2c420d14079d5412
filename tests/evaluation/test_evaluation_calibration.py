"""The calibration file, its refusals and decisions, and the whitening it may carry."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from evaluation.error_rates import error_rate
from omnireid.core.card import ModelRef
from omnireid.core.errors import InputError, ShapeError, UnknownNameError
from omnireid.core.vectors import unit_rows
from omnireid.evaluation.calibration import (
    Calibration,
    CalibrationSource,
    Decision,
    calibration_path,
    find_calibration,
    fit_calibration,
)
from omnireid.evaluation.calibration_pairs import CalibrationPairs, labelled_pairs, pair_scores
from omnireid.evaluation.options import CalibrationOptions
from omnireid.evaluation.whitening import Whitening, fit_whitening

MODEL = ModelRef("toy", "a" * 64, 32)
SOURCE = CalibrationSource(
    kind="labelled", name="toy", root="toy", split="test", protocol="market1501", pictures=0, people=0,
    cameras=3, same_pairs=0, different_pairs=0, couples=0, seed=0,
)  # fmt: skip


def people(seed: int, num_people: int, noise: float = 1.2, offset: float = 0.0):
    """(embeddings, pids, camids), a little alike; `offset` is a direction that all of them share."""
    rng = np.random.default_rng(seed)
    pids = np.repeat(np.arange(num_people), 6)
    points = rng.standard_normal((num_people, 32))[pids] + noise * rng.standard_normal((len(pids), 32))
    points[:, 0] += offset
    return points.astype(np.float32), pids, np.tile(np.arange(6) % 3, num_people)


def scored(seed: int, num_people: int, **options) -> tuple[np.ndarray, CalibrationPairs]:
    embeddings, pids, camids = people(seed, num_people, **options)
    pairs = labelled_pairs(pids, camids, max_pairs=20_000)
    return pair_scores(embeddings, pairs), pairs


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return fit_calibration(
        *scored(1, 60), model=MODEL, source=SOURCE, options=CalibrationOptions((0.1, 0.01, 1e-5))
    )


def test_thresholds_and_probabilities_hold_for_other_people(calibration: Calibration) -> None:
    scores, pairs = scored(2, 80)
    alarm, miss = calibration.false_alarm(0.01), calibration.record.miss
    observed, (low, high) = error_rate("false-alarm", scores, pairs, alarm.threshold)
    assert low <= 0.01 <= high
    assert alarm.rate_interval[0] <= observed <= alarm.rate_interval[1]
    assert 0.01 < error_rate("miss", scores, pairs, miss.threshold)[0] < 0.12
    p = calibration.probability(scores)
    for level in (0.3, 0.7):
        near = np.abs(p - level) < 0.15
        one, two = (
            (near & pairs.same).sum() / pairs.same.sum(),
            (near & ~pairs.same).sum() / (~pairs.same).sum(),
        )
        assert one / (one + two) == pytest.approx(level, abs=0.15)
    assert calibration.record.calibration_error < 0.05


def test_the_mapping_with_the_lower_held_out_loss_is_kept(calibration: Calibration) -> None:
    losses = calibration.record.held_out_log_loss
    assert set(losses) == {"logistic", "isotonic"}
    assert losses[calibration.record.mapping.kind] == min(losses.values()) < np.log(2)
    # Scores that no logistic curve fits: people of two kinds, one far more alike than the other.
    scores, pairs = scored(3, 120)
    steps = np.where(scores > np.median(scores[pairs.same]), 30.0, np.round(scores, 1))
    bent = fit_calibration(steps, pairs, model=MODEL, source=SOURCE)
    assert bent.record.mapping.kind == "isotonic"


def test_held_out_people_are_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from omnireid.evaluation import calibration as module

    seen = []
    monkeypatch.setitem(
        module._FITS, "logistic", lambda scores, pairs: seen.append(pairs) or module._logistic(scores, pairs)
    )
    fit_calibration(*scored(4, 20), model=MODEL, source=SOURCE)
    counts = [len(np.unique(pairs.people)) for pairs in seen]
    assert counts[:10] == [10] * 10
    first, second = (set(np.unique(pairs.people)) for pairs in seen[:2])
    assert not first & second


def test_decisions_have_three_outcomes(calibration: Calibration) -> None:
    same, new = calibration.false_alarm(0.01).threshold, calibration.record.miss.threshold
    assert new < same, "or nothing would be unsure"
    assert calibration.decide(same, rate=0.01) is Decision.SAME
    assert calibration.decide(np.nextafter(same, -1), rate=0.01) is Decision.UNSURE
    assert calibration.decide(new, rate=0.01) is Decision.UNSURE
    assert calibration.decide(np.nextafter(new, -1), rate=0.01) is Decision.NEW
    assert calibration.false_alarm().wanted == 0.01, "the lowest that could be measured"
    with pytest.raises(InputError, match=r"at least 100,000 are needed"):
        calibration.decide(0.5, rate=1e-5)
    with pytest.raises(InputError, match=r"holds 0.1, 0.01, 1e-05; calibrate again"):
        calibration.decide(0.5, rate=0.02)


def test_scores_well_apart_leave_nobody_unsure_and_few_people_nobody_new() -> None:
    apart = fit_calibration(
        *scored(5, 30, noise=0.01), model=MODEL, source=SOURCE, options=CalibrationOptions((0.01,))
    )
    alarm, miss = apart.false_alarm().threshold, apart.record.miss.threshold
    assert alarm < miss
    middle = (alarm + miss) / 2
    assert apart.decide(middle) is Decision.SAME
    assert apart.decide(np.nextafter(alarm, -1)) is Decision.NEW
    few = fit_calibration(*scored(6, 12), model=MODEL, source=SOURCE, options=CalibrationOptions((0.1,)))
    assert few.record.miss.threshold is None
    assert few.decide(-1.0) is Decision.UNSURE


def test_a_prior_moves_the_probability(calibration: Calibration) -> None:
    scores = np.linspace(-0.5, 0.9, 7)
    even, rare = calibration.probability(scores), calibration.probability(scores, prior=0.01)
    assert (rare < even).all()
    assert (np.diff(even) >= 0).all()
    np.testing.assert_allclose(rare / (1 - rare), even / (1 - even) / 99, rtol=1e-9)


def test_the_file_holds_everything_and_is_for_one_model(calibration: Calibration, tmp_path: Path) -> None:
    file = calibration.save(tmp_path / "deep" / "toy.calibration.json")
    again = Calibration.load(file, "a" * 64)
    assert again.record == calibration.record
    assert file.stat().st_size < 50_000
    stated = json.loads(file.read_text())
    assert stated["model"] == {"name": "toy", "sha256": "a" * 64, "embedding_size": 32}
    assert {"source", "environment", "false_alarms", "miss", "reliability"} <= set(stated)
    for other in ("b" * 64, None):
        with pytest.raises(InputError, match="made for toy"):
            Calibration.load(file, other)


def test_a_model_has_the_calibration_beside_it_unless_another_is_given(
    calibration: Calibration, tmp_path: Path
) -> None:
    weights = tmp_path / "toy.onnx"
    assert find_calibration(weights) is None
    assert Calibration.load_beside(weights, MODEL.sha256) is None
    beside = calibration.save(calibration_path(weights))
    assert find_calibration(weights) == beside == tmp_path / "toy.onnx.calibration.json"
    assert Calibration.load_beside(weights, MODEL.sha256).record == calibration.record
    with pytest.raises(InputError, match="no such calibration"):
        Calibration.load_beside(weights, MODEL.sha256, tmp_path / "typo.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such calibration"),
        ("", "not a calibration"),
        ("{}", "not a calibration"),
        ("\x00", "not a"),
    ],
)
def test_a_bad_file_is_named(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "x.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InputError, match=message):
        Calibration.load(file, "a" * 64)
    with pytest.raises(InputError, match="cannot be read"):
        Calibration.load(tmp_path, "a" * 64)


def test_a_future_version_and_an_unknown_field_are_refused(calibration: Calibration, tmp_path: Path) -> None:
    file = calibration.save(tmp_path / "toy.json")
    for change in ({"schema_version": 2}, {"surprise": 1}):
        file.write_text(json.dumps(json.loads(file.read_text()) | change))
        with pytest.raises(InputError, match="not a calibration of this version"):
            Calibration.load(file, "a" * 64)
        calibration.save(file)


def test_too_little_data_is_explained() -> None:
    scores, pairs = scored(7, 3)
    with pytest.raises(InputError, match="3 people with pairs are too few"):
        fit_calibration(scores, pairs, model=MODEL, source=SOURCE)
    with pytest.raises(InputError, match="expected at least one"):
        CalibrationOptions(false_alarm_rates=())
    scores, pairs = scored(8, 9)
    with pytest.raises(InputError, match="do not score higher"):
        fit_calibration(-scores, pairs, model=MODEL, source=SOURCE)


def test_centring_opens_a_compressed_range() -> None:
    embeddings, pids, camids = people(1, 60, offset=30)
    pairs = labelled_pairs(pids, camids)
    before = pair_scores(embeddings, pairs)
    assert before.min() > 0.7
    whitening = fit_whitening(embeddings, pids, "centre")
    assert whitening.kind == "centre"
    after = pair_scores(whitening.apply(embeddings), pairs)
    assert after.min() < 0
    assert np.ptp(after) > 3 * np.ptp(before)


def test_zca_makes_the_covariance_round() -> None:
    rng = np.random.default_rng(0)
    people = np.arange(4000)
    points = (rng.standard_normal((4000, 6)) * [8, 4, 2, 1, 1, 1]).astype(np.float32)
    whitening = fit_whitening(points, people, "zca")
    assert 0 < whitening.shrinkage < 0.02
    moved = (unit_rows(points) - whitening.mean) @ whitening.matrix
    np.testing.assert_allclose(np.cov(moved.T), np.eye(6), atol=0.1)
    np.testing.assert_allclose(whitening.matrix, whitening.matrix.T, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(whitening.apply(points), axis=1), 1, atol=1e-6)
    # With few people most of the covariance is chance: close to a plain scaling.
    assert fit_whitening(points[:5], people[:5], "zca").shrinkage > 0.2


def test_every_person_weighs_the_same_in_a_whitening() -> None:
    points = np.array([[1, 0], [0, 1]], np.float32)
    often = np.concatenate([points, np.repeat(points[:1], 98, axis=0)])
    whose = np.array([0, 1] + [0] * 98)
    np.testing.assert_allclose(fit_whitening(often, whose, "centre").mean, [0.5, 0.5], atol=1e-6)


def test_a_whitening_travels_with_its_calibration(tmp_path: Path) -> None:
    embeddings, pids, camids = people(9, 30)
    for kind in ("centre", "zca"):
        whitening = fit_whitening(embeddings, pids, kind)
        pairs = labelled_pairs(pids, camids, max_pairs=3_000)
        scores = pair_scores(whitening.apply(embeddings), pairs)
        made = fit_calibration(scores, pairs, model=MODEL, source=SOURCE, whitening=whitening)
        file = made.save(tmp_path / f"{kind}.calibration.json")
        again = Calibration.load(file, MODEL.sha256)
        rows = again.transform(embeddings[:4])
        np.testing.assert_array_equal(rows, made.transform(embeddings[:4]))
        a, b = pairs.rows[0]
        a, b = made.transform(embeddings[[a, b]])
        assert a @ b == pytest.approx(scores[0], abs=1e-6), "what was calibrated is what is compared"
        beside = tmp_path / f"{kind}.calibration.whitening.safetensors"
        content = beside.read_bytes()
        beside.write_bytes(content[:-1] + b"\x01")
        with pytest.raises(InputError, match="not the whitening"):
            Calibration.load(file, MODEL.sha256)
        beside.unlink()
        with pytest.raises(InputError, match="keep the two files together"):
            Calibration.load(file, MODEL.sha256)


def test_whitenings_that_make_no_sense_are_refused() -> None:
    embeddings, pids, _ = people(10, 5)
    whitening = fit_whitening(embeddings, pids, "centre")
    with pytest.raises(UnknownNameError, match="did you mean 'centre'"):
        fit_whitening(embeddings, pids, "center")
    with pytest.raises(InputError, match="at least two people"):
        fit_whitening(embeddings[:6], pids[:6], "zca")
    with pytest.raises(ShapeError):
        fit_whitening(embeddings, pids[:3], "zca")
    with pytest.raises(ShapeError):
        whitening.apply(embeddings[:, :5])
    with pytest.raises(InputError, match=r"embeddings\[1\]: all zero"):
        whitening.apply(np.array([np.ones(32), np.zeros(32)], np.float32))
    with pytest.raises(ShapeError):
        Whitening(np.zeros(3, np.float32), np.zeros((2, 2), np.float32), 0.0, 2)
    with pytest.raises(InputError, match="NaN"):
        Whitening(np.full(3, np.nan, np.float32), None, 0.0, 2)
