"""Colours that the whole population shares.

The wardrobe is small on purpose: with thousands of people in a dozen colours, two strangers often wear the
same, and telling them apart takes cut, texture and small cues instead of colour alone.
All colours are RGB, 0 to 255.
"""

from __future__ import annotations

import numpy as np

Colour = tuple[float, float, float]

CLOTHES: dict[str, Colour] = {
    "black": (34, 34, 38),
    "charcoal": (68, 70, 76),
    "grey": (132, 134, 138),
    "white": (222, 222, 218),
    "navy": (38, 48, 84),
    "denim": (74, 98, 136),
    "blue": (52, 96, 172),
    "red": (164, 44, 48),
    "burgundy": (98, 34, 48),
    "green": (62, 104, 74),
    "olive": (104, 102, 66),
    "beige": (190, 170, 138),
    "brown": (112, 80, 56),
    "yellow": (206, 172, 62),
    "pink": (204, 140, 154),
    "teal": (52, 120, 128),
}

# Shares as in a street of a temperate town: most people wear black, grey, blue or white.
UPPER_SHARES = {
    "black": 20, "charcoal": 11, "grey": 12, "white": 13, "navy": 12, "denim": 4, "blue": 6, "red": 6,
    "burgundy": 3, "green": 4, "olive": 4, "beige": 6, "brown": 3, "yellow": 2, "pink": 3, "teal": 3,
}  # fmt: skip
LOWER_SHARES = {
    "black": 28, "charcoal": 14, "grey": 8, "white": 2, "navy": 14, "denim": 22, "beige": 7, "brown": 3,
    "olive": 3,
}  # fmt: skip
ACCENT_SHARES = {
    "white": 26, "black": 16, "grey": 8, "red": 12, "yellow": 8, "blue": 8, "beige": 6, "green": 5, "navy": 6,
    "pink": 5,
}  # fmt: skip
BAG_SHARES = {
    "black": 40, "charcoal": 12, "brown": 12, "navy": 10, "beige": 8, "red": 6, "olive": 4, "grey": 4,
    "teal": 4,
}  # fmt: skip
SHOE_SHARES = {"black": 40, "white": 26, "brown": 12, "grey": 8, "charcoal": 6, "red": 4, "blue": 4}

SKIN: tuple[Colour, ...] = (
    (238, 200, 176), (226, 184, 152), (208, 162, 126), (178, 130, 96), (138, 96, 70), (96, 66, 50),
)  # fmt: skip
HAIR: tuple[Colour, ...] = (
    (28, 24, 22), (44, 34, 28), (78, 54, 38), (122, 86, 54), (186, 150, 98), (150, 148, 146), (126, 62, 38),
)  # fmt: skip
HAIR_SHARES = (34, 22, 16, 10, 8, 6, 4)


def pick(generator: np.random.Generator, shares: dict[str, int]) -> Colour:
    """Draw a garment's colour by its share, with the small spread that dyes and washing give."""
    names = list(shares)
    weights = np.array([shares[name] for name in names], dtype=np.float64)
    red, green, blue = CLOTHES[names[int(generator.choice(len(names), p=weights / weights.sum()))]]
    wear = generator.normal(1.0, 0.06)
    return (min(red * wear, 255.0), min(green * wear, 255.0), min(blue * wear, 255.0))
