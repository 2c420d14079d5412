"""What a report can be written as: choices."""

from __future__ import annotations

from typing import Literal, get_args

TableFormat = Literal["md", "latex", "csv"]
TABLE_FORMATS: tuple[TableFormat, ...] = get_args(TableFormat)
