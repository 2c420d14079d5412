"""Enrolling picture files: each is read once, embedded, and kept as a small picture of its own."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from omnireid.core.cameras import camera_name
from omnireid.core.card import InputSpec
from omnireid.core.errors import ImageError
from omnireid.core.images import decode, resize
from omnireid.core.types import Sample
from omnireid.data.loading import Loaded, Reading
from omnireid.gallery.enrolling import Enrolment
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.items import MAX_SOURCE, Item
from omnireid.gallery.texts import fault, storable
from omnireid.gallery.thumbnails import make_thumbnail
from omnireid.inference.embedder import Embedder


class SeenFile(NamedTuple):
    """A picture file, and what is known of it besides the picture."""

    path: str
    item: Item = Item()


def seen_files(
    samples: Sequence[Sample],
    *,
    camera: str | None = None,
    camera_names: Mapping[int, str] | None = None,
    first_s: float | None = None,
    with_identities: bool = False,
) -> list[SeenFile]:
    """What a dataset knows of its pictures, in the gallery's words. Junk is left out.

    Args:
        samples: of a dataset, or pictures of which nothing is known.
        camera: of all of them; by default what `core.cameras` calls the dataset's: "c1" for 0, and so on.
        camera_names: of the dataset's cameras that have one.
        first_s: Unix seconds of the dataset's time 0, where its times are seconds; without it they are not
            taken over.
        with_identities: take the dataset's person numbers over, as "pid-12"; not of distractors (0).
    """
    found = []
    for sample in samples:
        is_known = sample.camid >= 0
        if is_known and sample.pid == -1:
            continue
        item = Item(
            camera=camera if camera is not None else storable(camera_name(sample.camid, camera_names)),
            time=None if first_s is None or sample.time is None else first_s + sample.time,
            identity=f"pid-{sample.pid}" if with_identities and sample.pid > 0 else None,
            tracklet=tracklet_of(sample.path) if sample.frames else None,
        )
        found += [SeenFile(path, item) for path in sample.frames or (sample.path,)]
    return found


def tracklet_of(path: str) -> str:
    """A tracklet's id of where its frames lie: the path, or its hash where that may be no id."""
    return hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest() if fault(path) else path


def enrol_files(
    gallery: Gallery,
    embedder: Embedder,
    files: Sequence[SeenFile],
    reading: Reading = Reading(),
    *,
    assign: bool = False,
) -> Iterator[Enrolment]:
    """Embed files and enrol them, a batch at a time, while the next one is embedded.

    The content key is made of the file's bytes and of where it was seen: run again after an interruption,
    what is there already stays as it is.

    Args:
        reading: as `Embedder.embed_stream`; `load` is not used, each file is read once for all.
        assign: as `Gallery.enrol`.

    Yields:
        What became of each batch, in order. What was yielded is durable.

    Raises:
        ImageError: a picture that cannot be decoded, with on_bad="error".
        ModelMismatchError: the gallery holds embeddings of another model.
    """
    return gallery.enrol_stream(embedder.embed_stream(files, replace(reading, load=_load)), assign=assign)


def _load(seen: SeenFile, spec: InputSpec) -> Loaded:
    """A file's crop, and the item that it becomes."""
    try:
        content = Path(seen.path).read_bytes()
    except OSError as error:
        raise ImageError(seen.path, error.strerror or str(error)) from error
    try:
        crop = decode(content)
    except ImageError as error:
        raise ImageError(seen.path, error.reason) from error
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return Loaded(resize(crop, spec), _item(seen, make_thumbnail(crop), digest))


def _item(seen: SeenFile, thumbnail: bytes, content: str) -> Item:
    item = seen.item
    key = json.dumps([content, item.camera, item.time, item.tracklet])
    key = key if len(key) <= MAX_SOURCE else hashlib.blake2b(key.encode()).hexdigest()
    source = item.source or storable(seen.path[-MAX_SOURCE:])
    return replace(item, source=source, thumbnail=thumbnail, key=item.key or key)
