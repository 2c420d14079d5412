"""The networks: key names, ablations, placements of instance normalisation, options that make no network."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from omnireid.core.errors import ConfigError, UnknownNameError, WeightsError
from omnireid.inference.fused.fold import check_foldable
from omnireid.models.classifier import IdentityClassifier
from omnireid.models.fusion import AggregationGate, FixedGates, SeparateGates, make_fusion
from omnireid.models.osnet import OSBlock, OSNet
from omnireid.models.osnet_config import ARCHITECTURES, OSNetConfig
from omnireid.models.registry import architecture_config, build_model

TINY = {"channels": (16, 32, 32, 64)}


def test_the_nine_published_architectures_are_known():
    assert sorted(ARCHITECTURES) == [
        "osnet_ain_x0_25",
        "osnet_ain_x0_5",
        "osnet_ain_x0_75",
        "osnet_ain_x1_0",
        "osnet_ibn_x1_0",
        "osnet_x0_25",
        "osnet_x0_5",
        "osnet_x0_75",
        "osnet_x1_0",
    ]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_state_dict_equals_the_published_checkpoints(name: str, golden_dir: Path):
    entries = json.loads((golden_dir / "manifest.json").read_text())["models"][name]["state_dict"]
    published = [(entry["key"], tuple(entry["shape"]), entry["dtype"]) for entry in entries]
    wrapper = IdentityClassifier(build_model(name), num_classes=751)
    ours = [
        (key, tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for key, value in wrapper.published_state_dict().items()
    ]
    assert ours == published


def test_published_state_dict_round_trip():
    source = IdentityClassifier(build_model("osnet_x0_25"), num_classes=5)
    target = IdentityClassifier(build_model("osnet_x0_25"), num_classes=5)
    target.load_published_state_dict(source.published_state_dict())
    for key, value in source.state_dict().items():
        assert torch.equal(value, target.state_dict()[key]), key

    other_size = IdentityClassifier(build_model("osnet_x0_25"), num_classes=7)
    with pytest.raises(
        WeightsError, match=r"wrong shape: classifier.weight \(5, 512\) instead of \(7, 512\)"
    ):
        other_size.load_published_state_dict(source.published_state_dict())


def test_a_stem_of_stride_one_keeps_small_pictures_and_every_weight() -> None:
    options = {**TINY, "blocks": (1, 1, 1), "stem_stride": 1}
    network = build_model("osnet_x0_25", **options).eval()
    drawn = build_model("osnet_x0_25", **{**options, "stem_stride": 4}).eval()
    assert network.config.takes_weights_of(drawn.config)
    network.load_state_dict(drawn.state_dict())
    images = torch.randn(2, 3, 16, 16)
    assert network.feature_maps(images).shape == (2, 64, 4, 4)
    assert drawn.feature_maps(images).shape == (2, 64, 1, 1)
    stem = nn.functional.conv2d(images, network.conv1.conv.weight, padding=3)
    torch.testing.assert_close(network.stem(images), network.conv1.bn(stem).relu())


def test_the_maximum_is_pooled_where_that_is_asked_for() -> None:
    network = build_model("osnet_x0_25", **TINY, blocks=(1, 1, 1), pooling="max").eval()
    images = torch.randn(2, 3, 64, 32)
    maps = network.feature_maps(images)
    highest = torch.tensor([[max(channel.ravel().tolist()) for channel in picture] for picture in maps])
    torch.testing.assert_close(network(images), network.fc(highest))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stem_stride": 2}, "stem_stride: 1 or 4, got 2"),
        ({"stem_stride": True}, "stem_stride: 1 or 4"),
        ({"pooling": "max", "pooling_power": 3.0}, "pooling_power 3.0: a maximum has none"),
    ],
)
def test_stems_and_pools_that_do_not_exist_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_model("osnet_x0_25", **options)


@pytest.mark.parametrize("option", ["stem_stride 1", "pooling 'max'"])
def test_networks_of_the_papers_other_tasks_have_no_fast_form(option: str) -> None:
    changes = {"stem_stride": 1} if "stem" in option else {"pooling": "max"}
    with pytest.raises(ConfigError, match=f"{option}: there is no fast form; run this network in torch"):
        check_foldable(OSNetConfig(**changes))


@pytest.mark.parametrize("training", [False, True])
def test_embeddings_are_returned_in_training_and_evaluation(training: bool):
    network = build_model("osnet_ain_x0_25").train(training)
    images = torch.randn(2, 3, 64, 32)
    assert network(images).shape == (2, 512)
    assert network.feature_maps(images).shape == (2, 128, 4, 2)
    output = IdentityClassifier(network, num_classes=9)(images)
    assert output.embeddings.shape == (2, 512)
    assert output.logits.shape == (2, 9)
    assert (output.embeddings >= 0).all()


FUSIONS = ["unified_gate", "separate_gates", "scalar_gate", "fixed_gates", "addition", "concatenation"]


@pytest.mark.parametrize("layout", ["osnet", "osnet_ain"])
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_runs_and_every_parameter_learns(layout: str, fusion: str):
    _learns(layout=layout, fusion=fusion, stream_depths=(1, 2, 3))


@pytest.mark.parametrize("lite", [True, False])
@pytest.mark.parametrize("stream_depths", [(1,), (1, 2), (1, 2, 3, 4), (2, 2, 2, 2)])
def test_every_choice_of_streams_runs_and_every_parameter_learns(lite: bool, stream_depths: tuple[int, ...]):
    _learns(lite=lite, stream_depths=stream_depths)


def _learns(**options: object) -> None:
    network = OSNet(OSNetConfig(**TINY, blocks=(1, 1, 1), **options))
    network(torch.randn(2, 3, 32, 16)).sum().backward()
    without = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert without == []


def test_both_layouts_compute_the_same():
    """OSNet and OSNet-AIN's key names differ; the network behind them does not."""
    plain = OSNet(OSNetConfig(**TINY)).eval()
    named_apart = OSNet(OSNetConfig(**TINY, layout="osnet_ain")).eval()
    # Both hold the same tensors in another order within a block; match them by position within each part.
    with torch.no_grad():
        for ours, theirs in zip(_in_order(plain), _in_order(named_apart), strict=True):
            theirs.copy_(ours)
        images = torch.randn(2, 3, 64, 32)
        assert torch.equal(plain(images), named_apart(images))


def _in_order(network: OSNet) -> list[torch.Tensor]:
    parameters: list[torch.Tensor] = []
    for stage in network.stages().values():
        for module in stage.modules():
            if isinstance(module, nn.Conv2d | nn.BatchNorm2d | nn.Linear | nn.BatchNorm1d):
                parameters += list(module.parameters(recurse=False))
    return parameters


def test_gates_against_the_formula():
    """Σₜ sigmoid(W₂ relu(W₁ gap(xₜ))) ⊙ xₜ, written with einsum on arrays."""
    torch.manual_seed(0)
    streams = [torch.randn(2, 32, 5, 3) for _ in range(3)]

    def weighted(gate: AggregationGate, x: torch.Tensor) -> torch.Tensor:
        pooled = torch.einsum("nchw->nc", x) / 15
        hidden = (pooled @ gate.fc1.weight[:, :, 0, 0].T + gate.fc1.bias).clamp(min=0)
        logits = hidden @ gate.fc2.weight[:, :, 0, 0].T + gate.fc2.bias
        return x / (1 + torch.exp(-logits))[:, :, None, None]

    for fusion in ("unified_gate", "scalar_gate"):
        gate = make_fusion(fusion, 32, 3)
        assert isinstance(gate, AggregationGate)
        torch.testing.assert_close(gate(streams), sum(weighted(gate, x) for x in streams))
    separate = make_fusion("separate_gates", 32, 3)
    assert isinstance(separate, SeparateGates)
    expected = sum(weighted(gate, x) for gate, x in zip(separate, streams, strict=True))
    torch.testing.assert_close(separate(streams), expected)


def test_fixed_gates_do_not_look_at_the_input():
    gates = FixedGates(channels=4, num_streams=2)
    nn.init.normal_(gates.logits)
    ones = [torch.ones(3, 4, 2, 2)] * 2
    weight = gates(ones)
    torch.testing.assert_close(gates([7 * one for one in ones]), 7 * weight)
    assert torch.equal(weight[0], weight[2])


@pytest.mark.parametrize(
    ("placement", "keys"),
    [
        ("none", set()),
        ("inside", {"IN.weight", "IN.bias"}),
        ("after", {"IN.weight", "IN.bias"}),
        ("both", {"IN.weight", "IN.bias", "IN_after.weight", "IN_after.bias"}),
    ],
)
def test_placements_of_the_search_space(placement: str, keys: set[str]):
    """FACTS of the search: inside, the norm replaces the restoring 1×1's batch norm; after, it does not."""
    block = OSBlock(32, 32, OSNetConfig(), placement)
    state = block.state_dict()
    assert {key for key in state if key.startswith("IN")} == keys
    assert ("conv3.bn.weight" in state) == (placement in ("none", "after"))
    block.relu = nn.Identity()
    out = block.train()(torch.randn(4, 32, 8, 6))
    means = out.mean(dim=(2, 3))
    # Right after an instance norm (gain 1, bias 0) every channel of every picture has mean 0.
    assert bool(means.abs().max() < 1e-5) == (placement in ("after", "both"))


def test_initial_weights():
    network = build_model("osnet_x1_0")
    network.initialise(torch.Generator().manual_seed(3))
    again = build_model("osnet_x1_0")
    again.initialise(torch.Generator().manual_seed(3))
    for key, value in network.state_dict().items():
        assert torch.equal(value, again.state_dict()[key]), key
    # Kaiming fan-out: variance 2 / (k² · out); depthwise counts one group's outputs as torch does.
    weight = network.conv1.conv.weight
    assert weight.std().item() == pytest.approx((2 / (49 * 64)) ** 0.5, rel=0.03)
    assert network.fc[0].weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert network.fc[0].bias.abs().max() == 0
    assert network.conv2[0].gate.fc1.bias.abs().max() == 0


def test_options_are_closed():
    with pytest.raises(UnknownNameError, match="did you mean 'osnet_x0_25'"):
        build_model("osnet_x025")
    with pytest.raises(UnknownNameError, match="did you mean 'stream_depths'"):
        build_model("osnet_x0_25", stream_depth=(1,))
    with pytest.raises(UnknownNameError, match="did you mean 'addition'"):
        build_model("osnet_x0_25", fusion="additon")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"stream_depths": ()}, "1 to 4 streams"),
        ({"stream_depths": (1, 2, 3, 4, 5)}, "1 to 4 streams"),
        ({"stream_depths": (0,)}, "positive whole numbers"),
        ({"stream_depths": 4}, "positive whole numbers"),
        ({"channels": (64, 256, 384)}, "4 positive whole numbers"),
        ({"channels": (64, 255, 384, 512)}, "divide by 4"),
        ({"blocks": (2, 2.0, 2)}, "3 positive whole numbers"),
        ({"blocks": (True, 2, 2)}, "3 positive whole numbers"),
        ({"lite": "no"}, "lite"),
        ({"instance_norm": (("after",), ("none",), ("none",))}, "one placement per block"),
        ({"instance_norm": "after"}, "a tuple per stage"),
        ({"embedding_size": 0}, "embedding_size"),
    ],
)
def test_values_that_make_no_network_are_named(overrides: dict[str, object], message: str):
    with pytest.raises(ConfigError, match=message):
        build_model("osnet_x0_25", **overrides)


def test_config_survives_json():
    config = architecture_config("osnet_ain_x0_5").with_overrides({"fusion": "addition"})
    assert OSNetConfig().with_overrides(json.loads(json.dumps(config.to_dict()))) == config
