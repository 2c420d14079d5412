"""A network that ships is made from its description alone, and what comes out is what ships."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from omnireid.core.errors import InputError, UnknownNameError
from omnireid.core.files import sha256_file
from omnireid.core.types import Dataset
from omnireid.data.datasets import read_dataset
from omnireid.evaluation.calibration import Calibration
from omnireid.experiment import reproduction
from omnireid.experiment.reproduction import reproduce, scaled_people, scaled_recipe, stage_recipe
from omnireid.models import shipped
from omnireid.models.shipped import Rendering
from omnireid.models.weight_file import read_card
from omnireid.models.weights import load_weights
from omnireid.synthetic.options import RenderOptions
from omnireid.training.options import RunOptions
from omnireid.training.recipe import load_recipe
from toy_people import write_toy_people

PEOPLE = {"num_cameras": 2, "crops_per_camera": 2, "height": 64, "width": 32}
TINY = {
    "input": {"height": 64, "width": 32},
    "sampler.batch_size": 12,
    "schedule.warmup_epochs": 0,
}


@pytest.fixture
def described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A description of something small, as the package's lie."""
    folder = tmp_path / "weights"
    folder.mkdir()
    making = {
        "title": "for a test",
        "recipe": "rendered_x0_25",
        "changes": TINY,
        "training": [
            {"people": {"options": {**PEOPLE, "seed": 3, "num_train_pids": 12, "num_test_pids": 0}}}
            | {"changes": {"epochs": 1}},
            {"people": {"options": {**PEOPLE, "seed": 5, "num_train_pids": 16, "num_test_pids": 0}}}
            | {"changes": {"epochs": 2}},
        ],
        "calibration": {"options": {**PEOPLE, "seed": 4, "num_train_pids": 0, "num_test_pids": 24}},
        "training_data": "rendered people",
        "intended_use": "none",
    }
    (folder / "osnet_x0_25_small.yaml").write_text(yaml.safe_dump(making))
    monkeypatch.setattr(shipped, "FOLDER", folder)

    def render(folder: Path, options: RenderOptions, **_: object) -> Dataset:
        if not folder.exists():
            write_toy_people(folder, num_train=options.num_train_pids, num_test=options.num_test_pids)
        return read_dataset("market-layout", folder)

    # People whom a network tells apart that has seen nobody yet.
    monkeypatch.setattr(reproduction, "render_dataset", render)
    return "osnet_x0_25_small"


def test_what_is_made_can_be_dropped_in_and_ships(described: str, tmp_path: Path) -> None:
    options = RunOptions(device="cpu", threads=1)
    made = reproduce(described, tmp_path / "made", options, workers=1)
    runs = [tmp_path / "made" / f"run{number}" for number in (1, 2)]
    assert made.description is not None
    stated = yaml.safe_load(made.description.read_text())
    assert stated["sha256"] == sha256_file(made.weights) == made.card.sha256
    card = read_card(made.weights)
    assert (card.name, card.licence, card.training_data) == (described, "Apache-2.0", "rendered people")
    (metric,) = card.metrics
    assert metric.dataset == "rendered people of another world"
    assert metric.rank1 is not None
    assert "cosine" in metric.protocol
    Calibration.load(made.calibration, made.card.sha256)
    assert str(tmp_path) not in made.calibration.read_text()
    # Half precision stores what training left, to within its rounding.
    trained, stored = (
        load_weights(path)[0].state_dict() for path in (runs[1] / "model.safetensors", made.weights)
    )
    for key, value in trained.items():
        np.testing.assert_allclose(stored[key], value, rtol=1e-3, atol=1e-6)
    for file in (made.weights, made.calibration, made.description):
        (shipped.FOLDER / file.name).write_bytes(file.read_bytes())
    assert shipped.list_shipped() == (described,)
    assert shipped.shipped_file(described) == shipped.FOLDER / f"{described}.safetensors"
    # Run again, nothing is made anew.
    again = reproduce(described, tmp_path / "made", options, workers=1)
    assert sha256_file(again.weights) == made.card.sha256
    assert [len((run / "history.jsonl").read_text().splitlines()) for run in runs] == [1, 2]
    # Each training but the first goes on from the weights of the one before, on other people.
    recipes = [json.loads((run / "recipe.json").read_text()) for run in runs]
    assert [recipe["initial_weights"] for recipe in recipes] == [None, str(runs[0] / "model.safetensors")]
    assert [read_card(run / "model.safetensors").training_pids for run in runs] == [12, 16]
    assert card.training_pids == 28
    # And of weights that were trained elsewhere the same comes out.
    other = reproduce(
        described, tmp_path / "other", options, trained=tmp_path / "made/run2/model.safetensors", workers=1
    )
    assert sha256_file(other.weights) == made.card.sha256
    assert not list((tmp_path / "other").glob("run*"))


def test_a_scaled_making_says_that_it_is_of_no_use() -> None:
    people = scaled_people(Rendering(options={"num_train_pids": 6000, "num_test_pids": 100}), 0.01)
    assert (people.num_train_pids, people.num_test_pids) == (60, reproduction.LEAST_PEOPLE)
    assert (
        scaled_people(Rendering(options={"num_train_pids": 0, "num_test_pids": 800}), 0.01).num_train_pids
        == 0
    )
    recipe = load_recipe("rendered_x0_25", {"epochs": 20, "schedule.warmup_epochs": 2})
    assert scaled_recipe(recipe, 1) == recipe
    scaled = scaled_recipe(recipe, 0.01)
    assert (scaled.epochs, scaled.schedule.warmup_epochs) == (2, pytest.approx(0.2))


def test_every_description_has_options_that_its_renderer_knows() -> None:
    for name in shipped.list_makings():
        making = shipped.read_making(name)
        calibrated = scaled_people(making.calibration, 1)
        for stage in making.training:
            stage_recipe(making, stage)
            learned = scaled_people(stage.people, 1)
            assert learned.seed != calibrated.seed, f"{name}: calibrated on the world that it was trained in"
            assert (calibrated.height, calibrated.width) == (learned.height, learned.width)
        assert json.dumps(making.model_dump(mode="json"))


def test_what_cannot_be_made_is_named(described: str, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=described):
        reproduce(described + "x", tmp_path / "out")
    with pytest.raises(InputError, match="scale"):
        reproduce(described, tmp_path / "out", scale=0)
    with pytest.raises(InputError, match="num_pids"):
        scaled_people(Rendering(options={"num_pids": 3}), 1)
