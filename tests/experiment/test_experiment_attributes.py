"""Attributes of people: from PA-100K's annotations to metrics, a record and a report."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from command_line import runner
from data.miniatures_small import ATTRIBUTES, build_pa100k, pa100k_label
from evaluation.test_evaluation_attributes import naive
from omnireid.core.card import InputSpec
from omnireid.core.errors import InputError
from omnireid.core.images import load_crop, normalise
from omnireid.data.datasets import read_dataset
from omnireid.experiment.run import main_job
from omnireid.experiment.training import train_on
from omnireid.models.weights import load_weights
from omnireid.training.recipe import load_recipe

TINY = {
    "model": "osnet_x0_25",
    "model_options": {"pooling": "max", "channels": [16, 16, 16, 16], "blocks": [1, 1, 1]},
    "input": {"height": 32, "width": 16},
    "sampler.batch_size": 4,
    "epochs": 2,
    "schedule.milestones": [],
    "evaluation.every": 1,
}


def test_run_trains_and_scores_attributes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    build_pa100k(tmp_path)
    out = tmp_path / "run"
    settings = [word for key, value in TINY.items() for word in ("--set", f"{key}={json.dumps(value)}")]
    words = ("--data", "pa100k", "--root", tmp_path, "--no-check-counts", "--recipe", "pa100k", "--out", out)
    done = runner(monkeypatch, capsys)("run", *words, *settings)
    assert done.code == 0, done.err
    assert "mA  accuracy  precision  recall" in done.out
    record = json.loads((out / "result.json").read_text())
    assert record["protocol"]["name"] == "attributes"

    network, card = load_weights(out / "model.safetensors")
    state = torch.load(out / "checkpoint.pt", weights_only=True)["model"]
    said = []
    for number in range(10, 14):
        path = tmp_path / "PA-100K" / "release_data" / "release_data" / f"{number:06d}.jpg"
        crop = load_crop(path, InputSpec(height=32, width=16))
        with torch.no_grad():
            embedding = network.eval()(torch.from_numpy(normalise(crop[None], card.input)))[0]
        logits = state["classifier.weight"] @ embedding + state["classifier.bias"]
        said.append([int(logit > 0) for logit in logits.tolist()])
    true = [list(pa100k_label(number)) for number in range(10, 14)]
    assert record["metrics"] == pytest.approx(naive(said, true))
    assert record["training"]["history"][-1]["mA"] == record["metrics"]["mA"]
    assert record["training"]["best"]["metric"] == "mA"
    rows = list(csv.DictReader((out / "attributes.csv").open()))
    assert {row["attribute"] for row in rows} == set(ATTRIBUTES)
    shares = {row["attribute"]: float(row["share_said"]) for row in rows}
    assert shares == pytest.approx(dict(zip(ATTRIBUTES, np.mean(said, axis=0), strict=True)))
    report = (out / "report.html").read_text()
    assert "LongCoat" in report
    assert "Attribute by attribute" in report
    assert '<th class="n">persons' not in report


def test_a_classifier_is_asked_for_the_attributes_that_it_learned(tmp_path: Path) -> None:
    build_pa100k(tmp_path)
    learned = read_dataset("pa100k", tmp_path, check_counts=False)
    other = replace(learned, attributes=learned.attributes[::-1])
    with pytest.raises(InputError, match="not the attributes of pa100k"):
        main_job(load_recipe("pa100k", TINY), learned, tmp_path / "run", targets=[other])


@pytest.mark.parametrize(
    ("changes", "data", "message"),
    [
        ({}, "market-layout", "loss.attributes learns attributes, and the samples have none"),
        (
            {"loss.cross_entropy": 1.0},
            "pa100k",
            "loss.cross_entropy learns identities, .* --set loss.attributes=1",
        ),
    ],
)
def test_losses_of_the_other_kind_are_refused(
    tmp_path: Path, toy_root: Path, changes: dict[str, object], data: str, message: str
) -> None:
    build_pa100k(tmp_path)
    recipe = load_recipe("pa100k", {**TINY, "evaluation.every": 0, **changes})
    dataset = read_dataset(data, tmp_path if data == "pa100k" else toy_root, check_counts=False)
    with pytest.raises(InputError, match=message):
        train_on(recipe, dataset, tmp_path / "run")
