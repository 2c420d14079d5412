"""From a URI to the store that keeps it."""

from __future__ import annotations

from collections.abc import Mapping

from omnireid.gallery.store import GalleryStore


def open_store(uri: str, storage_options: Mapping[str, str] | None = None) -> GalleryStore:
    """Open a gallery's store, and make it where there is none.

    Args:
        uri: a local folder; `s3://`, `gs://` or `az://` with a prefix; `http://host:19530/NAME` of a Milvus
            server or `https://token@host/NAME` (or the token in OMNIREID_MILVUS_TOKEN).
        storage_options: settings of object storage, as LanceDB's: keys, region, endpoint; of Milvus:
            `database`, `index`, `connect_s`, `timeout_s`.

    Raises:
        InputError: the folder holds something else, or a gallery of a later version; an option is unknown.
        MissingExtraError: a Milvus URI without the extra [milvus].
        StorageError: it cannot be read or written, or no server answers.
    """
    if uri.lower().startswith(("http://", "https://")):
        from omnireid.gallery.milvus.store import MilvusStore

        return MilvusStore(uri, storage_options)
    from omnireid.gallery.lance.store import LanceStore

    return LanceStore(uri, storage_options)
