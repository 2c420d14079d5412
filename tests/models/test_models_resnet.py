"""ResNet-50: torchvision's keys, the published count, and a forward pass written out by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from omnireid.core.errors import ConfigError, UnknownNameError, WeightsError
from omnireid.models.cards import model_card
from omnireid.models.complexity import complexity
from omnireid.models.convert import read_foreign, read_network
from omnireid.models.registry import build_model
from omnireid.models.weight_file import read_header
from omnireid.models.weights import load_weights, save_weights

BLOCKS = {1: 3, 2: 4, 3: 6, 4: 3}


def torchvisions_shapes() -> dict[str, tuple[int, ...]]:
    """Keys and shapes of `resnet50-0676ba61.pth`, from what the paper says of each block."""
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, channels: int) -> None:
        shapes.update({f"{name}.{part}": (channels,) for part in ("weight", "bias", "running_mean")})
        shapes.update({f"{name}.running_var": (channels,), f"{name}.num_batches_tracked": ()})

    shapes["conv1.weight"] = (64, 3, 7, 7)
    norm("bn1", 64)
    before = 64
    for layer, count in BLOCKS.items():
        width = 32 * 2**layer
        for block in range(count):
            name = f"layer{layer}.{block}"
            for number, shape in enumerate(
                ((width, before, 1, 1), (width, width, 3, 3), (4 * width, width, 1, 1)), 1
            ):
                shapes[f"{name}.conv{number}.weight"] = shape
                norm(f"{name}.bn{number}", shape[0])
            if block == 0:
                shapes[f"{name}.downsample.0.weight"] = (4 * width, before, 1, 1)
                norm(f"{name}.downsample.1", 4 * width)
            before = 4 * width
    return shapes


def published(seed: int = 0) -> dict[str, torch.Tensor]:
    """A state dict as torchvision publishes it, with `fc` of 1,000 classes and statistics that matter."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for key, shape in torchvisions_shapes().items():
        values = torch.randn(shape, generator=generator) * 0.05
        if key.endswith(("running_var", ".weight")) and len(shape) == 1:
            values = 1 + values.abs()
        state[key] = torch.tensor(7) if key.endswith("num_batches_tracked") else values
    return state | {"fc.weight": torch.randn(1000, 2048), "fc.bias": torch.zeros(1000)}


def by_hand(state: dict[str, torch.Tensor], images: torch.Tensor, last_stride: int) -> torch.Tensor:
    """ResNet-50 as a loop over the state dict: what the pool takes."""

    def conv_norm(x: torch.Tensor, conv: str, norm: str, stride: int = 1) -> torch.Tensor:
        weight = state[f"{conv}.weight"]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2)
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        return F.batch_norm(x, mean, variance, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=1e-5)

    x = F.max_pool2d(F.relu(conv_norm(images, "conv1", "bn1", 2)), 3, 2, 1)
    for layer, count in BLOCKS.items():
        for block in range(count):
            name = f"layer{layer}.{block}"
            stride = 1 if block or layer == 1 else last_stride if layer == 4 else 2
            inner = F.relu(conv_norm(x, f"{name}.conv1", f"{name}.bn1"))
            inner = F.relu(conv_norm(inner, f"{name}.conv2", f"{name}.bn2", stride))
            inner = conv_norm(inner, f"{name}.conv3", f"{name}.bn3")
            if block == 0:
                x = conv_norm(x, f"{name}.downsample.0", f"{name}.downsample.1", stride)
            x = F.relu(inner + x)
    return x


def test_keys_shapes_and_counts_are_torchvisions() -> None:
    network = build_model("resnet50")
    assert {key: tuple(value.shape) for key, value in network.state_dict().items()} == torchvisions_shapes()
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == 25_557_032 - (2048 * 1000 + 1000) == model_card("resnet50").num_parameters
    assert sum(stage.parameters for stage in complexity(network, 64, 32).stages.values()) == count


def test_multiply_adds_are_the_papers() -> None:
    # Table 1: 3.8·10⁹ for 224×224, of the variant that strides in the 1×1; torchvision's is 4.09·10⁹ with fc.
    assert complexity(build_model("resnet50"), 224, 224).mult_adds / 1e9 == pytest.approx(4.087, abs=0.001)


@pytest.mark.parametrize("last_stride", [1, 2])
def test_a_published_file_becomes_the_network_that_is_written_out(tmp_path: Path, last_stride: int) -> None:
    state = published()
    torch.save(state, tmp_path / "resnet50-0676ba61.pth")
    network, card = read_foreign(tmp_path / "resnet50-0676ba61.pth")
    assert (card.architecture, card.embedding_size, card.training_pids) == ("resnet50", 2048, 1000)
    strided = build_model("resnet50", last_stride=last_stride).eval()
    assert strided.config.takes_weights_of(network.config)
    strided.load_state_dict(network.state_dict())
    images = torch.randn(2, 3, 96, 64)
    with torch.no_grad():
        maps, embeddings = strided.feature_maps(images), strided(images)
    expected = by_hand(state, images, last_stride)
    assert expected.shape == (2, 2048, 6 // last_stride, 4 // last_stride)
    torch.testing.assert_close(maps, expected)
    torch.testing.assert_close(embeddings, expected.mean(dim=(2, 3)))


def test_a_weight_file_says_its_family(tmp_path: Path) -> None:
    path = tmp_path / "resnet.safetensors"
    network = build_model("resnet50", last_stride=1)
    save_weights(path, network, model_card("resnet50"))
    assert '"family": "resnet"' in read_header(path).to_metadata()["omnireid"]
    loaded, _ = load_weights(path)
    assert loaded.config == network.config
    assert read_network(path)[0].config.embedding_size == 2048


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"last_stride": 3}, ConfigError, "last_stride: 1 or 2"),
        ({"blocks": (3, 4, 6)}, ConfigError, "four positive whole numbers"),
        ({"laststride": 1}, UnknownNameError, "did you mean 'last_stride'"),
        ({"stream_depths": (1,)}, UnknownNameError, "unknown model option"),
    ],
)
def test_options_are_closed(options: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        build_model("resnet50", **options)


def test_what_is_no_resnet_50_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    state = published()
    torch.save({key: value for key, value in state.items() if not key.startswith("layer3.5")}, path)
    with pytest.raises(WeightsError, match="not a checkpoint of a known OSNet or ResNet"):
        read_foreign(path)
    # torchreid's ResNet-50 with a layer of 512 behind the pool gives other embeddings.
    torch.save(state | {"fc.0.weight": torch.zeros(512, 2048)}, path)
    with pytest.raises(WeightsError, match=r"unexpected: fc\.0\.weight"):
        read_foreign(path)
