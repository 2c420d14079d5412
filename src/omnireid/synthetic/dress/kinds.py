"""The kinds of garments there are, as tables: who wears them when, how they are cut, of which cloth, with
what on them.

All shares are relative: of a hundred garments of a table, how many.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from omnireid.synthetic.dress.colours import Shares


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
        "jeans", (0.0, 0.5), (0.93, 1.0)),
    "chinos": LowerKind(0.55, 0.5, {"casual": 3, "campus": 2.6, "business": 3, "work": 1}, "chinos",
        (0.05, 0.48), (0.92, 1.0), men=1.4, women=0.6),
    "suit-trousers": LowerKind(0.4, 0.6, {"casual": 0.6, "campus": 0.3, "business": 8, "school": 6}, "suit",
        (0.1, 0.5), (0.95, 1.0)),
    "wide-trousers": LowerKind(0.6, 0.4, {"casual": 1, "campus": 0.9, "business": 1}, "chinos", (0.65, 1.0),
        (0.8, 1.0), women=1.6, men=0.4),
    "joggers": LowerKind(0.42, 0.4, {"casual": 1.5, "campus": 2, "sports": 4, "work": 0.5}, "sweat",
        (0.12, 0.55), (0.93, 1.0)),
    "track-trousers": LowerKind(0.5, 0.4, {"casual": 0.4, "campus": 0.8, "sports": 4, "school": 1.5},
        "track", (0.1, 0.55), (0.93, 1.0)),
    "leggings": LowerKind(0.45, 0.4, {"casual": 1.6, "campus": 1.6, "business": 0.3, "sports": 3},
        "leggings", (0.0, 0.05), (0.85, 1.0), women=2.0, men=0.05),
    "cargo": LowerKind(0.5, 0.5, {"casual": 1, "campus": 0.8, "sports": 0.2, "work": 4}, "work", (0.35, 0.8),
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


HEATHER: Final = {
    "tee": 0.18,
    "sweat": 0.45,
    "knit": 0.4,
    "wool": 0.5,
    "suit": 0.2,
    "jersey": 0.05,
    "leggings": 0.15,
}

SHEEN: Final = {
    "leather": 1.0,
    "down": 0.6,
    "jacket": 0.2,
    "track": 0.3,
    "jersey": 0.25,
    "leggings": 0.3,
    "skirt": 0.12,
    "dress": 0.1,
    "blouse": 0.15,
    "bag": 0.3,
    "umbrella": 0.3,
}

LAYOUTS: Final[dict[str, Shares]] = {
    "tee": {"whole": 84, "raglan": 5, "sleeves": 3, "yoke": 2, "chest": 3, "halves": 0.7, "sides": 1.2,
        "lower": 2, "shoulders": 1},
    "polo": {"whole": 80, "sleeves": 3, "yoke": 3, "chest": 6, "sides": 3, "lower": 2, "shoulders": 3},
    "knit": {"whole": 86, "chest": 4, "yoke": 3, "lower": 4, "sleeves": 2},
    "sweat": {"whole": 84, "raglan": 4, "sleeves": 3, "yoke": 3, "chest": 3, "sides": 2, "lower": 2},
    "jacket": {"whole": 80, "yoke": 6, "sleeves": 4, "sides": 4, "lower": 3, "shoulders": 3},
    "down": {"whole": 88, "yoke": 6, "lower": 3, "sleeves": 2},
    "jersey": {"whole": 42, "sides": 18, "sleeves": 10, "yoke": 6, "chest": 8, "halves": 5, "shoulders": 6,
        "raglan": 6, "lower": 3},
    "track": {"whole": 40, "sides": 14, "sleeves": 12, "yoke": 12, "chest": 10, "shoulders": 8, "raglan": 4},
    "high-visibility": {"whole": 60, "lower": 25, "sides": 5, "yoke": 10},
    "work": {"whole": 70, "yoke": 15, "sides": 8, "sleeves": 5},
    "dress": {"whole": 92, "lower": 4, "yoke": 2, "sides": 2},
    "blouse": {"whole": 94, "yoke": 3, "sleeves": 1},
    "shirt": {"whole": 97, "yoke": 1.5, "sleeves": 1},
}  # fmt: skip

FRONTS: Final[dict[str, Shares]] = {
    "polo": {"placket": 1}, "summer-shirt": {"buttons": 1}, "shirt": {"buttons": 1}, "blouse": {"none": 5,
        "buttons": 3},
    "cardigan": {"buttons": 1}, "hoodie": {"none": 6, "zip": 4}, "sweatshirt": {"none": 1},
        "jacket": {"zip": 8, "buttons": 2},
    "denim-jacket": {"buttons": 1}, "leather-jacket": {"zip": 1}, "blazer": {"buttons": 1},
        "coat": {"buttons": 7, "zip": 2},
    "down-jacket": {"zip": 1}, "parka": {"zip": 1}, "gilet": {"zip": 1}, "track-top": {"zip": 1},
        "overall": {"zip": 1, "buttons": 1},
    "high-visibility": {"zip": 2, "none": 1}, "dress": {"none": 8, "buttons": 1},
}  # fmt: skip

POCKETS: Final[dict[str, Shares]] = {
    "hoodie": {"kangaroo": 8, "none": 2}, "jacket": {"patch": 7, "chest": 2, "none": 1},
        "denim-jacket": {"chest": 1},
    "shirt": {"chest": 4, "none": 6}, "summer-shirt": {"chest": 5, "none": 5}, "coat": {"patch": 7,
        "none": 3},
    "down-jacket": {"patch": 6, "none": 4}, "parka": {"patch": 1}, "blazer": {"patch": 8, "none": 2},
        "gilet": {"patch": 1},
    "tee": {"none": 92, "chest": 8}, "overall": {"chest": 1, "patch": 1}, "track-top": {"patch": 1,
        "none": 1},
    "leather-jacket": {"patch": 1}, "high-visibility": {"chest": 1, "none": 1}, "cardigan": {"patch": 3,
        "none": 7},
}  # fmt: skip

PRINTED: Final = {
    "tee": 0.5,
    "tank": 0.35,
    "sweatshirt": 0.45,
    "hoodie": 0.4,
    "long-tee": 0.3,
    "jersey": 0.75,
    "track-top": 0.35,
    "polo": 0.25,
    "jacket": 0.14,
    "dress": 0.06,
    "jumper": 0.08,
    "high-visibility": 0.6,
    "overall": 0.4,
    "down-jacket": 0.12,
}

PRINTS: Final[dict[str, Shares]] = {
    "tee": {"text": 30, "lines": 12, "picture": 20, "disc": 6, "ring": 4, "square": 5, "triangle": 3,
        "star": 3,
        "cross": 2, "bar": 4, "blot": 8, "number": 5, "figure": 6},
    "jersey": {"number": 8, "text": 3, "bar": 1, "disc": 1},
    "polo": {"badge": 7, "text": 2, "lines": 1},
    "track-top": {"badge": 7, "text": 2, "lines": 1},
    "jacket": {"badge": 7, "text": 2, "lines": 1},
    "down-jacket": {"badge": 7, "text": 2, "lines": 1},
    "high-visibility": {"text": 5, "bar": 1, "lines": 3},
    "overall": {"text": 5, "bar": 1, "lines": 3},
}  # fmt: skip

# How often the lower garment is of the top's cloth.
SETS: Final = {
    ("blazer", "suit-trousers"): 0.75,
    ("track-top", "track-trousers"): 0.65,
    ("jersey", "sports-shorts"): 0.35,
    ("overall", "cargo"): 0.8,
    ("hoodie", "joggers"): 0.25,
    ("sweatshirt", "joggers"): 0.25,
}

# Colours of cloths that are not dyed as the rest is.
COLOURS: Final[dict[str, Shares]] = {
    "high-visibility": {"neon": 6, "orange": 3},
    "suit": {"black": 36, "charcoal": 20, "navy": 18, "grey": 10, "beige": 4, "brown": 4, "khaki": 2,
        "camel": 1,
        "burgundy": 1, "cream": 1, "other": 1},
    "wool": {"black": 32, "charcoal": 17, "navy": 16, "grey": 10, "camel": 7, "beige": 6, "brown": 5,
        "burgundy": 2,
        "cream": 2, "olive": 1, "red": 1, "other": 1},
    "leather": {"black": 70, "brown": 18, "camel": 6, "burgundy": 3, "other": 2},
    "work": {"navy": 6, "grey": 3, "orange": 1.4, "blue": 3, "olive": 2, "black": 3, "charcoal": 2,
        "khaki": 2,
        "white": 0.6},
    "denim": {"indigo": 5, "denim": 5, "faded": 2.5, "black": 2, "charcoal": 1.4, "white": 0.4},
    "tartan": {"red": 4, "navy": 3, "green": 2, "black": 2, "burgundy": 2, "white": 1, "beige": 1},
    "leather shoe": {"black": 60, "brown": 18, "camel": 8, "beige": 3, "burgundy": 2, "grey": 2, "white": 2,
        "other": 2},
    "leather sole": {"black": 6, "brown": 2, "charcoal": 1},
    "sole": {"white": 6, "black": 2, "cream": 1, "grey": 1, "neon": 0.2, "camel": 0.4},
    "tights": {"black": 60, "charcoal": 10, "brown": 6, "navy": 6, "beige": 8, "burgundy": 2, "white": 1,
        "grey": 4},
    "socks": {"white": 46, "black": 30, "grey": 10, "navy": 5, "other": 5, "red": 2},
    "belt": {"black": 6, "brown": 4, "camel": 2, "white": 0.6, "other": 0.6},
    "tie": {"navy": 4, "red": 2, "burgundy": 2, "black": 3, "grey": 2, "blue": 2, "other": 2},
    "glasses": {"black": 70, "brown": 12, "silver": 8, "camel": 5, "red": 2, "other": 3},
    "watch": {"black": 5, "silver": 4, "brown": 2, "camel": 1},
    "mask": {"white": 5, "sky": 6, "black": 4, "other": 1},
    "lanyard": {"blue": 4, "red": 2, "black": 3, "green": 1},
    "apron": {"black": 4, "white": 2, "navy": 2, "green": 1, "red": 1, "brown": 1},
    "necklace": {"silver": 3, "mustard": 2, "other": 1},
}  # fmt: skip

# How often a garment has lines along its sleeves or legs.
LINED: Final = {
    "track-top": 0.55, "jersey": 0.3, "jacket": 0.06, "hoodie": 0.08, "sweatshirt": 0.08, "long-tee": 0.08,
    "track-trousers": 0.55, "sports-shorts": 0.4, "joggers": 0.15, "leggings": 0.08,
}  # fmt: skip
