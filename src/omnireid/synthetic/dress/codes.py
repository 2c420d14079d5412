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
from omnireid.synthetic.dress.colours import Shares, pick_name

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


PLACES: Final[dict[str, DressCode]] = {
    "street-winter": DressCode(0.08, {"casual": 6, "campus": 2, "business": 3, "sports": 1, "work": 0.4},
        0.05, 0.7, 0.02, hats=2.0),
    "street-mild": DressCode(0.42, {"casual": 6, "campus": 2, "business": 2, "sports": 1, "work": 0.4},
        0.08),
    "street-summer": DressCode(0.92, {"casual": 7, "campus": 2, "business": 1, "sports": 1.2, "work": 0.3},
        0.16, 1.2, 0.08),
    "campus-summer": DressCode(0.88, {"casual": 3, "campus": 7, "business": 0.3, "sports": 2}, 0.15, 1.1,
        0.06, bags=1.5),
    "campus-mild": DressCode(0.45, {"casual": 2, "campus": 7, "business": 0.4, "sports": 1.5}, 0.1, 1.1,
        0.04, bags=1.5),
    "business": DressCode(0.45, {"business": 8, "casual": 2, "work": 0.3}, 0.03, 0.8, 0.01, bags=1.2,
        hats=0.4),
    "sports": DressCode(0.75, {"sports": 8, "casual": 2, "campus": 1}, 0.35, 0.8, 0.06, 0.08, bags=0.7,
        hats=1.5),
    "station-rain": DressCode(0.3, {"casual": 5, "campus": 2, "business": 3, "sports": 1, "work": 0.6},
        0.08, rain=0.25, bags=1.4),
    "works": DressCode(0.5, {"work": 7, "casual": 3}, 0.12, 0.8, 0.02, 0.2, bags=0.6, hats=2.0),
    "school": DressCode(0.6, {"school": 6, "casual": 3}, 0.06, 0.8, 0.02, 0.3, bags=1.8, hats=0.4),
    "fair": DressCode(0.8, {"casual": 6, "campus": 2, "sports": 2}, 0.4, 1.8, 0.35, hats=1.5),
}  # fmt: skip


def draw_dress_code(generator: np.random.Generator, place: str | None = None) -> DressCode:
    """Draw the dress code of a place, or of any place: no two are the same.

    Args:
        place: a name in `PLACES`; None draws one.

    Raises:
        UnknownNameError: `place` is not in `PLACES`.
    """
    if place is None:
        place = list(PLACES)[int(generator.integers(len(PLACES)))]
    if place not in PLACES:
        raise UnknownNameError("place", place, PLACES)
    code = PLACES[place]
    weights = generator.gamma(3.0, 1.0 / 3.0, len(code.styles))
    jitter = np.exp(generator.normal(0.0, 0.3, 6))
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
    )


@dataclass(frozen=True, slots=True)
class TopKind:
    """A kind of upper garment: who wears it when, and how it is cut (ranges are least and most).

    `women` and `men` multiply its share; the lengths are those of `OutfitCut`.
    """

    warmth: float
    spread: float
    styles: Shares
    cloth: str
    sleeve: tuple[float, float]
    hem: tuple[float, float]
    loose: tuple[float, float]
    women: float = 1.0
    men: float = 1.0
    opens: float = 0.0
    collars: Shares | None = None
    hood: float = 0.0
    tucks: float = 0.1


_ANY: Final[Shares] = {"casual": 1, "campus": 1, "business": 0.3, "sports": 0.5, "work": 0.6}
_FORMAL: Final[Shares] = {"casual": 0.4, "campus": 0.3, "business": 3, "work": 0.2}
_SPORT: Final[Shares] = {"casual": 0.25, "campus": 0.4, "sports": 3}
_SHIRT: Final[Shares] = {"shirt": 1}

TOPS: Final[dict[str, TopKind]] = {
    "tank": TopKind(1.0, 0.2, {"casual": 1, "campus": 0.7, "sports": 2}, "tee", (0.0, 0.08), (0.06, 0.2),
        (0.003, 0.016), women=1.6, men=0.6),
    "tee": TopKind(0.9, 0.28, {"casual": 6, "campus": 8, "business": 0.6, "sports": 4, "work": 3}, "tee",
        (0.22, 0.5), (0.08, 0.26), (0.006, 0.03)),
    "polo": TopKind(0.85, 0.22,
        {"casual": 1.6, "campus": 1.4, "business": 1.2, "sports": 1, "work": 1.5, "school": 3}, "polo",
        (0.26, 0.46), (0.12, 0.24), (0.008, 0.024), women=0.5, men=1.4, collars=_SHIRT),
    "summer-shirt": TopKind(0.88, 0.22, {"casual": 2, "campus": 1, "business": 1.2, "school": 4}, "shirt",
        (0.28, 0.5), (0.12, 0.26), (0.012, 0.03), women=0.7, collars=_SHIRT, opens=0.15, tucks=0.3),
    "shirt": TopKind(0.58, 0.26, {"casual": 2.2, "campus": 2, "business": 6, "school": 4}, "shirt",
        (0.7, 1.0), (0.12, 0.28), (0.008, 0.024), collars=_SHIRT, opens=0.2, tucks=0.4),
    "blouse": TopKind(0.75, 0.3, {"casual": 2, "campus": 1, "business": 3}, "blouse", (0.05, 1.0),
        (0.06, 0.26), (0.008, 0.03), women=2.0, men=0.0, tucks=0.3),
    "long-tee": TopKind(0.55, 0.24, _ANY, "tee", (0.75, 1.0), (0.1, 0.28), (0.004, 0.022)),
    "jumper": TopKind(0.33, 0.2, {"casual": 2.4, "campus": 2, "business": 1, "school": 3}, "knit",
        (0.9, 1.0), (0.12, 0.28), (0.01, 0.032), collars={"none": 5, "turtleneck": 2}),
    "cardigan": TopKind(0.45, 0.22, {"casual": 1.2, "campus": 1, "business": 0.8}, "knit", (0.75, 1.0),
        (0.14, 0.42), (0.01, 0.028), women=1.8, men=0.5, opens=0.75),
    "sweatshirt": TopKind(0.42, 0.2, {"casual": 2.4, "campus": 3.5, "sports": 2, "work": 0.6}, "sweat",
        (0.9, 1.0), (0.1, 0.24), (0.014, 0.036)),
    "hoodie": TopKind(0.4, 0.22, {"casual": 2.6, "campus": 4, "sports": 2.4, "work": 1}, "sweat",
        (0.92, 1.0), (0.12, 0.26), (0.016, 0.04), opens=0.35, hood=1.0, tucks=0),
    "jacket": TopKind(0.3, 0.24, {"casual": 4, "campus": 3, "business": 1, "sports": 1, "work": 2},
        "jacket", (0.94, 1.0), (0.12, 0.3), (0.018, 0.045), opens=0.5,
        collars={"stand": 4, "shirt": 2, "none": 1}, hood=0.25, tucks=0),
    "denim-jacket": TopKind(0.48, 0.18, {"casual": 1, "campus": 1}, "jeans", (0.8, 1.0), (0.06, 0.16),
        (0.014, 0.03), opens=0.65, collars=_SHIRT, tucks=0),
    "leather-jacket": TopKind(0.3, 0.2, {"casual": 1, "campus": 0.4}, "leather", (0.95, 1.0), (0.06, 0.2),
        (0.012, 0.03), opens=0.6, collars={"shirt": 2, "stand": 2}, tucks=0),
    "blazer": TopKind(0.5, 0.3, {**_FORMAL, "business": 5, "school": 3}, "suit", (0.94, 1.0), (0.22, 0.34),
        (0.014, 0.03), opens=0.7, collars=_SHIRT, tucks=0),
    "coat": TopKind(0.08, 0.18, {"casual": 2.5, "campus": 1, "business": 4}, "wool", (0.96, 1.0),
        (0.34, 0.75), (0.02, 0.045), women=1.3, opens=0.4, collars={"shirt": 4, "stand": 1}, tucks=0),
    "down-jacket": TopKind(0.0, 0.2, {"casual": 4, "campus": 4, "sports": 1, "work": 1}, "down",
        (0.96, 1.0), (0.14, 0.55), (0.03, 0.06), opens=0.3, collars={"stand": 1}, hood=0.55, tucks=0),
    "parka": TopKind(0.12, 0.2, {"casual": 2, "campus": 2, "work": 1}, "jacket", (0.96, 1.0), (0.3, 0.5),
        (0.025, 0.05), opens=0.35, collars={"stand": 1}, hood=0.8, tucks=0),
    "gilet": TopKind(0.36, 0.16, {"casual": 0.7, "campus": 0.5, "business": 0.3, "work": 0.8}, "down",
        (0.0, 0.05), (0.12, 0.24), (0.02, 0.04), opens=0.5, collars={"stand": 1}, tucks=0),
    "jersey": TopKind(0.85, 0.28, _SPORT, "jersey", (0.0, 0.5), (0.12, 0.28), (0.008, 0.034), men=1.5,
        women=0.7),
    "track-top": TopKind(0.42, 0.26, {"casual": 0.4, "campus": 0.7, "sports": 3, "school": 1.5}, "track",
        (0.94, 1.0), (0.12, 0.22), (0.012, 0.032), opens=0.35, collars={"stand": 3, "none": 1}, tucks=0),
    "high-visibility": TopKind(0.5, 0.6, {"work": 4}, "high-visibility", (0.0, 1.0), (0.12, 0.3),
        (0.016, 0.045), opens=0.3, women=0.5, tucks=0),
    "tunic": TopKind(0.75, 0.3, {"casual": 1, "campus": 0.5, "business": 0.4}, "blouse", (0.1, 0.9),
        (0.28, 0.46), (0.01, 0.035), women=1.5, men=0.0, tucks=0),
    "dress": TopKind(0.85, 0.3, {"casual": 4, "campus": 2.5, "business": 2}, "dress", (0.0, 0.8),
        (0.2, 0.3), (0.004, 0.02), women=1.8, men=0.0, tucks=0),
    "overall": TopKind(0.5, 0.4, {"work": 2.5, "casual": 0.1}, "work", (0.4, 1.0), (0.14, 0.26),
        (0.018, 0.04), collars={"shirt": 2, "none": 1}),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LowerKind:
    """A kind of lower garment; `width` and `length` as `OutfitCut.lower_width` and `lower_length`."""

    warmth: float
    spread: float
    styles: Shares
    cloth: str
    width: tuple[float, float]
    length: tuple[float, float]
    women: float = 1.0
    men: float = 1.0
    skirt: bool = False


LOWERS: Final[dict[str, LowerKind]] = {
    "jeans": LowerKind(0.45, 0.5, {"casual": 7, "campus": 6, "business": 1, "sports": 0.6, "work": 2},
        "jeans", (0.08, 0.6), (0.93, 1.0)),
    "chinos": LowerKind(0.55, 0.5, {"casual": 3, "campus": 2.6, "business": 3, "work": 1}, "chinos",
        (0.12, 0.55), (0.92, 1.0), men=1.4, women=0.6),
    "suit-trousers": LowerKind(0.4, 0.6, {"casual": 0.6, "campus": 0.3, "business": 8, "school": 6}, "suit",
        (0.2, 0.65), (0.95, 1.0)),
    "wide-trousers": LowerKind(0.6, 0.4, {"casual": 1, "campus": 0.9, "business": 1}, "chinos", (0.75, 1.0),
        (0.8, 1.0), women=1.6, men=0.4),
    "joggers": LowerKind(0.42, 0.4, {"casual": 1.5, "campus": 2, "sports": 4, "work": 0.5}, "sweat",
        (0.25, 0.65), (0.93, 1.0)),
    "track-trousers": LowerKind(0.5, 0.4, {"casual": 0.4, "campus": 0.8, "sports": 4, "school": 1.5},
        "track", (0.2, 0.65), (0.93, 1.0)),
    "leggings": LowerKind(0.45, 0.4, {"casual": 1.6, "campus": 1.6, "business": 0.3, "sports": 3},
        "leggings", (0.0, 0.05), (0.85, 1.0), women=2.0, men=0.05),
    "cargo": LowerKind(0.5, 0.5, {"casual": 1, "campus": 0.8, "sports": 0.2, "work": 4}, "work", (0.5, 0.9),
        (0.93, 1.0), men=1.3, women=0.6),
    "cropped": LowerKind(0.85, 0.3, {"casual": 1.4, "campus": 1, "business": 0.6, "sports": 0.6}, "chinos",
        (0.15, 0.7), (0.7, 0.88), women=1.5, men=0.6),
    "shorts": LowerKind(1.0, 0.22,
        {"casual": 5, "campus": 7, "business": 0.2, "sports": 2, "work": 1, "school": 1.5}, "shorts",
        (0.35, 0.9), (0.45, 0.64), men=1.4, women=0.5),
    "hot-pants": LowerKind(1.05, 0.2, {"casual": 3, "campus": 4, "sports": 1}, "shorts", (0.25, 0.6),
        (0.32, 0.42), women=1.8, men=0.0),
    "sports-shorts": LowerKind(1.0, 0.3, {"casual": 0.7, "campus": 1.4, "sports": 6}, "jersey", (0.5, 1.0),
        (0.4, 0.62), men=1.4, women=0.6),
    "mini-skirt": LowerKind(0.9, 0.4,
        {"casual": 2, "campus": 2, "business": 0.4, "sports": 0.4, "school": 2}, "skirt", (0.1, 0.9),
        (0.36, 0.52), women=1.9, men=0.0, skirt=True),
    "skirt": LowerKind(0.75, 0.45, {"casual": 2, "campus": 1.2, "business": 3, "school": 5}, "skirt",
        (0.0, 0.8), (0.5, 0.72), women=1.9, men=0.0, skirt=True),
    "long-skirt": LowerKind(0.7, 0.5, {"casual": 1.2, "campus": 0.8, "business": 0.4}, "skirt", (0.2, 1.0),
        (0.74, 0.98), women=1.9, men=0.0, skirt=True),
}  # fmt: skip

# Patterns by cloth. What is in `fabrics.RICH` is drawn apart, by the code's share of rich prints.
CLOTHS: Final[dict[str, Shares]] = {
    "tee": {"plain": 66, "stripes-across": 14, "stripes-of-two": 4, "gradient": 2, "camouflage": 1,
        "dots": 1.5, "zigzag": 1, "animal": 0.7, "stripes-down": 0.7, "tartan": 0.5},
    "polo": {"plain": 68, "stripes-across": 16, "stripes-of-two": 9, "gingham": 1, "argyle": 1},
    "shirt": {"plain": 46, "tartan": 17, "gingham": 9, "stripes-down": 10, "pinstripes": 5, "windowpane": 4,
        "dots": 3, "denim": 5},
    "blouse": {"plain": 55, "dots": 9, "stripes-down": 7, "stripes-across": 8, "animal": 4, "gingham": 3,
        "tartan": 3, "houndstooth": 2, "gradient": 2, "zigzag": 2},
    "knit": {"plain": 66, "stripes-across": 15, "stripes-of-two": 5, "argyle": 3, "zigzag": 4,
        "houndstooth": 1.5, "gradient": 2},
    "sweat": {"plain": 91, "stripes-across": 3, "camouflage": 2.5, "gradient": 1.5, "stripes-of-two": 1},
    "jacket": {"plain": 92, "camouflage": 3, "tartan": 2.5, "windowpane": 0.7, "stripes-across": 0.7,
        "gradient": 0.7},
    "down": {"plain": 96, "camouflage": 2, "gradient": 1},
    "jeans": {"denim": 1},
    "leather": {"plain": 1},
    "suit": {"plain": 78, "pinstripes": 10, "windowpane": 5, "herringbone": 5, "houndstooth": 2},
    "wool": {"plain": 74, "herringbone": 10, "houndstooth": 5, "tartan": 6, "windowpane": 5},
    "chinos": {"plain": 90, "pinstripes": 3, "tartan": 2, "windowpane": 2, "stripes-down": 2,
        "houndstooth": 1},
    "leggings": {"plain": 84, "camouflage": 2, "stripes-across": 2, "zigzag": 2, "animal": 3, "gradient": 2},
    "shorts": {"plain": 66, "denim": 20, "tartan": 6, "camouflage": 4, "stripes-down": 2, "gingham": 2},
    "jersey": {"plain": 74, "stripes-down": 8, "stripes-across": 8, "gradient": 4, "zigzag": 2,
        "stripes-of-two": 2},
    "track": {"plain": 94, "gradient": 3, "camouflage": 1},
    "work": {"plain": 92, "camouflage": 4},
    "high-visibility": {"plain": 1},
    "skirt": {"plain": 60, "tartan": 9, "dots": 6, "stripes-across": 5, "denim": 9, "stripes-down": 3,
        "animal": 2, "houndstooth": 2, "zigzag": 2, "gingham": 2},
    "dress": {"plain": 50, "dots": 10, "stripes-across": 11, "stripes-down": 3, "stripes-of-two": 4,
        "animal": 3, "zigzag": 3, "gingham": 3, "tartan": 4, "gradient": 5, "denim": 2},
    "scarf": {"plain": 58, "tartan": 22, "stripes-across": 8, "animal": 3, "dots": 3, "zigzag": 3,
        "herringbone": 3},
    "bag": {"plain": 88, "camouflage": 2, "stripes-across": 2, "tartan": 1, "animal": 1, "dots": 1,
        "gradient": 1},
    "umbrella": {"plain": 72, "dots": 6, "tartan": 8, "stripes-down": 4, "gradient": 2},
    "hat": {"plain": 84, "stripes-across": 8, "camouflage": 4, "tartan": 2, "zigzag": 2},
}  # fmt: skip


def kind_shares(
    kinds: Mapping[str, TopKind] | Mapping[str, LowerKind], style: str, warmth: float, feminine: float
) -> dict[str, float]:
    """How likely each kind of garment is for a person who dresses in `style` at `warmth`."""
    shares = {}
    for name, kind in kinds.items():
        weight = kind.styles.get(style, 0.0)
        if weight:
            weight *= float(np.exp(-0.5 * ((warmth - kind.warmth) / kind.spread) ** 2))
            weight *= kind.women * feminine + kind.men * (1.0 - feminine)
        shares[name] = weight
    return shares


def draw_style(generator: np.random.Generator, code: DressCode) -> str:
    """Draw how a person dresses."""
    return pick_name(generator, code.styles)
