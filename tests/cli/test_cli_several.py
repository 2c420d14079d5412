"""Several sources, several targets, random splits and seeds, through the command."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from command_line import Run
from data.miniatures_small import build_prid
from omnireid.core.record import MeansRecord, ResultRecord
from omnireid.data.datasets import dataset_card, read_dataset
from omnireid.experiment import run as run_module
from omnireid.models.weights import load_weights
from toy_people import write_toy_people

TINY = [
    "--set", "epochs=2", "--set", "sampler={name: dataset, batch_size: 12, num_groups: 2}",
    "--set", "input={height: 64, width: 32}", "--set", "evaluation.every=1",
]  # fmt: skip


def test_two_sources_are_trained_together_and_two_targets_evaluated_apart(
    omnireid: Run, toy_root: Path, tmp_path: Path
) -> None:
    other = write_toy_people(tmp_path / "other", num_train=4, num_test=5)
    out = tmp_path / "run"
    code, _, error = omnireid(
        "run", "--data", "market-layout+market1501", "--root", toy_root, "--root", other, "--combineall",
        "--target", "market1501+market-layout", "--target-root", other, "--target-root", toy_root,
        "--no-check-counts", "--out", out, *TINY,
    )  # fmt: skip
    assert code == 0, error
    overview = (out / "overview.html").read_text()
    assert 'href="market1501/report.html"' in overview
    assert 'href="market-layout/report.html"' in overview
    records = {
        name: ResultRecord.load(out / name / "result.json") for name in ("market1501", "market-layout")
    }
    assert records["market1501"].dataset.splits["query"].pids == 5
    assert records["market-layout"].dataset.splits["query"].pids == 3
    training = records["market1501"].training
    assert training is not None
    assert {"market1501/rank1", "market-layout/mAP"} <= set(training.history[0])
    assert (out / "market-layout" / "embeddings.parquet").is_file()
    _, card = load_weights(out / "model.safetensors")
    assert card.training_pids == (6 + 3) + (4 + 5)


def test_all_random_splits_are_trained_evaluated_and_averaged(
    omnireid: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_prid(tmp_path)
    all_splits = run_module._splits
    monkeypatch.setattr(run_module, "_splits", lambda sources: all_splits(sources)[:2])
    out = tmp_path / "run"
    code, printed, error = omnireid(
        "run", "--data", "prid", "--root", tmp_path, "--split-id", "all", "--no-check-counts", "--out", out,
        "--set", "epochs=1", "--set", "sampler.batch_size=2", "--set", "input={height: 64, width: 32}",
    )  # fmt: skip
    assert code == 0, error
    first, second = (ResultRecord.load(out / "prid" / f"split-0{index}" / "result.json") for index in (0, 1))
    summary = MeansRecord.model_validate_json((out / "prid" / "splits.json").read_text())
    assert summary.metrics["rank1"].values == (first.metrics.rank1, second.metrics.rank1)
    assert first.dataset.partition is not None
    assert first.dataset.partition.sha256 != second.dataset.partition.sha256
    stored = read_dataset("manifest", out / "prid" / "split-01" / "split.csv")
    again = read_dataset("prid", tmp_path, split_id=1, check_counts=False)
    assert [split.samples for split in stored.splits] == [split.samples for split in again.splits]
    assert "mean ± deviation of 2 splits of 10 (drawn with seed 0" in printed
    assert "prid, split 1 of 10" in printed
    assert f"overview: {out / 'overview.html'}" in printed


def test_one_model_on_all_random_splits(
    omnireid: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_root: Path
) -> None:
    trained = tmp_path / "trained"
    train = [
        "train",
        "--data",
        "market-layout",
        "--root",
        toy_root,
        "--recipe",
        "quickstart",
        "--out",
        trained,
    ]
    small = ["--set", "epochs=1", "--set", "sampler.batch_size=12", "--set", "input={height: 64, width: 32}"]
    assert omnireid(*train, *small)[0] == 0
    build_prid(tmp_path)
    other = write_toy_people(tmp_path / "other", num_train=4, num_test=5)
    code, printed, error = omnireid(
        "evaluate", "--model", trained / "model.safetensors", "--data", "prid+market-layout+market-layout",
        "--root", tmp_path, "--root", toy_root, "--root", other, "--split-id", "all", "--no-check-counts",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert code == 0, error
    num_splits = dataset_card("prid").num_splits
    records = [
        ResultRecord.load(path) for path in sorted((tmp_path / "out").glob("prid/split-*/result.json"))
    ]
    assert [record.dataset.partition.index for record in records] == list(range(num_splits))
    assert f"mean ± deviation of {num_splits} splits of {num_splits}" in printed
    overview = tmp_path / "out" / "overview.html"
    assert f"overview: {overview}" in printed
    links = re.findall(r'href="([^"]+)"', overview.read_text())
    assert links == [f"prid/split-{split:02d}/report.html" for split in range(num_splits)] + [
        "market-layout-1/report.html",
        "market-layout-2/report.html",
    ]
    assert all((overview.parent / link).is_file() for link in links)
    sites = [ResultRecord.load(tmp_path / "out" / f"market-layout-{n}" / "result.json") for n in (1, 2)]
    assert [site.dataset.root for site in sites] == [str(toy_root), str(other)]
    assert [site.dataset.splits["query"].pids for site in sites] == [3, 5]


def test_what_does_not_fit_together_is_named(omnireid: Run, toy_root: Path, tmp_path: Path) -> None:
    toy = ["--data", "market-layout", "--root", toy_root]
    cases = [
        (["run", *toy, "--split-id", "all"], "market-layout is not one benchmark with random splits"),
        (["run", *toy, "--split-id", "two"], "--split-id 'two': expected a number from 0, or 'all'"),
        (["run", *toy, "--target-root", toy_root], "--target-root belongs to --target"),
        (["train", *toy, "--recipe", "quickstart", "--split-id", "all"], "which 'omnireid run' does"),
        (
            ["run", *toy, "--set", "sampler={name: dataset, batch_size: 12, num_groups: 2}"],
            "only 1 of 1 datasets have that many",
        ),
        (["run", *toy, "--set", "sampler={name: camera, num_groups: 3}"], "no multiple of num_groups 3"),
    ]
    for arguments, message in cases:
        code, _, error = omnireid(*arguments, "--out", tmp_path / "out")
        assert code == 2, (arguments, error)
        assert message in " ".join(error.split()), error


TINY_SEEDS = ["--set", "epochs=1", "--set", "sampler.batch_size=12", "--set", "input={height: 64, width: 32}"]


def test_each_seed_is_a_run_of_its_own_and_their_mean_is_reported(
    omnireid: Run, toy_root: Path, tmp_path: Path
) -> None:
    toy = ["--data", "market-layout", "--root", toy_root]
    out = tmp_path / "out"
    code, printed, error = omnireid("run", *toy, *TINY_SEEDS, "--seeds", "3,5", "--out", out)
    assert code == 0, error
    records = [ResultRecord.load(out / f"seed-{seed}" / "result.json") for seed in (3, 5)]
    assert [record.training.recipe["seed"] for record in records if record.training] == [3, 5]
    means = MeansRecord.model_validate_json((out / "seeds.json").read_text())
    assert (means.seeds, means.partitions) == ((3, 5), ())
    first, second = (record.metrics.mAP for record in records)
    assert first is not None
    assert second is not None
    assert means.metrics["mAP"].mean == pytest.approx((first + second) / 2)
    # The sample deviation of two values.
    assert means.metrics["mAP"].deviation == pytest.approx(abs(first - second) / 2**0.5)
    assert "mean ± deviation of 2 seeds (3, 5)" in printed
    overview = (out / "overview.html").read_text()
    assert 'href="seed-5/report.html">market-layout, seed 5' in overview
    assert "market-layout, 2 seeds (3, 5)" in overview
    # A single run by the same seed has the same weights.
    assert omnireid("run", *toy, *TINY_SEEDS, "--set", "seed=5", "--out", tmp_path / "single")[0] == 0
    single, _ = load_weights(tmp_path / "single" / "model.safetensors")
    seeded, _ = load_weights(out / "seed-5" / "model.safetensors")
    assert all(map(torch.equal, single.state_dict().values(), seeded.state_dict().values()))

    code, _, error = omnireid("run", *toy, *TINY_SEEDS, "--seeds", "3,5", "--out", out)
    assert code == 2
    assert "seed-3: holds a run already" in " ".join(error.split())
    # More seeds join those that are there.
    code, printed, error = omnireid("run", *toy, *TINY_SEEDS, "--seeds", "3-5", "--out", out, "--resume")
    assert code == 0, error
    means = MeansRecord.model_validate_json((out / "seeds.json").read_text())
    assert means.seeds == (3, 4, 5)
    assert (means.metrics["mAP"].values[0], means.metrics["mAP"].values[2]) == (first, second)
    code, _, error = omnireid(
        "run", *toy, *TINY_SEEDS, "--seeds", "3-5", "--out", tmp_path / "single", "--resume"
    )
    assert code == 2
    assert "single: holds a single run" in " ".join(error.split())


def test_several_targets_have_a_mean_over_seeds_each(omnireid: Run, toy_root: Path, tmp_path: Path) -> None:
    other = write_toy_people(tmp_path / "other", num_train=4, num_test=5)
    out = tmp_path / "out"
    code, _, error = omnireid(
        "run", "--data", "market-layout", "--root", toy_root, "--target", "market-layout+market-layout",
        "--target-root", toy_root, "--target-root", other, *TINY_SEEDS, "--seeds", "1-2", "--out", out,
    )  # fmt: skip
    assert code == 0, error
    for target in ("market-layout-1", "market-layout-2"):
        records = [ResultRecord.load(out / f"seed-{seed}" / target / "result.json") for seed in (1, 2)]
        means = MeansRecord.model_validate_json((out / target / "seeds.json").read_text())
        assert means.metrics["rank1"].values == tuple(record.metrics.rank1 for record in records)


def test_training_by_several_seeds_summarises_what_was_measured(
    omnireid: Run, toy_root: Path, tmp_path: Path
) -> None:
    toy = ["train", "--recipe", "quickstart", "--data", "market-layout", "--root", toy_root, *TINY_SEEDS]
    measured = [*toy, "--set", "epochs=3", "--set", "evaluation.every=2"]
    out = tmp_path / "out"
    code, printed, error = omnireid(*measured, "--seeds", "0-1", "--out", out)
    assert code == 0, error
    histories = [
        [json.loads(line) for line in (out / f"seed-{seed}" / "history.jsonl").read_text().splitlines()]
        for seed in (0, 1)
    ]
    means = MeansRecord.model_validate_json((out / "seeds.json").read_text())
    assert means.protocol is None
    assert means.seeds == (0, 1)
    assert means.metrics["loss"].values == tuple(rows[2]["loss"] for rows in histories)
    # Evaluated after epoch 2, not after epoch 3.
    assert means.metrics["mAP"].values == tuple(rows[1]["mAP"] for rows in histories)
    assert "lr" not in means.metrics
    assert f"{means.metrics['loss'].mean:.4f} ± {means.metrics['loss'].deviation:.4f}" in printed
    code, printed, error = omnireid(*measured, "--seeds", "0-2", "--out", out, "--resume")
    assert code == 0, error
    means = MeansRecord.model_validate_json((out / "seeds.json").read_text())
    assert means.metrics["loss"].values[:2] == tuple(rows[2]["loss"] for rows in histories)


def test_rendered_people_are_made_once_for_all_seeds(
    omnireid: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, toy_root: Path
) -> None:
    rendered: list[Path] = []

    def render(root: Path, *_: object, **__: object) -> None:
        rendered.append(root)
        shutil.copytree(toy_root, root)

    monkeypatch.setattr("omnireid.experiment.rendered.MOST_CALIBRATION_PIDS", 8)
    monkeypatch.setattr("omnireid.experiment.run.render_dataset", render)
    code, _, error = omnireid("run", *TINY_SEEDS, "--seeds", "1-2", "--out", tmp_path / "out")
    assert code == 0, error
    assert rendered == [tmp_path / "out" / "data"]
    for seed in (1, 2):
        record = ResultRecord.load(tmp_path / "out" / f"seed-{seed}" / "result.json")
        assert record.dataset.root == str(tmp_path / "out" / "data")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "5"], "--seeds '5': expected 2 to 100 seeds"),
        (["--seeds", "5-1"], "--seeds '5-1': expected 2 to 100 seeds"),
        (["--seeds", "1-999999999"], "expected 2 to 100 seeds"),
        (["--seeds", "1-3,2"], "--seeds '1-3,2': a seed is there twice"),
        (["--seeds", "one"], "--seeds 'one': expected numbers from 0"),
        (["--seeds", "1,,2"], "expected numbers from 0"),
        (["--seeds=-1-3"], "expected numbers from 0"),
        (["--seeds", ""], "--seeds '': expected numbers from 0"),
        (["--seeds", "1-2", "--set", "seed=4"], "--seeds and --set seed: give one"),
        (["--seeds", "1-2", "--split-id", "all"], "--seeds and --split-id all: give one"),
    ],
)
def test_seeds_that_make_no_sense_are_refused(
    arguments: list[str], message: str, omnireid: Run, toy_root: Path, tmp_path: Path
) -> None:
    toy = ["--data", "market-layout", "--root", toy_root, "--out", tmp_path / "out"]
    code, _, error = omnireid("run", *toy, *arguments)
    assert code == 2
    assert message in " ".join(error.split())
    if "--split-id" not in arguments:
        code, _, error = omnireid("train", "--recipe", "quickstart", *toy, *arguments)
        assert code == 2
        assert message in " ".join(error.split())
    assert not (tmp_path / "out").exists()
