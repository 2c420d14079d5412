"""Items as rows of a store's tables, and back; every column is met by its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from omnireid.core.arrays import Float32
from omnireid.gallery.items import FIELDS, SHOWN, Attribute, Box, Item, tags
from omnireid.gallery.store import TAGS, item_schema

ITEM_COLUMNS = SHOWN
"""Of which an item is made; "thumbnail" is read by itself."""

_FIELDS = {field.name: field for field in FIELDS}


def table_of(items: Sequence[Item], ids: Sequence[str], enrolled: float, embeddings: Float32) -> pa.Table:
    """Rows as `item_schema`.

    Args:
        items: N that were checked.
        ids: (N).
        enrolled: Unix seconds.
        embeddings: (N, D) float32 of unit norm.
    """
    count, dim = embeddings.shape
    filled: dict[str, Any] = {
        "id": ids,
        "enrolled": np.full(count, enrolled),
        "has_thumbnail": [item.thumbnail is not None for item in items],
        TAGS.name: _of_attributes(items, tags),
        "attributes": _of_attributes(items, lambda attributes: json.dumps(dict(attributes))),
        "embedding": pa.FixedSizeListArray.from_arrays(
            pa.array(np.ascontiguousarray(embeddings).reshape(-1)), dim
        ),
    }
    schema = item_schema(dim)
    for name in schema.names:
        if name not in filled:
            filled[name] = [getattr(item, name) for item in items]
    return pa.table(filled, schema=schema)


def _of_attributes(items: Sequence[Item], value: Callable[[Any], Any]) -> list[Any]:
    """Most items have none: what these give is computed once."""
    none = value({})
    return [value(item.attributes) if item.attributes else none for item in items]


def items_of(
    rows: pa.Table, identity: Callable[[str | None], str | None] = lambda identity: identity
) -> list[Item]:
    """Items of rows with `ITEM_COLUMNS`, and "thumbnail" where it is there.

    Args:
        identity: a map from the stored identity to the one that is shown.
    """
    wanted = [name for name in rows.column_names if name in _FIELDS]
    values = {name: rows.column(name).to_pylist() for name in wanted}
    values["identity"] = [identity(value) for value in values["identity"]]
    values["attributes"] = [_attributes(value) for value in values["attributes"]]
    values["box"] = [None if value is None else Box(*value) for value in values["box"]]
    names = list(values)
    return [Item(**dict(zip(names, row, strict=True))) for row in zip(*values.values(), strict=True)]


def _attributes(text: str) -> dict[str, Attribute]:
    return {} if text == "{}" else json.loads(text)


def completed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows with the columns of a schema: what earlier versions did not write gets its absent value.

    Args:
        rows: rows of any version; with columns of any order and number.
        schema: the columns that are wanted; of them "embedding" and what has no absent value must be there.
    """
    columns = []
    for field in schema:
        if field.name in rows.column_names:
            columns.append(rows.column(field.name).cast(field.type))
        elif field.name == "has_thumbnail" and "thumbnail" in rows.column_names:
            columns.append(rows.column("thumbnail").is_valid())
        else:
            absent = _FIELDS[field.name].absent
            columns.append(pa.repeat(pa.scalar(absent, field.type), rows.num_rows))
    return pa.table(columns, schema=schema)


def embeddings_of(rows: pa.Table) -> Float32:
    """(N, D) float32 of the column "embedding"."""
    column = rows.column("embedding").combine_chunks()
    dim = column.type.list_size
    return np.asarray(column.flatten(), np.float32).reshape(-1, dim)
