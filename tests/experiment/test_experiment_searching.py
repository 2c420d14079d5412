"""A search is a training run: it resumes, several processes share it, and it leaves a recipe that trains."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from command_line import Run
from omnireid.core.errors import ConfigError, TrainingError, UnknownNameError
from omnireid.core.seeds import derive_seed
from omnireid.data.datasets import read_dataset
from omnireid.data.options import Sources
from omnireid.experiment.searching import search_architecture
from omnireid.models.choice import choices
from omnireid.models.osnet import OSNet
from omnireid.models.registry import build_model
from omnireid.models.weights import load_weights
from omnireid.training.loop import train
from omnireid.training.options import LoopOptions, RunOptions
from omnireid.training.recipe import Recipe, load_recipe
from omnireid.training.schedule import temperature
from toy_people import write_toy_people

SEARCHED = [["searched"], ["inside"], ["searched"]]
SMALL: dict[str, Any] = {
    "model": "osnet_ain_x0_25",
    "model_options": {"blocks": [1, 1, 1], "stream_depths": [1], "instance_norm": SEARCHED},
    "input": {"height": 64, "width": 32},
    "sampler.batch_size": 12,
    "augmentation": [],
    "epochs": 3,
    "temperature": {"first": 8.0, "factor": 0.5, "every": 1, "last": 3.0},
}


def recipe(**changes: Any) -> Recipe:
    return load_recipe("search_ain", {**SMALL, **changes})


class StoppedError(Exception):
    pass


def stop(network: object, epochs_done: int) -> dict[str, float]:
    raise StoppedError


def test_the_temperature_falls_as_published_and_no_further() -> None:
    published = load_recipe("search_ain")
    assert [temperature(published, epoch) for epoch in (0, 19, 20, 40, 60, 79, 80, 119)] == [
        10.0, 10.0, 5.0, 2.5, 1.25, 1.25, 1.0, 1.0,
    ]  # fmt: skip
    network = build_model(published.model, **{**published.model_options, "channels": (16, 64, 96, 128)})
    assert isinstance(network, OSNet)
    assert network.config.is_searched
    assert network.config.stem_norm == "instance"


def test_a_search_that_was_interrupted_ends_as_one_that_was_not(toy_root: Path, tmp_path: Path) -> None:
    samples = read_dataset("market-layout", toy_root).train
    changes = {"evaluation.every": 2}
    whole = train(recipe(**changes), samples, tmp_path / "whole")
    with pytest.raises(StoppedError):
        train(recipe(**changes), samples, tmp_path / "parts", evaluate=stop)
    parts = train(recipe(**changes), samples, tmp_path / "parts", options=LoopOptions(resume=True))
    other = train(recipe(seed=2), samples, tmp_path / "other")
    state = whole.model.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in parts.model.state_dict().items())
    assert not torch.equal(state["conv2.0.weights"], torch.ones(4))
    assert not torch.equal(state["conv2.0.weights"], other.model.state_dict()["conv2.0.weights"])
    rows = [json.loads(line) for line in (tmp_path / "parts" / "history.jsonl").read_text().splitlines()]
    assert [row["temperature"] for row in rows] == [8.0, 4.0, 3.0]
    shares = [rows[-1][f"conv4.0/{name}"] for name in ("none", "inside", "after", "both")]
    weights = state["conv4.0.weights"]
    assert shares == pytest.approx((weights / weights.sum()).tolist())
    assert "conv3.0/none" not in rows[-1]
    # The third step of the third epoch drew noise for this block first.
    generator = torch.Generator().manual_seed(derive_seed(1, "choices", 2, 2))
    noise = -torch.empty(4).exponential_(generator=generator).log()
    expected = torch.softmax((state["conv2.0.weights"].log() + noise) / 3.0, dim=0)
    torch.testing.assert_close(choices(whole.model)["conv2.0"].sampled().detach(), expected)
    with pytest.raises(TrainingError, match="another temperature"):
        train(
            recipe(**changes, **{"temperature.last": 1.0}),
            samples,
            tmp_path / "parts",
            options=LoopOptions(resume=True),
        )


def test_a_search_on_two_datasets_leaves_a_recipe_that_trains_what_it_found(
    omnireid: Run, toy_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = write_toy_people(tmp_path / "second", num_train=3, num_test=1)
    out = tmp_path / "search"
    # Named from where the command runs, which is not where the recipe will lie; it starts from weights.
    monkeypatch.chdir(tmp_path)
    Path("own.yaml").write_text("extends: quickstart\ninitial_weights: others\nfrozen_epochs: 1\n")
    options = [
        "--set", f"model_options={json.dumps(SMALL['model_options'])}", "--set", "model=osnet_ain_x0_25",
        "--set", "input={height: 64, width: 32}", "--set", "sampler.batch_size=12", "--set", "epochs=2",
    ]  # fmt: skip
    data = ["--data", "market-layout+market-layout", "--root", toy_root, "--root", second]
    done = omnireid("search-architecture", *data, "--out", out, *options, "--retrain", "own.yaml")
    assert done.code == 0, done.err
    network, card = load_weights(out / "model.safetensors")
    assert card.training_pids == 9
    assert isinstance(network, OSNet)
    found = network.found_instance_norm()
    lines = [line.split() for line in done.out.splitlines()]
    assert [(line[0], line[-1]) for line in lines if line and line[0] in ("conv2.0", "conv4.0")] == [
        ("conv2.0", found[0][0]), ("conv4.0", found[2][0]),
    ]  # fmt: skip
    left = load_recipe(out / "found.yaml")
    assert left.model_options["instance_norm"] == [*map(list, found)]
    assert (left.model, left.input.height, left.name) == ("osnet_ain_x0_25", 64, "found")
    assert (left.optimiser, left.epochs) == (load_recipe("quickstart").optimiser, 11)
    assert (left.initial_weights, left.frozen_epochs) == (None, 0)
    assert "conv2.0 none 0." in left.source
    done = omnireid(
        "train", "--data", "market-layout", "--root", toy_root, "--recipe", out / "found.yaml",
        "--out", tmp_path / "run", "--set", "epochs=1", "--set", "sampler.batch_size=12",
    )  # fmt: skip
    assert done.code == 0, done.err
    trained, _ = load_weights(tmp_path / "run" / "model.safetensors")
    assert trained.config.to_dict()["instance_norm"] == found
    assert omnireid("search-architecture", *data, "--out", out, *options, "--resume").code == 0


def test_what_cannot_be_searched_is_refused_before_any_work(toy_root: Path, tmp_path: Path) -> None:
    sources = Sources("market-layout", (toy_root,))
    with pytest.raises(ConfigError, match="nothing is searched"):
        search_architecture(tmp_path / "a", sources, "quickstart")
    with pytest.raises(ConfigError, match="nothing is searched"):
        search_architecture(tmp_path / "a", sources, "quickstart", changes={"model": "resnet50"})
    with pytest.raises(UnknownNameError, match="paper_scratch"):
        search_architecture(tmp_path / "a", sources, recipe(), retrain="paper_scrap")
    own = tmp_path / "own.yaml"
    own.write_text("extends: quickstart\nmodel_options: {embedding_sizes: 3}\n")
    with pytest.raises(UnknownNameError, match="embedding_size"):
        search_architecture(tmp_path / "a", sources, recipe(), retrain=str(own))
    with pytest.raises(ConfigError, match="not searched"):
        search_architecture(tmp_path / "b", sources, recipe(fused=True), RunOptions(device="cpu"))
    assert not (tmp_path / "a").exists()
