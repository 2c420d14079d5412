"""Two networks that learn from each other, and one that learns from its own running average."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from omnireid.core.errors import ConfigError
from omnireid.core.types import Split
from omnireid.data.datasets import read_dataset
from omnireid.models.weights import load_weights
from omnireid.training.checkpoint import load_checkpoint
from omnireid.training.loop import TrainedModel, train
from omnireid.training.options import LoopOptions
from omnireid.training.recipe import load_recipe

TINY = {
    "input": {"height": 32, "width": 16},
    "model_options": {"blocks": [1, 1, 1], "stream_depths": [1]},
    "sampler.batch_size": 12,
    "schedule": {"name": "step"},
    "augmentation": [],
    "optimiser.lr": 0.01,
    "epochs": 3,
}
PEER = {
    "peer": "osnet_x0_5",
    "peer_options": {"blocks": [1, 1, 1], "stream_depths": [1], "neck": True},
    "loss.mutual": 1.0,
}
OWN = {"peer": "average", "average_decay": 0.8, "loss.mutual": 1.0}


@pytest.fixture
def samples(toy_root: Path) -> Split:
    return read_dataset("market-layout", toy_root).train


def trained(samples: Split, out: Path, changes: dict[str, Any], *, resume: bool = False) -> TrainedModel:
    options = LoopOptions(device="cpu", resume=resume)
    return train(load_recipe("quickstart", {**TINY, **changes}), samples, out, options=options)


def assert_same(one: Path, other: Path) -> None:
    states = [load_checkpoint(folder / "checkpoint.pt").model for folder in (one, other)]
    assert states[0].keys() == states[1].keys()
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


def test_two_networks_learn_and_the_first_is_kept(samples: Split, tmp_path: Path) -> None:
    model = trained(samples, tmp_path / "whole", {**PEER, "epochs": 8})
    first, last = model.record.history[0], model.record.history[-1]
    for whose in ("", "peer "):
        assert last[f"{whose}cross_entropy"] < first[f"{whose}cross_entropy"]
        assert last[f"{whose}mutual"] > 0
    state = load_checkpoint(tmp_path / "whole" / "checkpoint.pt").model
    assert "peer.backbone.conv5.conv.weight" in state
    network, card = load_weights(model.weights)
    assert card.architecture == "osnet_x0_25"
    assert not any(key.startswith("peer") for key in network.state_dict())


def test_without_weight_on_each_other_each_learns_as_if_alone(samples: Split, tmp_path: Path) -> None:
    trained(samples, tmp_path / "beside", {**PEER, "loss.mutual": 1e-30, "epochs": 1})
    trained(samples, tmp_path / "alone", {"epochs": 1})
    beside, alone = (load_checkpoint(tmp_path / n / "checkpoint.pt").model for n in ("beside", "alone"))
    for key, value in alone.items():
        torch.testing.assert_close(beside[key], value, msg=key)


@pytest.mark.parametrize("changes", [PEER, OWN], ids=["peer", "average"])
def test_a_resumed_run_ends_where_an_uninterrupted_one_does(
    samples: Split, tmp_path: Path, changes: dict[str, Any]
) -> None:
    model = trained(samples, tmp_path / "whole", changes)
    assert model.record.history[-1]["mutual"] > 0
    trained(samples, tmp_path / "parts", {**changes, "epochs": 1})
    trained(samples, tmp_path / "parts", changes, resume=True)
    assert_same(tmp_path / "whole", tmp_path / "parts")


def test_a_peer_and_what_learns_from_it_belong_together() -> None:
    for changes, why in (
        ({"loss.mutual": 1.0}, "loss.mutual learns from a network beside: set peer"),
        ({"peer": "osnet_x0_25"}, "peer: no loss learns from it; give a weight to loss.mutual"),
        ({**OWN, "average_decay": 0.0}, "set average_decay"),
        ({**OWN, "peer_options": {"neck": True}}, "peer_options: no effect"),
    ):
        with pytest.raises(ConfigError, match=why):
            load_recipe("quickstart", {**TINY, **changes})
