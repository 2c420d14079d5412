"""Items as rows of a store's tables, and back."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from omnireid.core.arrays import Float32
from omnireid.gallery.items import Box, Item, tags
from omnireid.gallery.store import COLUMNS, item_schema

ITEM_COLUMNS = tuple(name for name in COLUMNS if name != "tags")
"""Of which an item is made: `tags` are the attributes once more, for filters."""


def table_of(items: Sequence[Item], ids: Sequence[str], enrolled: float, embeddings: Float32) -> pa.Table:
    """Rows as `item_schema`.

    Args:
        items: N that were checked.
        ids: (N).
        enrolled: Unix seconds.
        embeddings: (N, D) float32 of unit norm.
    """
    count, dim = embeddings.shape
    schema = item_schema(dim)
    has_attributes = any(item.attributes for item in items)
    columns = [
        pa.array(ids, pa.string()),
        pa.array([item.identity for item in items], pa.string()),
        pa.array([item.camera for item in items], pa.string()),
        pa.array([item.time for item in items], pa.float64()),
        pa.array([item.tracklet for item in items], pa.string()),
        pa.array([item.box for item in items], pa.list_(pa.float32(), 4)),
        pa.array([item.source for item in items], pa.string()),
        pa.array([item.quality for item in items], pa.float32()),
        _column(items, has_attributes, lambda item: json.dumps(dict(item.attributes)), "{}", pa.string()),
        _column(items, has_attributes, lambda item: tags(item.attributes), [], pa.list_(pa.string())),
        pa.array(np.full(count, enrolled)),
        pa.array([item.thumbnail is not None for item in items], pa.bool_()),
        pa.array([item.thumbnail for item in items], pa.binary()),
        pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(embeddings).reshape(-1)), dim),
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _column(
    items: Sequence[Item], is_needed: bool, value: Callable[[Item], Any], empty: Any, kind: pa.DataType
) -> pa.Array:
    if not is_needed:
        return pa.repeat(pa.scalar(empty, kind), len(items))
    return pa.array([value(item) if item.attributes else empty for item in items], kind)


def items_of(rows: pa.Table, identity: Callable[[str | None], str | None] = lambda one: one) -> list[Item]:
    """Items of rows with `ITEM_COLUMNS`, and "thumbnail" where it is there.

    Args:
        identity: from the stored identity to the one that is shown.
    """
    return [_item(row, identity) for row in rows.to_pylist()]


def _item(row: dict[str, Any], identity: Callable[[str | None], str | None]) -> Item:
    return Item(
        camera=row["camera"],
        time=row["time"],
        identity=identity(row["identity"]),
        tracklet=row["tracklet"],
        box=None if row["box"] is None else Box(*row["box"]),
        source=row["source"],
        quality=row["quality"],
        attributes=json.loads(row["attributes"]),
        thumbnail=row.get("thumbnail"),
        id=row["id"],
        enrolled=row["enrolled"],
        has_thumbnail=row["has_thumbnail"],
    )


def embeddings_of(rows: pa.Table) -> Float32:
    """(N, D) float32 of the column "embedding"."""
    column = rows.column("embedding").combine_chunks()
    dim = column.type.list_size
    return np.asarray(column.flatten(), np.float32).reshape(-1, dim)
