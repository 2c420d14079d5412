"""Small networks with uneven statistics, exported once, and hand-made ONNX graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.types import Sample
from toy_people import add_card

# Small, which is fast, and of different (height, width), so that nothing can rely on 256×128.
NETWORKS = {
    "osnet_x0_25": ("osnet_x0_25", {}, (128, 64)),
    "osnet_ibn_x0_25": ("osnet_ibn_x1_0", {"channels": (16, 64, 96, 128)}, (96, 32)),
    "osnet_ain_x0_25": ("osnet_ain_x0_25", {}, (64, 32)),
    "osnet_x1_0": ("osnet_x1_0", {}, (64, 32)),
}


@dataclass(frozen=True)
class Exported:
    """One network in its three forms."""

    network: Any
    card: ModelCard
    safetensors: Path
    onnx: Path


def uneven_network(architecture: str, overrides: dict[str, Any], seed: int) -> Any:
    """A network whose batch norms do something: fresh ones only divide by one."""
    import torch

    from omnireid.models.registry import build_model

    generator = torch.Generator().manual_seed(seed)
    network = build_model(architecture, **overrides)
    network.initialise(generator)
    with torch.no_grad():
        for name, values in network.state_dict().items():
            if name.endswith(("running_var", "bn.weight", "IN.weight", "fc.1.weight")):
                values.copy_(torch.rand(values.shape, generator=generator) + 0.5)
            elif name.endswith(("running_mean", "bn.bias", "IN.bias", "fc.1.bias")):
                values.copy_(torch.randn(values.shape, generator=generator) * 0.1)
    return network.eval()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Exported]]:
    """One of `NETWORKS`, written as safetensors and ONNX at its first use."""
    torch = pytest.importorskip("torch")
    # More threads than free cores make torch many times slower on networks as small as these.
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    from omnireid.inference.export.exporter import export_onnx
    from omnireid.models.weights import save_weights

    folder = tmp_path_factory.mktemp("exported")
    made: dict[str, Exported] = {}

    def get(name: str) -> Exported:
        if name not in made:
            architecture, overrides, (height, width) = NETWORKS[name]
            network = uneven_network(architecture, overrides, seed=len(name))
            card = ModelCard(
                name=name, architecture=architecture, input=InputSpec(height=height, width=width)
            )
            files = Exported(network, card, folder / f"{name}.safetensors", folder / f"{name}.onnx")
            save_weights(files.safetensors, network, card)
            export_onnx(network, card, files.onnx)
            made[name] = files
        return made[name]

    yield get
    torch.set_num_threads(threads)


@pytest.fixture
def colour_graph(tmp_path: Path) -> Callable[..., Path]:
    pytest.importorskip("onnx")

    def make(name: str = "colours.onnx", **form: Any) -> Path:
        return write_colour_graph(tmp_path / name, **form)

    return make


def write_colour_graph(
    path: Path,
    *,
    dtype: str = "FLOAT",
    shape: tuple[Any, ...] = ("N", 3, 32, 16),
    outputs: tuple[str, ...] = ("output",),
    inside_batch: int | None = None,
    extra_input: bool = False,
    metadata: dict[str, str] | None = None,
) -> Path:
    """An ONNX graph whose "embedding" is each channel's mean over its first 5 rows and 3 columns: (N, 3)."""
    import onnx
    from onnx import TensorProto, helper

    channels_last = shape[-1] == 3
    nodes = [helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT)]
    axes = [1, 2] if channels_last else [2, 3]
    initialisers = [
        helper.make_tensor(name, TensorProto.INT64, [2], values)
        for name, values in (("starts", [0, 0]), ("ends", [5, 3]), ("axes", axes))
    ]
    nodes.append(helper.make_node("Slice", ["floats", "starts", "ends", "axes"], ["corner"]))
    nodes.append(helper.make_node("ReduceMean", ["corner"], ["means"], axes=axes, keepdims=0))
    last = "means"
    if inside_batch is not None:
        initialisers.append(helper.make_tensor("fixed", TensorProto.INT64, [2], [inside_batch, 3]))
        nodes.append(helper.make_node("Reshape", ["means", "fixed"], ["reshaped"]))
        last = "reshaped"
    nodes += [helper.make_node("Identity", [last], [name]) for name in outputs]
    inputs = [helper.make_tensor_value_info("images", getattr(TensorProto, dtype), shape)]
    if extra_input:
        inputs.append(helper.make_tensor_value_info("camera", TensorProto.INT64, ["N"]))
    batch = shape[0]
    graph = helper.make_graph(
        nodes,
        "colours",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, 3]) for name in outputs],
        initialisers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if metadata is None:
        height, width = (shape[1], shape[2]) if channels_last else (shape[2], shape[3])
        size = (height if isinstance(height, int) else 256, width if isinstance(width, int) else 128)
        add_card(model, path.stem, size, 3)
    else:
        helper.set_model_props(model, metadata)
    onnx.save(model, str(path))
    return path


@pytest.fixture
def pictures(tmp_path: Path) -> list[Sample]:
    """150 small JPEG crops of different sizes, pid and camid told apart by number."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    generator = np.random.default_rng(5)
    samples = []
    for number in range(150):
        height, width = int(generator.integers(20, 60)), int(generator.integers(10, 30))
        pixels = np.full((height, width, 3), generator.integers(0, 256, 3), np.uint8)
        path = folder / f"{number:03}.jpg"
        Image.fromarray(pixels).save(path, quality=95)
        samples.append(Sample(str(path), pid=number // 3, camid=number % 3))
    return samples
