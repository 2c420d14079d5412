"""Small JSON objects in a Milvus collection: the records and the audit log of a gallery."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from omnireid.gallery.milvus.filters import is_one_of, quoted

_PART = 60_000
"""Characters (ASCII) of a row; a longer object takes several."""

FIELDS = ["id", "kind", "name", "part", "parts", "value"]


class Document(NamedTuple):
    """One object and what it is found by."""

    kind: str
    name: str
    value: Mapping[str, Any]


def schema(client: Any) -> Any:
    """pymilvus's schema of a collection of documents.

    Every collection must have a vector; this one means nothing.
    """
    from pymilvus import DataType

    layout = client.create_schema(auto_id=False, enable_dynamic_field=False)
    layout.add_field("id", DataType.VARCHAR, max_length=64, is_primary=True)
    layout.add_field("kind", DataType.VARCHAR, max_length=2048)
    layout.add_field("name", DataType.VARCHAR, max_length=16_384)
    layout.add_field("part", DataType.INT64)
    layout.add_field("parts", DataType.INT64)
    layout.add_field("value", DataType.VARCHAR, max_length=65_535)
    layout.add_field("vector", DataType.FLOAT_VECTOR, dim=2)
    return layout


def to_rows(documents: Sequence[Document], *, in_order: bool = False) -> list[dict[str, Any]]:
    """Rows for pymilvus; those of a document are neighbours in the order of their ids.

    Args:
        in_order: documents are to be read back in the order of their names.
    """
    rows = []
    for kind, name, value in documents:
        text = json.dumps(value)
        parts = [text[start : start + _PART] for start in range(0, len(text), _PART)]
        own = name if in_order else hashlib.blake2b(f"{kind}\0{name}".encode(), digest_size=20).hexdigest()
        rows += [
            {
                "id": f"{own}:{number:06d}",
                "kind": kind,
                "name": name,
                "part": number,
                "parts": len(parts),
                "value": part,
                "vector": [1.0, 0.0],
            }
            for number, part in enumerate(parts)
        ]
    return rows


def from_rows(rows: Iterator[Mapping[str, Any]]) -> Iterator[Document]:
    """Documents of rows in the order of their ids."""
    texts: list[str] = []
    for row in rows:
        if row["part"] == 0:
            texts, left = [], row["parts"]
        elif not texts:
            continue
        texts.append(row["value"])
        if len(texts) == left:
            yield Document(row["kind"], row["name"], json.loads("".join(texts)))
            texts = []


def of_kind(kind: str) -> str:
    """The condition for documents of a kind."""
    return f"kind == {quoted(kind)}"


def named(kind: str, names: Sequence[str]) -> str:
    """The condition for some documents of a kind (at least one)."""
    return f"{of_kind(kind)} and {is_one_of('name', names)}"
