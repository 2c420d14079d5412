"""What happens to items and embeddings at the door: checked, normalised, and named by their content."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from omnireid.core.arrays import Bool, Float32
from omnireid.core.card import ModelRef
from omnireid.core.display import short_repr
from omnireid.core.errors import InputError, ShapeError
from omnireid.core.types import Embeddings
from omnireid.core.vectors import unit_rows
from omnireid.evaluation.calibration import Decision
from omnireid.gallery.errors import ModelMismatchError
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
        ids: id of each, 32 hexadecimal digits; the same for the same content key.
        is_new: (N,) bool; False where the item was there already, and stayed as it was.
        assigned: Of each item who it is, where the search was to decide; else empty.
    """

    ids: tuple[str, ...]
    is_new: Bool
    assigned: tuple[Assigned, ...] = ()

    def __repr__(self) -> str:
        return short_repr(self)


def joined(parts: Iterable[Enrolment]) -> Enrolment:
    """What became of all items of several enrolments, in their order."""
    listed = list(parts)
    return Enrolment(
        tuple(item_id for part in listed for item_id in part.ids),
        np.concatenate([np.zeros(0, np.bool_), *(part.is_new for part in listed)]),
        tuple(assignment for part in listed for assignment in part.assigned),
    )


def prepared(items: Sequence[Item], unit_ND: Float32, now: float) -> pa.Table:
    """Rows to add.

    Args:
        items: N.
        unit_ND: (N, D) of unit norm.
        now: Unix seconds.

    Raises:
        ShapeError: another number of embeddings than items.
        InputError: names the row and the field.
    """
    if len(unit_ND) != len(items):
        raise ShapeError("embeddings", expected=(len(items), "D"), actual=unit_ND.shape)
    contents, width = unit_ND.reshape(-1).view(np.uint8).data, unit_ND.itemsize * unit_ND.shape[1]
    ids = []
    for row, item in enumerate(items):
        try:
            check_item(item)
        except InputError as error:
            raise InputError(f"items[{row}].{error}") from error
        if item.key is None:
            ids.append(item_id(content_key(item, contents[row * width : (row + 1) * width])))
        else:
            ids.append(item_id(item.key))
    return table_of(items, ids, now, unit_ND)


def numbers(given: npt.ArrayLike) -> np.ndarray:
    """Bare numbers as an array.

    Raises:
        InputError: rows of different lengths.
    """
    try:
        return np.asarray(given)
    except ValueError as error:
        raise InputError(
            "embeddings: expected (N, D) numbers, got rows of different lengths; give each picture as many "
            "numbers as the model has dimensions"
        ) from error


def unit_embeddings(
    embeddings: npt.ArrayLike | Embeddings, model: ModelRef | None
) -> tuple[Float32, ModelRef]:
    """(N, D) float32 of unit norm, and the model that made them.

    Args:
        embeddings: checked and normalised already, where they are `Embeddings`; else (N, D) of any norm,
            which are normalised here.
        model: the model of bare numbers; what `Embeddings` say of themselves must be the same.

    Raises:
        ShapeError: another shape.
        InputError: bare numbers without a model; names the row that is not finite or all zero.
        ModelMismatchError: of another model.
    """
    if isinstance(embeddings, Embeddings):
        if model is not None and not model.is_same(embeddings.model):
            raise ModelMismatchError(asked=str(embeddings.model), known=[str(model)])
        rows, model = embeddings.vectors.astype(np.float32, copy=False), embeddings.model
        empty = np.flatnonzero(~rows.any(axis=1))
        if empty.size:
            raise InputError(f"embeddings[{empty[0]}]: all zero, which has no direction")
        return np.ascontiguousarray(rows if embeddings.is_unit else unit_rows(rows)), model
    rows = numbers(embeddings)
    if rows.dtype.kind not in "fiu":
        raise InputError(f"embeddings: expected numbers, got {rows.dtype}")
    if model is None:
        raise InputError(
            "model: bare numbers do not say which model made them; give model=embedder.ref, or `Embeddings` "
            "(Embedder.embed_files), or pictures to a gallery that was opened with a model"
        )
    if rows.ndim != 2 or rows.shape[1] != model.dim:
        raise ShapeError("embeddings", expected=("N", model.dim), actual=rows.shape)
    with np.errstate(over="ignore"):
        rows = rows.astype(np.float32, copy=False)
    return np.ascontiguousarray(unit_rows(rows)), model
