"""A search among candidates: what it computes, and that it finds what was hidden."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from omnireid.core.errors import ConfigError, UnknownNameError
from omnireid.inference.fused.fold import check_foldable
from omnireid.models.batch_norms import folded_norms
from omnireid.models.choice import Choice, choices
from omnireid.models.osnet import OSNet
from omnireid.models.osnet_config import CANDIDATES
from omnireid.models.registry import build_model

SMALL = {"channels": (8, 16, 16, 16), "stream_depths": (1,), "fusion": "addition", "embedding_size": 32}
ALL = (("searched", "searched"),) * 3


def small(instance_norm: tuple[tuple[str, ...], ...], **options: object) -> OSNet:
    network = build_model("osnet_ain_x0_25", **{**SMALL, **options}, instance_norm=instance_norm)
    assert isinstance(network, OSNet)
    network.initialise(torch.Generator().manual_seed(1))
    return network


def prefer(network: OSNet, names: list[str]) -> None:
    for choice, name in zip(choices(network).values(), names, strict=True):
        choice.weights.data = torch.tensor([float(candidate == name) for candidate in CANDIDATES])


def in_stages(names: list[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(itertools.zip_longest(*[iter(names)] * 2))


def copy_chosen(searched: OSNet, plain: OSNet) -> None:
    """The weights of the chosen candidates; scale and shift, which a search has none of, stay 1 and 0."""
    own, state = plain.state_dict(), searched.state_dict()
    chosen = {name: f"{name}.candidates.{choice.chosen}" for name, choice in choices(searched).items()}
    for key in own:
        block = next((name for name in chosen if key.startswith(f"{name}.")), "")
        source = chosen[block] + key.removeprefix(block) if block else key
        if source in state:
            own[key] = state[source]
        else:
            assert key.endswith((".weight", ".bias")), key
    plain.load_state_dict(own)


class Times(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


def test_a_step_mixes_candidates_by_the_formula() -> None:
    choice = Choice({"a": Times(1.0), "b": Times(10.0), "c": Times(100.0)})
    choice.weights.data = torch.tensor([0.5, 2.0, -1.0])
    choice.draw(4.0, torch.Generator().manual_seed(3))
    exponential = torch.empty(3).exponential_(generator=torch.Generator().manual_seed(3)).tolist()
    raised = [(w / e) ** (1 / 4.0) for w, e in zip((0.5, 2.0, 1e-12), exponential, strict=True)]
    expected = sum(r * f for r, f in zip(raised, (1, 10, 100), strict=True)) / sum(raised)
    assert choice(torch.ones(())).item() == pytest.approx(expected, rel=1e-5)
    assert choice.eval()(torch.ones(())) == 10
    assert choice.chosen == "b"
    assert choice.shares() == pytest.approx({"a": 0.2, "b": 0.8, "c": 0.0}, abs=1e-6)


def test_cold_draws_are_single_candidates_as_often_as_they_are_probable_and_hot_ones_are_even() -> None:
    choice = Choice({name: nn.Identity() for name in "abc"})
    choice.weights.data = torch.tensor([1.0, 2.0, 5.0])
    generator = torch.Generator().manual_seed(0)
    cold, hot = np.empty((2000, 3)), np.empty((2000, 3))
    for row in range(2000):
        for drawn, temperature in ((cold, 1e-3), (hot, 100.0)):
            choice.draw(temperature, generator)
            drawn[row] = choice.sampled().detach()
    # Five standard deviations of a share of 5/8.
    np.testing.assert_allclose(cold.mean(axis=0), [1 / 8, 2 / 8, 5 / 8], atol=5 * math.sqrt(0.24 / 2000))
    assert (cold.max(axis=1) > 0.99).mean() > 0.98
    np.testing.assert_allclose(hot, 1 / 3, atol=0.05)


def test_weights_and_every_candidate_get_gradients_and_a_weight_below_zero_none() -> None:
    network = small(ALL).train()
    first = next(iter(choices(network).values()))
    first.weights.data[2] = -0.1
    generator = torch.Generator().manual_seed(0)
    for choice in choices(network).values():
        choice.draw(1.0, generator)
    network(torch.randn(4, 3, 64, 32, generator=generator)).square().mean().backward()
    for name, choice in choices(network).items():
        assert choice.weights.grad is not None
        assert choice.weights.grad.isfinite().all(), name
        alive = choice.weights.grad[choice.weights > 0]
        assert (alive != 0).all(), name
        # The function does not change when all weights grow together.
        assert (choice.weights.grad * choice.weights.relu()).sum().item() == pytest.approx(0, abs=1e-6)
        for candidate in choice.candidates.values():
            assert all(weight.grad is not None for weight in candidate.parameters())
    assert first.weights.grad is not None
    assert first.weights.grad[2] == 0


@pytest.mark.parametrize("first", range(4))
def test_what_a_search_chooses_is_the_network_that_is_built_of_it(first: int) -> None:
    names = [CANDIDATES[(first + block) % 4] for block in range(6)]
    searched = small(ALL, stream_depths=(1, 2), fusion="unified_gate")
    pictures = torch.randn(4, 3, 64, 32, generator=torch.Generator().manual_seed(2))
    searched.train()(pictures)  # statistics of every batch norm
    prefer(searched, names)
    assert searched.found_instance_norm() == in_stages(names)
    plain = small(searched.found_instance_norm(), stream_depths=(1, 2), fusion="unified_gate")
    copy_chosen(searched, plain)
    with torch.no_grad():
        torch.testing.assert_close(searched.eval()(pictures), plain.eval()(pictures), rtol=1e-5, atol=1e-5)
        # In training, too, once it is cold.
        for choice in choices(searched).values():
            choice.draw(0.1, torch.Generator().manual_seed(0))
        torch.testing.assert_close(searched.train()(pictures), plain.train()(pictures), rtol=1e-4, atol=1e-4)


def test_a_search_finds_the_candidates_that_made_its_target() -> None:
    """All four candidates of a block share weights, so only the placements tell them apart."""
    hidden = ["none", "both", "inside", "none", "after", "both"]
    searched = small(ALL)
    for choice in choices(searched).values():
        state = choice.candidates["none"].state_dict()
        for candidate in choice.candidates.values():
            candidate.load_state_dict(state, strict=False)
    prefer(searched, hidden)
    target = small(in_stages(hidden))
    copy_chosen(searched, target)
    searched.requires_grad_(False)
    for choice in choices(searched).values():
        choice.weights.data = torch.ones(4)
        choice.weights.requires_grad_(True)
    optimiser = torch.optim.SGD([choice.weights for choice in choices(searched).values()], lr=3.0)
    generator = torch.Generator().manual_seed(0)
    searched.train()
    target.train()
    for step in range(70):
        for choice in choices(searched).values():
            choice.draw(max(1.0, 10 * 0.5 ** (step // 15)), generator)
        # Of every brightness and contrast: what instance norm takes away.
        styles = torch.rand(2, 8, 3, 1, 1, generator=generator)
        pictures = 2 * styles[0] * torch.randn(8, 3, 64, 32, generator=generator) + 2 * styles[1] - 1
        with torch.no_grad():
            wanted = target.feature_maps(pictures)
        loss = F.mse_loss(searched.feature_maps(pictures), wanted) / wanted.var()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert searched.found_instance_norm() == in_stages(hidden)


def test_a_searched_network_has_no_scale_and_no_shift_and_some_blocks_may_be_given() -> None:
    some = (("searched", "after"), ("none", "none"), ("none", "searched"))
    network = small(some, fusion="unified_gate")
    assert list(choices(network)) == ["conv2.0", "conv4.1"]
    norms = [module for module in network.modules() if hasattr(module, "affine")]
    assert norms
    assert not any(norm.affine or list(norm.parameters()) for norm in norms)
    assert folded_norms(network) == []
    assert network.found_instance_norm() == (("none", "after"), ("none", "none"), ("none", "none"))
    with pytest.raises(ConfigError, match="'searched': there is no fast form"):
        check_foldable(network.config)
    with pytest.raises(UnknownNameError, match="searched"):
        small((("search", "none"), ("none", "none"), ("none", "none")))
