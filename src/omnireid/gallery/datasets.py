"""A dataset's gallery split as a gallery, and its first query asked of it."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from omnireid.core.cameras import camera_name
from omnireid.core.images import decode
from omnireid.core.types import Dataset, Sample
from omnireid.data.loading import Reading
from omnireid.gallery.files import embed_seen, seen_files
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import EVERYTHING, Filter
from omnireid.gallery.searching import SearchResult
from omnireid.inference.embedder import Embedder


class FirstQuery(NamedTuple):
    """What a gallery answers to a dataset's first query; `frame` is the picture that was asked with."""

    query: Sample
    frame: str
    result: SearchResult


def fill_from_dataset(
    gallery: Gallery,
    embedder: Embedder,
    dataset: Dataset,
    *,
    first_s: float | None = None,
    reading: Reading = Reading(),
) -> int:
    """Enrol a dataset's gallery split with its identities ("pid-12") and cameras ("c1"); how many items.

    Args:
        first_s: as `seen_files`.
        reading: as `embed_seen`; nobody is told of pictures left out.

    Raises:
        ImageError: a picture that cannot be decoded, with on_bad="error".
        ModelMismatchError, StorageError: as `Gallery.enrol`.
    """
    files = seen_files(
        dataset.gallery.samples,
        camera_names=dataset.camera_names,
        first_s=first_s,
        with_identities=True,
    )
    embeddings = embed_seen(embedder, files, replace(reading, on_skip=lambda file: None))
    return sum(len(batch.ids) for batch in gallery.enrol_stream(embeddings))


def ask_first_query(gallery: Gallery, embedder: Embedder, dataset: Dataset, *, k: int = 5) -> FirstQuery:
    """Search with the first query (of a tracklet its first frame), in other cameras where there are any."""
    query = dataset.query.samples[0]
    others = {
        camera_name(camid, dataset.camera_names)
        for camid in dataset.gallery.camids.tolist()
        if camid not in (-1, query.camid)
    }
    frame = query.frames[0] if query.frames else query.path
    result = gallery.search(
        embedder.embed([decode(frame)])[0],
        model=embedder.ref,
        k=k,
        where=Filter(cameras=frozenset(others)) if others else EVERYTHING,
    )
    return FirstQuery(query, frame, result)
