"""Items as Milvus keeps them: the fields of a collection, and rows to and from Arrow."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from omnireid.core.arrays import Float32
from omnireid.core.errors import InputError
from omnireid.gallery.items import MAX_ATTRIBUTES
from omnireid.gallery.lance.encoding import decode, encode, matrix
from omnireid.gallery.options import StoredPrecision
from omnireid.gallery.store import CollectionInfo, item_schema

VECTOR_TYPES: dict[StoredPrecision, str] = {
    "float32": "FLOAT_VECTOR",
    "float16": "FLOAT16_VECTOR",
    "int8": "INT8_VECTOR",
}
MAX_BYTES = 65_535
"""UTF-8 bytes of Milvus's longest text."""

# UTF-8 bytes. MAX_TEXT characters have at most four bytes each; JSON writes each as up to twelve.
_TEXTS = {
    "id": 64,
    "identity": 2048,
    "camera": 2048,
    "tracklet": 2048,
    "source": 16_384,
    "attributes": MAX_BYTES,
    "thumbnail": MAX_BYTES,
}
_TAG_BYTES = 2048 + 1 + 512 * 12 + 2
_OPTIONAL_TEXTS = ("identity", "tracklet")

# No search compares these, and a query node would hold them in memory; thumbnails are larger than embeddings.
_READ_FROM_DISK = ("source", "attributes", "thumbnail")


def collection_schema(client: Any, info: CollectionInfo) -> Any:
    """pymilvus's schema of a collection of items.

    None is an empty text (which neither an identity nor a tracklet can be) or an empty list; only a time
    has no value to spare.
    """
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    for name, longest in _TEXTS.items():
        on_disk = {"mmap_enabled": True} if name in _READ_FROM_DISK else {}
        schema.add_field(name, DataType.VARCHAR, max_length=longest, is_primary=name == "id", **on_disk)
    schema.add_field("time", DataType.DOUBLE, nullable=True)
    schema.add_field("box", DataType.ARRAY, element_type=DataType.FLOAT, max_capacity=4)
    schema.add_field("quality", DataType.FLOAT)
    schema.add_field(
        "tags",
        DataType.ARRAY,
        element_type=DataType.VARCHAR,
        max_capacity=MAX_ATTRIBUTES,
        max_length=_TAG_BYTES,
    )
    schema.add_field("enrolled", DataType.DOUBLE)
    schema.add_field("has_thumbnail", DataType.BOOL)
    schema.add_field("embedding", getattr(DataType, VECTOR_TYPES[info.precision]), dim=info.dim)
    return schema


def collection_info(name: str, description: Mapping[str, Any]) -> CollectionInfo:
    """What pymilvus's description of a collection says about its embeddings.

    Raises:
        InputError: an earlier version made it, with other fields.
    """
    if not any(field["name"] == "has_thumbnail" for field in description["fields"]):
        raise InputError(
            f"Milvus collection {description['collection_name']!r}: made by an earlier version of omnireid; "
            "back the gallery up with that version (omnireid gallery backup) and restore it into another name"
        )
    (field,) = (field for field in description["fields"] if field["name"] == "embedding")
    precisions = {kind: precision for precision, kind in VECTOR_TYPES.items()}
    return CollectionInfo(name, int(field["params"]["dim"]), precisions[field["type"].name])


def to_milvus(rows: pa.Table, precision: StoredPrecision) -> list[dict[str, Any]]:
    """Rows as `store.item_schema` into rows for pymilvus.

    Raises:
        InputError: the attributes of an item are longer than Milvus's longest text.
    """
    stored = encode(rows, precision)
    embeddings_ND = matrix(stored["embedding"])
    fields = {name: stored[name].to_pylist() for name in stored.column_names if name != "embedding"}
    for name in _OPTIONAL_TEXTS:
        fields[name] = [value or "" for value in fields[name]]
    fields["box"] = [value or [] for value in fields["box"]]
    fields["thumbnail"] = [base64.b64encode(value or b"").decode() for value in fields["thumbnail"]]
    for text in fields["attributes"]:
        if len(text.encode()) > MAX_BYTES:
            raise InputError(f"attributes: Milvus keeps {MAX_BYTES:,} bytes of JSON, got {len(text):,}")
    names = list(fields)
    return [
        {**dict(zip(names, values, strict=True)), "embedding": embedding}
        for *values, embedding in zip(*fields.values(), embeddings_ND, strict=True)
    ]


def from_milvus(hits: Iterable[Mapping[str, Any]], columns: Sequence[str], info: CollectionInfo) -> pa.Table:
    """Rows of pymilvus into a table of `columns` with the types of `store.item_schema`."""
    hits = list(hits)
    schema = item_schema(info.dim)
    arrays = []
    for column in columns:
        if column == "embedding":
            arrays.append(_embeddings([hit[column] for hit in hits], info))
            continue
        values = [hit[column] for hit in hits]
        if column in _OPTIONAL_TEXTS or column == "box":
            # `or` would lose a box of Milvus's own list type.
            values = [value if len(value) else None for value in values]
        elif column == "thumbnail":
            values = [base64.b64decode(value) if value else None for value in values]
        elif column == "tags":
            values = [list(value) for value in values]
        arrays.append(pa.array(values, schema.field(column).type))
    return decode(pa.table(arrays, schema=pa.schema([schema.field(column) for column in columns])))


def stored_embeddings(hits: Sequence[Mapping[str, Any]], info: CollectionInfo) -> np.ndarray:
    """(N, D) embeddings of rows of pymilvus, as they are stored."""
    dtype = np.dtype(info.precision)
    if not hits:
        return np.empty((0, info.dim), dtype)
    values = [hit["embedding"] for hit in hits]
    # Those that are not float32 come as bytes, from some servers in a list of one.
    if isinstance(values[0], list) and isinstance(values[0][0], bytes):
        values = [value[0] for value in values]
    if isinstance(values[0], bytes):
        return np.frombuffer(b"".join(values), dtype).reshape(-1, info.dim)
    return np.asarray(values, dtype)


def query_vector(query: Float32, precision: StoredPrecision) -> Any:
    """(D,) query as pymilvus takes it for a field of that type; its scale means nothing to the cosine."""
    if precision == "float32":
        return query.tolist()
    if precision == "float16":
        return query.astype(np.float16)
    return np.rint(query * (127 / np.abs(query).max())).astype(np.int8)


def row_bytes(columns: Sequence[str], dim: int) -> int:
    """About the most that a row of these columns takes on the wire."""
    return 1024 + (MAX_BYTES if "thumbnail" in columns else 0) + (4 * dim if "embedding" in columns else 0)


def _embeddings(values: list[Any], info: CollectionInfo) -> pa.Array:
    rows_ND = stored_embeddings([{"embedding": value} for value in values], info).astype(np.float32)
    if info.precision != "float32" and len(rows_ND):
        rows_ND /= np.linalg.norm(rows_ND, axis=1, keepdims=True)
    return pa.FixedSizeListArray.from_arrays(pa.array(rows_ND.reshape(-1)), info.dim)
