"""GeM, BNNeck and the last stage: against the papers' formulas, and the same in every engine."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from exporting import export
from inference.conftest import uneven_network
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import ConfigError, WeightsError
from omnireid.core.images import normalise
from omnireid.experiment.training import _initial_network
from omnireid.inference.embedder import Embedder
from omnireid.models.classifier import IdentityClassifier
from omnireid.models.neck import BNNeck, generalised_mean
from omnireid.models.network_config import NetworkConfig
from omnireid.models.registry import build_model
from omnireid.models.weights import load_weights, save_weights
from omnireid.training.recipe import load_recipe

SPEC = InputSpec(height=64, width=32)
HEAD = {"neck": True, "pooling_power": 3.0, "last_stride": 1}
# One block in each stage.
SMALL: dict[str, dict[str, Any]] = {
    "osnet_x0_25": {"blocks": (1, 1, 1)},
    "resnet50": {"blocks": (1, 1, 1, 1)},
}


@pytest.mark.parametrize("power", [1.0, 2.5, 3.0, 6.0])
def test_gem_is_the_papers_sum(power: float) -> None:
    maps = np.random.default_rng(1).uniform(0, 4, (2, 3, 4, 2)) ** 2
    maps[0, 0] = 0
    expected = [
        [sum(max(x, 1e-6) ** power for x in np.ravel(channel)) / 8 for channel in picture] for picture in maps
    ]
    actual = generalised_mean(torch.from_numpy(maps), power)
    # The plain mean takes zeros as they are.
    np.testing.assert_allclose(actual, np.array(expected) ** (1 / power), rtol=1e-9, atol=1.01e-6)


def test_gem_lies_between_mean_and_maximum_and_rises_with_its_power() -> None:
    maps = torch.rand(4, 8, 6, 3, generator=torch.Generator().manual_seed(2)) * 10
    pooled = [maps.mean((2, 3)), *(generalised_mean(maps, p) for p in (1.5, 3, 6)), maps.amax((2, 3))]
    assert all((small < large).all() for small, large in pairwise(pooled))


@pytest.mark.parametrize("fill", [0.0, 1e-4, 1e3])
def test_gem_has_finite_gradients_everywhere_and_holds_half_precision(fill: float) -> None:
    maps = torch.full((1, 2, 4, 2), fill, requires_grad=True)
    generalised_mean(maps, 6).sum().backward()
    assert maps.grad is not None
    assert torch.isfinite(maps.grad).all()
    # 1000³ is no float16.
    half = generalised_mean(maps.detach().half(), 3)
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), torch.full((1, 2), max(fill, 1e-6)), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("architecture", ["osnet_x0_25", "resnet50"])
def test_the_neck_stands_between_distances_and_classes(architecture: str) -> None:
    network = build_model(architecture, neck=True, pooling_power=3.0, **SMALL.get(architecture, {}))
    classifier = IdentityClassifier(network, 5)
    assert classifier.classifier.bias is None
    images = torch.randn(6, 3, 64, 32, generator=torch.Generator().manual_seed(1))
    embeddings, logits, necked, _ = classifier(images)
    # By hand: batch statistics, no shift; the classes are those of what comes out.
    by_hand = (embeddings - embeddings.mean(0)) / (embeddings.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(necked, by_hand, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(logits, necked @ classifier.classifier.weight.T)
    logits.square().sum().backward()
    classifier.eval()
    torch.testing.assert_close(network(images), classifier(images).necked)
    assert not torch.allclose(network(images), classifier(images).embeddings)


def test_the_shift_of_a_neck_is_nothing_that_learns() -> None:
    neck = BNNeck(4)
    assert [name for name, _ in neck.named_parameters()] == ["weight"]
    assert set(neck.state_dict()) == set(nn.BatchNorm1d(4).state_dict())


def test_without_a_neck_nothing_stands_between() -> None:
    output = IdentityClassifier(build_model("osnet_x0_25"), 5)(torch.randn(4, 3, 64, 32))
    assert torch.equal(output.embeddings, output.necked)
    assert (output.embeddings >= 0).all()


@pytest.mark.parametrize(
    ("options", "shape"), [({"last_stride": 1}, (128, 8, 4)), ({"last_stride": 2}, (128, 4, 2))]
)
def test_the_last_stage_keeps_its_size_where_that_is_asked_for(
    options: dict[str, Any], shape: tuple[int, ...]
) -> None:
    maps = build_model("osnet_x0_25", **options).feature_maps(torch.zeros(1, 3, 64, 32))
    assert tuple(maps.shape[1:]) == shape


@pytest.mark.parametrize(
    ("architecture", "options"),
    [
        ("osnet_x0_25", HEAD),
        ("osnet_ain_x0_25", HEAD),
        ("osnet_x0_25", {"pooling_power": 2.5}),
    ],
)
def test_every_engine_gives_the_embedding_of_the_readable_network(
    architecture: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """Saved, read back with its options, folded, compiled and exported: one embedding."""
    network = uneven_network(architecture, {**SMALL.get(architecture, {}), **options}, seed=5)
    if network.config.neck:
        network.fc[1].bias.zero_()
    card = ModelCard(name="heads", architecture=architecture, input=SPEC)
    path = tmp_path / "heads.safetensors"
    save_weights(path, network, card)
    assert load_weights(path)[0].config == network.config
    export(network, card, tmp_path / "heads.onnx")
    crops = np.random.default_rng(3).integers(0, 256, (3, 64, 32, 3), dtype=np.uint8)
    with torch.no_grad():
        images = torch.from_numpy(normalise(crops, SPEC)).double()
        expected = network.double()(images).numpy()
        maps = network.feature_maps(images).numpy()
    assert (expected < 0).any() == network.config.neck
    for file, backend in ((path, "torch"), (path, "native"), (tmp_path / "heads.onnx", "onnx")):
        embedder = Embedder.open(file, backend=backend, normalise=False, device="cpu")
        actual = embedder.embed(list(crops))
        np.testing.assert_allclose(actual, expected, atol=2e-5 * np.abs(expected).max(), err_msg=backend)
        np.testing.assert_allclose(embedder.feature_maps(list(crops)), maps, atol=1e-4 * maps.max())


def test_kernels_of_the_gpu_refuse_a_head_that_they_do_not_have() -> None:
    from omnireid.inference.fused.gpu import _knowing

    config = build_model("osnet_x0_25").config
    assert _knowing(config, "triton", "auto") == "triton"
    for name, value in HEAD.items():
        other = config.with_overrides({name: value})
        assert _knowing(other, "eager", "auto") == "eager"
        with pytest.raises(ConfigError, match="use engine 'compile'"):
            _knowing(other, "triton", "triton")
        with pytest.warns(UserWarning, match=r"torch\.compile"):
            assert _knowing(other, "triton", "auto") == "compile"


@pytest.mark.parametrize("architecture", ["osnet_x0_25", "resnet50"])
def test_a_network_with_a_neck_starts_from_weights_without_one(architecture: str, tmp_path: Path) -> None:
    short = SMALL.get(architecture, {})
    plain = build_model(architecture, **short)
    if architecture == "osnet_x0_25":
        nn.init.ones_(plain.fc[1].bias)
    path = tmp_path / "plain.safetensors"
    save_weights(
        path,
        plain,
        ModelCard(name="p", architecture=architecture, embedding_size=plain.config.embedding_size),
    )
    recipe = load_recipe(
        "quickstart",
        {"model": architecture, "model_options": {"neck": True, **short}, "initial_weights": str(path)},
    )
    network = _initial_network(recipe)
    assert network is not None
    assert network.config.neck
    _, neck = network.head_and_neck()
    assert torch.equal(neck.bias, torch.zeros_like(neck.bias))
    for key, value in plain.state_dict().items():
        assert key == "fc.1.bias" or torch.equal(network.state_dict()[key], value)


def test_a_resnets_neck_is_not_left_out_in_silence(tmp_path: Path) -> None:
    path = tmp_path / "necked.safetensors"
    save_weights(
        path,
        build_model("resnet50", neck=True, **SMALL["resnet50"]),
        ModelCard(name="n", architecture="resnet50", embedding_size=2048),
    )
    with pytest.raises(WeightsError, match="neck True"):
        _initial_network(
            load_recipe(
                "quickstart",
                {"model": "resnet50", "model_options": SMALL["resnet50"], "initial_weights": str(path)},
            )
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"neck": 1}, "neck: true or false, got 1"),
        ({"pooling_power": 0.5}, "pooling_power: 1"),
        ({"pooling_power": float("nan")}, "pooling_power"),
        ({"pooling_power": True}, "pooling_power"),
        ({"last_stride": 3}, "last_stride: 1 or 2"),
    ],
)
@pytest.mark.parametrize("architecture", ["osnet_x0_25", "resnet50"])
def test_values_that_make_no_head_are_refused(architecture: str, options: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_model(architecture, **options)


def test_a_family_without_these_options_has_none() -> None:
    assert (NetworkConfig().neck, NetworkConfig().pooling_power) == (False, 1.0)
