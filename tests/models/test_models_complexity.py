"""Parameters and multiply-adds against the paper's printed figures and exact derived counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from omnireid.core.errors import InputError
from omnireid.models.complexity import Complexity, complexity
from omnireid.models.osnet_config import ARCHITECTURES
from omnireid.models.registry import build_model

# Zhou et al., ICCV 2019, Table 6: multiply-adds in millions at 256×128, 192×96, 128×64 and 64×32.
TABLE_6 = {
    "osnet_x1_0": (978.9, 550.7, 244.9, 61.5),
    "osnet_x0_75": (571.8, 321.7, 143.1, 35.9),
    "osnet_x0_5": (272.9, 153.6, 68.3, 17.2),
    "osnet_x0_25": (82.3, 46.3, 20.6, 5.2),
}
RESOLUTIONS = ((256, 128), (192, 96), (128, 64), (64, 32))

# The same network counted layer by layer: parameters, and multiply-adds in millions at 256×128 (Table 1).
TABLE_1 = {
    "conv1": (9_536, 77.07),
    "conv2": (168_584, 333.98),
    "transition2": (66_048, 134.22),
    "conv3": (444_108, 222.77),
    "transition3": (148_224, 75.50),
    "conv4": (806_160, 101.53),
    "conv5": (263_168, 33.55),
    "fc": (263_680, 0.26),
}


@pytest.mark.parametrize("name", TABLE_6)
def test_table_6_to_the_printed_digit(name: str):
    network = build_model(name)
    for (height, width), printed in zip(RESOLUTIONS, TABLE_6[name], strict=True):
        assert round(complexity(network, height, width).mult_adds / 1e6, 1) == printed


def test_table_1_stage_by_stage():
    counted = complexity(build_model("osnet_x1_0"))
    assert counted.parameters == 2_169_508
    assert counted.mult_adds == 978_878_352
    for stage, (parameters, mult_adds) in TABLE_1.items():
        assert counted.stages[stage].parameters == parameters, stage
        assert round(counted.stages[stage].mult_adds / 1e6, 2) == mult_adds, stage
    assert list(counted.stages) == list(TABLE_1)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_all_variants_against_the_reference_implementation(name: str, golden_dir: Path):
    expected = json.loads((golden_dir / "manifest.json").read_text())["models"][name]
    counted = complexity(build_model(name))
    assert counted.parameters == expected["params_without_classifier"]
    assert counted.mult_adds == expected["torchreid_reported_flops_256x128"]
    assert sum(stage.parameters for stage in counted.stages.values()) == counted.parameters


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("osnet_x1_0", 2_169_508),
        ("osnet_x0_75", 1_285_754),
        ("osnet_x0_5", 630_034),
        ("osnet_x0_25", 201_864),
        ("osnet_ibn_x1_0", 2_170_532),
        ("osnet_ain_x1_0", 2_169_508),
    ],
)
def test_parameters(name: str, parameters: int):
    assert complexity(build_model(name)).parameters == parameters


@pytest.mark.parametrize(
    ("overrides", "parameters", "mega_mult_adds"),
    [
        ({"lite": False}, 6_869_028, 3376.2),
        ({"fusion": "addition"}, 2_161_472, None),
        ({"fusion": "separate_gates"}, 2_193_616, 978.9),
        ({"stream_depths": (1,), "fusion": "addition"}, 1_569_920, None),
        ({"stream_depths": (1, 2)}, 1_709_412, None),
        ({"stream_depths": (1, 2, 3)}, 1_906_596, None),
        ({"blocks": (3, 8, 6)}, 4_573_292, None),
        # The restoring 1×1 takes 4·mid channels: 3·mid·out more in each of the six blocks.
        ({"fusion": "concatenation"}, 2_161_472 + 6 * (64 * 256 + 96 * 384 + 128 * 512), None),
        # Four weights for each of the block's channels instead of the gate.
        ({"fusion": "fixed_gates"}, 2_161_472 + 2 * 4 * (64 + 96 + 128), None),
        # The gate's last layer gives one value: (mid/16 + 1) instead of (mid/16 + 1)·mid.
        ({"fusion": "scalar_gate"}, 2_169_508 - 2 * (5 * 63 + 7 * 95 + 9 * 127), None),
    ],
)
def test_ablations(overrides: dict[str, object], parameters: int, mega_mult_adds: float | None):
    counted = complexity(build_model("osnet_x1_0", **overrides))
    assert counted.parameters == parameters
    if mega_mult_adds is not None:
        assert round(counted.mult_adds / 1e6, 1) == mega_mult_adds


def test_concatenation_is_the_papers_2_87_million():
    assert round(complexity(build_model("osnet_x1_0", fusion="concatenation")).parameters / 1e6, 2) == 2.87


def test_against_a_count_made_while_computing():
    """An independent count: a real forward with a hook on every convolution and linear layer."""
    network = build_model("osnet_ain_x0_25", stream_depths=(1, 3), fusion="separate_gates").eval()
    total = 0

    def count(layer: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(layer, nn.Linear):
            total += layer.in_features * layer.out_features + layer.out_features
        else:
            taps = layer.kernel_size[0] * layer.kernel_size[1] * layer.in_channels // layer.groups
            total += output.shape[1] * output.shape[2] * output.shape[3] * (taps + (layer.bias is not None))

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.randn(1, 3, 80, 48))
    assert complexity(network, 80, 48).mult_adds == total


def test_counting_leaves_the_network_alone():
    network = build_model("osnet_x0_25").train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    assert isinstance(complexity(network), Complexity)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    with pytest.raises(InputError, match="at least 16×16"):
        complexity(network, 8, 8)
