"""Tracklets through evaluation, the command line, the report and training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data.miniatures_video import build_ilidsvid, build_mars
from omnireid import evaluate_embeddings
from omnireid.cli.app import main
from omnireid.core.errors import InputError
from omnireid.core.record import ResultRecord
from omnireid.core.seeds import derive_seed
from omnireid.core.types import Dataset
from omnireid.data.datasets import read_dataset
from omnireid.data.options import FrameSampling
from omnireid.evaluation.options import Ranking
from omnireid.experiment.evaluation import evaluate_model, write_results
from omnireid.inference.tracklets import embed_tracklets
from omnireid.report.wording import protocol_sentence

torch = pytest.importorskip("torch")


@pytest.fixture
def ilidsvid(tmp_path: Path) -> Dataset:
    build_ilidsvid(tmp_path)
    return read_dataset("ilidsvid", tmp_path, check_counts=False)


@pytest.mark.parametrize("frames", [None, FrameSampling(2, "random", "max"), FrameSampling(sampling="all")])
def test_evaluation_ranks_pooled_tracklets_and_says_how(embedder, ilidsvid, frames):
    record = evaluate_model(embedder, ilidsvid, frames=frames, ranking=Ranking(seed=3)).record
    how = frames or FrameSampling(15, "evenly", "mean")
    query, gallery = (
        embed_tracklets(
            embedder,
            split.samples,
            FrameSampling(num_frames=how.num_frames, sampling=how.sampling, pooling=how.pooling),
            seed=derive_seed(3, split.name),
        )
        for split in (ilidsvid.query, ilidsvid.gallery)
    )
    wanted = evaluate_embeddings(query, gallery)
    assert record.metrics.mAP == pytest.approx(wanted.mAP)
    assert record.protocol.frames == str(how)
    assert record.protocol.num_gallery == 6
    assert record.dataset.splits["train"].tracklets == 12
    assert record.dataset.splits["train"].images == ilidsvid.train.num_images > 12
    assert f"frames: {how}" in protocol_sentence(record)
    assert "6 gallery tracklets" in protocol_sentence(record)


def test_frames_of_pictures_are_refused(embedder, toy_root):
    pictures = read_dataset("market-layout", toy_root)
    with pytest.raises(InputError, match="market-layout holds pictures, not tracklets"):
        evaluate_model(embedder, pictures, frames=FrameSampling())
    record = evaluate_model(embedder, pictures).record
    assert record.protocol.frames == ""
    assert record.dataset.splits["query"].tracklets is None
    assert "gallery images" in protocol_sentence(record)


def test_a_tracklet_whose_first_frame_is_bad_still_makes_a_report(embedder, ilidsvid, tmp_path):
    first, *_ = (sample for sample in ilidsvid.query if len(sample.frames) > 1)
    Path(first.path).write_bytes(b"")
    evaluation = evaluate_model(embedder, ilidsvid, on_bad="skip")
    assert [line.split(": ")[0] for line in evaluation.record.dataset.skipped] == [first.path]
    assert first.path in evaluation.query.paths
    files = write_results(evaluation, embedder, tmp_path / "out")
    assert "tracklets" in files.report.read_text()


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr("sys.argv", ["omnireid", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_the_command_takes_frames_sampling_and_pooling(model, tmp_path, monkeypatch, capsys):
    build_mars(tmp_path)
    common = ["evaluate", "--model", model, "--data", "mars", "--root", tmp_path, "--no-check-counts"]
    options = ["--frames", "2", "--frame-sampling", "random", "--pooling", "max"]
    for folder, extra in (("one", options), ("two", options), ("usual", [])):
        assert run(monkeypatch, *common, "--out", tmp_path / folder, *extra) == 0
    records = [ResultRecord.load(tmp_path / name / "result.json") for name in ("one", "two", "usual")]
    assert [record.protocol.frames for record in records] == ["2 random, max"] * 2 + ["15 evenly, mean"]
    assert records[0].cmc == records[1].cmc
    # Pid 6 has no other camera, pid 8 is not in the gallery.
    assert (records[0].protocol.num_queries, records[0].protocol.num_valid_queries) == (5, 3)
    capsys.readouterr()
    assert run(monkeypatch, *common, "--out", tmp_path / "bad", "--frame-sampling", "first") == 2


def test_the_command_refuses_frames_of_pictures(model, toy_root, tmp_path, monkeypatch, capsys):
    source = ["--data", "market-layout", "--root", toy_root, "--out", tmp_path]
    assert run(monkeypatch, "evaluate", "--model", model, *source, "--frames", "15") == 2
    assert "holds pictures, not tracklets" in capsys.readouterr().err


@pytest.mark.parametrize(("options", "num_images"), [([], None), (["--frames", "1"], 12)])
def test_training_sees_frames_as_pictures(tmp_path, monkeypatch, options, num_images):
    build_ilidsvid(tmp_path)
    data = read_dataset("ilidsvid", tmp_path, check_counts=False)
    seen = {}

    def train(recipe, split, run_dir, **arguments):
        seen.update(split=split, **arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr("omnireid.experiment.training.run_training", train)
    source = ["--data", "ilidsvid", "--root", tmp_path, "--no-check-counts", "--out", tmp_path / "run"]
    assert run(monkeypatch, "train", *source, "--recipe", "quickstart", *options) == 130
    frames = [frame for one in data.train for frame in (one.frames if num_images is None else one.frames[:1])]
    assert seen["split"].paths == tuple(frames)
    assert not seen["split"].is_video
    assert set(seen["split"].pids) == set(data.train.pids)
    assert seen["training_data"] == f"ilidsvid (train: {len(frames):,} images)"


def test_a_network_trains_on_tracklets_and_is_evaluated_on_them(tmp_path, monkeypatch, capsys):
    build_ilidsvid(tmp_path)
    tiny = ["--set", "epochs=1", "--set", "sampler.batch_size=8", "--set", "input={height: 64, width: 32}"]
    source = ["--data", "ilidsvid", "--root", tmp_path, "--no-check-counts", "--out", tmp_path / "run"]
    assert run(monkeypatch, "run", *source, *tiny) == 0, capsys.readouterr().err
    record = ResultRecord.load(tmp_path / "run" / "result.json")
    assert record.protocol.frames == "15 evenly, mean"
    assert record.dataset.partition.count == 10
    assert np.isfinite(record.metrics.mAP)
