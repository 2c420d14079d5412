"""Parameters that share a line of a docstring here ("since, until: …"), taken apart for the reference."""

from __future__ import annotations

import re
from typing import Any

import griffe

_SHARED = re.compile(r"^(\s+)([*\w]+(?:, [*\w]+)+): (.+)$")


class SharedLines(griffe.Extension):
    """Gives each name of a shared line its own; the others point to the last."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = "\n".join(_apart(obj.docstring.value.splitlines()))


def _apart(lines: list[str]) -> list[str]:
    taken: list[str] = []
    for number, line in enumerate(lines):
        shared = _SHARED.match(line)
        if shared is None or not _is_in_a_list(lines[:number]):
            taken.append(line)
            continue
        indent, names, text = shared.groups()
        *others, last = names.split(", ")
        # The text may go on in the lines that follow, so the last name keeps it.
        taken += [f"{indent}{name}: as `{last}`." for name in others]
        taken.append(f"{indent}{last}: {text}")
    return taken


def _is_in_a_list(before: list[str]) -> bool:
    heads = [line.strip() for line in before if line and not line.startswith(" ")]
    return bool(heads) and heads[-1] in {"Args:", "Attributes:"}
