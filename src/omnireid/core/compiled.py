"""numba with the settings that all compiled loops share. Import it inside functions: it takes half a second.

Compiled code is kept beside the sources or, where these cannot be written, in the user's cache folder.
Loops release the GIL, so that threads run them side by side. No fast-math: the order of floating-point
operations decides the last bit, ties must stay ties, and truncation to bytes shows it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compile a function when it is first called."""
    return _compiled(function)


def compiled_in_any_order(function: _Function) -> _Function:
    """As `compiled`, for sums whose last bits do not matter: terms may be added in any order."""
    return _compiled(function, fastmath={"reassoc"})


def compiled_entry(signature: Any, function: Callable[..., Any]) -> Any:
    """Compile a function of one signature now, for callers that know it by its `address` only."""
    try:
        return numba.cfunc(signature, cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder can be written to: compile in every process
        return numba.cfunc(signature, error_model="numpy")(function)


def _compiled(function: _Function, **settings: Any) -> _Function:
    settings |= {"nogil": True, "error_model": "numpy"}
    try:
        made: _Function = numba.njit(cache=True, **settings)(function)
    except RuntimeError:  # no folder can be written to: compile in every process
        made = numba.njit(**settings)(function)
    return made
