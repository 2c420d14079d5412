"""How values look in a notebook: one short line each, and a table of the few that people look at."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Mapping, Sequence, Set
from enum import Enum
from html import escape
from typing import Any

_LONGEST_VALUE = 64
_LONGEST = 300
_MISSING = object()


def short_repr(self: Any) -> str:
    """One line: the fields that differ from their defaults; arrays, bytes and long collections by their size.

    For dataclasses, named tuples and pydantic models: `__repr__ = short_repr` in the class.
    """
    shown = [
        f"{name}={_short(value)}"
        for name, default in _fields(self)
        if not _is_default(value := getattr(self, name), default)
    ]
    return _cut(f"{type(self).__name__}({', '.join(shown)})", _LONGEST)


def html_table(header: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """A table for `_repr_html_`; every text is escaped, None is an empty cell."""
    parts = [f"<caption>{escape(caption)}</caption>"] if caption else []
    for tag, row in (("th", header), *(("td", row) for row in rows)):
        cells = "".join(f"<{tag}>{escape('' if cell is None else str(cell))}</{tag}>" for cell in row)
        parts.append(f"<tr>{cells}</tr>")
    return f"<table>{''.join(parts)}</table>"


def _fields(value: Any) -> list[tuple[str, Any]]:
    """Names and defaults."""
    if dataclasses.is_dataclass(value):
        return [
            (field.name, field.default if field.default is not dataclasses.MISSING else _MISSING)
            for field in dataclasses.fields(value)
            if field.repr
        ]
    if isinstance(value, tuple):
        defaults = getattr(value, "_field_defaults", {})
        return [(name, defaults.get(name, _MISSING)) for name in getattr(value, "_fields", ())]
    declared = [(name, field.get_default()) for name, field in type(value).model_fields.items()]
    return declared + [(name, _MISSING) for name in value.__pydantic_extra__ or ()]


def _is_default(value: Any, default: Any) -> bool:
    if value is None:
        return True
    return type(value) is type(default) and not _is_array(value) and bool(value == default)


def _is_array(value: object) -> bool:
    # Who has an array has loaded NumPy; who has none must not.
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray)


def _short(value: Any) -> str:
    if _is_array(value):
        return f"{value.dtype}{list(value.shape)}"
    if isinstance(value, bytes):
        return f"<{len(value):,} bytes>"
    if isinstance(value, Enum):
        return repr(value.value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, str):
        return repr(_cut(value, _LONGEST_VALUE))
    if isinstance(value, Sequence | Set | Mapping) and not hasattr(value, "_fields"):
        # A long collection's own text may have a million characters: it is never made.
        text = repr(value) if len(value) <= 4 else ""
        return text if 0 < len(text) <= _LONGEST_VALUE else f"<{len(value):,} entries>"
    text = repr(value)
    return text if len(text) <= _LONGEST_VALUE else f"{type(value).__name__}(…)"


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
