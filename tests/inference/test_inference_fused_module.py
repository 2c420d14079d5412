"""Folded and fused networks against the readable module, which they must equal to rounding in float64."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from torch import nn

from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import ConfigError, ShapeError, UnknownNameError
from omnireid.core.images import normalise
from omnireid.inference.fused.fold import NORM_EPSILON
from omnireid.inference.fused.graph import deployed_module
from omnireid.inference.fused.module import FusedOSNet, fold_module
from omnireid.models.osnet_config import ARCHITECTURES
from omnireid.models.registry import build_model

SMALL = {"channels": (8, 16, 32, 16), "embedding_size": 24}


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def uneven(architecture: str, **overrides: Any) -> Any:
    """A float64 network in evaluation mode, every weight and statistic of which does something."""
    generator = torch.Generator().manual_seed(11)
    network = build_model(architecture, **overrides).double()
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if name.endswith("running_var"):
                values.copy_(torch.rand(values.shape, generator=generator) * 2 + 0.1)
            elif values.is_floating_point() and values.ndim == 1:
                values.copy_(torch.randn(values.shape, generator=generator).double() * 0.5 + 0.3)
    return network.eval()


def images(batch: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(batch)
    return torch.randn(batch, 3, height, width, generator=generator, dtype=torch.float64)


def differences(network: Any, fused: FusedOSNet, batch: torch.Tensor) -> list[float]:
    """Of the feature maps and the embeddings, as a share of the largest element."""
    with torch.inference_mode():
        pairs = [
            (network.feature_maps(batch), fused.feature_maps(batch)),
            (network(batch), fused(batch)),
        ]
    return [float((actual - expected).abs().max() / expected.abs().max()) for expected, actual in pairs]


@pytest.mark.parametrize("batch_streams", [True, False])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_equals_the_readable_module(architecture: str, batch_streams: bool) -> None:
    network = uneven(architecture)
    fused = FusedOSNet(fold_module(network), batch_streams=batch_streams, dtype=torch.float64)
    for batch in (images(1, 48, 32), images(3, 64, 80)):
        assert max(differences(network, fused, batch)) < 1e-10


@pytest.mark.parametrize("batch_streams", [True, False])
@pytest.mark.parametrize("placement", ["none", "inside", "after"])
@pytest.mark.parametrize(
    "depths", [(1,), (3,), (4, 1), (2, 2), (1, 3, 2), (4, 3, 2, 1), (1, 2, 3, 4), (3, 3, 1, 3)], ids=str
)
def test_streams_of_any_number_and_order(
    depths: tuple[int, ...], placement: str, batch_streams: bool
) -> None:
    network = uneven(
        "osnet_x0_25", **SMALL, stream_depths=depths, blocks=(1, 2, 1), instance_norm=_everywhere(placement)
    )
    fused = FusedOSNet(fold_module(network), batch_streams=batch_streams, dtype=torch.float64)
    assert max(differences(network, fused, images(2, 34, 50))) < 1e-10


def _everywhere(placement: str) -> tuple[tuple[str, ...], ...]:
    return ((placement,), (placement, placement), (placement,))


@pytest.mark.parametrize("size", [(33, 17), (256, 128), (63, 95)])
def test_sizes_that_do_not_divide(size: tuple[int, int]) -> None:
    network = uneven("osnet_ain_x0_25")
    fused = FusedOSNet(fold_module(network), dtype=torch.float64)
    assert max(differences(network, fused, images(1, *size))) < 1e-10


def test_batching_leaves_as_many_steps_as_the_deepest_stream_has() -> None:
    def convolutions(batch_streams: bool) -> int:
        fused = FusedOSNet(fold_module(uneven("osnet_x0_25")), batch_streams=batch_streams)
        return sum(isinstance(module, nn.Conv2d) for module in fused.modules())

    # Six blocks: 4 levels instead of 10 layers, of two convolutions each, and 3 shortcuts are merged.
    assert convolutions(False) - convolutions(True) == 6 * 6 * 2 + 3


def test_the_network_stays_as_it_is() -> None:
    network = uneven("osnet_ibn_x1_0").train()
    before = copy.deepcopy(network.state_dict())
    state = torch.get_rng_state()
    fused = FusedOSNet(fold_module(network))
    deployed_module(network, card_of("osnet_ibn_x1_0"), form="readable")
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert not fused.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in fused.parameters())


def test_other_precisions_and_layouts() -> None:
    network = uneven("osnet_x0_25")
    batch = images(2, 64, 32)
    with torch.inference_mode():
        expected = network(batch)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float16, 1e-2), (torch.bfloat16, 1e-1)):
        fused = FusedOSNet(fold_module(network), dtype=dtype).to(memory_format=torch.channels_last)
        with torch.inference_mode():
            actual = fused(batch.to(dtype, memory_format=torch.channels_last))
        assert actual.dtype == dtype
        assert float((actual.double() - expected).abs().max() / expected.abs().max()) < tolerance


def test_no_pictures_give_no_embeddings() -> None:
    network = uneven("osnet_x0_25")
    for batch_streams in (True, False):
        fused = FusedOSNet(fold_module(network), batch_streams=batch_streams)
        assert fused(torch.zeros(0, 3, 64, 32)).shape == (0, 512)


def test_ablations_have_no_fast_form() -> None:
    for overrides, named in (
        ({"lite": False}, "lite=False"),
        ({"fusion": "addition"}, "'addition'"),
        ({"instance_norm": (("both",) * 2,) * 3}, "'both'"),
    ):
        network = build_model("osnet_x0_25", **overrides)
        with pytest.raises(ConfigError, match=named):
            fold_module(network)
        deployed_module(network, card_of("osnet_x0_25"), form="readable")


def test_folding_is_the_batch_norm_that_torch_computes() -> None:
    """One convolution worked apart from the network: torch's own layers are the oracle."""
    network = uneven("osnet_x0_25")
    stem = fold_module(network).stem
    picture = images(1, 16, 16)
    with torch.inference_mode():
        folded = nn.functional.conv2d(
            picture, torch.from_numpy(stem.weight), torch.from_numpy(stem.bias), stride=2, padding=3
        )
        expected = network.conv1.bn(network.conv1.conv(picture))
    torch.testing.assert_close(folded, expected, atol=1e-12, rtol=0)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d)]
    assert {module.eps for module in norms} == {NORM_EPSILON}


def card_of(architecture: str, **spec: Any) -> ModelCard:
    return ModelCard(
        name="mine", architecture=architecture, input=InputSpec(**{"height": 64, "width": 48} | spec)
    )


@pytest.mark.parametrize("form", ["streams", "levels", "readable"])
@pytest.mark.parametrize("architecture", ["osnet_x0_25", "osnet_ain_x0_25"])
def test_what_is_deployed_normalises_inside(architecture: str, form: Any) -> None:
    network = uneven(architecture).float()
    card = card_of(architecture, mean=(0.2, 0.5, 0.7), std=(0.1, 0.3, 0.5))
    crops = np.random.default_rng(3).integers(0, 256, (3, 64, 48, 3), dtype=np.uint8)
    with torch.inference_mode():
        inside = torch.from_numpy(normalise(crops, card.input))
        embedding, maps = deployed_module(network, card, form=form)(torch.from_numpy(crops))
        unit, same_maps = deployed_module(network, card, form=form, normalised=True)(torch.from_numpy(crops))
        for actual, expected in ((embedding, network(inside)), (maps, network.feature_maps(inside))):
            assert float((actual - expected).abs().max() / expected.abs().max()) < 1e-5
    torch.testing.assert_close(unit, embedding / embedding.norm(dim=1, keepdim=True))
    assert torch.equal(same_maps, maps)


def test_wrong_forms_and_cards_are_named() -> None:
    network = uneven("osnet_x0_25")
    with pytest.raises(UnknownNameError, match="did you mean 'levels'"):
        deployed_module(network, card_of("osnet_x0_25"), form="level")  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="'mine'"):
        deployed_module(network, card_of("osnet_x0_25").model_copy(update={"embedding_size": 128}))
