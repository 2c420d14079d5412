"""Pictures on their way into a gallery: each is read once, embedded, and kept as a small one of its own."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from omnireid.core.cameras import camera_name
from omnireid.core.card import InputSpec
from omnireid.core.errors import ImageError, InputError
from omnireid.core.images import Crop, as_crop, decode, resize
from omnireid.core.remote import read_file
from omnireid.core.types import Embeddings, Sample
from omnireid.data.loading import Loaded, Reading
from omnireid.gallery.items import MAX_SOURCE, Item
from omnireid.gallery.texts import fault, storable
from omnireid.gallery.thumbnails import make_thumbnail

if TYPE_CHECKING:
    from rich.console import Console

    from omnireid.inference.embedder import Embedder


Picture = str | os.PathLike[str] | Crop | Image.Image
"""A picture file, a crop (H, W, 3) of uint8 RGB, or a Pillow picture."""

Pictures = Picture | Sequence[Picture]
"""One, several, a folder, a pattern, or a manifest."""


class SeenFile(NamedTuple):
    """A picture, and what is known of it besides.

    Attributes:
        path: its file; of a crop in memory what errors call it.
        item: what it becomes, without the picture.
        crop: the picture, where it is in memory.
    """

    path: str
    item: Item = Item()
    crop: Crop | Image.Image | None = None


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
        samples: samples of a dataset, or pictures of which nothing is known.
        camera: name of the camera of all of them; by default what `core.cameras` calls the dataset's: "c1"
            for 0, and so on.
        camera_names: names of the dataset's cameras that have one.
        first_s: Unix seconds of the dataset's time 0, where its times are seconds; without it they are not
            taken over.
        with_identities: take the dataset's person numbers over, as "pid-12"; not of distractors (0).
    """
    seen = []
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
        seen += [SeenFile(path, item) for path in sample.frames or (sample.path,)]
    return seen


def items_seen(of: Sequence[object], camera: str = "") -> list[Item]:
    """Items of what embeddings are of: items themselves, and samples with their camera and file."""
    return [source if isinstance(source, Item) else _item_of(source, camera) for source in of]


def _item_of(source: object, camera: str) -> Item:
    if not isinstance(source, Sample):
        raise InputError(f"embeddings: of {type(source).__name__}, not of items or samples")
    return Item(
        camera=camera or storable(camera_name(source.camid)),
        source=storable(source.path[-MAX_SOURCE:]),
        tracklet=tracklet_of(source.path) if source.frames else None,
    )


def tracklet_of(path: str) -> str:
    """A tracklet's id of where its frames lie: the path, or its hash where that may be no id."""
    return hashlib.blake2b(os.fsencode(path), digest_size=16).hexdigest() if fault(path) else path


def is_pictures(given: object) -> bool:
    """Whether something is pictures to embed (files, crops, Pillow pictures, or several), not embeddings."""
    if isinstance(given, (str, os.PathLike, Image.Image)):
        return True
    if isinstance(given, np.ndarray):
        return given.dtype == np.uint8 and given.ndim in (3, 4)
    return isinstance(given, Sequence) and len(given) > 0 and is_pictures(given[0])


def seen_pictures(given: Any, *, camera: str = "", console: Console | None = None) -> list[SeenFile]:
    """What is to be embedded, of all that `is_pictures` takes.

    Args:
        given: a folder, a pattern, a manifest, a picture file, a crop (H, W, 3), a Pillow picture, an array
            (N, H, W, 3), or a sequence of these.
        camera: name of the camera of all of them.
        console: where to say what was not taken of a folder.

    Raises:
        InputError: nothing there, or no picture in it.
    """
    from omnireid.inference.sources import collect_samples

    if isinstance(given, (str, os.PathLike)):
        return seen_files(collect_samples(given, console=console), camera=camera)
    if isinstance(given, Image.Image) or (isinstance(given, np.ndarray) and given.ndim == 3):
        return [SeenFile("", Item(camera=camera), given)]
    if not isinstance(given, (Sequence, np.ndarray)):
        hint = "; items need their embeddings" if isinstance(given, Item) else ""
        raise InputError(f"pictures: expected files, folders or crops, got {type(given).__name__}{hint}")
    several = [seen for part in given for seen in seen_pictures(part, camera=camera, console=console)]
    # A crop in memory goes by its number in errors.
    return [
        seen._replace(path=f"picture {number}") if seen.crop is not None else seen
        for number, seen in enumerate(several)
    ]


def embed_seen(
    embedder: Embedder, files: Sequence[SeenFile], reading: Reading = Reading()
) -> Iterator[Embeddings]:
    """Embeddings of items, for `Gallery.enrol_stream`: each picture is read once, embedded, and kept small.

    The content key is made of the file's bytes and of where it was seen: enrolled again after an
    interruption, what is there already stays as it is.

    Args:
        reading: as `Embedder.embed_stream`; `load` is not used, each file is read once for all.

    Raises:
        ImageError: a picture that cannot be decoded, with on_bad="error".
    """
    return embedder.embed_stream(files, replace(reading, load=_load))


def _load(seen: SeenFile, spec: InputSpec) -> Loaded:
    """A picture's crop, and the item that it becomes."""
    if seen.crop is not None:
        crop = as_crop(seen.crop, seen.path or "picture")
        return Loaded(resize(crop, spec), replace(seen.item, thumbnail=make_thumbnail(crop)))
    try:
        content = read_file(seen.path)
    except OSError as error:
        raise ImageError(seen.path, error.strerror or str(error)) from error
    try:
        crop = decode(content)
    except ImageError as error:
        raise ImageError(seen.path, error.reason) from error
    digest = hashlib.blake2b(content, digest_size=16).hexdigest()
    return Loaded(resize(crop, spec), _item(seen, make_thumbnail(crop), digest))


def crop_of(seen: SeenFile) -> Crop:
    """The picture itself, in its own size.

    Raises:
        ImageError, ShapeError, InputError: one that cannot be read, or that is no picture.
    """
    return decode(seen.path) if seen.crop is None else as_crop(seen.crop, seen.path or "picture")


def _item(seen: SeenFile, thumbnail: bytes, content: str) -> Item:
    item = seen.item
    key = json.dumps([content, item.camera, item.time, item.tracklet])
    key = key if len(key) <= MAX_SOURCE else hashlib.blake2b(key.encode()).hexdigest()
    source = item.source or storable(seen.path[-MAX_SOURCE:])
    return replace(item, source=source, thumbnail=thumbnail, key=item.key or key)
