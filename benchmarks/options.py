"""Options of these scripts that name files and folders, and errors in one line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from omnireid.core.errors import OmniReIDError


def new_file(name: str) -> Path:
    """A file to be written; its folder is made."""
    path = Path(name)
    new_folder(str(path.parent))
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{name}: expected a file, got a folder")
    return path


def new_folder(name: str) -> Path:
    """A folder to write to; it is made."""
    try:
        Path(name).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{name}: cannot make the folder: {error.strerror}") from error
    return Path(name)


def existing(name: str) -> Path:
    """A file or a folder that is there."""
    if not Path(name).exists():
        raise argparse.ArgumentTypeError(f"{name}: not found")
    return Path(name)


def finished_run(name: str) -> Path:
    """The folder of a main job."""
    if not (Path(name) / "model.safetensors").is_file():
        raise argparse.ArgumentTypeError(f"{name}: no run with a model; make one: omnireid run --out {name}")
    return Path(name)


def run(main: Callable[[], None]) -> None:
    """Call a script's `main`; what a user can mend is said in one line."""
    try:
        main()
    except OmniReIDError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
