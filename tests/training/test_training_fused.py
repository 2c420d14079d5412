"""Fused training steps against torch's autograd, in float32 and in float64."""

from __future__ import annotations

import copy
import gc
import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from omnireid.core.errors import ConfigError
from omnireid.data.datasets import read_dataset
from omnireid.models.osnet import OSNet
from omnireid.models.osnet_config import OSNetConfig
from omnireid.models.registry import build_model
from omnireid.training.fused.block import FusedBlock
from omnireid.training.fused.network import fuse_training
from omnireid.training.fused.stem import FusedPointwise, FusedPool
from omnireid.training.fused.workers import Workers
from omnireid.training.loop import train
from omnireid.training.parts import fuse
from omnireid.training.recipe import load_recipe

SMALL = {"channels": (16, 32, 96, 48), "embedding_size": 24}

AIN = {
    "layout": "osnet_ain",
    "stem_norm": "instance",
    "instance_norm": (("inside", "inside"), ("none", "inside"), ("inside", "none")),
}


def network_of(**options: object) -> OSNet:
    """Small, with gains and biases that are not 1 and 0, and channels that are no multiple of 16 inside."""
    torch.manual_seed(0)
    network = OSNet(OSNetConfig(**{**SMALL, **options})).to(memory_format=torch.channels_last).train()
    for parameter in network.parameters():
        if parameter.dim() == 1:
            nn.init.uniform_(parameter, 0.5, 1.2)
    return network


def step(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Everything that a step of training computes and moves, in float64."""
    dtype = next(network.parameters()).dtype
    images = images.to(dtype, copy=True).requires_grad_()
    embeddings = network(images)
    (
        embeddings * torch.linspace(-1, 1, embeddings.numel(), dtype=dtype).reshape(embeddings.shape)
    ).sum().backward()
    values = {"embeddings": embeddings.detach(), "images": images.grad}
    values |= {f"{name}.grad": parameter.grad for name, parameter in network.named_parameters()}
    values |= dict(network.named_buffers())
    return {name: value.double() for name, value in values.items()}


def steps_of_torch(network: nn.Module, images: Tensor) -> Iterator[dict[str, Tensor]]:
    """The same step in sums of other orders: rounding decides ReLUs and maxima, on each processor others."""
    before = torch.get_num_threads()
    try:
        for threads, layout in itertools.product((1, 2), (torch.channels_last, torch.contiguous_format)):
            torch.set_num_threads(threads)
            yield step(copy.deepcopy(network).to(memory_format=layout), images.to(memory_format=layout))
    finally:
        torch.set_num_threads(before)


def worst(values: dict[str, Tensor], exact: dict[str, Tensor]) -> float:
    """The largest difference, each relative to the largest value of its tensor.

    Gradients that are 0 but for rounding are left out: a norm behind them takes every shift away.
    """
    return max(
        float((values[name] - value).abs().max() / value.abs().max())
        for name, value in exact.items()
        if value.abs().max() > 1e-9
    )


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({}, (3, 40, 24)),
        (AIN, (5, 56, 24)),
        ({"stream_depths": (1,), "blocks": (1, 1, 1)}, (18, 16, 32)),
        ({"stream_depths": (2, 2), "blocks": (1, 1, 1)}, (2, 112, 40)),
        ({"blocks": (1, 1, 1), "instance_norm": (("after",), ("both",), ("none",))}, (3, 40, 24)),
    ],
)
def test_a_step_equals_autograd(options: dict[str, object], size: tuple[int, int, int]):
    network = network_of(**options)
    plain, exact = copy.deepcopy(network), copy.deepcopy(network).double()
    assert fuse_training(network, 1) >= 5
    pictures, height, width = size
    images = torch.randn(pictures, 3, height, width)
    expected = step(exact, images)
    reached = max(worst(values, expected) for values in steps_of_torch(plain, images))
    assert reached < 5e-3
    assert worst(step(network, images), expected) < max(1e-5, 3 * reached)


def test_the_result_does_not_depend_on_the_threads():
    images = torch.randn(21, 3, 32, 16)
    networks = [network_of(blocks=(1, 1, 1)) for _ in range(3)]
    for network, threads in zip(networks, (1, 2, 5), strict=True):
        fuse_training(network, threads)
    first, *others = [step(network, images) for network in networks]
    for other in others:
        for name, value in first.items():
            assert torch.equal(value, other[name]), name


def test_nothing_but_the_way_of_computing_changes():
    network = network_of()
    names = [name for name, _ in network.named_modules()]
    state = {name: value.clone() for name, value in network.state_dict().items()}
    fuse_training(network, 1)
    assert [name for name, _ in network.named_modules()] == names
    assert list(network.state_dict()) == list(state)
    # A copy has steps of its own: its statistics move, not the original's.
    twin = copy.deepcopy(network)
    step(twin, torch.randn(2, 3, 32, 16))
    for name, value in network.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert twin.conv2[0].conv1.bn.num_batches_tracked == 1


def _refuse(*_: object) -> None:
    raise AssertionError("a fused step")


@pytest.mark.parametrize("why", ["evaluation", "no_grad", "autocast", "float64", "frozen norm"])
def test_what_no_kernel_knows_is_computed_as_written(why: str, monkeypatch: pytest.MonkeyPatch):
    network, plain = network_of(), network_of()
    fuse_training(network, 1)
    for function in (FusedBlock, FusedPointwise, FusedPool):
        monkeypatch.setattr(function, "apply", _refuse)
    images = torch.randn(2, 3, 32, 16)
    if why == "frozen norm":
        for part in (network, plain):
            for norm in part.modules():
                if isinstance(norm, nn.BatchNorm2d):
                    norm.eval()
    if why == "evaluation":
        network.eval()
        plain.eval()
    if why == "float64":
        network, images = network.double(), images.double()
        plain.double()
    with torch.set_grad_enabled(why != "no_grad"), torch.autocast("cpu", enabled=why == "autocast"):
        assert torch.equal(network(images), plain(images))
    # And in training it would have been one.
    if why == "evaluation":
        with pytest.raises(AssertionError, match="a fused step"):
            network.train()(images)


def test_a_run_begins_as_it_would_without(toy_root: Path, tmp_path: Path):
    samples = read_dataset("market-layout", toy_root).train
    tiny = {"input": {"height": 64, "width": 32}, "sampler.batch_size": 12, "epochs": 1, "optimiser.lr": 1e-4}
    losses = []
    for fused in (False, True):
        recipe = load_recipe("quickstart", {**tiny, "fused": fused})
        losses.append(train(recipe, samples, tmp_path / str(fused)).record.history[0]["loss"])
    assert losses[0] != losses[1]
    # Another number of torch's threads makes up to 0.0007 of difference, pictures in another order 0.007.
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)


def test_a_network_of_another_family_has_no_fused_steps():
    with pytest.raises(ConfigError, match="resnet50 has no fused steps"):
        fuse(build_model("resnet50"), "resnet50")


def test_fused_steps_are_float32():
    with pytest.raises(ConfigError, match="set precision to 32-true"):
        load_recipe("quickstart", {"fused": True, "precision": "bf16-mixed"})


def helpers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name == "omnireid-fused"}


def test_each_thread_has_its_share_errors_are_raised_and_threads_end_with_their_workers():
    before, workers, shares = helpers(), Workers(3), []

    def kernel(task, fails):
        shares.append((task.first, task.end))
        # Now sooner than the others look, now later.
        time.sleep(0.002 * (task.first % 2))
        if fails and task.first:
            raise ValueError(f"group {task.first}")

    for _ in range(20):
        workers.run(kernel, (6, 1, 1), False)
        assert sorted(shares) == [(0, 2), (2, 4), (4, 6)]
        shares.clear()
    with pytest.raises(ValueError, match="group 2"):
        workers.run(kernel, (6, 1, 1), True)
    shares.clear()
    workers.run(kernel, (6, 1, 1), False)
    assert len(shares) == 3
    started = helpers() - before
    assert len(started) == 2
    del workers
    gc.collect()
    for thread in started:
        thread.join(5)
        assert not thread.is_alive()


def test_after_ctrl_c_no_old_answer_is_taken_for_a_new_one(monkeypatch: pytest.MonkeyPatch):
    workers, done = Workers(2), []

    def interrupted(task):
        if task.first == 0:
            raise KeyboardInterrupt
        time.sleep(0.1)

    def slow(task):
        time.sleep(0.05 * bool(task.first))
        done.append(task.first)

    for helper in workers._helpers:
        monkeypatch.setattr(helper, "wait", lambda: (_ for _ in ()).throw(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        workers.run(interrupted, (4, 1, 1))
    workers.run(slow, (4, 1, 1))
    assert sorted(done) == [0, 2]
