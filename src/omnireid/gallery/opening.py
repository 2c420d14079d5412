"""From a URI to the store that keeps it."""

from __future__ import annotations

from collections.abc import Mapping

from omnireid.gallery.store import GalleryStore


def open_store(uri: str, storage_options: Mapping[str, str] | None = None) -> GalleryStore:
    """Open a gallery's store, and make it where there is none.

    Args:
        uri: a local folder, `s3://`, `gs://` or `az://` with a prefix.
        storage_options: of object storage, as LanceDB's: keys, region, endpoint.

    Raises:
        InputError: the folder holds something else, or a gallery of a later version.
        StorageError: it cannot be read or written.
    """
    from omnireid.gallery.lance.store import LanceStore

    return LanceStore(uri, storage_options)
