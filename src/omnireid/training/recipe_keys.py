"""What is said of a key that a recipe does not have: which one was probably meant."""

from __future__ import annotations

import difflib
from typing import Any

from pydantic import BaseModel

_LIKE = 0.6


def explain(problem: Any, recipe: type[BaseModel]) -> str:
    """One of pydantic's errors in our words.

    Args:
        problem: of `ValidationError.errors()`.
        recipe: what was validated.
    """
    where = ".".join(map(str, (*problem["loc"], *filter(None, [problem.get("ctx", {}).get("key")]))))
    if problem["type"] != "extra_forbidden":
        return f"{where}: {problem['msg']}" if where else str(problem["msg"])
    known = _keys(recipe)
    near = _nearest(where, known)
    hint = f"did you mean {' or '.join(map(repr, near))}?" if near else f"known: {', '.join(known)}"
    return f"unknown key {where!r}, {hint}"


def _keys(section: type[BaseModel], prefix: str = "") -> list[str]:
    """Every key, at any depth, as `--set` takes it."""
    keys = []
    for name, item in section.model_fields.items():
        keys.append(prefix + name)
        if isinstance(item.annotation, type) and issubclass(item.annotation, BaseModel):
            keys += _keys(item.annotation, f"{prefix}{name}.")
    return keys


def _nearest(unknown: str, known: list[str]) -> list[str]:
    """Keys of the same last name wherever they stand, or of the same initials; else the one most alike."""
    last = _last(unknown)
    same = [key for key in known if _last(key) == last]
    same = same or [key for key in known if _initials(last) == _last(key) or last == _initials(_last(key))]
    if same:
        return same

    def likeness(key: str) -> float:
        pairs = ((unknown, key), (last, _last(key)))
        return max(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs)

    nearest = max(known, key=likeness)
    return [nearest] if likeness(nearest) >= _LIKE else []


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _initials(name: str) -> str:
    """ "learning_rate" → "lr"."""
    return "".join(word[:1] for word in name.split("_"))
