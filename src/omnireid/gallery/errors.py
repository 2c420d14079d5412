"""Errors of the gallery, each with the next step."""

from __future__ import annotations

from collections.abc import Iterable

from omnireid.core.errors import InputError, StorageError

_SHOWN = 100
"""Characters of an id in a message: what is wrong with it comes behind."""


class ModelMismatchError(InputError):
    """Embeddings of another model than the gallery's: the same numbers mean something else there."""

    def __init__(self, *, asked: str, known: Iterable[str]) -> None:
        super().__init__(
            f"model: this gallery holds embeddings of {', '.join(known)}, not of {asked}. Use that model, "
            "move the gallery to the new one (omnireid gallery move), or open another gallery"
        )


class NotInGalleryError(InputError):
    """An item, identity or operation that is not there."""

    def __init__(self, kind: str, name: str) -> None:
        shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}…"
        super().__init__(f"{kind} {shown!r}: not in this gallery; it may have been forgotten")


class ConflictError(InputError):
    """An operation that what was done meanwhile does not allow."""


class GalleryAwayError(StorageError):
    """A gallery whose folder has gone since it was opened: moved, deleted, or its disk is not mounted."""


class NotWritableError(StorageError):
    """A gallery that this process may only read: a read-only mount, another user's folder, a bucket."""

    def __init__(self, uri: object, reason: str) -> None:
        self.reason = reason
        super().__init__(
            f"{uri}: cannot be written ({reason}); let this user write there, or work on a copy "
            "(omnireid gallery copy)"
        )


class StoreServerError(StorageError):
    """A store's server that is away, refuses or failed. What it did not acknowledge may be asked again."""
