"""An OSNet read from the shape of an ONNX graph: what feeds what, never what anything is called.

The walk follows the tensors from the input to the embedding and takes each layer's weights as it passes.
Batch norms may stand in the graph or be folded into the convolutions before them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32, Float64
from omnireid.core.errors import MissingExtraError, WeightsError

try:
    import onnx
except ImportError as error:
    raise MissingExtraError("reading an ONNX graph", "train") from error

Array = Float32

_POOLS = ("GlobalAveragePool", "ReduceMean")
_RESHAPES = ("Flatten", "Reshape", "Squeeze")


@dataclass(frozen=True)
class FoundNorm:
    """A batch norm with `mean` and `variance` (C,), or an instance norm without."""

    scale: Array
    shift: Array
    epsilon: float
    mean: Array | None = None
    variance: Array | None = None


@dataclass(frozen=True)
class FoundLayer:
    """A convolution or product, and the norm behind it. Without a norm the bias may be a folded one's.

    A bias that the graph does not have is zero.
    """

    weight: Array
    bias: Array
    norm: FoundNorm | None


FoundStream = tuple[tuple[FoundLayer, FoundLayer], ...]
"""The Lite 3×3 layers of a stream: 1×1, and depthwise."""


@dataclass(frozen=True)
class FoundGate:
    """The two 1×1 convolutions of the gate, whichever stream it was read from."""

    reduce: FoundLayer
    restore: FoundLayer


@dataclass(frozen=True)
class FoundBlock:
    """An omni-scale block, its shallowest stream first."""

    reduce: FoundLayer
    streams: tuple[FoundStream, ...]
    gate: FoundGate
    restore: FoundLayer
    shortcut: FoundLayer | None
    after: FoundNorm | None

    @property
    def placement(self) -> str:
        if self.after is not None:
            return "after"
        return "inside" if is_instance_norm(self.restore.norm) else "none"


@dataclass(frozen=True)
class FoundNetwork:
    """Everything between the pictures and the embedding.

    Attributes:
        scale, shift: (3,) that the graph applies to its input before the stem; None where it takes normalised
            pictures.
        embedding: name of the tensor that holds it, (N, D), before anything that follows.
    """

    scale: Float64 | None
    shift: Float64 | None
    stem: FoundLayer
    stages: tuple[tuple[FoundBlock, ...], ...]
    transitions: tuple[FoundLayer, ...]
    head: FoundLayer
    fc: FoundLayer
    embedding: str


def is_instance_norm(norm: FoundNorm | None) -> bool:
    return norm is not None and norm.mean is None


def walk(graph: onnx.GraphProto, source: str) -> FoundNetwork:
    """Read an OSNet from a graph.

    Args:
        graph: the graph, with its weights loaded.
        source: what to call it in messages, e.g. the file.

    Raises:
        WeightsError: the graph is not that of an OSNet; names the first thing that is not as it should be.
    """
    return _Walk(graph, source).network()


class _Walk:
    def __init__(self, graph: onnx.GraphProto, source: str) -> None:
        self._source = source
        self._constants = {tensor.name: tensor for tensor in graph.initializer}
        self._aliases: dict[str, str] = {}
        self._consumers: dict[str, list[onnx.NodeProto]] = defaultdict(list)
        self._producers: dict[str, onnx.NodeProto] = {}
        inputs = [value.name for value in graph.input if value.name not in self._constants]
        if len(inputs) != 1:
            self._foreign(f"expected one input, found {len(inputs)}: {', '.join(inputs)}")
        self._input = inputs[0]
        for node in graph.node:
            self._add(node)

    def _add(self, node: onnx.NodeProto) -> None:
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    self._constants[node.output[0]] = attribute.t
            return
        passed_on = self._passed_on(node)
        if passed_on is not None:
            self._aliases[node.output[0]] = self._name(passed_on)
            return
        for name in node.output:
            self._producers[name] = node
        # A tensor's shape feeds reshapes only.
        if node.op_type != "Shape":
            for name in dict.fromkeys(map(self._name, node.input)):
                self._consumers[name].append(node)

    def _passed_on(self, node: onnx.NodeProto) -> str | None:
        """The input that a node gives on as it is."""
        if node.op_type in ("Identity", "Dropout"):
            return str(node.input[0])
        if node.op_type == "Mul":
            # torch writes its multiply-add with a factor of one.
            first, second = node.input
            for factor, other in ((first, second), (second, first)):
                if self._is_constant(factor) and np.all(self._array(factor) == 1):
                    return str(other)
        return None

    def network(self) -> FoundNetwork:
        scale, shift, stem_node = self._preprocessing()
        stem, tensor = self._layer(stem_node, size=7, stride=2)
        tensor = self._follow(self._follow(tensor, "Relu"), "MaxPool")
        stages: list[tuple[FoundBlock, ...]] = []
        transitions: list[FoundLayer] = []
        while True:
            blocks: list[FoundBlock] = []
            while len(self._after(tensor)) == 2:
                block, tensor = self._block(tensor)
                blocks.append(block)
            stages.append(tuple(blocks))
            layer, tensor = self._layer(self._only(tensor, "Conv"), size=1)
            tensor = self._follow(tensor, "Relu")
            if self._only(tensor).op_type != "AveragePool":
                break
            transitions.append(layer)
            tensor = self._follow(tensor, "AveragePool")
        fc, embedding = self._fc(self._follow(tensor, *_POOLS))
        return FoundNetwork(scale, shift, stem, tuple(stages), tuple(transitions), layer, fc, embedding)

    def _preprocessing(self) -> tuple[Any, Any, onnx.NodeProto]:
        """What the graph does to every channel of the input, and the stem's node."""
        scale, shift = np.ones(3), np.zeros(3)
        first = node = self._only(self._input)
        while node.op_type != "Conv":
            if node.op_type in ("Mul", "Div", "Add", "Sub"):
                constant = self._per_channel(node)
                if node.op_type in ("Mul", "Div"):
                    factor = constant if node.op_type == "Mul" else 1 / constant
                    scale, shift = scale * factor, shift * factor
                else:
                    shift = shift + (constant if node.op_type == "Add" else -constant)
            elif node.op_type not in ("Cast", "Transpose"):
                self._foreign(f"{_described(node)} between the input and the first convolution")
            node = self._only(node.output[0])
        return (None, None, node) if node is first else (scale, shift, node)

    def _per_channel(self, node: onnx.NodeProto) -> Float64:
        constants = [name for name in node.input if self._is_constant(name)]
        in_place = len(constants) == 1 and (node.op_type in ("Mul", "Add") or constants[0] == node.input[1])
        values = self._array(constants[0]).astype(np.float64).reshape(-1) if in_place else np.zeros(0)
        if values.size not in (1, 3):
            self._foreign(
                f"{_described(node)} before the first convolution: expected a value for each channel"
            )
        return np.broadcast_to(values, 3)

    def _block(self, start: str) -> tuple[FoundBlock, str]:
        reduce, reduced, shortcut, beside = self._entrance(start)
        streams = [self._stream(node) for node in self._after(reduced)]
        ordered = sorted(streams, key=lambda stream: len(stream[0]))
        gates = [gate for _, gate, _ in ordered]
        if not all(_same_weights(gates[0], gate) for gate in gates):
            self._foreign(f"the streams after {reduced!r} have gates of their own instead of a shared one")
        gated = {tensor for _, _, tensor in ordered}
        total = next(iter(gated))
        while self._only(total).op_type in ("Add", "Sum"):
            total = self._only(total).output[0]
        if self._summands(total) != gated:
            self._foreign(f"{total!r} is not the sum of the gated streams after {reduced!r}")
        restore, tensor = self._layer(self._only(total, "Conv"), size=1)
        addition = self._only(tensor, "Add")
        if {self._name(name) for name in addition.input} != {tensor, beside}:
            self._foreign(f"{_described(addition)} does not add the shortcut of its block")
        tensor = addition.output[0]
        after, tensor = self._norm(tensor)
        if after is not None and not is_instance_norm(after):
            self._foreign(f"a batch norm after the addition {_described(addition)}")
        layers = tuple(layers for layers, _, _ in ordered)
        block = FoundBlock(reduce, layers, gates[0], restore, shortcut, after)
        return block, self._follow(tensor, "Relu")

    def _entrance(self, start: str) -> tuple[FoundLayer, str, FoundLayer | None, str]:
        """The 1×1 that reduces and what it gives; the shortcut and what that gives."""
        entrance = shortcut = None
        beside = self._name(start)
        for node in self._after(start):
            if node.op_type == "Conv":
                layer, end = self._layer(node, size=1)
                if self._only(end).op_type == "Relu":
                    entrance = layer, self._follow(end, "Relu")
                else:
                    shortcut, beside = layer, end
        if entrance is None:
            self._foreign(f"no 1×1 convolution with ReLU at the start of a block, after {start!r}")
        return *entrance, shortcut, beside

    def _stream(self, node: onnx.NodeProto) -> tuple[FoundStream, FoundGate, str]:
        """Layers, gate, and the tensor of the gated stream."""
        layers = []
        while True:
            pointwise, tensor = self._layer(self._checked(node, "Conv"), size=1)
            if pointwise.norm is not None or pointwise.bias.any():
                self._foreign(f"{_described(node)}: the 1×1 of a Lite 3×3 has neither norm nor bias")
            depthwise, tensor = self._layer(self._only(tensor, "Conv"), size=3, depthwise=True)
            tensor = self._follow(tensor, "Relu")
            layers.append((pointwise, depthwise))
            following = self._after(tensor)
            if len(following) != 1:
                break
            node = following[0]
        pools = [item for item in following if item.op_type in _POOLS]
        if len(pools) != 1 or len(following) != 2:
            listed = ", ".join(map(_described, following))
            self._foreign(f"expected a gate after {tensor!r}, found {listed or 'nothing'}")
        reduce, means = self._layer(self._only(pools[0].output[0], "Conv"), size=1)
        restore, logits = self._layer(self._only(self._follow(means, "Relu"), "Conv"), size=1)
        product = self._only(self._follow(logits, "Sigmoid"), "Mul")
        if tensor not in map(self._name, product.input):
            self._foreign(f"{_described(product)} does not weigh the stream that its gate was made of")
        return tuple(layers), FoundGate(reduce, restore), product.output[0]

    def _summands(self, tensor: str) -> set[str]:
        node = self._producers.get(tensor)
        if node is None or node.op_type not in ("Add", "Sum"):
            return {tensor}
        return {leaf for name in node.input for leaf in self._summands(self._name(name))}

    def _fc(self, tensor: str) -> tuple[FoundLayer, str]:
        node = self._only(tensor)
        while node.op_type in _RESHAPES:
            node = self._only(node.output[0])
        if node.op_type == "Conv":
            layer, tensor = self._layer(node, size=1)
            weight, bias = layer.weight[:, :, 0, 0], layer.bias
            norm = layer.norm
        else:
            weight, bias, tensor = self._product(node)
            norm, tensor = self._norm(tensor)
        tensor = self._follow(tensor, "Relu")
        while self._after(tensor) and self._after(tensor)[0].op_type in _RESHAPES:
            tensor = self._only(tensor).output[0]
        return FoundLayer(weight, bias, norm), tensor

    def _product(self, node: onnx.NodeProto) -> tuple[Array, Array, str]:
        if node.op_type == "MatMul":
            weight, tensor = np.ascontiguousarray(self._weights(node.input[1]).T), node.output[0]
            bias = np.zeros(len(weight), np.float32)
            following = self._after(tensor)
            if len(following) == 1 and following[0].op_type == "Add":
                bias = self._weights(next(name for name in following[0].input if self._is_constant(name)))
                tensor = following[0].output[0]
            return weight, bias, tensor
        attributes = _attributes(self._checked(node, "Gemm"))
        if (attributes.get("alpha", 1.0), attributes.get("beta", 1.0)) != (1.0, 1.0):
            self._foreign(f"{_described(node)} with factors")
        weight = self._weights(node.input[1])
        if not attributes.get("transB"):
            weight = np.ascontiguousarray(weight.T)
        return weight, self._bias(node, len(weight)), node.output[0]

    def _layer(
        self, node: onnx.NodeProto, *, size: int, stride: int = 1, depthwise: bool = False
    ) -> tuple[FoundLayer, str]:
        """A convolution of the stated form with the norm behind it, and the tensor that they give."""
        weight = self._weights(self._checked(node, "Conv").input[1])
        attributes = _attributes(node)
        form = (
            weight.shape[2:],
            tuple(attributes.get("strides", (1, 1))),
            tuple(attributes.get("pads", (0, 0, 0, 0))),
            attributes.get("group", 1),
            set(attributes.get("dilations", (1, 1))),
        )
        if form != ((size,) * 2, (stride,) * 2, (size // 2,) * 4, len(weight) if depthwise else 1, {1}):
            wanted = f"{'depthwise ' if depthwise else ''}{size}×{size} of stride {stride}"
            self._foreign(
                f"{_described(node)} has kernel {form[0]}, strides {form[1]}, pads {form[2]}, {form[3]} "
                f"groups, where a {wanted} should be"
            )
        bias = self._bias(node, len(weight))
        norm, tensor = self._norm(node.output[0])
        return FoundLayer(weight, bias, norm), tensor

    def _bias(self, node: onnx.NodeProto, outputs: int) -> Array:
        if len(node.input) < 3 or not node.input[2]:
            return np.zeros(outputs, np.float32)
        return self._weights(node.input[2])

    def _norm(self, tensor: str) -> tuple[FoundNorm | None, str]:
        following = self._after(tensor)
        kinds = ("BatchNormalization", "InstanceNormalization")
        if len(following) != 1 or following[0].op_type not in kinds:
            return None, tensor
        node = following[0]
        values = [self._weights(name) for name in node.input[1:]]
        epsilon = float(_attributes(node).get("epsilon", 1e-5))
        statistics = values[2:] if node.op_type == "BatchNormalization" else [None, None]
        return FoundNorm(values[0], values[1], epsilon, *statistics), node.output[0]

    def _name(self, tensor: str) -> str:
        return self._aliases.get(tensor, tensor)

    def _after(self, tensor: str) -> list[onnx.NodeProto]:
        return self._consumers[self._name(tensor)]

    def _only(self, tensor: str, *kinds: str) -> onnx.NodeProto:
        """The one node that takes a tensor."""
        following = self._after(tensor)
        if len(following) != 1:
            listed = ", ".join(map(_described, following)) or "nothing"
            self._foreign(
                f"expected {' or '.join(kinds) or 'one operation'} after {tensor!r}, found {listed}"
            )
        return self._checked(following[0], *kinds)

    def _checked(self, node: onnx.NodeProto, *kinds: str) -> onnx.NodeProto:
        if kinds and node.op_type not in kinds:
            self._foreign(f"expected {' or '.join(kinds)}, found {_described(node)}")
        return node

    def _follow(self, tensor: str, *kinds: str) -> str:
        return str(self._only(tensor, *kinds).output[0])

    def _is_constant(self, name: str) -> bool:
        return self._name(name) in self._constants

    def _array(self, name: str) -> npt.NDArray[Any]:
        return onnx.numpy_helper.to_array(self._constants[self._name(name)])

    def _weights(self, name: str) -> Array:
        if not self._is_constant(name):
            self._foreign(f"{name!r} is computed where constant weights should be")
        values = self._array(name)
        if values.dtype not in (np.float32, np.float64):
            raise WeightsError(
                f"{self._source}: {name!r} holds {values.dtype} weights; import the float32 file that this "
                "one was made from"
            )
        if not np.isfinite(values).all():
            raise WeightsError(f"{self._source}: damaged: {name!r} holds NaN or infinity")
        return values.astype(np.float32)

    def _foreign(self, what: str) -> NoReturn:
        raise WeightsError(f"{self._source}: not the graph of an OSNet: {what}")


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}


def _described(node: onnx.NodeProto) -> str:
    return f"{node.op_type} {node.name!r}" if node.name else f"{node.op_type} of {node.output[0]!r}"


def _same_weights(first: FoundGate, second: FoundGate) -> bool:
    return all(
        np.array_equal(ours.weight, theirs.weight) and np.array_equal(ours.bias, theirs.bias)
        for ours, theirs in ((first.reduce, second.reduce), (first.restore, second.restore))
    )
