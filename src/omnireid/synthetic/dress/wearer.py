"""What clothes need to know about a body."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Wearer:
    """A body as whoever dresses it sees it.

    Attributes:
        feminine: 0 a man's body, 1 a woman's. age: years.
        african, asian, caucasian: shares of ancestry, which sum to 1.
        stature: metres. girth: of the torso, metres.
    """

    feminine: float = 0.5
    age: float = 30.0
    african: float = 0.2
    asian: float = 0.4
    caucasian: float = 0.4
    stature: float = 1.7
    girth: float = 0.95
