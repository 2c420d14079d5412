"""Checking state dicts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from omnireid.core.errors import WeightsError

_MAX_NAMED = 5


def check_state_dict(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], *, source: str) -> None:
    """Require the same keys and shapes.

    Args:
        expected: the network's own state dict.
        state: what is to be loaded.
        source: what to call it in the message, e.g. the file.

    Raises:
        WeightsError: names the missing, unexpected and differently shaped keys.
    """
    missing = [key for key in expected if key not in state]
    unexpected = [key for key in state if key not in expected]
    reshaped = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    complaints = [
        f"{what}: {name_some(keys)}"
        for what, keys in (("missing", missing), ("unexpected", unexpected), ("wrong shape", reshaped))
        if keys
    ]
    if complaints:
        raise WeightsError(f"{source} does not fit the network. " + "; ".join(complaints))


def name_some(names: Iterable[str]) -> str:
    """The first names of a list, and how many more there are."""
    names = list(names)
    rest = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f" and {rest} more" if rest > 0 else "")
