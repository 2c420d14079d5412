"""How the names of people and cameras become numbers: one rule for every layout of one's own data.

A label is a whole number in ASCII digits, or else a name. Where all labels are numbers that every table can
hold, they are the pids and camids themselves. Where they are names, or numbers too large, they are counted in
an order that depends on nothing but the labels: people from 1, cameras from 0. Pid −1 stays junk, 0 stays 0.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from omnireid.core.types import DISTRACTOR_PID, JUNK_PID

Label = int | str

# Tables that hold numbers as floats, as pandas does, cannot tell larger ones apart.
LARGEST = 2**53

# A camera in the name of a file or folder: "c3", "c3s1", "cA", "cam3", "cam_A", "Camera-2", "cam-entrance";
# in the last group that matched. A word needs "cam" and a gap before it: "crop" and "camel" are no cameras.
CAMERA_WORD = (
    r"c(?:am(?:era)?[-_ ]?([0-9]+|[^\W\d_])|am(?:era)?[-_ ]([^\W_]+)|_?([0-9]+)|([A-Za-z]))"
    r"(?=s[0-9]|[-_. ]|$)"
)

# Python refuses to read numbers of more than 4,300 digits.
_NUMBER = re.compile(r"[+-]?[0-9]{1,1000}")
_PARTS = re.compile(r"[0-9]+|[^0-9]+")


def label(text: str) -> Label:
    """The number that `text` writes, with or without leading zeros, or the name that it is.

    Names are composed as Unicode does (NFC): one name is one person, whichever system wrote it.
    """
    return int(text) if _NUMBER.fullmatch(text) else unicodedata.normalize("NFC", text)


def camera_of(match: re.Match[str]) -> Label:
    """The camera that `CAMERA_WORD` matched."""
    assert match.lastindex is not None
    return label(match[match.lastindex])


def number_people(labels: Iterable[Label]) -> dict[Label, int]:
    """Pid of each person: the number itself where all are numbers up to 2^53, else its place, from 1.

    Numbers come first, in their order, then names in alphabetical order.
    """
    known = set(labels)
    if _are_plain(known):
        return {person: int(person) for person in known}
    apart: set[Label] = {JUNK_PID, DISTRACTOR_PID}
    numbers = sorted(person for person in known - apart if isinstance(person, int))
    names = sorted(person for person in known if isinstance(person, str))
    return {person: int(person) for person in known & apart} | _counted([*numbers, *names], first=1)


def number_cameras(labels: Iterable[Label]) -> dict[Label, int]:
    """Camid of each camera: the number itself where all are numbers up to 2^53, else its place, from 0.

    Numbers come first, in their order, and so do those inside of names: c10 follows c9.
    """
    known = set(labels)
    if _are_plain(known):
        return {camera: int(camera) for camera in known}
    return _counted(sorted(known, key=_natural), first=0)


def names_of(numbers: dict[Label, int]) -> dict[int, str]:
    """Labels by number, as text, of those that are not the number itself."""
    return {number: str(label) for label, number in numbers.items() if label != number}


def _natural(label: Label) -> tuple[list[tuple[int, str]], str]:
    text = str(label)
    parts = []
    for part in _PARTS.findall(text):
        digits = part.lstrip("0") if part[0] in "0123456789" else ""
        # By length, then by digits: the order of numbers, of any size.
        parts.append((len(digits), digits) if digits or part[0] == "0" else (1 << 30, part))
    return parts, text


def _counted(labels: Sequence[Label], *, first: int) -> dict[Label, int]:
    return {label: number for number, label in enumerate(labels, start=first)}


def _are_plain(labels: set[Label]) -> bool:
    return all(isinstance(label, int) and JUNK_PID <= label <= LARGEST for label in labels)
