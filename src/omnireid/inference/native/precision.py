"""What the engine can compute in, and what it takes. Imports no numba."""

from __future__ import annotations

from typing import Literal

NativePrecision = Literal["fp32", "bf16x3", "bf16", "int8"]

MIN_SIZE = 16
"""Height and width of the smallest pictures."""


def missing_for(precision: NativePrecision) -> str:
    """What this processor lacks for a precision, in words; empty where it has everything."""
    from omnireid.inference.native.matrix_tiles import matrix_tiles_are_allowed
    from omnireid.inference.native.vectors import (
        HAS_BFLOAT16_DOT,
        HAS_BYTE_DOT,
        HAS_FAST_FLOAT32,
        HAS_MATRIX_TILES,
    )

    if not HAS_FAST_FLOAT32:
        return "AVX2 with FMA, AVX-512 or NEON"
    if precision == "int8":
        return "" if HAS_BYTE_DOT else "products of bytes (AVX-512 VNNI)"
    if precision != "fp32" and HAS_MATRIX_TILES and not matrix_tiles_are_allowed():
        return "permission from the system to use its AMX tiles"
    if precision == "bf16x3" and not HAS_MATRIX_TILES:
        return "AMX tiles for bfloat16"
    if precision == "bf16" and not (HAS_MATRIX_TILES or HAS_BFLOAT16_DOT):
        return "bfloat16 products (AVX-512 BF16 or AMX)"
    return ""
