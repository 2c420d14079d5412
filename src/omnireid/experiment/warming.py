"""Compile now what answers the first picture, and keep it for later processes and other users."""

from __future__ import annotations

import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from omnireid.core.errors import StorageError
from omnireid.core.images import resize
from omnireid.inference.embedder import Embedder

_BATCHES = (1, 2, 32)


class Kept(NamedTuple):
    """Where compiled code lies: folders, how many files they have, and how many bytes."""

    folders: list[Path]
    files: int
    size: int


def warm_up(embedder: Embedder) -> Kept:
    """Embed noise and, with the extra `gallery`, search for it in a gallery that is thrown away.

    Raises:
        StorageError: compiled code could not be kept; every process would compile anew.
    """
    # It imports numba, which takes half a second.
    from omnireid.core.compiled import kept_in, why_not_kept

    spec = embedder.card.input
    noise = np.random.default_rng(0).integers(0, 256, (max(_BATCHES), 2 * spec.height, 90, 3), dtype=np.uint8)
    crops = np.stack([resize(crop, spec) for crop in noise])
    for count in _BATCHES:
        vectors = embedder.embed(crops[:count])
    if find_spec("lancedb") is not None and find_spec("pyarrow") is not None:
        _search(embedder, vectors)
    if (reason := why_not_kept()) is not None:
        raise StorageError(
            f"compiled code cannot be kept ({reason}); name a folder that can be written in the variable "
            "NUMBA_CACHE_DIR, now and for every process that is to find it"
        )
    folders = [Path(folder) for folder in kept_in()]
    sizes = [file.stat().st_size for folder in folders for file in folder.glob("*.nb?")]
    return Kept(folders, len(sizes), sum(sizes))


def _search(embedder: Embedder, vectors: np.ndarray) -> None:
    from omnireid.gallery.gallery import Gallery
    from omnireid.gallery.items import Filter, Item

    with tempfile.TemporaryDirectory() as folder, Gallery.open(f"{folder}/gallery") as people:
        items = [Item(camera="noise", time=float(n), key=str(n)) for n in range(len(vectors))]
        people.enrol(items, vectors, model=embedder.ref)
        people.warm()
        for where in (Filter(), Filter(until=9.0)):
            for exact in (False, True):
                people.search(vectors[0], model=embedder.ref, where=where, exact=exact)
