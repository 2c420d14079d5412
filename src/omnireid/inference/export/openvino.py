"""A network as OpenVINO's intermediate representation: an `.xml` file and its weights in a `.bin` file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from omnireid.inference.backends.openvino import import_openvino


def openvino_model(graph: bytes, *, compress: bool) -> dict[str, bytes]:
    """Convert an ONNX model.

    Args:
        graph: the graph, made by `onnx_graph` or `quantise`.
        compress: store weights as fp16; they are computed with in the precision the engine chooses.

    Returns:
        `.xml` and `.bin`, without metadata.

    Raises:
        MissingExtraError: OpenVINO is not installed.
    """
    openvino = import_openvino("export to OpenVINO")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "graph.onnx"
        source.write_bytes(graph)
        model = openvino.convert_model(source)
        # The metadata's place in the file: without an entry of its own OpenVINO leaves it out.
        model.set_rt_info("omnireid", ["framework", "producer"])
        written = Path(folder) / "model.xml"
        openvino.save_model(model, written, compress_to_fp16=compress)
        return {".xml": written.read_bytes(), ".bin": written.with_suffix(".bin").read_bytes()}
