"""Colours as continuous distributions around dyes, not a dozen fixed ones.

A dye is a cloud in CIE L*C*h (D65): lightness, chroma, hue in degrees, and the spread of each. What cloth
has in a
street is mostly black, grey, white and navy; bright dyes are rare, and then bright.
A colour is (red, green, blue), sRGB, 0 to 255, as floats.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]
Shares = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Dye:
    """A cloud of colours: means and standard deviations of lightness, chroma and hue (degrees)."""

    lightness: float
    chroma: float
    hue: float
    lightness_spread: float
    chroma_spread: float
    hue_spread: float


DYES: dict[str, Dye] = {
    "black": Dye(15, 1.5, 270, 4.5, 1.5, 60),
    "charcoal": Dye(27, 2.0, 260, 4.5, 2.0, 60),
    "grey": Dye(47, 2.0, 250, 8.0, 2.0, 80),
    "silver": Dye(69, 2.0, 240, 6.0, 2.0, 80),
    "white": Dye(89, 2.0, 200, 3.5, 1.8, 90),
    "cream": Dye(85, 9.0, 88, 4.5, 3.5, 10),
    "navy": Dye(19, 16, 282, 5.0, 6.0, 9),
    "blue": Dye(37, 40, 277, 8.0, 12, 9),
    "sky": Dye(70, 20, 260, 8.0, 7.0, 14),
    "indigo": Dye(27, 15, 275, 6.0, 5.0, 9),
    "denim": Dye(44, 17, 268, 8.0, 5.0, 9),
    "faded": Dye(64, 11, 260, 7.0, 4.0, 15),
    "teal": Dye(43, 24, 210, 9.0, 8.0, 18),
    "mint": Dye(78, 18, 172, 6.0, 6.0, 15),
    "green": Dye(43, 34, 150, 9.0, 12, 14),
    "pine": Dye(26, 14, 160, 6.0, 5.0, 14),
    "olive": Dye(40, 17, 105, 8.0, 6.0, 9),
    "khaki": Dye(58, 17, 87, 7.0, 5.0, 7),
    "beige": Dye(73, 13, 82, 6.0, 4.5, 9),
    "camel": Dye(57, 29, 72, 7.0, 7.0, 6),
    "brown": Dye(31, 16, 59, 7.0, 6.0, 10),
    "rust": Dye(44, 42, 48, 7.0, 9.0, 8),
    "orange": Dye(63, 66, 58, 6.0, 12, 8),
    "yellow": Dye(81, 60, 90, 5.0, 14, 6),
    "mustard": Dye(64, 48, 82, 6.0, 9.0, 6),
    "neon": Dye(88, 86, 112, 4.0, 12, 12),
    "red": Dye(41, 55, 30, 7.0, 11, 9),
    "burgundy": Dye(25, 26, 15, 6.0, 8.0, 12),
    "pink": Dye(76, 20, 4, 7.0, 8.0, 16),
    "magenta": Dye(52, 58, 357, 8.0, 11, 10),
    "coral": Dye(65, 42, 38, 6.0, 9.0, 10),
    "purple": Dye(34, 34, 312, 9.0, 11, 11),
    "lavender": Dye(70, 18, 303, 7.0, 6.0, 12),
    # Whatever else is dyed: any hue.
    "other": Dye(50, 25, 0, 20, 18, 500),
}

SILVER: Colour = (206, 208, 204)
"""Of bands that throw light back."""

# What the shares mean: of a hundred garments, how many have which dye.
UPPER: Shares = {
    "black": 28, "charcoal": 12, "grey": 12, "silver": 6, "white": 17, "cream": 3, "navy": 10, "blue": 5,
        "sky": 3.5,
    "denim": 2.5, "teal": 1.3, "mint": 0.7, "green": 1.8, "pine": 1.4, "olive": 2.4, "khaki": 1.6, "beige": 3,
    "camel": 1.2, "brown": 2.4, "rust": 0.7, "orange": 0.9, "yellow": 1.1, "mustard": 0.7, "neon": 0.4,
        "red": 3.2,
    "burgundy": 2.0, "pink": 2.2, "magenta": 0.7, "coral": 0.6, "purple": 1.2, "lavender": 0.8, "other": 2.5,
}  # fmt: skip
LOWER: Shares = {
    "black": 31, "charcoal": 12, "grey": 6, "silver": 1.5, "white": 2.5, "cream": 1.2, "navy": 9,
        "indigo": 10,
    "denim": 10, "faded": 4, "blue": 0.8, "olive": 2, "khaki": 3.2, "beige": 3.2, "camel": 0.6, "brown": 2,
    "burgundy": 0.7, "red": 0.4, "green": 0.25, "teal": 0.3, "pink": 0.3, "purple": 0.2, "other": 0.8,
}  # fmt: skip
ACCENT: Shares = {
    "white": 26, "black": 15, "silver": 5, "grey": 4, "cream": 4, "navy": 5, "red": 9, "blue": 7, "sky": 3,
    "yellow": 6, "orange": 3.5, "green": 4, "mint": 1, "neon": 1.5, "pink": 3, "magenta": 2, "burgundy": 1.5,
    "camel": 1, "purple": 1.5, "teal": 1, "other": 4,
}  # fmt: skip
BAG: Shares = {
    "black": 44, "charcoal": 10, "grey": 6, "navy": 8, "brown": 8, "camel": 4, "beige": 3, "white": 2,
        "red": 3,
    "burgundy": 1.5, "blue": 3, "olive": 2, "green": 1, "pink": 1.5, "magenta": 0.7, "yellow": 0.8,
        "teal": 0.8,
    "purple": 0.7, "other": 2,
}  # fmt: skip
SHOE: Shares = {
    "black": 42, "charcoal": 6, "grey": 7, "silver": 2, "white": 20, "cream": 2, "brown": 8, "camel": 3,
        "navy": 3,
    "red": 1.7, "blue": 1.5, "pink": 1, "orange": 0.5, "neon": 0.7, "green": 0.4, "burgundy": 0.6,
        "other": 1.2,
}  # fmt: skip
# Colours that people like to wear where they dress to be seen.
BRIGHT: Shares = {
    "red": 14, "blue": 12, "yellow": 9, "orange": 8, "green": 9, "neon": 5, "magenta": 6, "pink": 8,
        "coral": 5,
    "purple": 6, "teal": 5, "sky": 7, "mint": 4, "mustard": 4, "rust": 3, "lavender": 4, "other": 14,
}  # fmt: skip


def lch_to_srgb(lightness: float, chroma: float, hue: float) -> Colour:
    """CIE L*C*h (D65, hue in degrees) as sRGB, 0 to 255, clipped to what sRGB can show.

    Source: CIE 15:2004; IEC 61966-2-1.
    """
    angle = math.radians(hue)
    fy = (lightness + 16.0) / 116.0
    fx, fz = fy + chroma * math.cos(angle) / 500.0, fy - chroma * math.sin(angle) / 200.0
    x, y, z = (
        white * (f**3 if f > 6.0 / 29.0 else 3.0 * (6.0 / 29.0) ** 2 * (f - 4.0 / 29.0))
        for white, f in ((0.95047, fx), (1.0, fy), (1.08883, fz))
    )
    red = _encode(3.2404542 * x - 1.5371385 * y - 0.4985314 * z)
    green = _encode(-0.9692660 * x + 1.8760108 * y + 0.0415560 * z)
    blue = _encode(0.0556434 * x - 0.2040259 * y + 1.0572252 * z)
    return red, green, blue


def srgb_to_lab(colour: Colour) -> tuple[float, float, float]:
    """sRGB, 0 to 255, as CIE L*a*b* (D65)."""
    red, green, blue = (_decode(value) for value in colour)
    x = (0.4124564 * red + 0.3575761 * green + 0.1804375 * blue) / 0.95047
    y = 0.2126729 * red + 0.7151522 * green + 0.0721750 * blue
    z = (0.0193339 * red + 0.1191920 * green + 0.9503041 * blue) / 1.08883
    fx, fy, fz = (t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in (x, y, z))
    return 116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)


def srgb_to_lch(colour: Colour) -> tuple[float, float, float]:
    """sRGB, 0 to 255, as CIE L*C*h (D65, hue in degrees from 0 to 360)."""
    lightness, a, b = srgb_to_lab(colour)
    return lightness, math.hypot(a, b), math.degrees(math.atan2(b, a)) % 360.0


def colour_difference(first: Colour, second: Colour) -> float:
    """CIE 1976 distance in L*a*b*: 2 is just seen side by side, 10 is a like colour, 50 another one."""
    return math.dist(srgb_to_lab(first), srgb_to_lab(second))


def pick_name(generator: np.random.Generator, shares: Shares) -> str:
    """Draw a name by its share (shares need not sum to one)."""
    point = generator.random() * sum(shares.values())
    name = ""
    for name, share in shares.items():
        point -= share
        if point < 0 and share > 0:
            return name
    return name


def dyed(generator: np.random.Generator, name: str) -> Colour:
    """Draw a colour from a dye's cloud."""
    dye = DYES[name]
    spread = generator.standard_normal(3)
    lightness = dye.lightness + dye.lightness_spread * float(spread[0])
    chroma = abs(dye.chroma + dye.chroma_spread * float(spread[1]))
    hue = dye.hue + dye.hue_spread * float(spread[2])
    return lch_to_srgb(min(max(lightness, 5.0), 94.0), chroma, hue)


def pick(generator: np.random.Generator, shares: Shares) -> Colour:
    """Draw a dye by its share, and a colour from its cloud."""
    return dyed(generator, pick_name(generator, shares))


def near(generator: np.random.Generator, colour: Colour, spread: float) -> Colour:
    """Draw another colour around `colour`, `spread` being the deviation in each axis of L*a*b*."""
    lightness, a, b = srgb_to_lab(colour)
    shift = generator.normal(0.0, spread, 3)
    a, b = a + float(shift[1]), b + float(shift[2])
    light = min(max(lightness + float(shift[0]), 4.0), 95.0)
    return lch_to_srgb(light, math.hypot(a, b), math.degrees(math.atan2(b, a)))


def scaled(colour: Colour, factor: float) -> Colour:
    """A lighter or darker tone of a colour: every channel times `factor`, clipped at white."""
    return tuple(min(value * factor, 255.0) for value in colour)  # type: ignore[return-value]


def contrasting(
    generator: np.random.Generator, colour: Colour, shares: Shares, least: float = 18.0
) -> Colour:
    """Draw a colour that can be told from `colour` (at most eight tries, then black or white)."""
    for _ in range(8):
        other = pick(generator, shares)
        if colour_difference(colour, other) >= least:
            return other
    return (232.0, 232.0, 228.0) if srgb_to_lab(colour)[0] < 50 else (30.0, 30.0, 33.0)


def _encode(linear: float) -> float:
    clipped = min(max(linear, 0.0), 1.0)
    share = 12.92 * clipped if clipped <= 0.0031308 else 1.055 * clipped ** (1 / 2.4) - 0.055
    return 255.0 * share


def _decode(value: float) -> float:
    share = value / 255.0
    return share / 12.92 if share <= 0.04045 else float(((share + 0.055) / 1.055) ** 2.4)
