"""Conditions on items as the expressions that Milvus takes."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from omnireid.gallery.items import Filter, tags
from omnireid.gallery.texts import askable


def expression(where: Filter) -> str | None:
    """`where` as an expression over the fields of an item.

    "" for the empty filter, None where nothing can meet it.
    Texts become literals by `quoted` and nothing else of a filter reaches the expression but numbers.
    Templates would do the same; the server of `milvus-lite` has none.
    """
    conditions = []
    for field, values in where.values():
        # An empty text stands for None in the store, and no filter asks for None that way.
        wanted = [value for value in askable(values) if value or field.absent is not None]
        if not wanted:
            return None
        conditions.append(is_one_of(field.name, wanted))
    if where.has_identity is not None:
        conditions.append('identity != ""' if where.has_identity else 'identity == ""')
    conditions += [f"{name} {sign} {_number(seconds)}" for name, sign, seconds in where.bounds()]
    conditions.extend(f"array_contains(tags, {quoted(tag)})" for tag in tags(where.attributes))
    return " and ".join(conditions)


def is_one_of(field: str, values: Iterable[str]) -> str:
    """A condition that a field equals one of some texts (at least one)."""
    return f"{field} in [{', '.join(map(quoted, sorted(values)))}]"


def quoted(text: str) -> str:
    """A text as a literal.

    Only the backslash, the quote and line ends mean something within one, in Milvus's grammar (Plan.g4) and
    in that of `milvus-lite`.
    """
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def _number(value: float) -> str:
    # Neither grammar has a word for infinity.
    return repr(max(-sys.float_info.max, min(sys.float_info.max, float(value))))
