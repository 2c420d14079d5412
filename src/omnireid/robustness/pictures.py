"""Corrupted pictures for a loader: decoded once for all rounds where memory allows."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from omnireid.core.card import InputSpec
from omnireid.core.images import Crop, decode, resize
from omnireid.core.types import Sample
from omnireid.robustness.draw import Draw, corrupt_sample


class PictureCache:
    """Decoded pictures of native size, the first ones that fit into `max_bytes`. Threads may share it."""

    def __init__(self, max_bytes: int) -> None:
        self._room = max_bytes
        self._pictures: dict[str, Crop] = {}
        self._lock = threading.Lock()

    def get(self, path: str) -> Crop:
        """(H, W, 3) uint8 RGB, not to be written to.

        Raises:
            ImageError: the picture cannot be decoded.
        """
        picture = self._pictures.get(path)
        if picture is None:
            picture = decode(path)
            with self._lock:
                if path not in self._pictures and picture.nbytes <= self._room:
                    self._room -= picture.nbytes
                    self._pictures[path] = picture
        return picture


def corrupted_loader(
    cache: PictureCache, root: str, *, seed: int, round: int, draw: Draw | None = None
) -> Callable[[Sample, InputSpec], Crop]:
    """A `load` for `CropLoader` and `Embedder`: decode, corrupt at native size, resize.

    Args:
        root: folder that picture names are taken relative to, so that moving a dataset changes nothing.
        seed, round, draw: as `corrupt_sample`.
    """

    def load(sample: Sample, spec: InputSpec) -> Crop:
        picture = cache.get(sample.path)
        return resize(
            corrupt_sample(picture, key(sample.path, root), seed=seed, round=round, draw=draw), spec
        )

    return load


def key(path: str, root: str) -> str:
    """What a picture is called in draws: its POSIX path relative to `root`; whole if it lies elsewhere."""
    picture, folder = Path(path), Path(root)
    if folder.is_file():  # a manifest
        folder = folder.parent
    return (picture.relative_to(folder) if picture.is_relative_to(folder) else picture).as_posix()
