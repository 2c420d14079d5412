"""Rows of unit length: the one place where embeddings are normalised."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from omnireid.core.errors import InputError

Real = TypeVar("Real", bound=np.floating[Any])

_TINY = 1e-15


def unit_rows(
    rows: npt.NDArray[Real], *, keep_zero: bool = False, name: str = "embeddings"
) -> npt.NDArray[Real]:
    """(N, D) of any norm → rows of unit L2 norm, each by itself, in the same floating type.

    Args:
        keep_zero: Leave a row of only zeros as it is, and let one with NaN or infinity become NaN, as a
            network's output may hold them; `Embeddings` name the second.
        name: What errors call the rows.

    Raises:
        InputError: A row that is not finite or all zero, which has no direction.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
    odd = np.flatnonzero(~(np.isfinite(norms[:, 0]) & (norms[:, 0] > _TINY)))
    if odd.size:
        rows, norms = rows.copy(), norms.copy()
        for row in odd.tolist():
            rows[row] = _rescaled(rows[row], f"{name}[{row}]", keep_zero)
            norms[row] = np.linalg.norm(rows[row]) or 1
    unit: npt.NDArray[Real] = rows / norms
    return unit


def _rescaled(row: npt.NDArray[Real], name: str, keep_zero: bool) -> npt.NDArray[np.floating[Any]]:
    """A row whose squares leave the range of its type, brought back into it."""
    if not np.isfinite(row).all():
        if keep_zero:
            return np.full_like(row, np.nan)
        raise InputError(f"{name}: expected finite numbers, got NaN or infinity")
    largest = np.abs(row).max(initial=0.0)
    if largest == 0:
        if keep_zero:
            return row
        raise InputError(f"{name}: all zero, which has no direction")
    scaled: npt.NDArray[np.floating[Any]] = row.astype(np.float64) / largest
    return scaled
