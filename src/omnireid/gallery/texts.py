"""Texts at the door: what may be an identity, a camera, a tracklet, a name or an attribute.

One rule for Python, the service, its page and the command line (docs/decisions/0013-texts.md): what passes it
can be listed, read, named and forgotten again through each of them. Only texts that come in are asked: who
looks for something that is there, or forgets it, may use any, for galleries of earlier versions hold others.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable

from omnireid.core.errors import InputError

MAX_TEXT = 512
"""Characters of a camera, identity, tracklet, name or attribute, and of an attribute's name."""

# By number, not by category: what Unicode adds must not depend on the version of Python.
_UNSTORABLE = re.compile("[\0-\x1f\x7f\ud800-\udfff]")
_INVISIBLE = re.compile(
    "[\x80-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\U0001d173-\U0001d17a\U000e0000-\U000e00ff\U000e01f0-\U000e0fff]"
)
# Persian, Indian scripts and emoji need them between characters.
_JOINERS = "\u200c\u200d"
_LOST = "\ufffd"


def check_text(name: str, value: object, *, may_be_empty: bool = False) -> None:
    """Check a text that comes in; None passes.

    Args:
        name: name of the field, for the error.
        may_be_empty: "" says that nothing is known.

    Raises:
        InputError: not a text, or one that `fault` names a reason against.
    """
    _check(name, value, lambda text: fault(text, may_be_empty))


def fault(text: str, may_be_empty: bool = False) -> str:
    """Why a text may not come in, in words; "" where it may."""
    if not text:
        return "" if may_be_empty else "expected a text, got an empty one"
    if reason := unstorable(text, MAX_TEXT):
        return reason
    if text != text.strip():
        return "begins or ends with white space, which nobody sees; leave it out"
    if text.isascii():
        return ""
    if text != text.strip(_JOINERS):
        return "begins or ends with a joiner, which nobody sees; leave it out"
    if hidden := _INVISIBLE.search(text):
        return f"holds {_called(hidden[0])}, which nobody sees; leave it out"
    if _LOST in text:
        return f"holds {_called(_LOST)}, where another character was lost; send UTF-8"
    composed = unicodedata.normalize("NFC", text)
    if text != composed:
        return f"expected Unicode's composed form (NFC), which is {composed!r}"
    return ""


def check_storable(name: str, value: object, longest: int) -> None:
    """Check a text that nobody asks by, such as a file's path; None passes.

    Raises:
        InputError: not a text, too long, or with characters that no store takes.
    """
    _check(name, value, lambda text: unstorable(text, longest))


def unstorable(text: str, longest: int) -> str:
    """Why no store takes a text, in words; "" where all of them do."""
    if len(text) > longest:
        return f"expected at most {longest:,} characters, got {len(text):,}"
    if not text.isprintable() and _UNSTORABLE.search(text):
        return "holds a control character or half of a surrogate pair"
    return ""


def askable(texts: Iterable[str]) -> list[str]:
    """Sorted texts, without those that no store holds: nothing is found by these."""
    return sorted(text for text in texts if text.isprintable() or not _UNSTORABLE.search(text))


def storable(text: str) -> str:
    """A text with another character in place of each that no store takes."""
    return _UNSTORABLE.sub(_LOST, text)


def _check(name: str, value: object, reason_against: Callable[[str], str]) -> None:
    if value is None:
        return
    if not isinstance(value, str):
        raise InputError(f"{name}: expected text, got {type(value).__name__}")
    if reason := reason_against(value):
        raise InputError(f"{name}: {reason}")


def _called(character: str) -> str:
    name = unicodedata.name(character, "")
    return f"U+{ord(character):04X}" + (f" ({name.lower()})" if name else "")
