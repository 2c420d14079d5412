"""From a URI to the store that keeps it."""

from __future__ import annotations

from collections.abc import Mapping

from omnireid.core.files import absolute
from omnireid.gallery.store import GalleryStore

_OF_MILVUS = ("http://", "https://")


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
    if uri.lower().startswith(_OF_MILVUS):
        from omnireid.gallery.milvus.store import MilvusStore

        return MilvusStore(uri, storage_options)
    from omnireid.gallery.lance.store import LanceStore

    return LanceStore(uri, storage_options)


def whole_uri(uri: str) -> str:
    """A gallery's URI as it means the same wherever it is opened: a folder by its absolute path."""
    return uri if "://" in uri else str(absolute(uri))


def shown_uri(uri: str) -> str:
    """A gallery's URI for messages and files: as `whole_uri`, of Milvus without the token.

    Raises:
        InputError: not an address of Milvus.
    """
    if not uri.lower().startswith(_OF_MILVUS):
        return whole_uri(uri)
    from omnireid.gallery.milvus.connection import Address

    return Address.parse(uri).uri
