"""Folded batch norms get statistics back: the same embeddings, and the same network in training."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from folded_networks import folded, trained_network
from omnireid.core.errors import WeightsError
from omnireid.models.batch_norms import folded_norms, restore_statistics
from omnireid.models.osnet import OSNet
from omnireid.models.registry import build_model


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    return torch.randn(18, 3, 48, 24, generator=torch.Generator().manual_seed(1))


def embeddings(network: OSNet, pictures: torch.Tensor, *, training: bool = False) -> torch.Tensor:
    state = {key: value.clone() for key, value in network.state_dict().items()}
    with torch.no_grad():
        values = network.train(training)(pictures)
    network.load_state_dict(state)
    return values


def smallest_cosine(first: torch.Tensor, second: torch.Tensor) -> float:
    return float(nn.functional.cosine_similarity(first, second).min())


@pytest.mark.parametrize("architecture", ["osnet_x0_25", "osnet_ibn_x1_0", "osnet_ain_x0_25"])
def test_restored_statistics_keep_the_embeddings_and_let_the_network_train(
    architecture: str, pictures: torch.Tensor
) -> None:
    true = trained_network(architecture, pictures)
    assert folded_norms(true) == []
    network = folded(true)
    num_norms = sum(isinstance(norm, nn.BatchNorm1d | nn.BatchNorm2d) for norm in true.modules())
    expected = embeddings(true, pictures)
    torch.testing.assert_close(embeddings(network, pictures), expected, atol=1e-3, rtol=1e-3)
    # What is wrong with folded weights: training computes something else.
    assert smallest_cosine(embeddings(network, pictures, training=True), expected) < 0.8

    assert restore_statistics(network, pictures.split(9)) == num_norms
    assert folded_norms(network) == []
    torch.testing.assert_close(embeddings(network, pictures), expected, atol=1e-3, rtol=1e-3)
    assert smallest_cosine(embeddings(network, pictures, training=True), expected) > 0.95


def test_the_statistics_are_the_mean_of_the_batches_own(pictures: torch.Tensor) -> None:
    network = folded(trained_network("osnet_x0_25", pictures))
    layer = network.conv4[0].conv1
    before = layer.conv.weight.clone()
    seen: list[torch.Tensor] = []
    handle = layer.bn.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].double()))
    restore_statistics(network, pictures.split(6))
    handle.remove()
    # The layer has the scale of a fresh one (Kaiming, fan-out), and what reaches the norm scales along.
    assert float(layer.conv.weight.detach().square().mean().sqrt()) == pytest.approx(
        (2 / 32) ** 0.5, rel=0.05
    )
    factor = float((layer.conv.weight.detach() / before.detach()).median())
    torch.testing.assert_close(layer.conv.weight, before * factor)
    for channel in (0, 5):
        values = [batch[:, channel].flatten() * factor for batch in seen]
        assert float(layer.bn.running_mean[channel]) == pytest.approx(
            sum(float(batch.mean()) for batch in values) / 3, rel=1e-4, abs=1e-6
        )
        assert float(layer.bn.running_var[channel]) == pytest.approx(
            sum(float(batch.var(unbiased=True)) for batch in values) / 3, rel=1e-4
        )


def test_norms_with_statistics_of_their_own_stay_as_they_are(pictures: torch.Tensor) -> None:
    true = trained_network("osnet_x0_25", pictures)
    partly = folded(true)
    partly.fc.load_state_dict(true.fc.state_dict())  # exporters fold no norm behind a linear layer
    assert "fc.1" not in folded_norms(partly)
    restore_statistics(partly, [pictures])
    for key, value in true.fc.state_dict().items():
        assert torch.equal(partly.fc.state_dict()[key], value), key


def test_a_network_that_was_never_trained_is_not_folded() -> None:
    assert folded_norms(build_model("osnet_ain_x0_25")) == []


def test_statistics_that_are_not_finite_are_refused(pictures: torch.Tensor) -> None:
    network = folded(trained_network("osnet_x0_25", pictures))
    with pytest.raises(WeightsError, match=r"batch norm conv1\.bn: .* not finite"):
        restore_statistics(network, [torch.full_like(pictures, torch.inf)])
