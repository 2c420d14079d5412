"""Archives that lie where a dataset's folders should be: named in errors, unpacked safely when asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

if TYPE_CHECKING:  # the card's module does not need this one
    from omnireid.data.datasets.card import DatasetCard

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".rar", ".7z")


def find_archives(root: Path, card: DatasetCard) -> list[Path]:
    """Archives in `root` and in the card's places, those that the card names first."""
    folders = dict.fromkeys(
        [root, *(root / place for place in card.places), *((root / place).parent for place in card.places)]
    )
    found = {
        path: None
        for folder in folders
        if folder.is_dir()
        for path in sorted(folder.iterdir())
        if path.name.lower().endswith(ARCHIVE_SUFFIXES) and path.is_file()
    }
    return sorted(found, key=lambda path: path.name not in card.archives)


def archive_hint(root: Path, card: DatasetCard) -> str:
    """What to say of archives in an error about missing folders; empty where there are none."""
    found = find_archives(root, card)
    if not found:
        return ""
    return f" Found the archive {found[0]}: unpack it there, or pass extract=True (--extract)."


def extract_archives(root: Path, card: DatasetCard, *, console: Console | None = None) -> None:
    raise NotImplementedError
