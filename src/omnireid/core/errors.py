"""Errors that name the thing that is wrong and the next step.

Every error a user can cause derives from `OmniReIDError`; the command line prints its message
and exits with 2. Anything else that escapes is our own defect and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from os import PathLike


class OmniReIDError(Exception):
    """Base of all errors that a user can cause and mend."""


class InputError(OmniReIDError, ValueError):
    """A value outside what a public function accepts."""


class ShapeError(InputError):
    """An array of the wrong shape."""

    def __init__(self, name: str, *, expected: object, actual: object) -> None:
        super().__init__(f"{name}: expected shape {expected}, got {actual}")


class UnknownNameError(InputError):
    """A name that is not known, with the nearest one that is."""

    def __init__(self, kind: str, name: str, known: Iterable[str]) -> None:
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}? " if near else ""
        super().__init__(f"unknown {kind} {name!r}: {hint}Known: {', '.join(names)}")


class ConfigError(InputError):
    """A recipe or option that cannot be used as written."""


class ImageError(OmniReIDError):
    """A picture that cannot be decoded."""

    def __init__(self, source: str | PathLike[str], reason: str) -> None:
        self.source = str(source)
        self.reason = reason
        super().__init__(f"{self.source}: {reason}")

    def __reduce__(self) -> tuple[type[ImageError], tuple[str, str]]:
        return (type(self), (self.source, self.reason))


class DatasetError(OmniReIDError):
    """A dataset that is missing, incomplete or not in the layout its reader expects."""


class CountMismatchError(DatasetError):
    """A dataset whose counts differ from its card."""


class WeightsError(OmniReIDError):
    """Weights that are missing, damaged, or do not fit the network."""


class UnsafeWeightsError(WeightsError):
    """A weight file that could only be read by executing code inside it."""


class StorageError(OmniReIDError):
    """A file that could not be written (disk full, no permission); the old content is still there."""


class DiskFullError(StorageError):
    """A file that could not be written because its disk, or a quota on it, is full."""


class MissingExtraError(OmniReIDError, ImportError):
    """A part whose optional dependencies are not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs the extra '{extra}': pip install 'omnireid[{extra}]'")


class PluginError(OmniReIDError):
    """A part that another package brings and that cannot be used."""


class TrainingError(OmniReIDError):
    """Training that cannot go on (a loss that is not finite, a checkpoint that does not fit)."""


class WorkerError(OmniReIDError):
    """What a worker on another machine could not do, in its words."""


class OmniReIDWarning(UserWarning):
    """Something the user should know that does not stop the work."""
