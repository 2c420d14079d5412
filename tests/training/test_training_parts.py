"""Heads, losses with a state, averages, clipping and rests in training: by hand, and over a resume."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from omnireid.core.errors import ConfigError, OmniReIDWarning, TrainingError, UnknownNameError
from omnireid.core.types import Split
from omnireid.data.datasets import read_dataset
from omnireid.models.classifier import IdentityClassifier
from omnireid.models.weights import load_weights
from omnireid.training import learner
from omnireid.training.averaging import weight_average
from omnireid.training.checkpoint import load_checkpoint
from omnireid.training.learner import Learner
from omnireid.training.loop import train
from omnireid.training.options import LoopOptions
from omnireid.training.recipe import Recipe, load_recipe

# Everything that has a state, or changes what learns, at once.
STRONG: dict[str, Any] = {
    "model_options": {"neck": True, "pooling_power": 3.0, "blocks": [1, 1, 1]},
    "input": {"height": 32, "width": 16},
    "sampler": {"name": "pk", "batch_size": 12, "num_instances": 3},
    "augmentation": ["flip", "trivial_augment"],
    "loss": {"cross_entropy": 0, "cosface": 1.0, "soft_triplet": 1.0, "centre": {"weight": 0.001}},
    "optimiser.name": "amsgrad",
    "optimiser.lr": 0.0005,
    "optimiser.clip_norm": 1.0,
    "average_decay": 0.9,
    "frozen_stages": {"conv1": 1, "conv2": 2},
    "schedule.warmup_epochs": 0,
    "epochs": 3,
}


def strong_recipe(**overrides: Any) -> Recipe:
    return load_recipe("quickstart", {**STRONG, **overrides})


@pytest.fixture
def samples(toy_root: Path) -> Split:
    return read_dataset("market-layout", toy_root).train


class StoppedError(Exception):
    pass


def test_a_resumed_run_with_every_state_ends_where_an_uninterrupted_one_does(
    samples: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(strong_recipe(), samples, tmp_path / "whole")
    with monkeypatch.context() as patch:
        step = Learner.step

        def stop(run: Any, epoch: int, number: int, batch: Any) -> Any:
            if epoch == 2:
                raise StoppedError
            return step(run, epoch, number, batch)

        patch.setattr(Learner, "step", stop)
        with pytest.raises(StoppedError):
            train(strong_recipe(), samples, tmp_path / "parts")
    train(strong_recipe(), samples, tmp_path / "parts", options=LoopOptions(resume=True))
    whole, parts = (load_weights(tmp_path / name / "model.safetensors")[0] for name in ("whole", "parts"))
    for key, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[key]), key
    # The checkpoint, too, gives the average, with its head; centres are in it and not in the weights.
    checkpoint = tmp_path / "whole" / "checkpoint.pt"
    network, _ = load_weights(checkpoint)
    assert network.config == whole.config
    assert network.config.neck
    for key, value in whole.state_dict().items():
        assert torch.equal(value, network.state_dict()[key]), key
    state = load_checkpoint(checkpoint)
    assert state.model["losses.centre.centres"].abs().sum() > 0
    assert not torch.equal(state.model["backbone.fc.0.weight"], network.fc[0].weight)


def test_the_average_is_the_sum_written_out() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    average = weight_average(network, 0.5)
    weights: list[torch.Tensor] = []
    for step in range(6):
        with torch.no_grad():
            network[0].weight.fill_(float(step))
        network(torch.randn(4, 2))
        average.update_parameters(network)
        weights.append(network[0].weight.clone())
    expected = weights[0]
    for done, value in enumerate(weights[1:], start=1):
        decay = min(0.5, (1 + done) / (10 + done))
        expected = decay * expected + (1 - decay) * value
    torch.testing.assert_close(average.module[0].weight, expected)
    # Statistics are averaged too; what counts batches is whole.
    assert not torch.equal(average.module[1].running_mean, network[1].running_mean)
    assert average.module[1].num_batches_tracked.dtype == torch.long


def test_stages_rest_and_then_learn(samples: Split, tmp_path: Path) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def keep(network: IdentityClassifier, epoch: int) -> dict[str, float]:
        seen.append({key: value.clone() for key, value in network.backbone.state_dict().items()})
        return {"mAP": 0.0}

    recipe = strong_recipe(**{"average_decay": 0, "evaluation.every": 1})
    train(recipe, samples, tmp_path / "run", evaluate=keep)
    first, second, third = seen

    def moved(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
        return {key.partition(".")[0] for key in one if not torch.equal(one[key], other[key])}

    assert {"conv1", "conv3", "fc"} <= moved(first, second)
    blocks = [key for key in first if key.startswith("conv2.0")]
    assert all(torch.equal(first[key], second[key]) for key in blocks)
    assert not any(torch.equal(second[key], third[key]) for key in blocks if key.endswith("conv.weight"))


def test_gradients_are_no_longer_than_asked_for(
    samples: Split, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[float] = []

    def recorded(network: nn.Module, recipe: Any) -> torch.optim.Optimizer:
        optimiser = torch.optim.SGD(network.parameters(), lr=recipe.lr)
        parameters = list(network.parameters())

        def measure(*_: Any) -> None:
            squares = [p.grad.square().sum() for p in parameters if p.grad is not None]
            lengths.append(math.sqrt(float(torch.stack(squares).sum())))

        optimiser.register_step_pre_hook(measure)
        return optimiser

    monkeypatch.setattr(learner, "build_optimiser", recorded)
    for clip in (0.0, 0.01):
        train(strong_recipe(**{"optimiser.clip_norm": clip, "epochs": 3}), samples, tmp_path / f"clip{clip}")
    half = len(lengths) // 2
    assert min(lengths[:half]) > 0.01
    assert lengths[half:] == pytest.approx([0.01] * half, rel=1e-3)


def test_triplets_from_scratch_without_a_neck_are_warned_of(samples: Split, tmp_path: Path) -> None:
    without = {"model_options": {"blocks": [1, 1, 1]}, "epochs": 1, "frozen_stages": {}, "average_decay": 0}
    with pytest.warns(OmniReIDWarning, match="loss.soft_triplet from scratch without a neck"):
        train(strong_recipe(**without), samples, tmp_path / "run")
    # Going on with it needs no second word.
    train(
        strong_recipe(**{**without, "epochs": 2}), samples, tmp_path / "run", options=LoopOptions(resume=True)
    )


def test_embeddings_that_became_one_point_end_the_run(samples: Split, tmp_path: Path) -> None:
    """SGD 0.05 and hard triplets without a neck get there within a hundred steps; here by hand."""

    def collapse(network: IdentityClassifier, epoch: int) -> dict[str, float]:
        with torch.no_grad():
            network.backbone.fc[0].weight.zero_()
        network.backbone.fc[0].weight.requires_grad_(False)
        return {"mAP": 0.0}

    recipe = strong_recipe(
        **{"average_decay": 0, "evaluation.every": 1, "optimiser.lr": 1e-30, "optimiser.weight_decay": 0}
    )
    with pytest.raises(
        TrainingError, match=r"collapsed in epoch 2: all pictures .*neck=true.*epoch 1 is kept"
    ):
        train(recipe, samples, tmp_path / "run", evaluate=collapse)
    assert len(load_checkpoint(tmp_path / "run" / "checkpoint.pt").history) == 1


def test_names_and_numbers_that_make_no_schedule_are_refused(samples: Split, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'conv2'"):
        train(strong_recipe(frozen_stages={"conv_2": 1}), samples, tmp_path / "run")
    with pytest.raises(ConfigError, match="frozen_stages conv1: from 0 to 2 epochs"):
        strong_recipe(frozen_stages={"conv1": 3})
