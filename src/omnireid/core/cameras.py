"""What a camera is called, everywhere: in reports, tables, figures and galleries."""

from __future__ import annotations

from collections.abc import Mapping

UNKNOWN = ""
"""The name of no camera, as galleries store it."""


def camera_name(camid: int, names: Mapping[int, str] | None = None) -> str:
    """Its name in the data, else "c1" for camid 0 and so on, as benchmarks name their files.

    Args:
        camid: zero-based; below 0 where it is not known.
        names: names of a dataset's cameras that have one (`Dataset.camera_names`).

    Returns:
        `UNKNOWN` where it is not known.
    """
    if camid < 0:
        return UNKNOWN
    return (names or {}).get(camid) or f"c{camid + 1}"
