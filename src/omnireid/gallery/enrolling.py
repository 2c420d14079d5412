"""What happens to items and embeddings at the door: checked, normalised, and named by their content."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from omnireid.core.arrays import Bool, Float32
from omnireid.core.display import short_repr
from omnireid.core.errors import InputError, ShapeError
from omnireid.evaluation.calibration import Decision
from omnireid.gallery.items import Item, check_item, content_key, item_id
from omnireid.gallery.rows import table_of


class Assigned(NamedTuple):
    """What a search decided of an item that was enrolled.

    Attributes:
        decision: "same", "new" or "unsure"; None where it was not asked: somebody had said who it is.
        identity: Whose the item is now; None while nobody knows.
        name: Of that identity.
        probability: That the item is who it was assigned to; None unless that is somebody known.
        operation: What takes the assignment back; None where nobody was assigned.
    """

    decision: Decision | None
    identity: str | None
    name: str | None = None
    probability: float | None = None
    operation: str | None = None


class Enrolment(NamedTuple):
    """What became of N items.

    Attributes:
        ids: of each, 32 hexadecimal digits; the same for the same content key.
        is_new: (N,) bool; False where the item was there already, and stayed as it was.
        assigned: Of each item who it is, where the search was to decide; else empty.
    """

    ids: tuple[str, ...]
    is_new: Bool
    assigned: tuple[Assigned, ...] = ()

    def __repr__(self) -> str:
        return short_repr(self)


def prepared(items: Sequence[Item], embeddings: npt.ArrayLike, dim: int, now: float) -> pa.Table:
    """Rows to add.

    Args:
        items: N.
        embeddings: (N, D), of any norm.
        dim: D.
        now: Unix seconds.

    Raises:
        ShapeError: another number of embeddings than items, or another size.
        InputError: names the row and the field.
    """
    rows = unit_embeddings(embeddings, len(items), dim)
    contents, width = rows.data.cast("B"), rows.itemsize * dim
    ids = []
    for place, item in enumerate(items):
        try:
            check_item(item)
        except InputError as error:
            raise InputError(f"items[{place}].{error}") from error
        if item.key is None:
            ids.append(item_id(content_key(item, contents[place * width : (place + 1) * width])))
        else:
            ids.append(item_id(item.key))
    return table_of(items, ids, now, rows)


def unit_embeddings(embeddings: npt.ArrayLike, count: int, dim: int) -> Float32:
    """(N, D) of any norm → float32 of unit L2 norm, each row by itself.

    Raises:
        ShapeError: another shape.
        InputError: names the row that is not finite or all zero.
    """
    rows = np.asarray(embeddings)
    if rows.shape != (count, dim):
        raise ShapeError("embeddings", expected=(count, dim), actual=rows.shape)
    if rows.dtype.kind not in "fiu":
        raise InputError(f"embeddings: expected numbers, got {rows.dtype}")
    with np.errstate(over="ignore"):
        rows = rows.astype(np.float32, copy=False)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
    odd = np.flatnonzero(~(np.isfinite(norms[:, 0]) & (norms[:, 0] > _TINY)))
    if odd.size:
        rows, norms = rows.copy(), norms.copy()
        for place in odd.tolist():
            rows[place] = _rescaled(rows[place], f"embeddings[{place}]")
            norms[place] = np.linalg.norm(rows[place])
    return np.ascontiguousarray(rows / norms, np.float32)


_TINY = 1e-15


def _rescaled(row: Float32, name: str) -> Float32:
    """A row whose squares leave the range of float32, brought back into it."""
    if not np.isfinite(row).all():
        raise InputError(f"{name}: expected finite numbers, got NaN or infinity")
    largest = np.abs(row).max(initial=0.0)
    if largest == 0:
        raise InputError(f"{name}: all zero, which has no direction")
    return np.asarray(row.astype(np.float64) / largest, np.float32)
