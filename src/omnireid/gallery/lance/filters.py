"""Conditions on items as the SQL that LanceDB takes."""

from __future__ import annotations

from collections.abc import Iterable

from omnireid.gallery.items import FIELDS, Filter, Kind, tags
from omnireid.gallery.texts import askable

_ARROW_NAMES: dict[Kind, str] = {
    "name": "Utf8",
    "text": "Utf8",
    "seconds": "Float64",
    "share": "Float32",
    "flag": "Boolean",
}


def condition(where: Filter) -> str | None:
    """`where` as an SQL expression over the columns of an item; None for the empty filter.

    Texts become literals by `quoted` and nothing else of a filter reaches the expression but numbers.
    """
    parts = [_is_one_of(field.name, values) for field, values in where.values()]
    parts += [f"{name} {sign} {float(seconds)!r}" for name, sign, seconds in where.bounds()]
    if where.has_identity is not None:
        parts.append(f"identity IS {'NOT ' if where.has_identity else ''}NULL")
    parts.extend(f"array_has(tags, {quoted(tag)})" for tag in tags(where.attributes))
    return " AND ".join(parts) or None


def absent_sql(column: str) -> str:
    """A column's value where nothing is known, as an SQL expression of its type; "" where that is null."""
    field = next(field for field in FIELDS if field.name == column)
    if field.absent is None:
        return ""
    literal = quoted(field.absent) if isinstance(field.absent, str) else str(field.absent).lower()
    return f"arrow_cast({literal}, '{_ARROW_NAMES[field.kind]}')"


def quoted(text: str) -> str:
    """A text as an SQL literal. The dialect knows no escape but the doubled quote."""
    return "'" + text.replace("'", "''") + "'"


def _is_one_of(column: str, values: Iterable[str]) -> str:
    literals = ", ".join(map(quoted, askable(values)))
    # SQL has no empty list.
    return f"{column} IN ({literals})" if literals else "false"
