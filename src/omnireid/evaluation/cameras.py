"""Camera-aware normalisation: what all pictures of a camera have in common is not the person."""

from __future__ import annotations

import dataclasses

import numpy as np

from omnireid.core.errors import InputError
from omnireid.core.types import Embeddings
from omnireid.core.vectors import unit_rows

_LEAST_PICTURES = 2
_VARIANCE_FLOOR = 1e-5


def normalise_cameras(
    query: Embeddings, gallery: Embeddings, *, spread: bool = False
) -> tuple[Embeddings, Embeddings]:
    """Subtract from each embedding the mean of its camera's pictures, query and gallery together.

    Uses cameras, never identities; but it needs many pictures of each camera at once, so it is a property of
    a test set, not of a single search. The mean is over people, so it presumes that the cameras see about
    the same crowd.

    Args:
        query, gallery: embeddings with known cameras.
        spread: also divide each coordinate by its standard deviation in the camera, √(variance + 1e-5).

    Returns:
        Both sets anew, scaled to unit length again if they had it.

    Raises:
        InputError: an unknown camera, or one with fewer than two pictures.

    Source: camera-based batch normalisation (Zhuang et al., ECCV 2020), applied to embeddings.
    """
    camids = np.concatenate([query.camids, gallery.camids])
    unknown = np.flatnonzero(camids < 0)
    if unknown.size:
        row = int(unknown[0])
        name, row = ("query", row) if row < len(query) else ("gallery", row - len(query))
        raise InputError(f"{name}: row {row} has no camera, so it cannot be normalised by camera")
    moved = [query.vectors.copy(), gallery.vectors.copy()]
    for camera in np.unique(camids).tolist():
        places = [np.flatnonzero(part.camids == camera) for part in (query, gallery)]
        count = sum(map(len, places))
        if count < _LEAST_PICTURES:
            raise InputError(f"camera {camera} has {count} picture: too few to normalise by camera")
        rows = [part[rows_of].astype(np.float64) for part, rows_of in zip(moved, places, strict=True)]
        mean = sum(part.sum(axis=0) for part in rows) / count
        scale = np.ones(query.dim)
        if spread:
            variance = sum(((part - mean) ** 2).sum(axis=0) for part in rows) / count
            scale = 1.0 / np.sqrt(variance + _VARIANCE_FLOOR)
        for part, rows_of, old in zip(moved, places, rows, strict=True):
            part[rows_of] = (old - mean) * scale
    new_query, new_gallery = (
        dataclasses.replace(part, vectors=unit_rows(rows, keep_zero=True) if part.is_unit else rows)
        for part, rows in zip((query, gallery), moved, strict=True)
    )
    return new_query, new_gallery
