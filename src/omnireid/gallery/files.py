"""Enrolling picture files: each is read once, embedded, and kept as a small picture of its own."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from omnireid.core.arrays import Float32
from omnireid.core.cameras import camera_name
from omnireid.core.card import InputSpec
from omnireid.core.errors import ImageError
from omnireid.core.images import Crop, decode, resize
from omnireid.core.options import OnBad
from omnireid.core.types import Sample, SkippedFile
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
    *,
    assign: bool = False,
    on_bad: OnBad = "error",
    on_skip: Callable[[SkippedFile], None] | None = None,
    console: Console | None = None,
    threads: int | None = None,
) -> Iterator[Enrolment]:
    """Embed files and enrol them, a batch at a time, while the next one is embedded.

    The content key is made of the file's bytes and of where it was seen: run again after an interruption,
    what is there already stays as it is.

    Args:
        assign: as `Gallery.enrol`.
        on_bad, on_skip, console, threads: as `Embedder.embed_stream`.

    Yields:
        What became of each batch, in order. What was yielded is durable.

    Raises:
        ImageError: a picture that cannot be decoded, with on_bad="error".
        ModelMismatchError: the gallery holds embeddings of another model.
    """
    samples = [Sample(one.path, pid=-1, camid=-1) for one in files]
    read: dict[int, tuple[bytes, str]] = {}

    def load(sample: Sample, spec: InputSpec) -> Crop:
        try:
            content = Path(sample.path).read_bytes()
        except OSError as error:
            raise ImageError(sample.path, error.strerror or str(error)) from error
        try:
            crop = decode(content)
        except ImageError as error:
            raise ImageError(sample.path, error.reason) from error
        read[id(sample)] = make_thumbnail(crop), hashlib.blake2b(content, digest_size=16).hexdigest()
        return resize(crop, spec)

    def batches() -> Iterator[tuple[list[Item], Float32]]:
        places = iter(range(len(files)))
        for part in embedder.embed_stream(
            samples, on_bad=on_bad, on_skip=on_skip, console=console, threads=threads, load=load
        ):
            items = []
            for path in part.paths:
                # In the order of the files, without those that were skipped.
                place = next(place for place in places if samples[place].path == path)
                items.append(_item(files[place], *read.pop(id(samples[place]))))
            yield items, part.embeddings

    return gallery.enrol_stream(batches(), model=embedder.ref, assign=assign)


def _item(seen: SeenFile, thumbnail: bytes, content: str) -> Item:
    item = seen.item
    key = json.dumps([content, item.camera, item.time, item.tracklet])
    key = key if len(key) <= MAX_SOURCE else hashlib.blake2b(key.encode()).hexdigest()
    source = item.source or storable(seen.path[-MAX_SOURCE:])
    return replace(item, source=source, thumbnail=thumbnail, key=item.key or key)
