"""How a gallery is kept: choices and their defaults."""

from __future__ import annotations

from typing import Literal, get_args

StoredPrecision = Literal["float32", "float16", "int8"]
STORED_PRECISIONS: tuple[StoredPrecision, ...] = get_args(StoredPrecision)
"""What embeddings are kept in."""
DEFAULT_PRECISION: StoredPrecision = "float32"
