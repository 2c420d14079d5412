"""What clothes need to know about a body."""

from __future__ import annotations

from typing import Protocol

# Shares of the stature.
NECK_TO_WAIST, WAIST_TO_ANKLE, WAIST_TO_CROTCH, ARM, LEG = 0.235, 0.56, 0.135, 0.33, 0.42


class Wearer(Protocol):
    """A body as whoever dresses it sees it; `people.Shape` is one."""

    @property
    def age(self) -> float:
        """Years."""

    @property
    def gender(self) -> float:
        """0 male to 1 female."""

    @property
    def stature(self) -> float:
        """Metres."""

    @property
    def weight(self) -> float:
        """0 to 1, 0.5 is the middle."""

    @property
    def ancestry(self) -> tuple[float, float, float]:
        """Shares of African, Asian and European features, which sum to 1."""


def girth(wearer: Wearer) -> float:
    """Metres around the trunk."""
    return wearer.stature * (0.44 + 0.24 * wearer.weight)
