"""The command as a user meets it: results, exit codes, and what bad input is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from command_line import Run
from omnireid import Embedder, Gallery, Item, read_embeddings
from omnireid.cli.app import main
from omnireid.core.images import decode
from omnireid.core.record import ResultRecord
from omnireid.data.datasets import read_dataset
from omnireid.models.weight_file import read_arrays
from omnireid.models.weights import load_weights, save_weights

TINY = ["--set", "epochs=2", "--set", "sampler.batch_size=12", "--set", "input={height: 64, width: 32}"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, toy_root: Path) -> Path:
    """A finished `omnireid run` on toy people."""
    out = tmp_path_factory.mktemp("run")
    source = ["--data", "market-layout", "--root", str(toy_root)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["omnireid", "run", *source, "--out", str(out), *TINY])
        with pytest.raises(SystemExit) as stop:
            main()
    assert not stop.value.code
    return out


def test_run_leaves_a_record_a_report_weights_and_embeddings(trained: Path) -> None:
    record = ResultRecord.load(trained / "result.json")
    assert record.training is not None
    assert len(record.training.history) == 2
    assert record.dataset.splits["query"].images == 6
    assert 0 <= record.metrics.rank1 <= record.metrics.rank5 <= 1
    assert record.protocol.num_valid_queries == 6
    assert "<html" in (trained / "report.html").read_text()
    assert len(read_embeddings(trained / "embeddings.parquet")) == record.dataset.splits["gallery"].images


def test_run_fills_a_gallery_that_ranks_as_the_evaluation_did(trained: Path, toy_root: Path) -> None:
    found = read_embeddings(trained / "embeddings.parquet")
    query = read_dataset("market-layout", toy_root).query.samples[0]
    embedder = Embedder.open(trained / "model.safetensors")
    asked = embedder.embed([decode(query.path)])[0]
    with Gallery.open(str(trained / "gallery")) as gallery:
        assert gallery.state().items == len(found)
        result = gallery.search(asked, model=embedder.ref, k=len(found))
    unit = found.vectors / np.linalg.norm(found.vectors, axis=1, keepdims=True)
    scores = unit @ asked
    expected = {
        path: (score, f"pid-{pid}") for path, score, pid in zip(found.paths, scores, found.pids, strict=True)
    }
    assert len(result.candidates) == len(found)
    for candidate in result.candidates:
        score, identity = expected[candidate.item.source]
        assert candidate.score == pytest.approx(score, abs=1e-5)
        assert candidate.identity == identity
        assert candidate.item.camera == f"c{int(found.camids[found.paths.index(candidate.item.source)]) + 1}"


def test_evaluating_the_trained_weights_again_gives_the_same_numbers(
    omnireid: Run, trained: Path, toy_root: Path, tmp_path: Path
) -> None:
    source = ["--data", "market-layout", "--root", toy_root]
    rank_as_trained = ["--distance", "cosine", "--normalise"]
    done = omnireid(
        "evaluate", "--model", trained / "model.safetensors", *source, *rank_as_trained,
        "--out", tmp_path, "--json", tmp_path / "copy.json",
    )  # fmt: skip
    assert done.code == 0, done.err
    again, before = ResultRecord.load(tmp_path / "copy.json"), ResultRecord.load(trained / "result.json")
    assert again.metrics == before.metrics
    assert set(json.loads((tmp_path / "copy.json").read_text())["metrics"]) == {
        "rank1", "rank5", "rank10", "rank20", "mAP", "mINP",
    }  # fmt: skip
    assert again.protocol.distance == "cosine"


def test_export_embed_and_torch_agree(omnireid: Run, trained: Path, toy_root: Path, tmp_path: Path) -> None:
    weights = trained / "model.safetensors"
    done = omnireid("export", weights, "--out", tmp_path / "model.onnx")
    assert done.code == 0, done.err
    assert "cosine to the network: smallest 1.0000000" in done.out
    proof = json.loads((tmp_path / "model.onnx.parity.json").read_text())
    # Where no dataset is given, people are rendered.
    assert proof["crops"] == "rendered, query and gallery: 256 of 256"
    assert proof["accuracy"]["dataset"] == "rendered"
    assert proof["accuracy"]["mAP"] == proof["accuracy"]["mAP_reference"]
    assert "rendered: rank-1" in done.out
    for model, out in ((weights, "torch.parquet"), (tmp_path / "model.onnx", "onnx.npz")):
        done = omnireid("embed", toy_root / "bounding_box_test", "--model", model, "--out", tmp_path / out)
        assert done.code == 0, done.err
        assert "12 embeddings of 512 values, L2-normalised" in done.out
    torch_set, onnx_set = read_embeddings(tmp_path / "torch.parquet"), read_embeddings(tmp_path / "onnx.npz")
    assert torch_set.paths == onnx_set.paths
    assert (torch_set.vectors * onnx_set.vectors).sum(axis=1).min() > 0.99999


def test_run_refuses_a_used_folder_until_told_what_to_do(
    omnireid: Run, trained: Path, toy_root: Path, tmp_path: Path
) -> None:
    arguments = ["run", "--data", "market-layout", "--root", toy_root, *TINY, "--out"]
    refused = omnireid(*arguments, trained)
    assert refused.code == 2
    assert "--resume" in refused.err
    assert "--overwrite" in refused.err
    (tmp_path / "thesis.txt").write_text("precious")
    foreign = omnireid(*arguments, tmp_path, "--overwrite")
    assert foreign.code == 2
    assert "not a run of ours" in foreign.err
    assert (tmp_path / "thesis.txt").read_text() == "precious"
    resumed = omnireid(*arguments, trained, "--resume")
    assert resumed.code == 0, resumed.err
    both = omnireid(*arguments, trained, "--resume", "--overwrite")
    assert both.code == 2
    assert "give one of them" in both.err


def test_train_keeps_the_rule_of_run(omnireid: Run, trained: Path, toy_root: Path, tmp_path: Path) -> None:
    arguments = ["train", "--data", "market-layout", "--root", toy_root, "--recipe", "quickstart", *TINY]
    before = (trained / "checkpoint.pt").read_bytes()
    refused = omnireid(*arguments, "--set", "seed=9", "--out", trained)
    assert refused.code == 2
    assert "holds a run already; --resume goes on with it, --overwrite replaces it" in refused.err
    assert (trained / "checkpoint.pt").read_bytes() == before
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    done = omnireid(
        *arguments, "--set", "seed=9", "--set", "evaluation.every=1", "--out", copy, "--overwrite"
    )
    assert done.code == 0, done.err
    assert f"best:    {copy / 'best.safetensors'} (epoch" in done.out
    # The report of the run that was replaced says nothing of this one.
    assert not (copy / "result.json").exists()
    assert json.loads((copy / "recipe.json").read_text())["seed"] == 9


def test_the_checkpoint_of_an_unfinished_run_serves_wherever_weights_do(
    omnireid: Run, trained: Path, toy_root: Path, tmp_path: Path
) -> None:
    source = ["--data", "market-layout", "--root", toy_root]
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    checkpoint.parent.mkdir()
    shutil.copy(trained / "checkpoint.pt", checkpoint)
    ranked = ["--distance", "cosine", "--normalise", "--no-analysis", "--threads", "1"]
    done = omnireid("evaluate", "--model", checkpoint, *source, *ranked, "--out", tmp_path / "evaluation")
    assert done.code == 0, done.err
    assert "Weights after epoch 2 of 2" in done.err
    finished = ResultRecord.load(trained / "result.json")
    assert ResultRecord.load(tmp_path / "evaluation" / "result.json").metrics == finished.metrics
    done = omnireid("embed", toy_root / "query", "--model", checkpoint, "--out", tmp_path / "query.npz")
    assert done.code == 0, done.err
    done = omnireid("models", "convert", checkpoint, "--out", tmp_path / "weights.safetensors")
    assert done.code == 0, done.err
    converted, original = (
        read_arrays(file) for file in (tmp_path / "weights.safetensors", trained / "model.safetensors")
    )
    assert converted[0].tensors_sha256 == original[0].tensors_sha256
    assert converted[0].card.input == original[0].card.input
    assert converted[0].card.training_data == original[0].card.training_data
    assert converted[0].card.training_pids == original[0].card.training_pids == 6
    other = omnireid(
        "models", "convert", checkpoint, "--architecture", "osnet_x1_0", "--out", tmp_path / "w.safetensors"
    )
    assert other.code == 2
    assert "holds osnet_x0_25, osnet_x1_0 was asked for" in other.err
    train = ["train", *source, "--recipe", "quickstart", *TINY]
    started = omnireid(
        *train, "--init", checkpoint, "--set", "optimiser.lr=0.001", "--out", tmp_path / "tuned"
    )
    assert started.code == 0, started.err


def test_what_is_no_earlier_output_of_the_same_command_is_not_replaced(
    omnireid: Run, trained: Path, tmp_path: Path
) -> None:
    weights, published = tmp_path / "w.safetensors", tmp_path / "published.onnx"
    for _ in range(2):
        # Converting again is nothing new.
        assert omnireid("models", "convert", trained / "checkpoint.pt", "--out", weights).code == 0
    network, card = load_weights(weights)
    with torch.no_grad():
        network.conv1.conv.weight.zero_()
    save_weights(weights, network, card)
    published.write_bytes(b"\x08\x07\x12\x07pytorch of somebody else")
    kept = weights.read_bytes(), published.read_bytes()
    for command in (
        ["models", "convert", trained / "checkpoint.pt", "--out", weights],
        ["models", "convert", trained / "checkpoint.pt", "--out", published],
        ["export", trained / "model.safetensors", "--out", published],
    ):
        done = omnireid(*command)
        assert done.code == 2
        wanted = (
            "safetensors are written"
            if published in command[2:] and command[0] == "models"
            else "lies there already"
        )
        assert wanted in done.err
    assert (weights.read_bytes(), published.read_bytes()) == kept


def test_a_gallery_in_which_others_enrolled_outlives_the_run(
    omnireid: Run, trained: Path, toy_root: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(trained, copy)
    run = ["run", "--data", "market-layout", "--root", toy_root, *TINY, "--out", copy, "--resume"]
    embedder = Embedder.open(copy / "model.safetensors")
    visitor = embedder.embed([np.zeros((64, 32, 3), np.uint8)])
    with Gallery.open(str(copy / "gallery"), actor="reception") as gallery:
        gallery.search(visitor[0], model=embedder.ref)
    searched = omnireid(*run)
    assert searched.code == 0, searched.err
    with Gallery.open(str(copy / "gallery"), actor="reception") as gallery:
        gallery.enrol([Item(camera="door", identity="visitor-7")], visitor, model=embedder.ref)
    refused = omnireid(*run)
    assert refused.code == 2
    assert "holds what others enrolled or named, and is kept" in refused.err
    with Gallery.open(str(copy / "gallery")) as gallery:
        assert gallery.identity("visitor-7").items == 1
    shutil.move(copy / "gallery", tmp_path / "moved")
    assert omnireid(*run).code == 0


def test_init_need_not_be_repeated_and_its_path_may_be_written_otherwise(
    omnireid: Run, trained: Path, toy_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(trained / "model.safetensors", tmp_path / "w.safetensors")
    train = ["train", "--data", "market-layout", "--root", toy_root, "--recipe", "quickstart", *TINY]
    train += ["--out", "run"]
    begun = omnireid(*train, "--init", "w.safetensors")
    assert begun.code == 0, begun.err
    for again in ([], ["--init", tmp_path / "w.safetensors"], ["--init", "./w.safetensors"]):
        resumed = omnireid(*train, "--resume", *again)
        assert resumed.code == 0, resumed.err
        assert json.loads(Path("run/recipe.json").read_text())["initial_weights"] == "w.safetensors"
    for other in ("none", trained / "checkpoint.pt"):
        refused = omnireid(*train, "--resume", "--init", other)
        assert refused.code == 2
        assert "began with w.safetensors" in refused.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["evaluate", "--model", "osnet_x0_25", "--data", "market-layout", "--root", "TOY"], "osnet_x0_25"),
        (["evaluate", "--model", "osnet_x0_26", "--data", "market-layout", "--root", "TOY"], "did you mean"),
        (
            ["evaluate", "--model", "no.onnx", "--data", "market-layout", "--root", "TOY"],
            "no such model file",
        ),
        (
            ["train", "--data", "market1502", "--root", "TOY", "--recipe", "quickstart", "--out", "x"],
            "market1501",
        ),
        (
            ["train", "--data", "market-layout", "--root", "TOY", "--recipe", "quik", "--out", "x"],
            "quickstart",
        ),
        (
            ["run", "--data", "market-layout", "--root", "TOY", "--out", "x", "--set", "epochs"],
            "KEY=VALUE",
        ),
        (
            [
                "train",
                "--data",
                "market-layout",
                "--root",
                "/nowhere",
                "--recipe",
                "quickstart",
                "--out",
                "x",
            ],
            "no such",
        ),
        (["run", "--data", "market-layout", "--out", "x"], "--data and --root belong together"),
        (["data", "show", "marke1501"], "market1501"),
        (["models", "show", "osnet"], "did you mean"),
        (["embed", "/nowhere", "--model", "m.onnx", "--out", "x.parquet"], "no such"),
    ],
)
def test_bad_input_is_one_line_that_names_the_thing(
    omnireid: Run, toy_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    done = omnireid(*[str(toy_root) if word == "TOY" else word for word in arguments])
    assert done.code == 2
    assert done.err.startswith("error: ")
    assert message in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("evaluate --k1 20", "--k1: no effect without --reranking; leave it out"),
        ("evaluate --k2 9 --lambda 0.9", "--k2, --lambda: no effect without --reranking; leave them out"),
        ("evaluate --expansion-alpha 3", "no effect without --query-expansion"),
        (
            "evaluate --rounds 3 --fresh-draw --no-table --workers 1",
            "--rounds, --fresh-draw, --no-table, --workers: no effect without --corruptions",
        ),
        ("evaluate --engine ray", "--engine: no effect without --corruptions; leave it out"),
        ("evaluate --corruptions --address auto", "--address: no effect without --engine ray"),
        ("evaluate --frame-sampling all --frames 3", "--frames: no effect with --frame-sampling all"),
        ("calibrate --frames 8", "--frames: no effect without --tracklets"),
        ("evaluate --clothes-groups 3", "--clothes-groups: no effect without --clothes-swap"),
        ("train --recipe quickstart --out x --frames 2", "--frames: no effect on pictures"),
        ("train --recipe quickstart --out x --workers 2", "--workers: no effect without --engine ray"),
        (
            "train --recipe quickstart --out x --engine ray --devices 2",
            "--devices: no effect with --engine ray, which has --workers",
        ),
        ("train --recipe quickstart --out x --target market-layout", "evaluates nothing in between"),
    ],
)
def test_options_without_effect_are_refused(
    omnireid: Run, toy_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: str, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    command, *rest = arguments.split()
    model = [] if command == "train" else ["--model", "model.onnx"]
    done = omnireid(command, "--data", "market-layout", "--root", toy_root, *model, *rest)
    assert (done.code, done.out) == (2, "")
    assert message in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            "corrupt --picture p.jpg --out s.png --corruption fog --severity 3",
            "--corruption, --severity: no effect with --picture",
        ),
        ("corrupt --picture p.jpg --out s.jpg", "name it s.png"),
        ("corrupt --picture p.jpg --out s", "name it s.png"),
        ("calibrate --model m --tracklets t --split test", "--split: no effect with --tracklets"),
        ("run --out x --split-id 1", "--split-id: no effect on rendered people"),
        ("demo --no-serve --port 80", "--port: no effect with --no-serve"),
        ("data stats market-layout --root . --seed 0", "--seed: no effect without --out"),
        ("gallery audit --gallery g --verify --limit 3", "--limit: no effect with --verify"),
        ("gallery move --gallery g --abandon --batch-size 64", "--batch-size: no effect with --abandon"),
        ("gallery enrol --gallery g --model m . --split query", "--split: no effect with SOURCE"),
        ("synth --out x --crops 1", "--crops"),
        ("evaluate --model m", "--clothes-swap, which needs no data"),
        ("evaluate --model m --data market-layout", "give --data and --root"),
        ("evaluate --model m --clothes-swap --json r.json", "--json: no effect without --data"),
        ("models reproduce none --out x --data market-layout", "give both --data and --root"),
        ("models reproduce none --out x", "unknown description of a network 'none'"),
        ("models reproduce none --out x --scale 0", "scale: more than 0"),
    ],
)
def test_options_that_exclude_each_other_are_refused(
    omnireid: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: str, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = omnireid(*arguments.split())
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert not list(tmp_path.iterdir())


def test_training_from_published_weights_that_are_not_here_says_how_to_get_them(
    omnireid: Run, toy_root: Path, tmp_path: Path
) -> None:
    recipe = ["--recipe", "zoo_osnet_x0_25", "--out", tmp_path / "run"]
    done = omnireid("train", "--data", "market-layout", "--root", toy_root, *recipe)
    assert done.code == 2
    assert "osnet_x0_25_imagenet" in done.err


def test_lists_and_cards_can_be_read(omnireid: Run) -> None:
    assert "market-layout" in omnireid("data", "list").out
    assert "12,936" in omnireid("data", "show", "market1501").out
    assert "osnet_ain_x1_0" in omnireid("models", "list").out
    assert json.loads(omnireid("models", "show", "osnet_x1_0").out)["num_parameters"] == 2_169_508
    assert "paper_scratch" in omnireid("recipes", "list").out
    assert "lr: 0.065" in omnireid("recipes", "show", "paper_scratch").out
    assert omnireid("--version").out.startswith("omnireid ")


def test_validate_exits_with_1_on_a_dataset_with_errors(
    omnireid: Run, toy_root: Path, tmp_path: Path
) -> None:
    whole = omnireid("data", "validate", "market-layout", "--root", toy_root)
    assert whole.code == 0, whole.out
    broken = tmp_path / "people"
    shutil.copytree(toy_root, broken)
    victim = sorted((broken / "query").iterdir())[0]
    victim.write_bytes(victim.read_bytes()[:200])
    done = omnireid("data", "validate", "market-layout", "--root", broken)
    assert done.code == 1
    assert victim.name in done.out


def test_skipped_pictures_are_named_in_the_record(
    omnireid: Run, trained: Path, toy_root: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "people"
    shutil.copytree(toy_root, broken)
    victim = sorted((broken / "bounding_box_test").iterdir())[0]
    victim.write_bytes(b"")
    command = [
        "evaluate",
        "--model",
        trained / "model.safetensors",
        "--data",
        "market-layout",
        "--root",
        broken,
    ]
    stopped = omnireid(*command, "--out", tmp_path / "out")
    assert stopped.code == 2
    assert victim.name in stopped.err
    done = omnireid(*command, "--out", tmp_path / "out", "--on-bad", "skip")
    assert done.code == 0, done.err
    (skipped,) = ResultRecord.load(tmp_path / "out" / "result.json").dataset.skipped
    assert victim.name in skipped
