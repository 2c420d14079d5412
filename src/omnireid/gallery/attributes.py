"""Which attributes a gallery's items have: names and values with how often each, for lists to choose from."""

from __future__ import annotations

import json
from collections import Counter
from typing import NamedTuple

import pyarrow.compute as pc

from omnireid.gallery.items import Attribute
from omnireid.gallery.store import GalleryStore

MAX_NAMES = 100
MAX_VALUES = 100
_BATCH = 65_536


class KnownAttribute(NamedTuple):
    """A name, and the values that items have under it.

    Attributes:
        items: number of items that have it.
        values: the values, each with its number of items, the most frequent first; at most `MAX_VALUES`.
        num_values: different ones in all.
    """

    name: str
    items: int
    values: tuple[tuple[Attribute, int], ...]
    num_values: int


def known_attributes(store: GalleryStore, collection: str | None) -> list[KnownAttribute]:
    """The most frequent names, at most `MAX_NAMES`, sorted by name. Reads the attributes of every item.

    Args:
        collection: None in an empty gallery.
    """
    # As JSON: 1, 1.0 and true are different values, and equal in Python.
    counts: dict[str, Counter[str]] = {}
    batches = () if collection is None else store.scan(collection, columns=("attributes",), batch_size=_BATCH)
    for rows in batches:
        for alike in pc.value_counts(rows["attributes"].combine_chunks()).to_pylist():
            for name, value in json.loads(alike["values"]).items():
                counts.setdefault(name, Counter())[json.dumps(value)] += alike["counts"]
    frequent = sorted(counts, key=lambda name: (-counts[name].total(), name))[:MAX_NAMES]
    return [_known(name, counts[name]) for name in sorted(frequent)]


def _known(name: str, counts: Counter[str]) -> KnownAttribute:
    order = sorted(counts, key=lambda value: (-counts[value], value))[:MAX_VALUES]
    values = tuple((json.loads(value), counts[value]) for value in order)
    return KnownAttribute(name, counts.total(), values, len(counts))
