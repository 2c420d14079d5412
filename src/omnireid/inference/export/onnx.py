"""A network as an ONNX graph."""

from __future__ import annotations

import io
import warnings

from omnireid.core.card import InputSpec
from omnireid.core.errors import MissingExtraError
from omnireid.inference.backends.onnx_graph import EMBEDDING_OUTPUT, FEATURE_MAPS_OUTPUT
from omnireid.inference.backends.tiny_weights import zero_tiny_weights
from omnireid.inference.options import OPSET

try:
    import onnx
    import torch
    from torch import nn
except ImportError as error:
    raise MissingExtraError("export to ONNX", "train") from error


def onnx_graph(deployed: nn.Module, spec: InputSpec, *, opset: int = OPSET) -> bytes:
    """Write a deployed network as an ONNX model, without metadata.

    Input `images`, (N, H, W, 3) uint8 with N free; outputs `embedding` and `feature_maps`. Batch norms that
    follow a convolution are folded, and weights below 1e-20 are zero.

    Args:
        deployed: the network on the CPU, in evaluation mode; gives (embedding, feature maps).
        spec: size of the crops.
        opset: version of ONNX, at least 17.
    """
    outputs = [EMBEDDING_OUTPUT, FEATURE_MAPS_OUTPUT]
    example = torch.zeros(2, spec.height, spec.width, 3, dtype=torch.uint8)
    content = io.BytesIO()
    with warnings.catch_warnings():
        # torch marks this exporter as old. The new one needs two more packages and writes to the log.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            deployed,
            (example,),
            content,  # type: ignore[arg-type]  # a stream works, and nothing is on disk before the gate
            dynamo=False,
            opset_version=opset,
            input_names=["images"],
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in ("images", *outputs)},
        )
    model = onnx.load_from_string(content.getvalue())
    _name_global_pools(model.graph)
    model.producer_name = "omnireid"
    onnx.checker.check_model(model, full_check=True)
    return zero_tiny_weights(model.SerializeToString())


def _name_global_pools(graph: onnx.GraphProto) -> None:
    """Write each mean over height and width as the global average pool that it is.

    ONNX Runtime keeps its blocked memory layout through a pool, not through a general mean.
    """
    nodes = []
    for node in graph.node:
        attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        if node.op_type != "ReduceMean" or attributes.get("axes") != [2, 3]:
            nodes.append(node)
        elif attributes.get("keepdims", 1):
            nodes.append(onnx.helper.make_node("GlobalAveragePool", node.input, node.output, name=node.name))
        else:
            pooled = f"{node.output[0]}_pooled"
            nodes.append(onnx.helper.make_node("GlobalAveragePool", node.input, [pooled], name=node.name))
            nodes.append(onnx.helper.make_node("Flatten", [pooled], node.output, name=f"{node.name}_flat"))
    del graph.node[:]
    graph.node.extend(nodes)
