"""The pages' templates: everything that is put in is escaped, and a missing value is an error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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
