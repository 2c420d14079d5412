"""From a model and pictures to a calibration: labelled, from tracklets, with a whitening."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from omnireid import Embedder
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import DatasetError, ImageError, InputError
from omnireid.core.options import Protocol
from omnireid.core.types import Dataset, Split
from omnireid.data.datasets import read_dataset
from omnireid.data.loading import Reading
from omnireid.data.tracklets import Sighting, Tracklet
from omnireid.experiment.calibration import (
    CalibrationOptions,
    calibrate_labelled,
    calibrate_tracklets,
)
from toy_people import write_toy_people

NUM_PEOPLE = 40
OPTIONS = CalibrationOptions(false_alarm_rates=(0.05, 0.01, 1e-4))


class Stripes:
    """A backend whose embedding is the mean colour of four stripes, around a grey that all share."""

    name, device, calls_side_by_side = "stripes", "cpu", None

    def __init__(self, offset: float = 0.0, sha256: str | None = "c" * 64) -> None:
        self.offset = offset
        self.card = ModelCard(
            name="stripes", architecture="stripes", embedding_size=12, sha256=sha256,
            input=InputSpec(height=32, width=16),
        )  # fmt: skip

    def embed(self, crops):
        stripes = crops.reshape(len(crops), 4, 8, 16, 3).mean(axis=(2, 3)).reshape(len(crops), 12)
        return (stripes - 128 + self.offset).astype(np.float32)

    def feature_maps(self, crops):
        return None


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    root = write_toy_people(tmp_path_factory.mktemp("toy"), num_train=4, num_test=NUM_PEOPLE)
    return read_dataset("market-layout", root)


def test_labelled_pictures_give_thresholds_that_hold(dataset: Dataset) -> None:
    run = calibrate_labelled(Embedder(Stripes()), dataset, OPTIONS)
    record = run.calibration.record
    assert record.model.sha256 == "c" * 64
    assert (record.source.people, record.source.cameras, record.source.pictures) == (NUM_PEOPLE, 2, 240)
    assert record.source.couples == NUM_PEOPLE * (NUM_PEOPLE - 1) // 2
    assert [one.is_measurable for one in record.false_alarms] == [True, True, False]
    # All pairs of the pictures, not only those drawn.
    samples = (*dataset.query, *dataset.gallery)
    rows = run.calibration.transform(Embedder(Stripes()).embed_samples(samples).vectors)
    pids = np.array([one.pid for one in samples])
    a, b = np.triu_indices(len(samples), 1)
    two = (rows @ rows.T)[a, b][pids[a] != pids[b]]
    assert (two >= run.calibration.false_alarm(0.05).threshold).mean() == pytest.approx(0.05, abs=0.01)
    assert run.histogram.same.sum() == record.source.same_pairs
    assert run.histogram.different.sum() == record.source.different_pairs


def test_training_pictures_are_only_used_when_asked_for(dataset: Dataset) -> None:
    options = CalibrationOptions(false_alarm_rates=(0.5,), miss_rate=0.5)
    run = calibrate_labelled(Embedder(Stripes()), dataset, options, split="train")
    assert (run.calibration.record.source.people, run.calibration.record.source.split) == (4, "train")
    empty = dataclasses.replace(dataset, train=Split("train", ()))
    with pytest.raises(DatasetError, match="no pictures for train"):
        calibrate_labelled(Embedder(Stripes()), empty, options, split="train")


def test_distractors_and_junk_give_no_pairs(dataset: Dataset) -> None:
    run = calibrate_labelled(Embedder(Stripes()), dataset, OPTIONS)
    nobody = [dataclasses.replace(dataset.train.samples[i], pid=pid) for i, pid in enumerate((0, 0, -1))]
    more = dataclasses.replace(dataset, gallery=Split("gallery", (*dataset.gallery, *nobody)))
    assert calibrate_labelled(Embedder(Stripes()), more, OPTIONS).calibration.record.source == (
        run.calibration.record.source
    )


def test_without_cameras_all_pairs_of_a_person_count(dataset: Dataset) -> None:
    blind = dataclasses.replace(dataset, protocol=Protocol.NO_CAMERA)
    assert calibrate_labelled(Embedder(Stripes()), blind, OPTIONS).calibration.record.source.protocol == (
        "no-camera"
    )


@pytest.mark.parametrize("kind", ["centre", "zca"])
def test_a_whitening_is_fitted_on_other_people_and_opens_the_range(dataset: Dataset, kind) -> None:
    embedder = Embedder(Stripes(offset=900))
    plain = calibrate_labelled(embedder, dataset, OPTIONS)
    assert plain.histogram.edges[0] > 0.9
    whitened = calibrate_labelled(embedder, dataset, dataclasses.replace(OPTIONS, whitening=kind))
    assert whitened.histogram.edges[0] < 0
    assert whitened.calibration.whitening.num_people == NUM_PEOPLE // 2
    assert whitened.calibration.record.source.people == NUM_PEOPLE // 2


def tracklets_of(dataset: Dataset, pids: set[int]) -> list[Tracklet]:
    """Each person's pictures by each camera as one tracklet; all are seen at the times 0, 1 and 2."""
    found: dict[tuple[int, int], list[str]] = {}
    for sample in (*dataset.query, *dataset.gallery):
        if sample.pid in pids:
            found.setdefault((sample.camid, sample.pid), []).append(sample.path)
    return [
        Tracklet(
            f"camera {camid}", str(pid), tuple(Sighting(p, float(t)) for t, p in enumerate(sorted(paths)))
        )
        for (camid, pid), paths in sorted(found.items())
    ]


def test_thresholds_from_unlabelled_tracklets_hold_for_other_people(dataset: Dataset) -> None:
    pids = sorted({one.pid for one in dataset.query})
    half = set(pids[: NUM_PEOPLE // 2])
    embedder = Embedder(Stripes())
    run = calibrate_tracklets(
        embedder, tracklets_of(dataset, half), CalibrationOptions(false_alarm_rates=(0.05,)), source="half"
    )
    record = run.calibration.record
    assert (record.source.kind, record.source.root, record.source.people) == (
        "tracklets",
        "half",
        len(half) * 2,
    )
    assert record.source.couples == len(half) * (len(half) - 1), "couples of one camera, by two cameras"
    others = tracklets_of(dataset, set(pids) - half)
    again = calibrate_tracklets(embedder, others, OPTIONS, source="others")
    threshold = run.calibration.false_alarm(0.05)
    low, high = threshold.rate_interval
    above = again.histogram.edges[:-1] >= threshold.threshold
    share = again.histogram.different[above].sum() / again.histogram.different.sum()
    assert low <= share + 0.01
    assert share <= high


def test_what_cannot_be_read_is_skipped_or_stops(dataset: Dataset, tmp_path: Path) -> None:
    tracklets = tracklets_of(dataset, {one.pid for one in dataset.query})
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"no picture")
    tracklets[0] = dataclasses.replace(
        tracklets[0], sightings=(Sighting(str(broken), 9.0), *tracklets[0].sightings)
    )
    with pytest.raises(ImageError, match="broken"):
        calibrate_tracklets(Embedder(Stripes()), tracklets, OPTIONS, source="x")
    run = calibrate_tracklets(
        Embedder(Stripes()), tracklets, OPTIONS, source="x", reading=Reading(on_bad="skip")
    )
    assert [file.path for file in run.skipped] == [str(broken)]


def test_a_model_that_was_never_saved_cannot_be_calibrated(dataset: Dataset) -> None:
    with pytest.raises(InputError, match="never saved"):
        calibrate_labelled(Embedder(Stripes(sha256=None)), dataset)


def test_the_same_seed_gives_the_same_calibration(dataset: Dataset) -> None:
    one, again = (calibrate_labelled(Embedder(Stripes()), dataset, OPTIONS).calibration for _ in range(2))
    left_out = {"environment"}
    assert one.record.model_dump(exclude=left_out) == again.record.model_dump(exclude=left_out)
    other = calibrate_labelled(Embedder(Stripes()), dataset, dataclasses.replace(OPTIONS, seed=1)).calibration
    assert other.false_alarm().threshold != one.false_alarm().threshold
