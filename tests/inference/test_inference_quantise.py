"""int8 graphs against the float graph they come from, read node by node, and one built to suffer."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from omnireid.core.errors import (
    InputError,
    MissingExtraError,
    OmniReIDWarning,
    ShapeError,
    UnknownNameError,
    WeightsError,
)
from omnireid.inference.backends.onnx_runtime import OnnxBackend
from omnireid.inference.export.quantise import half_in_other_light, quantise
from toy_people import add_card

onnx = pytest.importorskip("onnx")


def soft_crops(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Patches of colour, each crop of another brightness: embeddings that differ."""
    generator = np.random.default_rng(seed)
    patches = generator.integers(0, 256, (count, height // 8, width // 8, 3))
    brightness = generator.uniform(0.2, 1, (count, 1, 1, 1))
    return (patches * brightness).astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def network_embeddings(model: Any, crops: np.ndarray) -> np.ndarray:
    """The float network in torch, from the pixels on."""
    import torch

    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    images = np.moveaxis((crops / 255.0 - mean) / std, 3, 1).astype(np.float32)
    with torch.inference_mode():
        return np.asarray(model.network(torch.from_numpy(images)))


class Graph:
    """A model's nodes by name and by what they give."""

    def __init__(self, content: bytes) -> None:
        self.model = onnx.load_from_string(content)
        self.weights = {tensor.name: tensor for tensor in self.model.graph.initializer}
        self.maker = {output: node for node in self.model.graph.node for output in node.output}
        self.convolutions = {node.name: node for node in self.model.graph.node if node.op_type == "Conv"}

    def made_by(self, tensor: str) -> str:
        return self.maker[tensor].op_type if tensor in self.maker else "nothing"

    def is_int8(self, name: str) -> bool:
        node = self.convolutions[name]
        activation, weight = (self.made_by(tensor) == "DequantizeLinear" for tensor in node.input[:2])
        assert activation or not weight, name
        return weight


def gate_layers(graph: Graph) -> set[str]:
    """Both convolutions in front of each sigmoid."""
    found = set()
    for node in graph.model.graph.node:
        if node.op_type == "Sigmoid":
            restore = graph.maker[node.input[0]]
            reduce = graph.maker[graph.maker[restore.input[0]].input[0]]
            found |= {restore.name, reduce.name}
    return found


@pytest.mark.parametrize("name", ["osnet_x0_25", "osnet_ain_x0_25"])
def test_convolutions_become_int8_and_the_delicate_rest_stays(
    exported: Callable[[str], Any], name: str
) -> None:
    model = exported(name)
    height, width = model.card.input.height, model.card.input.width
    original = model.onnx.read_bytes()
    made = quantise(original, soft_crops(32, height, width), limit=0.5, method="minmax")
    assert made.float_layers == ()
    before, after = Graph(original), Graph(made.bytes)
    gates = gate_layers(before)
    assert len(gates) == 2 * 4 * 6
    assert before.convolutions.keys() == after.convolutions.keys()
    for layer, node in after.convolutions.items():
        assert after.is_int8(layer) == (layer not in gates), layer
        if layer not in gates:
            weight, scale, _ = after.maker[node.input[1]].input
            assert after.weights[weight].data_type == onnx.TensorProto.INT8
            # Per output channel.
            assert list(after.weights[scale].dims) == [after.weights[weight].dims[0]]
    assert made.report.num_layers == len(after.convolutions) - len(gates)
    for node in after.model.graph.node:
        if node.op_type in ("InstanceNormalization", "Sigmoid", "Gemm"):
            users = {user.op_type for user in after.model.graph.node if node.output[0] in user.input}
            assert "QuantizeLinear" not in users or node.op_type == "InstanceNormalization"
    assert len(made.bytes) < len(original)

    fresh = soft_crops(37, height, width, seed=1)
    expected = network_embeddings(model, fresh)
    runtime = OnnxBackend(made.bytes, threads=1)
    actual = runtime.embed(fresh)
    assert cosines(actual, expected).min() > 0.98
    assert np.abs(actual - expected).max() > 1e-3 * np.abs(expected).max()
    assert runtime.card.name == name
    assert [entry.key for entry in after.model.metadata_props] == ["omnireid.card"]
    assert runtime.feature_maps(fresh[:2]) is not None

    pytest.importorskip("openvino")
    from omnireid.inference.backends.openvino import OpenVinoBackend

    assert cosines(OpenVinoBackend(made.bytes, threads=1).embed(fresh[:9]), actual[:9]).min() > 0.999


def chain(*, length: int = 3, opset: int = 17, spoil: float = 1.0, fixed: int | None = None) -> bytes:
    """Convolutions with ReLUs. `spoil` lifts one channel between the first two, and changes nothing."""
    from onnx import TensorProto, helper, numpy_helper

    generator = np.random.default_rng(3)
    shapes = [(8, 3, 3, 3), *[(8, 8, 3, 3)] * (length - 1)]
    weights = [generator.normal(size=shape).astype(np.float32) for shape in shapes]
    weights[0][0] *= spoil
    weights[1][:, 0] /= spoil
    nodes, last = [helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT)], "pixels"
    for number in range(length):
        given = [last, f"w{number}"]
        nodes.append(helper.make_node("Conv", given, [f"c{number}"], name=f"conv{number}", pads=[1] * 4))
        nodes.append(helper.make_node("Relu", [f"c{number}"], [f"r{number}"]))
        last = f"r{number}"
    nodes.append(helper.make_node("GlobalAveragePool", [last], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["embedding"]))
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, [fixed or "N", 3, 64, 32])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [fixed or "N", 8])],
        [numpy_helper.from_array(weight, f"w{number}") for number, weight in enumerate(weights)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    add_card(model, "chain", (64, 32), 8)
    return bytes(model.SerializeToString())


def test_layers_that_lose_most_are_left_in_float_until_the_limit_holds() -> None:
    original, crops = chain(length=7), soft_crops(48, 64, 32)
    held_out = half_in_other_light(crops[3::4])
    expected = OnnxBackend(original).embed(held_out)
    everything = quantise(original, crops, limit=0.5)
    lost = 1 - cosines(OnnxBackend(everything.bytes).embed(held_out), expected).min()
    assert everything.report.loss == {}

    limit = 1 - lost / 2
    made = quantise(original, crops, limit=limit)
    graph = Graph(made.bytes)
    assert made.report.min_cosine_all == pytest.approx(1 - lost, abs=1e-6)
    actual = cosines(OnnxBackend(made.bytes).embed(held_out), expected)
    assert actual.min() >= limit
    assert actual.min() == pytest.approx(made.report.min_cosine, abs=1e-6)
    assert np.median(actual) == pytest.approx(made.report.median_cosine, abs=1e-6)
    assert 0 < len(made.float_layers) < made.report.num_layers == 7
    assert {layer for layer in graph.convolutions if not graph.is_int8(layer)} == set(made.float_layers)
    losses = list(made.report.loss.values())
    assert losses == sorted(losses, reverse=True)
    # Those in float are the head of that list.
    assert set(list(made.report.loss)[: len(made.float_layers)]) == set(made.float_layers)


def test_half_of_the_crops_are_seen_in_another_light() -> None:
    crops = np.full((20, 8, 8, 3), 160, np.uint8)
    varied = half_in_other_light(crops)
    assert (varied[::2] == 160).all()
    levels = np.sort(varied[1::2].reshape(10, -1).max(axis=1))
    assert (levels[0], levels[-1]) == (80, 240)
    assert len(set(levels)) == 10
    assert (crops == 160).all()


def test_the_layer_that_was_made_to_suffer_is_the_one_found() -> None:
    crops = soft_crops(40, 64, 32)
    np.testing.assert_allclose(
        OnnxBackend(chain(spoil=4096.0)).embed(crops), OnnxBackend(chain()).embed(crops), rtol=1e-4
    )
    healthy = quantise(chain(), crops, limit=0.99, method="minmax")
    assert healthy.float_layers == ()
    # The spoilt tensor is what conv0 gives and conv1 takes: 256 steps of a channel 4096 times as large.
    spoilt = quantise(chain(spoil=4096.0), crops, limit=0.99, method="minmax")
    assert spoilt.report.min_cosine_all < 0.99
    assert "conv1" in spoilt.float_layers
    assert "conv2" not in spoilt.float_layers
    assert cosines(OnnxBackend(spoilt.bytes).embed(crops), OnnxBackend(chain()).embed(crops)).min() > 0.99


@pytest.mark.parametrize("method", ["minmax", "percentile", "entropy"])
@pytest.mark.parametrize("form", [{}, {"opset": 12}, {"fixed": 4}], ids=str)
def test_every_method_takes_graphs_of_others_and_prints_nothing(
    method: Any, form: dict[str, int], capfd: pytest.CaptureFixture[str]
) -> None:
    crops = soft_crops(40, 64, 32)
    made = quantise(chain(**form), crops, limit=0.9, method=method)
    fresh = soft_crops(6, 64, 32, seed=1)
    assert cosines(OnnxBackend(made.bytes).embed(fresh), OnnxBackend(chain()).embed(fresh)).min() > 0.95
    assert (made.report.num_calibration, made.report.num_held_out) == (30, 10)
    assert Graph(made.bytes).is_int8("conv2")
    out, err = capfd.readouterr()
    assert out == ""
    assert err == ""


def test_without_crops_generated_ones_are_taken_with_a_warning() -> None:
    with pytest.warns(OmniReIDWarning, match="generated crops"):
        made = quantise(chain(), None, limit=0.5)
    assert made.report.num_calibration == 64


def test_what_cannot_be_quantised_is_refused(
    exported: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from onnx import TensorProto, helper

    crops = soft_crops(40, 64, 32)
    with pytest.raises(InputError, match=r"limit.*1\.0"):
        quantise(chain(), crops, limit=1.0)
    with pytest.raises(InputError, match="at least 32, got 31"):
        quantise(chain(), crops[:31])
    with pytest.raises(ShapeError):
        quantise(chain(), crops[:, :32])
    with pytest.raises(UnknownNameError, match="did you mean 'minmax'"):
        quantise(chain(), crops, method="minmx")  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="not a whole ONNX model"):
        quantise(b"<html>", crops)
    with pytest.raises(WeightsError, match="not one layer can be quantised"):
        quantise(chain(), crops, limit=1 - 1e-12)
    pool = helper.make_graph(
        [
            helper.make_node("Cast", ["images"], ["pixels"], to=TensorProto.FLOAT),
            helper.make_node("GlobalAveragePool", ["pixels"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["embedding"]),
        ],
        "pool",
        [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", 3, 64, 32])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 3])],
    )
    model = helper.make_model(pool, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(WeightsError, match="no convolution"):
        quantise(model.SerializeToString(), crops)
    content = chain()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"omnireid\[train\]"):
        quantise(content, crops)
