"""What the commands of `omnireid gallery` share: how a gallery is opened, and times are read and written."""

from __future__ import annotations

import getpass
import re
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from omnireid.core.errors import ConfigError, InputError
from omnireid.gallery.options import DEFAULT_PRECISION

if TYPE_CHECKING:
    from omnireid.evaluation.calibration import Calibration
    from omnireid.gallery.gallery import Gallery
    from omnireid.gallery.options import StoredPrecision
    from omnireid.inference.embedder import Embedder

GalleryUri = Annotated[
    str,
    typer.Option(
        "--gallery",
        "-g",
        help="A folder, s3://bucket/prefix, or http://host:19530/NAME of Milvus.",
        envvar="OMNIREID_GALLERY",
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def open_gallery(
    uri: str,
    *,
    model: Embedder | None = None,
    precision: StoredPrecision = DEFAULT_PRECISION,
    calibration: Calibration | None = None,
    make: bool = False,
) -> Gallery:
    """A gallery in the name of who runs the command.

    Args:
        model: what takes pictures, and beside which its calibration lies.
        make: make it where there is none.

    Raises:
        InputError: a folder that holds no gallery, unless `make`.
    """
    from omnireid.gallery.gallery import Gallery

    if not make:
        check_there(uri)
    return Gallery.open(uri, model=model, precision=precision, actor=actor(), calibration=calibration)


def check_there(uri: str) -> None:
    """Refuse a mistyped folder, in place of making an empty gallery of it.

    Raises:
        InputError: nothing is there.
    """
    from omnireid.gallery.lance.store import local_folder

    if uri.startswith(("http://", "https://")):
        return
    folder = local_folder(uri)
    if folder is not None and not folder.is_dir():
        raise InputError(f"{uri}: no gallery there; 'omnireid gallery enrol' makes one")


def actor() -> str:
    """Who runs this command, for the audit."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "local"


def confirm(question: str) -> None:
    """Ask on the terminal; whoever does not agree stops the command, as with Ctrl-C.

    Raises:
        ConfigError: nobody answers.
    """
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise typer.Exit(130) from None
        raise ConfigError("nobody answered; --yes goes on without asking") from None
    if not agreed:
        raise typer.Exit(130)


def printed_time(seconds: float | None) -> str:
    """Local time with its offset; "" where unknown."""
    if seconds is None:
        return ""
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(sep=" ", timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{seconds:g} s"


def duration(text: str, option: str) -> float | None:
    """Seconds of "90s", "30m", "12h", "3d", "2w"; None of "keep".

    Raises:
        ConfigError: something else; names the option.
    """
    if text == "keep":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if match is None or float(match[1]) == 0:
        raise ConfigError(f"{option} {text!r}: expected a time such as 12h, 3d or 2w, or 'keep'")
    return float(match[1]) * _SECONDS[match[2]]


def printed_duration(seconds: float | None) -> str:
    """As `duration` reads it."""
    if seconds is None:
        return "keep"
    unit = next((unit for unit in "wdhm" if seconds % _SECONDS[unit] == 0), "s")
    return f"{seconds / _SECONDS[unit]:g}{unit}"
