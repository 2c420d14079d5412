"""Items for tests of the LanceDB store: everything in them is noise that no file format compresses."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa

from omnireid.gallery.items import FIELDS
from omnireid.gallery.store import item_schema

DIM = 32


def noise(name: str, size: int) -> bytes:
    return hashlib.shake_128(name.encode()).digest(size)


def unit_rows(count: int, seed: int, dim: int = DIM) -> np.ndarray:
    rows = np.random.default_rng(seed).standard_normal((count, dim), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def item_table(count: int, seed: int = 0, dim: int = DIM) -> pa.Table:
    """Items whose ids, identities, thumbnails and embeddings belong to the seed; the camera names it."""
    names = [f"{seed}/{n}" for n in range(count)]
    columns = {
        "id": [noise(f"id {name}", 16).hex() for name in names],
        "identity": [noise(f"person {name}", 16).hex() for name in names],
        "camera": [f"seed {seed}"] * count,
        "time": [float(n) for n in range(count)],
        "tracklet": [noise(f"tracklet {name}", 16).hex() for name in names],
        "attributes": ["{}"] * count,
        "tags": [[]] * count,
        "has_thumbnail": [True] * count,
        "thumbnail": [noise(f"picture {name}", 120) for name in names],
        "embedding": list(unit_rows(count, seed, dim)),
    }
    unknown = {field.name: [field.absent] * count for field in FIELDS if field.is_stored}
    return pa.table({**unknown, **columns}, schema=item_schema(dim))


def files_with(folder: Path, trace: bytes) -> list[str]:
    """Names of all files below a folder that hold these bytes."""
    return [path.name for path in folder.rglob("*") if path.is_file() and trace in path.read_bytes()]


def traces_of(rows: pa.Table, row: int) -> dict[str, bytes]:
    """What of an item must not be found once it is forgotten."""
    texts = {name: rows[name][row].as_py().encode() for name in ("id", "identity", "tracklet")}
    embedding = np.asarray(rows["embedding"][row].as_py(), np.float32)
    return {**texts, "thumbnail": rows["thumbnail"][row].as_py(), "embedding": embedding.tobytes()}
