"""numba with the settings that all compiled loops share. Import it inside functions: it takes half a second.

Compiled code is kept beside the sources or, where these cannot be written, in the user's cache folder.
Loops release the GIL, so that threads run them side by side. No fast-math: the order of floating-point
operations decides the last bit, ties must stay ties, and truncation to bytes shows it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile a function when it is first called."""
    return _compiled(function)


def compiled_in_any_order(function: _Function) -> _Function:
    """As `compiled`, for sums whose last bits do not matter: terms may be added in any order."""
    return _compiled(function, fastmath={"reassoc"})


def inlined(function: _Function) -> _Function:
    """Compile a function as a part of those that call it: for the body of a hot loop."""
    made: Any = numba.njit(inline="always", nogil=True, error_model="numpy")(function)
    return cast(_Function, made)


def compiled_entry(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile a function of one signature now, for callers that know it by its `address` only."""
    from numba.core.ccallback import CFunc
    from numba.core.sigutils import normalize_signature

    arguments = normalize_signature(signature)  # type: ignore[no-untyped-call]
    made = CFunc(function, arguments, locals={}, options={"error_model": "numpy"})
    # Where no folder can be written to, it is compiled in every process.
    with contextlib.suppress(RuntimeError):
        made.enable_caching()
        _depend_on_the_folder(made, function)
    made.compile()
    return made


def _compiled(function: _Function, **settings: Any) -> _Function:
    settings |= {"nogil": True, "error_model": "numpy"}
    try:
        made: _Function = numba.njit(cache=True, **settings)(function)
    except RuntimeError:  # no folder can be written to: compile in every process
        made = numba.njit(**settings)(function)
    else:
        _depend_on_the_folder(made, function)
    return made


def _depend_on_the_folder(made: Any, function: Callable[..., Any]) -> None:
    """Compile again when a module beside the function's changes.

    numba looks at the function's own file only, and would go on using what it once inlined from another.
    """
    cache_file = getattr(getattr(made, "_cache", None), "_cache_file", None)
    if cache_file is not None:
        cache_file._source_stamp = _folder_hash(Path(function.__code__.co_filename).parent)


@functools.cache
def _folder_hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
