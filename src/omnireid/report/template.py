"""The pages' templates: everything that is put in is escaped, and a missing value is an error."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from omnireid.core.files import write_bytes


def render_page(template: str, page: Mapping[str, Any]) -> str:
    """The HTML of one of the files in `templates`."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("omnireid.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(page)


def write_page(path: str | os.PathLike[str], html: str) -> None:
    """Write a page, atomically.

    Raises:
        StorageError: the file cannot be written.
    """
    # Undecodable bytes of a file name arrive as lone surrogates, which UTF-8 does not have.
    write_bytes(path, html.encode("utf-8", "xmlcharrefreplace"))
