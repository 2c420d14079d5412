"""Kinds of model file: how each is named and recognised. Imports no torch."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from omnireid.core.errors import WeightsError

TRAILER_MAGIC = b"OmniReID"
"""Ends the formats that have no room for metadata of others (TensorRT, ExecuTorch)."""


@dataclass(frozen=True)
class FileFormat:
    """One kind of model file.

    Attributes:
        name: its name as `--format` takes it; "safetensors" is what export starts from.
        title: its name in messages.
        suffix: every file of this kind ends in it.
    """

    name: str
    title: str
    suffix: str


FORMATS = {
    kind.name: kind
    for kind in (
        FileFormat("safetensors", "safetensors weights", ".safetensors"),
        FileFormat("onnx", "an ONNX model", ".onnx"),
        FileFormat("openvino", "an OpenVINO model", ".xml"),
        FileFormat("torchscript", "a TorchScript module", ".torchscript"),
        FileFormat("tensorrt", "a TensorRT engine", ".engine"),
        FileFormat("executorch", "an ExecuTorch program", ".pte"),
    )
}


def identify(path: Path) -> FileFormat:
    """The kind of a model file, by its content, which must agree with its name.

    A file whose content is not recognised is what its name says: whoever opens it reports what is wrong.

    Raises:
        WeightsError: the content is of another kind than the name says, or neither is known.
    """
    named = next((kind for kind in FORMATS.values() if kind.suffix == path.suffix), None)
    held = _held(path)
    if held is not None and held != named:
        raise WeightsError(f"{path}: holds {held.title}; name it {path.stem}{held.suffix}")
    if named is None:
        known = ", ".join(kind.suffix for kind in FORMATS.values())
        raise WeightsError(f"{path}: not a model file; expected {known}")
    return named


def _held(path: Path) -> FileFormat | None:
    try:
        with path.open("rb") as stream:
            start = stream.read(64)
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - len(TRAILER_MAGIC)))
            end = stream.read()
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
    name = None
    if start.startswith(b"PK\x03\x04"):
        name = "torchscript" if _holds_code(path) else None
    elif start[4:6] == b"ET" and start[6:8].isdigit():
        name = "executorch"
    elif start.startswith((b"<?xml", b"<net")):
        name = "openvino"
    elif start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 1 << 32:
        name = "safetensors"
    elif end == TRAILER_MAGIC:
        name = "tensorrt"
    elif start.startswith(b"\x08") and start[1:2] < b"\x20" and start[2:3] in (b"\x12", b"\x3a"):
        # ONNX has no magic: its IR version, then the producer's name or the graph.
        name = "onnx"
    return None if name is None else FORMATS[name]


def _holds_code(path: Path) -> bool:
    """TorchScript and torch checkpoints are both zip archives; only the first holds code."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any("/code/" in name for name in archive.namelist())
    except zipfile.BadZipFile:
        return False
