"""A network as a TensorRT engine, built on the GPU that will run it."""

from __future__ import annotations

from typing import Any

from omnireid.core.card import InputSpec
from omnireid.core.errors import MissingExtraError, WeightsError

MAX_BATCH = 256
"""Crops in one run; the engine is tuned for 32."""


def tensorrt_engine(graph: bytes, spec: InputSpec) -> bytes:
    """Build an engine from an ONNX model, without metadata.

    The network is strongly typed: the graph states the precision of every tensor (fp16 where `halve` put
    it, int8 between QuantizeLinear and DequantizeLinear), and TensorRT changes none. An engine runs only on
    the kind of GPU, and in the version of TensorRT, that it was built with.

    Args:
        graph: the graph, made by `onnx_graph`, `halve` or `quantise`.
        spec: size of the crops.

    Raises:
        MissingExtraError: TensorRT is not installed.
        WeightsError: no GPU, or TensorRT refuses the graph; says what it reported.
    """
    try:
        import tensorrt
    except ImportError as error:
        raise MissingExtraError("export to TensorRT", "tensorrt") from error
    logger = _Messages(tensorrt)
    builder = tensorrt.Builder(logger.sink)
    if builder is None:  # pragma: no cover (only on a machine whose driver cannot start)
        raise WeightsError(f"TensorRT could not start: {logger.text}. It needs an NVIDIA GPU and its driver")
    network = builder.create_network(1 << int(tensorrt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = tensorrt.OnnxParser(network, logger.sink)
    if not parser.parse(cast_first(graph)):
        reported = "; ".join(parser.get_error(index).desc() for index in range(parser.num_errors))
        raise WeightsError(f"TensorRT refuses the graph: {reported}")
    config = builder.create_builder_config()
    # Products of float32 stay float32: without this they are rounded to 10 bits.
    config.clear_flag(tensorrt.BuilderFlag.TF32)
    profile = builder.create_optimization_profile()
    shapes = [(batch, spec.height, spec.width, 3) for batch in (1, 32, MAX_BATCH)]
    profile.set_shape("images", *shapes)
    config.add_optimization_profile(profile)
    engine = builder.build_serialized_network(network, config)
    if engine is None:
        raise WeightsError(f"TensorRT could not build an engine: {logger.text}")
    return bytes(engine)


def cast_first(graph: bytes) -> bytes:
    """The same graph with the crops turned to floats before they are transposed.

    TensorRT takes uint8 as an input and casts it; no other layer may touch it.
    """
    import onnx

    model = onnx.load_from_string(graph)
    nodes = model.graph.node
    for transpose in [
        node for node in nodes if list(node.input) == ["images"] and node.op_type == "Transpose"
    ]:
        (cast,) = [node for node in nodes if list(node.input) == list(transpose.output)]
        between, last = transpose.output[0], cast.output[0]
        swapped = (
            onnx.helper.make_node("Cast", ["images"], [between], to=onnx.TensorProto.FLOAT),
            onnx.helper.make_node("Transpose", [between], [last], perm=[0, 3, 1, 2]),
        )
        transpose.CopyFrom(swapped[0])
        cast.CopyFrom(swapped[1])
    del model.graph.value_info[:]
    return bytes(model.SerializeToString())


class _Messages:
    """Keeps what TensorRT reports, for errors; nothing goes to stderr beside them."""

    def __init__(self, tensorrt: Any) -> None:
        self._reported: list[str] = []
        reported = self._reported
        failures = (tensorrt.ILogger.ERROR, tensorrt.ILogger.INTERNAL_ERROR)

        class Sink(tensorrt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                tensorrt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                if severity in failures:
                    reported.append(message)

        self.sink = Sink()

    @property
    def text(self) -> str:
        return "; ".join(self._reported) or "no reason given"
