"""Conditions on items as the SQL that LanceDB takes."""

from __future__ import annotations

from collections.abc import Iterable

from omnireid.gallery.items import Filter, tags
from omnireid.gallery.texts import askable


def condition(where: Filter) -> str | None:
    """`where` as an SQL expression over the columns of an item; None for the empty filter.

    Texts become literals by `quoted` and nothing else of a filter reaches the expression but numbers.
    """
    parts = [
        _is_one_of(column, values)
        for column, values in (
            ("id", where.ids),
            ("camera", where.cameras),
            ("identity", where.identities),
            ("tracklet", where.tracklets),
        )
        if values is not None
    ]
    if where.since is not None:
        parts.append(f"time >= {float(where.since)!r}")
    if where.until is not None:
        parts.append(f"time < {float(where.until)!r}")
    if where.enrolled_since is not None:
        parts.append(f"enrolled >= {float(where.enrolled_since)!r}")
    if where.enrolled_before is not None:
        parts.append(f"enrolled < {float(where.enrolled_before)!r}")
    if where.has_identity is not None:
        parts.append(f"identity IS {'NOT ' if where.has_identity else ''}NULL")
    parts.extend(f"array_has(tags, {quoted(tag)})" for tag in tags(where.attributes))
    return " AND ".join(parts) or None


def quoted(text: str) -> str:
    """A text as an SQL literal. The dialect knows no escape but the doubled quote."""
    return "'" + text.replace("'", "''") + "'"


def _is_one_of(column: str, values: Iterable[str]) -> str:
    literals = ", ".join(map(quoted, askable(values)))
    # SQL has no empty list.
    return f"{column} IN ({literals})" if literals else "false"
