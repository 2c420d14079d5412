"""Walking protobuf messages field by field: ONNX files without the package `onnx`, manifests of tables."""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _EIGHT_BYTES, _LENGTH, _FOUR_BYTES = 0, 1, 2, 5


class NotProtobufError(Exception):
    """Bytes that are no whole protobuf message."""


def text_field(number: int, content: bytes) -> bytes:
    """A field of bytes, text or a message, as it stands in a file."""
    return _encoded(number << 3 | _LENGTH) + _encoded(len(content)) + content


def fields(data: bytes | memoryview, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
    """(field number, value of a varint, start, end of the content) of each field of one message.

    Raises:
        NotProtobufError: the bytes end inside a field, or are something else.
    """
    while start < stop:
        tag, start = _varint(data, start, stop)
        number, wire_type = tag >> 3, tag & 7
        value = 0
        if wire_type == _VARINT:
            value, end = _varint(data, start, stop)
        elif wire_type == _LENGTH:
            length, start = _varint(data, start, stop)
            end = start + length
        elif wire_type in (_EIGHT_BYTES, _FOUR_BYTES):
            end = start + (8 if wire_type == _EIGHT_BYTES else 4)
        else:
            raise NotProtobufError
        if end > stop:
            raise NotProtobufError
        yield number, value, start, end
        start = end


def _varint(data: bytes | memoryview, start: int, stop: int) -> tuple[int, int]:
    value, shift = 0, 0
    while start < stop and shift < 64:
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
        shift += 7
    raise NotProtobufError


def _encoded(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
