"""What a graph takes and gives, read from an open session or from the file's structure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from omnireid.core.card import InputSpec
from omnireid.core.errors import WeightsError
from omnireid.core.images import normalise
from omnireid.inference.backends.colours import BYTES, FLOATS, Pictures
from omnireid.inference.backends.protocol import Crops

CARD_KEY = "omnireid.card"
EMBEDDING_OUTPUT = "embedding"
FEATURE_MAPS_OUTPUT = "feature_maps"

_DTYPES: dict[str, type[np.generic]] = {
    "tensor(uint8)": np.uint8,
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
}
# torch's exporters write the pool as a mean over height and width.
_GLOBAL_POOLS = ("GlobalAveragePool", "ReduceMean")


class Node(Protocol):
    """An input or output of a graph, as ONNX Runtime's sessions list them; an unknown size is a name."""

    @property
    def name(self) -> str: ...

    @property
    def type(self) -> str: ...

    @property
    def shape(self) -> Sequence[int | str | None]: ...


@dataclass(frozen=True, slots=True)
class GraphInput:
    """The one input of a graph. A `None` is a dimension that may vary."""

    name: str
    dtype: type[np.generic]
    layout: Literal["NCHW", "NHWC"]
    batch: int | None
    height: int | None
    width: int | None
    pictures: Pictures

    def prepare(self, crops: Crops, spec: InputSpec) -> npt.NDArray[Any]:
        """(N, H, W, 3) uint8 → what the graph takes, contiguous; normalised unless it does that itself."""
        if self.pictures.order == "BGR":
            crops = crops[..., ::-1]
        if self.pictures.white is None:
            if self.pictures.order == "BGR":
                spec = spec.model_copy(update={"mean": spec.mean[::-1], "std": spec.std[::-1]})
            channels_first = normalise(crops, spec)
            fed: npt.NDArray[Any] = (
                channels_first if self.layout == "NCHW" else channels_first.transpose(0, 2, 3, 1)
            )
        else:
            fed = crops if self.layout == "NHWC" else crops.transpose(0, 3, 1, 2)
            if self.pictures.white == 1:
                fed = fed / np.float32(255)
        return np.ascontiguousarray(fed, dtype=self.dtype)


def read_input(inputs: Sequence[Node], label: str) -> GraphInput:
    """What the one input of a graph takes.

    Raises:
        WeightsError: several inputs, or one that takes no pictures; names shape and dtype.
    """
    listed = _listed(inputs)
    if len(inputs) != 1:
        raise WeightsError(f"{label}: expected a graph with one input, got {len(inputs)}: {listed}")
    node = inputs[0]
    if node.type not in _DTYPES:
        raise WeightsError(f"{label}: input {listed}: expected uint8, float32 or float16")
    if len(node.shape) != 4 or 3 not in (node.shape[1], node.shape[3]):
        raise WeightsError(f"{label}: input {listed}: expected shape (N, 3, H, W) or (N, H, W, 3)")
    sizes = [size if isinstance(size, int) else None for size in node.shape]
    pictures = BYTES if _DTYPES[node.type] is np.uint8 else FLOATS
    if sizes[1] == 3:
        return GraphInput(node.name, _DTYPES[node.type], "NCHW", sizes[0], sizes[2], sizes[3], pictures)
    return GraphInput(node.name, _DTYPES[node.type], "NHWC", sizes[0], sizes[1], sizes[2], pictures)


def find_embedding_output(outputs: Sequence[Node], label: str) -> str:
    """Name of the output that is the embedding.

    Raises:
        WeightsError: none of them, or several, could be it.
    """
    names = [node.name for node in outputs]
    if EMBEDDING_OUTPUT in names:
        return EMBEDDING_OUTPUT
    # (N, D), or (N, D, 1, 1) straight from a pool.
    vectors = [node.name for node in outputs if len(node.shape) == 2 or list(node.shape[2:]) == [1, 1]]
    if len(vectors) != 1:
        raise WeightsError(
            f"{label}: expected one output of shape (N, D), or one named {EMBEDDING_OUTPUT!r}; "
            f"got {_listed(outputs)}"
        )
    return str(vectors[0])


def expose_feature_maps(content: bytes, output: str) -> tuple[bytes, str] | None:
    """Make the tensor in front of the global average pool an output of the graph.

    Args:
        content: the model, with all its weights.
        output: name of the embedding.

    Returns:
        The changed model and the tensor's name; None where the package `onnx` is not installed or
        no global average pool lies between the convolutions and the embedding.
    """
    try:
        import onnx
    except ImportError:
        return None
    model = onnx.load_from_string(content)
    tensor = _before_global_pool(model.graph, output)
    if tensor is None:
        return None
    if tensor not in {node.name for node in model.graph.output}:
        model.graph.output.append(onnx.helper.make_empty_tensor_value_info(tensor))
    return model.SerializeToString(), tensor


def _before_global_pool(graph: Any, output: str) -> str | None:
    """Input of the global average pool nearest to `output`, going back node by node.

    Nearest, because OSNet's gates hold global average pools too, all of them further from the end.
    """
    producers = {name: node for node in graph.node for name in node.output}
    reached, frontier = {output}, [output]
    while frontier:
        before: list[str] = []
        for node in (producers[tensor] for tensor in frontier if tensor in producers):
            if node.op_type in _GLOBAL_POOLS:
                return str(node.input[0])
            before += [tensor for tensor in node.input if tensor and tensor not in reached]
        reached.update(before)
        frontier = before
    return None


def _listed(nodes: Sequence[Node]) -> str:
    return ", ".join(f"{node.name!r} {node.type} {list(node.shape)}" for node in nodes)
