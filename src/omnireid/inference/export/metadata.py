"""What an exported file says of itself: its card, what it computes, and the hash of what it holds.

Every format keeps it in its own place, written and read here without the format's own tools: ONNX in
`metadata_props`, OpenVINO in `rt_info`, TorchScript in an extra file of the archive, TensorRT and ExecuTorch
behind the end of the program. What is hashed is the file without its metadata.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.sax.saxutils import quoteattr, unescape

from pydantic import ValidationError

from omnireid.core.card import ModelCard
from omnireid.core.closed import ClosedModel
from omnireid.core.errors import WeightsError
from omnireid.core.protobuf import NotProtobufError, fields, text_field
from omnireid.inference.backends.onnx_graph import CARD_KEY
from omnireid.inference.formats import FORMATS, TRAILER_MAGIC
from omnireid.inference.options import ExportPrecision

EXPORT_KEY = "omnireid.export"
"""Of ONNX; the card lies beside it under `omnireid.card`."""

_XML_ENTRY = re.compile(rb"<omnireid value=(\"[^\"]*\"|'[^']*') />")
_ARCHIVE_ENTRY = "extra/omnireid.json"
_ONNX_METADATA, _ONNX_KEY, _ONNX_VALUE = 14, 1, 2


class ExportMetadata(ClosedModel):
    """Metadata of one exported file.

    Attributes:
        card: card of the model, without hash: the hash of a file is not in the file.
        format, precision: as `omnireid export` takes them.
        normalised: whether the file gives L2-normalised embeddings.
        weights_sha256: hash of the weights it was made from, as in the header of their `.safetensors`.
        content_sha256: hash of the file without this metadata.
        max_batch: crops the file takes in one run; None where their number is free.
    """

    card: ModelCard
    format: str
    precision: ExportPrecision
    normalised: bool
    weights_sha256: str
    content_sha256: str
    max_batch: int | None = None


def attach(files: Mapping[str, bytes], metadata: ExportMetadata) -> dict[str, bytes]:
    """Put metadata into an exported model.

    Args:
        files: suffix → content; without metadata.
        metadata: its `content_sha256` is filled in here.

    Returns:
        The same files, the metadata in the one that carries the format's suffix.
    """
    metadata = metadata.model_copy(update={"content_sha256": _sha256(files)})
    suffix = FORMATS[metadata.format].suffix
    text = metadata.model_dump_json(exclude_none=True)
    content = files[suffix]
    if metadata.format == "onnx":
        rest = metadata.model_dump_json(exclude_none=True, exclude={"card"})
        content += _onnx_entry(CARD_KEY, metadata.card.to_json()) + _onnx_entry(EXPORT_KEY, rest)
    elif metadata.format == "openvino":
        entry = f"<omnireid value={quoteattr(text, {chr(10): '&#10;'})} />".encode()
        content = entry.join(_around_xml_entry(content))
    elif metadata.format == "torchscript":
        archive = io.BytesIO(content)
        with zipfile.ZipFile(archive, "a") as stream:
            folder = stream.namelist()[0].partition("/")[0]
            stream.writestr(zipfile.ZipInfo(f"{folder}/{_ARCHIVE_ENTRY}"), text)
        content = archive.getvalue()
    else:
        packed = text.encode()
        content += packed + len(packed).to_bytes(8, "little") + TRAILER_MAGIC
    return {**files, suffix: content}


def read_metadata(path: str | os.PathLike[str]) -> ExportMetadata | None:
    """Read an exported file's metadata and hold its content against the hash in it.

    Returns:
        None for a file without: safetensors, ONNX of others, or exported before there was such metadata.

    Raises:
        WeightsError: missing or damaged; metadata that cannot be used; a content of another hash.
    """
    file = Path(path)
    kind = next((kind for kind in FORMATS.values() if kind.suffix == file.suffix), None)
    if kind is None or kind.name == "safetensors":
        return None
    try:
        files = {file.suffix: file.read_bytes()}
        if kind.name == "openvino":
            files[".bin"] = file.with_suffix(".bin").read_bytes()
    except OSError as error:
        raise WeightsError(f"{error.filename or file}: {error.strerror or error}") from error
    bare, text = detach(files[kind.suffix], kind.name)
    if text is None:
        return None
    metadata = _parse(text, file)
    if metadata.format != kind.name:
        raise WeightsError(f"{file}: its metadata is of a file of format {metadata.format!r}")
    try:
        actual = _sha256({**files, kind.suffix: bare})
    except (zipfile.BadZipFile, EOFError) as error:
        raise WeightsError(f"{file}: damaged ({error}). Export it again") from error
    if actual != metadata.content_sha256:
        raise WeightsError(
            f"{file}: damaged or changed since it was exported: its content does not have the hash that its "
            "metadata states. Export it again"
        )
    return metadata


def detach(content: bytes, format_name: str) -> tuple[bytes, str | None]:
    """What `attach` was given for the main file, and the metadata as JSON, None where there is none.

    Of an archive the first is not its bytes but what `attach` hashed: its entries.
    """
    if format_name == "onnx":
        return _split_onnx(content)
    if format_name == "openvino":
        match = _XML_ENTRY.search(content)
        if match is None:
            return content, None
        value = match[1].decode()[1:-1]
        text = unescape(value, {"&quot;": '"', "&#10;": "\n"})
        return content[: match.start()] + content[match.end() :], text
    if format_name == "torchscript":
        return content, _archive_text(content)
    if not content.endswith(TRAILER_MAGIC):
        return content, None
    end = len(content) - len(TRAILER_MAGIC) - 8
    start = end - int.from_bytes(content[end : end + 8], "little")
    if start < 0:
        return content, None
    return content[:start], content[start:end].decode(errors="replace")


def _sha256(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for suffix in sorted(files):
        parts = _archive_parts(files[suffix]) if suffix == ".torchscript" else [files[suffix]]
        for part in parts:
            digest.update(len(part).to_bytes(8, "little"))
            digest.update(part)
    return digest.hexdigest()


def _parse(text: str, file: Path) -> ExportMetadata:
    try:
        return ExportMetadata.model_validate(json.loads(text))
    except (ValidationError, json.JSONDecodeError) as error:
        raise WeightsError(f"{file}: its metadata cannot be used (another version?): {error}") from error


def _around_xml_entry(content: bytes) -> tuple[bytes, bytes]:
    """The XML before and after where the entry stands: in the model's own rt_info, which is the last one."""
    index = content.rfind(b"</rt_info>")
    if index < content.rfind(b"</edges>"):
        raise WeightsError("OpenVINO wrote a model without rt_info, where the metadata belongs")
    return content[:index], content[index:]


def _archive_text(content: bytes) -> str | None:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = [name for name in archive.namelist() if name.endswith(f"/{_ARCHIVE_ENTRY}")]
            return archive.read(names[0]).decode(errors="replace") if names else None
    except zipfile.BadZipFile:
        return None


def _archive_parts(content: bytes) -> Iterator[bytes]:
    """Name and content of every entry but the metadata, in order of the names."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in sorted(archive.namelist()):
            if not name.endswith(f"/{_ARCHIVE_ENTRY}"):
                yield name.encode()
                yield archive.read(name)


def _onnx_entry(key: str, value: str) -> bytes:
    pair = text_field(_ONNX_KEY, key.encode()) + text_field(_ONNX_VALUE, value.encode())
    return text_field(_ONNX_METADATA, pair)


def _split_onnx(content: bytes) -> tuple[bytes, str | None]:
    bare, entries, last = [], {}, 0
    try:
        for number, _, start, stop in fields(content, 0, len(content)):
            if number == _ONNX_METADATA:
                pair = {key: content[begin:end] for key, _, begin, end in fields(content, start, stop)}
                entries[pair.get(_ONNX_KEY, b"").decode()] = pair.get(_ONNX_VALUE, b"").decode()
            else:
                bare.append(content[last:stop])
            last = stop
    except (NotProtobufError, UnicodeDecodeError):
        return content, None  # ONNX Runtime says what is wrong with it
    if not {CARD_KEY, EXPORT_KEY} <= entries.keys():
        return content, None
    # A card or entry that is no JSON makes no JSON of the two, and is reported as such.
    opening, rest = entries[EXPORT_KEY][:1], entries[EXPORT_KEY][1:]
    return b"".join(bare), f'{opening}"card": {entries[CARD_KEY]}, {rest}'
