"""Items as Milvus keeps them: the fields of a collection, and rows to and from Arrow."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from omnireid.core.arrays import Float32
from omnireid.core.errors import InputError
from omnireid.core.vectors import unit_rows
from omnireid.gallery.encoding import encode, matrix
from omnireid.gallery.items import FIELDS, MAX_ATTRIBUTES, ItemField, Kind
from omnireid.gallery.options import StoredPrecision
from omnireid.gallery.store import CollectionInfo, item_schema

VECTOR_TYPES: dict[StoredPrecision, str] = {
    "float32": "FLOAT_VECTOR",
    "float16": "FLOAT16_VECTOR",
    "int8": "INT8_VECTOR",
}
MAX_BYTES = 65_535
"""UTF-8 bytes of Milvus's longest text."""

# Characters have at most four bytes of UTF-8 each; JSON writes each as up to twelve.
_TAG_BYTES = 2048 + 1 + 512 * 12 + 2

# No search compares these, and a query node would hold them in memory; thumbnails are larger than embeddings.
_READ_FROM_DISK: frozenset[Kind] = frozenset({"text", "attributes", "picture"})
_FIELDS = {field.name: field for field in FIELDS if field.is_stored}


def collection_schema(client: Any, info: CollectionInfo) -> Any:
    """pymilvus's schema of a collection of items.

    None is an empty text (which no field that may be None can be) or an empty list; only a number has no
    value to spare.
    """
    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    for field in _FIELDS.values():
        schema.add_field(field.name, is_primary=field.name == "id", **field_type(field))
    from pymilvus import DataType

    schema.add_field(
        "tags",
        DataType.ARRAY,
        element_type=DataType.VARCHAR,
        max_capacity=MAX_ATTRIBUTES,
        max_length=_TAG_BYTES,
    )
    schema.add_field("embedding", getattr(DataType, VECTOR_TYPES[info.precision]), dim=info.dim)
    return schema


def field_type(field: ItemField) -> dict[str, Any]:
    """How Milvus keeps a field: the arguments of pymilvus's `add_field`."""
    from pymilvus import DataType

    on_disk = {"mmap_enabled": True} if field.kind in _READ_FROM_DISK else {}
    if field.kind in ("name", "text"):
        return {"datatype": DataType.VARCHAR, "max_length": 4 * field.longest, **on_disk}
    if field.kind in ("attributes", "picture"):
        return {"datatype": DataType.VARCHAR, "max_length": MAX_BYTES, **on_disk}
    if field.kind == "box":
        return {"datatype": DataType.ARRAY, "element_type": DataType.FLOAT, "max_capacity": 4}
    if field.kind == "flag":
        return {"datatype": DataType.BOOL}
    number = DataType.FLOAT if field.kind == "share" else DataType.DOUBLE
    return {"datatype": number, **({"nullable": True} if field.absent is None else {})}


def collection_info(name: str, description: Mapping[str, Any]) -> CollectionInfo:
    """What pymilvus's description of a collection says about its embeddings."""
    (field,) = (field for field in description["fields"] if field["name"] == "embedding")
    precisions = {kind: precision for precision, kind in VECTOR_TYPES.items()}
    return CollectionInfo(name, int(field["params"]["dim"]), precisions[field["type"].name])


def missing_fields(description: Mapping[str, Any]) -> list[ItemField]:
    """Fields that a collection lacks, because an earlier version made it."""
    there = {field["name"] for field in description["fields"]}
    return [field for field in _FIELDS.values() if field.name not in there]


def with_fields(row: Mapping[str, Any], missing: Sequence[ItemField]) -> dict[str, Any]:
    """A row of an earlier version, with the absent values of what it lacks."""
    absent = {field.name: _to_milvus(field, field.absent) for field in missing}
    if "has_thumbnail" in absent:
        absent["has_thumbnail"] = bool(row["thumbnail"])
    return {**row, **absent}


def _to_milvus(field: ItemField, value: Any) -> Any:
    if field.kind == "picture":
        return base64.b64encode(value or b"").decode()
    if value is None and field.kind in ("name", "text"):
        return ""
    return [] if value is None and field.kind == "box" else value


def _from_milvus(field: ItemField, value: Any) -> Any:
    if field.kind == "picture":
        return base64.b64decode(value) if value else None
    if field.absent is None and field.kind in ("name", "text", "box"):
        # `or` would lose a box of Milvus's own list type.
        return value if len(value) else None
    return value


def to_milvus(rows: pa.Table, precision: StoredPrecision) -> list[dict[str, Any]]:
    """Rows as `store.item_schema` into rows for pymilvus.

    Raises:
        InputError: the attributes of an item are longer than Milvus's longest text.
    """
    stored = encode(rows, precision)
    embeddings_ND = matrix(stored["embedding"])
    fields = {name: stored[name].to_pylist() for name in stored.column_names if name != "embedding"}
    for name in fields.keys() & _FIELDS.keys():
        if _FIELDS[name].absent is None:
            fields[name] = [_to_milvus(_FIELDS[name], value) for value in fields[name]]
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
            arrays.append(_embeddings(hits, info))
            continue
        values = [hit[column] for hit in hits]
        if column == "tags":
            values = [list(value) for value in values]
        elif _FIELDS[column].absent is None:
            values = [_from_milvus(_FIELDS[column], value) for value in values]
        arrays.append(pa.array(values, schema.field(column).type))
    return pa.table(arrays, schema=pa.schema([schema.field(column) for column in columns]))


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


def _embeddings(hits: Sequence[Mapping[str, Any]], info: CollectionInfo) -> pa.Array:
    rows_ND = stored_embeddings(hits, info).astype(np.float32)
    if info.precision != "float32" and len(rows_ND):
        rows_ND = unit_rows(rows_ND)
    return pa.FixedSizeListArray.from_arrays(pa.array(rows_ND.reshape(-1)), info.dim)
