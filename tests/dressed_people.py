"""People without geometry, and what they wear."""

from __future__ import annotations

from dataclasses import dataclass

from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.dress import Outfit, draw_dress_code, draw_outfit


@dataclass(frozen=True)
class Body:
    """A wearer without geometry."""

    age: float = 30.0
    gender: float = 0.0
    stature: float = 1.7
    weight: float = 0.5
    ancestry: tuple[float, float, float] = (0.2, 0.4, 0.4)


def draw(seed: int, place: str | None = None) -> tuple[Outfit, Body]:
    """An outfit and its wearer, of any place or of one."""
    generator = numpy_generator(seed, "dress")
    wearer = Body(gender=float(generator.random() < 0.5), age=float(generator.uniform(8, 80)))
    return draw_outfit(generator, wearer, draw_dress_code(generator, place)), wearer
