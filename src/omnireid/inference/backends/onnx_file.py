"""ONNX files taken apart without the package `onnx`: weights kept beside the graph, and its first nodes."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path, PurePosixPath, PureWindowsPath

from omnireid.core.errors import WeightsError
from omnireid.core.protobuf import NotProtobufError, fields, text_field
from omnireid.inference.backends.colours import BEGINS_NETWORK
from omnireid.inference.backends.graph import read_model_file

# Field numbers of ONNX's messages (onnx.proto): which fields of a message hold which other messages.
_INSIDE = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_GRAPH, _NODE, _OUTPUT, _NAME = 7, 1, 12, 1
_NODE_INPUT, _NODE_OUTPUT, _NODE_TYPE = 1, 2, 4
_RAW, _BESIDE, _LOCATION = 9, 13, 14
_KEY, _VALUE = 1, 2
_IS_BESIDE = 1

# Type, inputs and outputs.
_Node = tuple[str, list[str], list[str]]

# ONNX Runtime takes no more in one piece, and protobuf knows none.
_LARGEST = 2**31 - 1


def read_onnx(source: str | os.PathLike[str] | bytes) -> tuple[bytes, str]:
    """An ONNX model in one piece, with the weights that its file keeps in others beside it.

    Returns:
        The model, and the hash of all it is made of: of the file, followed by the hashes of the others in
        the order in which the graph names them.

    Raises:
        WeightsError: missing or empty; weights beside it that are missing, cut off, or outside its folder.
    """
    content = source if isinstance(source, bytes) else read_model_file(source)
    beside = _Beside(None if isinstance(source, bytes) else Path(source))
    whole = None
    # The key of every entry that names a file; most models have none.
    if b"location" in content:
        # Of what is no whole model, whoever opens it says what is wrong.
        with contextlib.suppress(NotProtobufError, RecursionError):
            whole = _rebuilt(memoryview(content), "model", 0, len(content), beside.read)
    digest = hashlib.sha256(content)
    for part in beside.files.values():
        digest.update(hashlib.sha256(part).digest())
    return content if whole is None else whole, digest.hexdigest()


def first_nodes(content: bytes, input_name: str) -> tuple[bytes, str] | None:
    """The part of a graph in front of the network: what precedes the first of its layers.

    Returns:
        A model of these nodes alone, and the name of its output; None where there are none.
    """
    nodes = list(_nodes(content))
    made_by = {name: number for number, (_, _, outputs) in enumerate(nodes) for name in outputs}
    coloured = {input_name}
    # Quantisers put nodes behind those that need them.
    for number in _sorted(nodes, made_by):
        kind, inputs, outputs = nodes[number]
        taken = [name for name in inputs if name in coloured]
        if not taken or kind == "Shape":
            continue
        if BEGINS_NETWORK.search(kind):
            if taken[0] == input_name:
                return None
            return _beginning(content, _needed(taken[0], nodes, made_by), taken[0]), taken[0]
        coloured.update(outputs)
    return None


def _sorted(nodes: list[_Node], made_by: dict[str, int]) -> list[int]:
    """Numbers of nodes, each after those that make its inputs; none where there is no such order."""
    before = {
        number: [made_by[name] for name in inputs if name in made_by]
        for number, (_, inputs, _) in enumerate(nodes)
    }
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError:  # Whoever opens it says what is wrong.
        return []


def _needed(tensor: str, nodes: list[_Node], made_by: dict[str, int]) -> set[int]:
    """Numbers of the nodes that a tensor is made by."""
    needed: set[int] = set()
    names = [tensor]
    while names:
        number = made_by.get(names.pop())
        if number is not None and number not in needed:
            needed.add(number)
            names += nodes[number][1]
    return needed


class _Beside:
    """Files beside a model in which it keeps weights, each read once.

    Attributes:
        files: content by name, in the order in which they were asked for.
    """

    def __init__(self, model: Path | None) -> None:
        self._model = model
        self._room = _LARGEST
        self.files: dict[str, bytes] = {}

    def read(self, entry: dict[str, str]) -> bytes:
        """The weights of one tensor, as its entry says where they are."""
        name = entry.get("location", "")
        content = self._file(name)
        try:
            offset = int(entry.get("offset", 0))
            length = int(entry.get("length", len(content) - offset))
        except ValueError as error:
            raise WeightsError(f"{self._model}: damaged: weights in {name} at {entry}") from error
        if not 0 <= offset <= offset + length <= len(content):
            raise WeightsError(
                f"{self._model}: its weights lie in {name} beside it, which is cut off or of another model: "
                f"{len(content):,} bytes, and {offset + length:,} are needed"
            )
        return content[offset : offset + length]

    def _file(self, name: str) -> bytes:
        if name in self.files:
            return self.files[name]
        if self._model is None:
            raise WeightsError(f"an ONNX model given as bytes keeps weights in {name}; give its file instead")
        pure = PurePosixPath(name)
        if (
            not name
            or ".." in pure.parts
            or pure.is_absolute()
            or PureWindowsPath(name).anchor
            or "\\" in name
        ):
            raise WeightsError(f"{self._model}: refused: it keeps weights outside of its folder, in {name!r}")
        file = self._model.parent / name
        if not file.is_file():
            raise WeightsError(
                f"{self._model}: its weights lie in {name} beside it, and that file is missing"
            )
        content = read_model_file(file)
        self._room -= len(content)
        if self._room < 0:
            raise WeightsError(
                f"{self._model}: with {name} beside it larger than 2 GB, which cannot be opened"
            )
        self.files[name] = content
        return content


def _rebuilt(
    data: memoryview, kind: str, start: int, stop: int, read: Callable[[dict[str, str]], bytes]
) -> bytes | None:
    """A message with the weights in it that it kept elsewhere; None where it kept none."""
    if kind == "tensor":
        return _tensor_with_weights(data, start, stop, read)
    parts: list[bytes | memoryview] = []
    last, is_changed = start, False
    for number, _, begin, end in fields(data, start, stop):
        inner = _INSIDE[kind].get(number)
        rebuilt = None if inner is None else _rebuilt(data, inner, begin, end, read)
        parts.append(data[last:end] if rebuilt is None else text_field(number, rebuilt))
        is_changed |= rebuilt is not None
        last = end
    return b"".join(parts) if is_changed else None


def _tensor_with_weights(
    data: memoryview, start: int, stop: int, read: Callable[[dict[str, str]], bytes]
) -> bytes | None:
    parts: list[bytes | memoryview] = []
    entry: dict[str, str] = {}
    last, is_beside = start, False
    for number, value, begin, end in fields(data, start, stop):
        if number == _LOCATION:
            is_beside = value == _IS_BESIDE
        elif number == _BESIDE:
            pair = {key: _text(data, left, right) for key, _, left, right in fields(data, begin, end)}
            entry[pair.get(_KEY, "")] = pair.get(_VALUE, "")
        else:
            parts.append(data[last:end])
        last = end
    return b"".join([*parts, text_field(_RAW, read(entry))]) if is_beside else None


def operations(content: bytes) -> Counter[str]:
    """How many nodes of each type a graph has."""
    return Counter(kind for kind, _, _ in _nodes(content))


def _nodes(content: bytes) -> Iterator[_Node]:
    """Type, inputs and outputs of each node of the graph, in order."""
    for number, _, graph_start, graph_stop in fields(content, 0, len(content)):
        if number != _GRAPH:
            continue
        for field, _, start, stop in fields(content, graph_start, graph_stop):
            if field != _NODE:
                continue
            kind, inputs, outputs = "", [], []
            for part, _, begin, end in fields(content, start, stop):
                if part == _NODE_INPUT:
                    inputs.append(_text(content, begin, end))
                elif part == _NODE_OUTPUT:
                    outputs.append(_text(content, begin, end))
                elif part == _NODE_TYPE:
                    kind = _text(content, begin, end)
            yield kind, inputs, outputs


def _beginning(content: bytes, kept: set[int], output: str) -> bytes:
    """The model with some of its nodes only, and one output."""
    view = memoryview(content)
    parts: list[bytes | memoryview] = []
    last = 0
    for number, _, start, stop in fields(content, 0, len(content)):
        if number == _GRAPH:
            parts.append(text_field(_GRAPH, _graph_beginning(view, start, stop, kept, output)))
        else:
            parts.append(view[last:stop])
        last = stop
    return b"".join(parts)


def _graph_beginning(data: memoryview, start: int, stop: int, kept: set[int], output: str) -> bytes:
    parts: list[bytes | memoryview] = []
    last, node = start, 0
    for number, _, _, end in fields(data, start, stop):
        is_node = number == _NODE
        if number != _OUTPUT and (not is_node or node in kept):
            parts.append(data[last:end])
        last, node = end, node + is_node
    return b"".join([*parts, text_field(_OUTPUT, text_field(_NAME, output.encode()))])


def _text(data: bytes | memoryview, start: int, stop: int) -> str:
    return bytes(data[start:stop]).decode(errors="replace")
