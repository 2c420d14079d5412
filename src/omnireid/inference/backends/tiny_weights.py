"""Zeroing weights that are too small to matter and slow the processor down.

Weight decay drives dead channels of trained networks to values such as 1e-39. Processors compute with those
subnormal numbers, and with products of small numbers that become subnormal, many times slower: the published
OSNet x0.25 of MSMT17 runs 4 to 5 times faster on a CPU without them. Normalisation cannot bring them back,
because its epsilon (1e-5) limits the gain of a layer to a few hundred.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from omnireid.core.protobuf import NotProtobufError, fields

TINY = 1e-20

# Field numbers of ONNX's protobuf messages (onnx.proto).
_MODEL_GRAPH = 7
_GRAPH_INITIALIZER = 5
_TENSOR_DTYPE, _TENSOR_FLOATS, _TENSOR_RAW = 2, 4, 9
_FLOAT = 1


def zero_tiny_weights(model: bytes) -> bytes:
    """A copy of an ONNX model whose float32 weights below 1e-20 in size are zero.

    The weights are changed where they stand, so that this needs no ONNX package. What is not a whole
    ONNX model comes back as it is; whoever opens it reports that.
    """
    patched = bytearray(model)
    try:
        places = list(_float32_weights(model))
    except NotProtobufError:
        return model
    for start, stop in places:
        weights = np.frombuffer(patched, "<f4", (stop - start) // 4, start)
        weights[np.abs(weights) < TINY] = 0
    return bytes(patched)


def _float32_weights(model: bytes) -> Iterator[tuple[int, int]]:
    """Start and end of the content of every float32 initialiser."""
    for number, _, start, stop in fields(model, 0, len(model)):
        if number == _MODEL_GRAPH:
            for inner, _, tensor_start, tensor_stop in fields(model, start, stop):
                if inner == _GRAPH_INITIALIZER:
                    yield from _float32_content(model, tensor_start, tensor_stop)


def _float32_content(model: bytes, start: int, stop: int) -> Iterator[tuple[int, int]]:
    contents = list(fields(model, start, stop))
    dtypes = [value for number, value, _, _ in contents if number == _TENSOR_DTYPE]
    if dtypes == [_FLOAT]:
        yield from (
            (begin, end)
            for number, _, begin, end in contents
            if number in (_TENSOR_RAW, _TENSOR_FLOATS) and (end - begin) % 4 == 0
        )
