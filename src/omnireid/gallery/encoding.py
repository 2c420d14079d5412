"""Embeddings as they are stored: float32, float16, or int8 scaled row by row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from omnireid.core.arrays import Float32
from omnireid.core.vectors import unit_rows
from omnireid.gallery.options import StoredPrecision
from omnireid.gallery.store import item_schema

_TYPES: dict[StoredPrecision, pa.DataType] = {
    "float32": pa.float32(),
    "float16": pa.float16(),
    "int8": pa.int8(),
}
_INT8_LARGEST = 127


def stored_schema(dim: int, precision: StoredPrecision) -> pa.Schema:
    """Columns of the table on disk."""
    return item_schema(dim, _TYPES[precision])


def encode(rows: pa.Table, precision: StoredPrecision) -> pa.Table:
    """Rows as `store.item_schema` into rows as `stored_schema`."""
    if precision == "float32":
        return rows
    embeddings_ND = matrix(rows["embedding"])
    if precision == "float16":
        stored = embeddings_ND.astype(np.float16)
    else:
        # The cosine forgets a row's scale, so none is stored.
        largest_N1 = np.abs(embeddings_ND).max(axis=1, keepdims=True)
        stored = np.rint(embeddings_ND * (_INT8_LARGEST / largest_N1)).astype(np.int8)
    return with_embeddings(rows, stored)


def decode(rows: pa.Table) -> pa.Table:
    """Rows of a stored table with their embeddings, where there are any, as float32 of unit norm."""
    if "embedding" not in rows.column_names or rows.schema.field("embedding").type.value_type == pa.float32():
        return rows
    return with_embeddings(rows, unit_rows(matrix(rows["embedding"]).astype(np.float32)))


def matrix(column: pa.ChunkedArray) -> npt.NDArray[np.generic]:
    """(N, D) view of a column of embeddings, or a copy where it is in several chunks."""
    dim = column.type.list_size
    if not column.num_chunks:
        return np.empty((0, dim), column.type.value_type.to_pandas_dtype())
    parts = [chunk.flatten().to_numpy(zero_copy_only=False).reshape(-1, dim) for chunk in column.chunks]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def scores(embeddings_ND: npt.NDArray[np.generic], query: Float32) -> Float32:
    """(N,) cosine similarity to a query, from −1 to 1, each the same whatever rows are beside it."""
    rows_ND, query_D = embeddings_ND.astype(np.float64), query.astype(np.float64)
    products = np.einsum("nd,d->n", rows_ND, query_D)
    # A query of unit norm is so up to the rounding of float32, which alone makes cosines above 1.
    norms = np.sqrt(np.einsum("nd,nd->n", rows_ND, rows_ND) * (query_D @ query_D))
    cosines: Float32 = (products / norms).astype(np.float32)
    return cosines


def with_embeddings(rows: pa.Table, embeddings_ND: npt.NDArray[np.generic]) -> pa.Table:
    """Rows with others in place of their embeddings."""
    index = rows.column_names.index("embedding")
    flat = pa.array(embeddings_ND.reshape(-1))
    column = pa.FixedSizeListArray.from_arrays(flat, embeddings_ND.shape[1])
    return rows.set_column(index, pa.field("embedding", column.type, nullable=False), column)
