"""Dress codes: what the people of one place wear, as shares. A code is a property of a world; the variety
is within.

Real sets differ here most: a summer campus in T-shirts and shorts, a winter street in dark coats, an
office, a
sports ground. `draw_dress_code` draws a place's code; `draw_outfit` draws a person by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from omnireid.core.errors import UnknownNameError
from omnireid.synthetic.dress.colours import pick_name

Style = Literal["casual", "campus", "business", "sports", "work", "school"]
UNIFORMED_STYLES: Final = ("work", "school", "sports", "business")
"""Ways to dress that a uniform is made in, where a place has them."""


@dataclass(frozen=True, slots=True)
class DressCode:
    """What people wear at a place, at a season.

    Attributes:
        warmth: 0 is deep winter, 1 high summer.
        styles: shares of the ways to dress.
        colourful: share of garments in a bright colour rather than in what streets mostly have.
        patterned: how much more often than usual cloth has a pattern; 1 is usual.
        rich: share of tops, skirts and bags with prints as rich as pictures.
        uniformed: share of people in the place's uniform.
        bags, hats, rain: how much more often than usual people have bags and hats; share of umbrellas and
        rainwear.
        masks: share of people with a mask over mouth and nose.
    """

    warmth: float
    styles: Mapping[str, float]
    colourful: float = 0.1
    patterned: float = 1.0
    rich: float = 0.05
    uniformed: float = 0.02
    bags: float = 1.0
    hats: float = 1.0
    rain: float = 0.01
    masks: float = 0.0


PLACES: Final[dict[str, DressCode]] = {
    "street-winter": DressCode(0.08, {"casual": 6, "campus": 2, "business": 3, "sports": 1, "work": 0.4},
        0.05, 0.7, 0.02, hats=2.0),
    "street-mild": DressCode(0.42, {"casual": 6, "campus": 2, "business": 2, "sports": 1, "work": 0.4},
        0.06),
    "street-summer": DressCode(0.92, {"casual": 7, "campus": 2, "business": 1, "sports": 1.2, "work": 0.3},
        0.11, 1.2, 0.08),
    "campus-summer": DressCode(0.88, {"casual": 3, "campus": 7, "business": 0.3, "sports": 2}, 0.11, 1.1,
        0.06, bags=1.5),
    "campus-mild": DressCode(0.45, {"casual": 2, "campus": 7, "business": 0.4, "sports": 1.5}, 0.07, 1.1,
        0.04, bags=1.5),
    "business": DressCode(0.45, {"business": 8, "casual": 2, "work": 0.3}, 0.03, 0.8, 0.01, bags=1.2,
        hats=0.4),
    "sports": DressCode(0.75, {"sports": 8, "casual": 2, "campus": 1}, 0.25, 0.8, 0.06, 0.08, bags=0.7,
        hats=1.5),
    "station-rain": DressCode(0.3, {"casual": 5, "campus": 2, "business": 3, "sports": 1, "work": 0.6},
        0.08, rain=0.25, bags=1.4),
    "works": DressCode(0.5, {"work": 7, "casual": 3}, 0.12, 0.8, 0.02, 0.2, bags=0.6, hats=2.0),
    "school": DressCode(0.6, {"school": 6, "casual": 3}, 0.06, 0.8, 0.02, 0.3, bags=1.8, hats=0.4),
    "fair": DressCode(0.8, {"casual": 6, "campus": 2, "sports": 2}, 0.3, 1.8, 0.35, hats=1.5),
}  # fmt: skip


# How often each is drawn: streets and campuses are where cameras hang, the others keep the codes apart.
_PLACE_SHARES: Final[dict[str, float]] = {
    "street-winter": 3, "street-mild": 3, "street-summer": 3, "campus-summer": 3, "campus-mild": 3,
        "business": 2,
    "sports": 1, "station-rain": 2, "works": 0.6, "school": 1, "fair": 2,
}  # fmt: skip


def draw_dress_code(generator: np.random.Generator, place: str | None = None) -> DressCode:
    """Draw the dress code of a place, or of any place: no two are the same.

    Args:
        place: a name in `PLACES`; None draws one.

    Raises:
        UnknownNameError: `place` is not in `PLACES`.
    """
    if place is None:
        place = pick_name(generator, _PLACE_SHARES)
    if place not in PLACES:
        raise UnknownNameError("place", place, PLACES)
    code = PLACES[place]
    weights = generator.gamma(3.0, 1.0 / 3.0, len(code.styles))
    # Prints and bright colours are fashions: places differ in them more than in bags and hats.
    jitter = np.exp(generator.normal(0.0, (0.45, 0.3, 0.8, 0.3, 0.3, 0.3)))
    return DressCode(
        warmth=float(np.clip(code.warmth + generator.normal(0.0, 0.08), 0.0, 1.0)),
        styles={
            name: share * float(w) for (name, share), w in zip(code.styles.items(), weights, strict=True)
        },
        colourful=float(min(code.colourful * jitter[0], 0.8)),
        patterned=float(code.patterned * jitter[1]),
        rich=float(min(code.rich * jitter[2], 0.8)),
        uniformed=float(min(code.uniformed * jitter[3], 0.6)),
        bags=float(code.bags * jitter[4]),
        hats=float(code.hats * jitter[5]),
        rain=code.rain,
        # In most places nobody, in some everybody.
        masks=generator.beta(0.4, 1.0) if generator.random() < 0.25 else 0.02,
    )


def draw_style(generator: np.random.Generator, code: DressCode) -> str:
    """Draw how a person dresses."""
    return pick_name(generator, code.styles)
