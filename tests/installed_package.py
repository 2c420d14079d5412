"""A package as pip installs it, in a folder that can be put on `sys.path`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install_package(
    folder: Path, name: str, modules: Mapping[str, str], entry_points: Mapping[str, Mapping[str, str]]
) -> Path:
    """Write modules, and the metadata by which its entry points are found.

    Args:
        modules: file → content.
        entry_points: group → name → "module:attribute".
    """
    for file, content in modules.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    metadata = folder / f"{name}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, entries in entry_points.items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items()), ""]
    (metadata / "entry_points.txt").write_text("\n".join(lines))
    return folder
