"""Half precision inside an ONNX graph whose input and outputs stay as they are."""

from __future__ import annotations

import numpy as np

from omnireid.core.errors import MissingExtraError, WeightsError

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise MissingExtraError("export to ONNX", "train") from error

# What computes well in half precision. Everything else stays in float32: pools over whole maps and instance
# norms, which sum thousands of values, the last layer, the L2 norm, and the normalisation of the crops,
# which needs more than eleven bits.
_HALF = frozenset(
    {"Conv", "Relu", "MaxPool", "AveragePool", "Sigmoid", "Add", "Mul", "Sum", "Concat", "Split", "Slice"}
)


def halve(content: bytes) -> bytes:
    """Convert an exported graph to fp16.

    Convolutions and what lies between them take and give float16, their weights are stored so; casts
    stand where precision changes.

    Args:
        content: a graph by `onnx_graph`.

    Raises:
        WeightsError: a weight is too large for float16.
    """
    model = onnx.load_from_string(content)
    graph = model.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    kinds = _element_types(model)
    produced: dict[str, int] = {}  # tensors that are float16 now
    cast_to: dict[tuple[str, int], str] = {}
    nodes: list[onnx.NodeProto] = []
    halved: dict[str, onnx.TensorProto] = {}
    between = _after_first_convolution(graph)

    def as_type(name: str, wanted: int) -> str:
        if wanted == TensorProto.FLOAT16 and name in weights:
            halved[f"{name}_half"] = _half_tensor(weights[name], f"{name}_half")
            return f"{name}_half"
        if produced.get(name, TensorProto.FLOAT) == wanted:
            return name
        if (name, wanted) not in cast_to:
            cast_to[name, wanted] = f"{name}_{'half' if wanted == TensorProto.FLOAT16 else 'float'}"
            nodes.append(helper.make_node("Cast", [name], [cast_to[name, wanted]], to=wanted))
        return cast_to[name, wanted]

    for node in graph.node:
        is_half = node.op_type in _HALF and node.output[0] in between
        wanted = TensorProto.FLOAT16 if is_half else TensorProto.FLOAT
        for index, name in enumerate(node.input):
            if kinds.get(name) == TensorProto.FLOAT:
                node.input[index] = as_type(name, wanted)
        nodes.append(node)
        for index, name in enumerate(node.output):
            if is_half and kinds.get(name) == TensorProto.FLOAT:
                produced[name] = TensorProto.FLOAT16
                if name in {output.name for output in graph.output}:
                    # An output keeps its name and type; the half tensor gets another one.
                    node.output[index] = f"{name}_in_half"
                    nodes.append(helper.make_node("Cast", [node.output[index]], [name], to=TensorProto.FLOAT))
                    produced[name] = TensorProto.FLOAT
    del graph.node[:]
    graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in (*graph.initializer, *halved.values()) if tensor.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    del graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())


def _element_types(model: onnx.ModelProto) -> dict[str, int]:
    graph = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    kinds = {value.name: value.type.tensor_type.elem_type for value in values}
    return kinds | {tensor.name: tensor.data_type for tensor in graph.initializer}


def _after_first_convolution(graph: onnx.GraphProto) -> set[str]:
    """Tensors that depend on a convolution: what comes before is the normalisation of the crops."""
    reached: set[str] = set()
    for node in graph.node:
        if node.op_type == "Conv" or reached.intersection(node.input):
            reached.update(node.output)
    return reached


def _half_tensor(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    values = numpy_helper.to_array(tensor)
    if np.abs(values).max(initial=0) > np.finfo(np.float16).max:
        raise WeightsError(f"{tensor.name}: a weight of {np.abs(values).max():.3g} is too large for fp16")
    return numpy_helper.from_array(values.astype(np.float16), name)
