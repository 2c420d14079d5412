"""Zeroing tiny weights inside an ONNX file, against the package `onnx` as the oracle."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnireid.inference.backends.tiny_weights import zero_tiny_weights

onnx = pytest.importorskip("onnx")

VALUES = np.array([1e-45, -1e-39, 9e-21, -9e-21, 1.1e-20, -1.1e-20, 0, -0.0, 1, np.inf, np.nan], np.float32)
CLEANED = np.array([0, 0, 0, 0, 1.1e-20, -1.1e-20, 0, 0, 1, np.inf, np.nan], np.float32)


def model_with(*initialisers) -> bytes:  # type: ignore[no-untyped-def]
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node(
                "Identity", ["x"], ["y"], name="a name that is longer than a varint of one byte" * 4
            )
        ],
        "graph",
        [helper.make_tensor_value_info("x", kind, [1])],
        [helper.make_tensor_value_info("y", kind, [1])],
        list(initialisers),
    )
    return helper.make_model(graph).SerializeToString()


def initialisers_of(content: bytes) -> dict[str, np.ndarray]:
    return {i.name: onnx.numpy_helper.to_array(i) for i in onnx.load_from_string(content).graph.initializer}


def test_only_tiny_float32_weights_change() -> None:
    doubles, integers = VALUES.astype(np.float64), np.array([1, 2], np.int64)
    before = model_with(
        onnx.numpy_helper.from_array(VALUES, "raw"),
        onnx.helper.make_tensor("listed", onnx.TensorProto.FLOAT, VALUES.shape, VALUES),
        onnx.numpy_helper.from_array(doubles, "doubles"),
        onnx.numpy_helper.from_array(integers, "integers"),
        onnx.numpy_helper.from_array(np.array(1e-30, np.float32), "scalar"),
    )
    after = zero_tiny_weights(before)
    assert len(after) == len(before)
    found = initialisers_of(after)
    np.testing.assert_array_equal(found["raw"], CLEANED)
    np.testing.assert_array_equal(found["listed"], CLEANED)
    np.testing.assert_array_equal(found["doubles"], doubles)
    np.testing.assert_array_equal(found["integers"], integers)
    assert found["scalar"] == 0
    # Nothing else in the file changed: with the old weights back, it is the old file.
    restored = onnx.load_from_string(after)
    for target, source in zip(
        restored.graph.initializer, onnx.load_from_string(before).graph.initializer, strict=True
    ):
        target.CopyFrom(source)
    assert restored.SerializeToString() == before


@given(st.binary(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_bytes_come_back_with_their_length(content: bytes) -> None:
    assert len(zero_tiny_weights(content)) == len(content)


@given(st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_a_cut_model_comes_back_with_its_length(length: int) -> None:
    whole = model_with(onnx.numpy_helper.from_array(VALUES, "raw"))
    assert len(zero_tiny_weights(whole[:length])) == min(length, len(whole))
