"""Taking off the disk what is not visible any more."""

from __future__ import annotations

import warnings
from datetime import timedelta
from typing import Any

from omnireid.gallery.lance.failures import storing


def purge(table: Any) -> None:
    """Rewrite every fragment, so that hidden rows are in none, and remove all older versions."""
    with storing("cannot remove deleted rows from disk"), warnings.catch_warnings():
        table.update(where="true", values_sql={"id": "id"})
        warnings.simplefilter("ignore", UserWarning)
        table.optimize(cleanup_older_than=timedelta(0), delete_unverified=True)
