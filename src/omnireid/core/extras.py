"""Which extra brings a package that is not installed (docs/decisions/0035-extras.md)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

from omnireid.core.errors import MissingExtraError

EXTRAS = {
    **dict.fromkeys(("lancedb", "pyarrow", "scipy"), "gallery"),
    "ray": "ray",
    **dict.fromkeys(
        ("anyio", "fastapi", "httptools", "prometheus_client", "starlette", "uvicorn", "uvloop"), "serve"
    ),
}
"""By the name that is imported. Parts that need another one, as training needs torch, say so themselves."""


@contextmanager
def saying_the_extra() -> Iterator[None]:
    """Turn the import of a package that an extra brings into the error that names the extra.

    Raises:
        MissingExtraError: one of `EXTRAS` is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRAS:
            raise
        raise MissingExtraError(f"this part (the package {package})", EXTRAS[package]) from error


def require(package: str) -> None:
    """Say at once, before anything else is found missing, which extra a command needs.

    Raises:
        MissingExtraError: as `saying_the_extra`.
    """
    with saying_the_extra():
        import_module(package)
