"""Drawing clothes: which garments, of which cloth, in which colours, for a wearer and a place's dress
code."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from omnireid.synthetic.dress import colours
from omnireid.synthetic.dress.codes import (
    CLOTHS,
    LOWERS,
    TOPS,
    DressCode,
    LowerKind,
    TopKind,
    draw_style,
    kind_shares,
)
from omnireid.synthetic.dress.colours import Colour, Shares, pick_name
from omnireid.synthetic.dress.complexion import draw_complexion, draw_hair
from omnireid.synthetic.dress.fabrics import RICH, Fabric
from omnireid.synthetic.dress.outfit import Bag, Complexion, Lower, Outfit, Print, Shoe, Top
from omnireid.synthetic.dress.wearer import Wearer
from omnireid.synthetic.people.outfit import OutfitCut


def draw_outfit(generator: np.random.Generator, wearer: Wearer, code: DressCode) -> Outfit:
    """Draw what a person of this shape wears at a place with this dress code."""
    return dress_person(
        generator, wearer, code, draw_complexion(generator, wearer), draw_hair(generator, wearer)
    )


def dress_person(
    generator: np.random.Generator, wearer: Wearer, code: DressCode, complexion: Complexion, hair: OutfitCut
) -> Outfit:
    """Draw clothes for a person whose skin and hair are given (of `hair` the fields `BODY_FIELDS` are
    taken)."""
    feminine = wearer.gender
    style = draw_style(generator, code)
    warmth = float(np.clip(code.warmth + generator.normal(0.0, 0.12), 0.0, 1.05))
    top_name = pick_name(generator, kind_shares(TOPS, style, warmth, feminine))
    lower_name = pick_name(generator, kind_shares(LOWERS, style, warmth, feminine))
    if top_name == "dress":
        lower_name = "dress"
    elif top_name == "track-top" and generator.random() < 0.6:
        lower_name = "track-trousers"
    elif top_name == "blazer" and generator.random() < 0.6 and not LOWERS[lower_name].skirt:
        lower_name = "suit-trousers"
    elif top_name == "overall" and generator.random() < 0.7:
        lower_name = "cargo"
    kind = TOPS[top_name]
    lower_kind = LOWERS.get(lower_name)
    cut = _draw_cut(generator, code, warmth, feminine, style, kind, lower_name, lower_kind, hair)
    top = _draw_top(generator, code, warmth, feminine, style, top_name, kind, cut)
    lower = _draw_lower(generator, code, warmth, feminine, style, lower_name, lower_kind, top, cut)
    bag = _draw_bag(generator, code)
    hat_shares = colours.BRIGHT if generator.random() < 0.5 * code.colourful else colours.BAG
    return Outfit(
        cut=cut,
        complexion=complexion,
        style=style,
        top=top,
        lower=lower,
        shoe=_draw_shoe(generator, code, style, feminine, cut),
        hat=_cloth(generator, code, "hat", hat_shares),
        hat_band=colours.pick(generator, colours.ACCENT),
        hat_logo=colours.pick(generator, colours.ACCENT) if generator.random() < 0.5 else None,
        scarf=_cloth(
            generator, code, "scarf", colours.BRIGHT if generator.random() < 0.25 else colours.UPPER
        ),
        bag=bag,
        handbag=_draw_bag(generator, code),
        umbrella=_cloth(
            generator, code, "umbrella", colours.BRIGHT if generator.random() < 0.4 else colours.BAG
        ),
        thing=colours.pick(generator, colours.BRIGHT if generator.random() < 0.4 else colours.BAG),
        thing_second=colours.pick(generator, colours.BAG),
        glasses=colours.pick(
            generator, {"black": 70, "brown": 12, "silver": 8, "camel": 5, "red": 2, "other": 3}
        ),
        shades=bool(generator.random() < 0.1 + 0.35 * max(warmth - 0.5, 0.0)),
        watch=colours.pick(generator, {"black": 5, "silver": 4, "brown": 2, "camel": 1})
        if generator.random() < 0.3
        else None,
        gloves=colours.pick(generator, colours.BAG)
        if generator.random() < 0.7 * max(0.35 - warmth, 0.0)
        else None,
        seed=int(generator.integers(1 << 31)),
    )


def _draw_cut(
    generator: np.random.Generator, code: DressCode, warmth: float, feminine: float, style: str, kind:
    TopKind,
    lower_name: str, lower: LowerKind | None, hair: OutfitCut,
) -> OutfitCut:  # fmt: skip
    is_dress = lower_name == "dress"
    cold = max(0.5 - warmth, 0.0) * 2
    opened = generator.random() < kind.opens * (0.55 + 0.45 * warmth)
    sleeve = float(generator.uniform(*kind.sleeve))
    if kind.sleeve[0] > 0.65 and warmth > 0.45 and generator.random() < 0.2:
        sleeve = float(generator.uniform(0.55, 0.8))  # rolled up
    bag_shares = {
        "none": 0.9,
        "backpack": 0.62 * (1.5 if style == "campus" else 1.0),
        "shoulder": 0.3 + 0.25 * feminine,
        "hand": 0.18 + 0.25 * feminine,
        "both": 0.08,
    }
    for name in bag_shares:
        if name != "none":
            bag_shares[name] *= code.bags
    bag = pick_name(generator, bag_shares)
    size = float(np.clip(generator.normal(1.0, 0.18), 0.6, 1.5))
    boots = generator.random() < 0.05 + 0.3 * cold * (0.4 + 0.6 * feminine)
    sandals = warmth > 0.75 and style in ("casual", "campus") and generator.random() < 0.24
    hats = {
        "none": 1.0,
        "cap": 0.10 * code.hats * (2 if style == "sports" else 1),
        "beanie": 0.25 * code.hats * cold,
        "brim": 0.03 * code.hats * (0.5 + warmth),
        "headscarf": 0.02,
    }
    if style == "work":
        hats["cap"] += 0.4
    rainy = generator.random() < code.rain
    pushed = pick_name(generator, {"none": 0.93, "bicycle": 0.035, "trolley": 0.035})
    if lower is not None:
        length, width = float(generator.uniform(*lower.length)), float(generator.uniform(*lower.width))
    else:
        length, width = (
            float(generator.uniform(0.38, 0.95 if generator.random() < 0.35 else 0.66)),
            float(generator.uniform(0.1, 1.0)),
        )
    hooded = generator.random() < kind.hood
    return replace(
        hair,
        sleeve_length=sleeve,
        top_length=float(generator.uniform(*kind.hem)),
        top_looseness=float(generator.uniform(*kind.loose)),
        open_front=float(generator.uniform(0.04, 0.2)) if opened else 0.0,
        inner_length=float(generator.uniform(0.1, 0.28)),
        collar=pick_name(generator, kind.collars) if kind.collars else "none",  # type: ignore[arg-type]
        hood=("up" if generator.random() < 0.06 + 0.5 * rainy else "down") if hooded else "none",
        tucked=bool(not is_dress and generator.random() < kind.tucks * (1.6 if style == "business" else 1.0)),
        lower="dress" if is_dress else "skirt" if lower is not None and lower.skirt else "trousers",
        lower_length=length,
        lower_width=width,
        footwear="boots" if boots else "sandals" if sandals else "shoes",
        boot_height=float(generator.uniform(0.15, 0.95)),
        sole=float(np.clip(generator.gamma(6.0, 0.0045), 0.008, 0.07)),
        hat=pick_name(generator, hats),  # type: ignore[arg-type]
        glasses=bool(generator.random() < 0.28),
        scarf=bool(generator.random() < 0.04 + 0.4 * cold),
        backpack=size if bag == "backpack" or (bag == "both" and feminine < 0.5) else 0.0,
        shoulder_bag=size if bag == "shoulder" or (bag == "both" and feminine >= 0.5) else 0.0,
        bag_side="left" if generator.random() < 0.5 else "right",
        handbag=size if bag in ("hand", "both") else 0.0,
        hand_side="left" if generator.random() < 0.4 else "right",
        umbrella=("open" if generator.random() < 0.7 else "closed") if rainy else "none",
        pushed=pushed,  # type: ignore[arg-type]
    )


def _cloth(
    generator: np.random.Generator, code: DressCode, cloth: str, ground: Shares, rich: float = 0.0
) -> Fabric:
    """Draw a fabric of the cloth's patterns; `rich` multiplies the code's share of prints like pictures."""
    if generator.random() < rich * code.rich:
        pattern = RICH[int(generator.integers(len(RICH)))]
        ground = colours.BRIGHT if generator.random() < 0.5 else ground
    else:
        shares = dict(CLOTHS[cloth])
        if "plain" in shares and len(shares) > 1:
            shares["plain"] /= max(code.patterned, 0.05)
        pattern = pick_name(generator, shares)
    base = colours.pick(generator, ground)
    second = colours.contrasting(generator, base, colours.ACCENT)
    lively = generator.random() < 0.35
    third = colours.pick(generator, colours.BRIGHT if lively else colours.ACCENT)
    fourth = colours.pick(generator, colours.ACCENT)
    if pattern == "tartan" and generator.random() < 0.5:
        base = colours.pick(
            generator, {"red": 4, "navy": 3, "green": 2, "black": 2, "burgundy": 2, "white": 1, "beige": 1}
        )
    elif pattern == "camouflage" and generator.random() < 0.75:
        base, second, third, fourth = (
            colours.dyed(generator, name) for name in ("olive", "pine", "khaki", "black")
        )
    elif pattern == "animal" and generator.random() < 0.7:
        base, second, third = (colours.dyed(generator, name) for name in ("camel", "black", "brown"))
    elif pattern == "denim":
        base = colours.pick(
            generator, {"indigo": 5, "denim": 5, "faded": 2.5, "black": 2, "charcoal": 1.4, "white": 0.4}
        )
    elif pattern in ("houndstooth", "herringbone", "pinstripes") and generator.random() < 0.7:
        second = colours.pick(generator, {"silver": 3, "white": 2, "grey": 2, "charcoal": 1})
    elif pattern == "gingham" and generator.random() < 0.7:
        base, second = colours.dyed(generator, "white"), base
    period = float(np.clip(np.exp(generator.normal(np.log(0.055), 0.5)), 0.018, 0.2))
    knitted = cloth == "knit"
    return Fabric(
        pattern=pattern,
        colours=(base, second, third, fourth),
        period=period,
        duty=float(np.clip(generator.beta(2.2, 3.2), 0.12, 0.75)),
        heather=float(generator.random()) if generator.random() < _HEATHER.get(cloth, 0.1) else 0.0,
        knit=float(generator.uniform(0.3, 1.0)) if knitted and generator.random() < 0.7 else 0.0,
        wash=float(generator.random()) if pattern == "denim" or generator.random() < 0.08 else 0.0,
        sheen=float(generator.uniform(0.4, 1.0)) if generator.random() < _SHEEN.get(cloth, 0.02) else 0.0,
        seed=int(generator.integers(1 << 31)),
    )


_HEATHER: Final = {
    "tee": 0.18,
    "sweat": 0.45,
    "knit": 0.4,
    "wool": 0.5,
    "suit": 0.2,
    "jersey": 0.05,
    "leggings": 0.15,
}
_SHEEN: Final = {
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


def _upper_shares(generator: np.random.Generator, code: DressCode, warmth: float, cloth: str) -> Shares:
    if cloth == "high-visibility":
        return {"neon": 6, "orange": 3}
    if cloth in ("suit", "wool"):
        return {
            "black": 34,
            "charcoal": 18,
            "navy": 18,
            "grey": 10,
            "camel": 5,
            "beige": 4,
            "brown": 5,
            "burgundy": 2,
            "cream": 2,
            "olive": 1,
            "red": 1,
            "other": 1,
        }
    if cloth == "leather":
        return {"black": 70, "brown": 18, "camel": 6, "burgundy": 3, "other": 2}
    if cloth == "work":
        return {
            "navy": 6,
            "grey": 3,
            "orange": 2,
            "blue": 3,
            "olive": 2,
            "black": 2,
            "charcoal": 2,
            "white": 1,
        }
    bright = code.colourful * (1.5 if cloth in ("jersey", "dress", "track") else 1.0)
    if generator.random() < bright:
        return colours.BRIGHT
    shares = dict(colours.UPPER)
    # Winter is darker than summer.
    for name, factor in (
        ("black", 1.35 - 0.55 * warmth),
        ("navy", 1.3 - 0.5 * warmth),
        ("charcoal", 1.3 - 0.6 * warmth),
        ("white", 0.5 + 1.0 * warmth),
        ("sky", 0.6 + 0.8 * warmth),
        ("pink", 0.6 + 0.8 * warmth),
    ):
        shares[name] *= factor
    if cloth == "shirt":
        for name, factor in (("white", 2.2), ("sky", 3.0), ("black", 0.6)):
            shares[name] *= factor
    return shares


_LAYOUTS: Final[dict[str, Shares]] = {
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
_FRONTS: Final[dict[str, Shares]] = {
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
_POCKETS: Final[dict[str, Shares]] = {
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
_PRINTED: Final = {
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


def _draw_top(
    generator: np.random.Generator, code: DressCode, warmth: float, feminine: float, style: str, name: str,
    kind: TopKind,
    cut: OutfitCut,
) -> Top:  # fmt: skip
    rich = {"tee": 1.6, "blouse": 1.8, "dress": 2.6, "sweat": 0.7, "jersey": 0.8, "shirt": 1.0}.get(
        kind.cloth, 0.3
    )
    fabric = _cloth(generator, code, kind.cloth, _upper_shares(generator, code, warmth, kind.cloth), rich)
    second = _cloth(generator, code, "jacket", colours.ACCENT)
    second = replace(
        second,
        pattern="plain",
        colours=(colours.contrasting(generator, fabric.base, colours.ACCENT), *second.colours[1:]),
    )
    layouts = dict(_LAYOUTS.get(kind.cloth, {"whole": 1}))
    if fabric.pattern != "plain" and kind.cloth not in ("jersey", "track"):
        layouts = {"whole": 1.0}
    trimmed = generator.random() < (
        0.3 if kind.cloth in ("tee", "polo", "sweat", "jersey", "track", "knit") else 0.08
    )
    trim = second.base if trimmed else colours.scaled(fabric.base, float(generator.uniform(0.75, 0.98)))
    lines = 0
    if generator.random() < {
        "track-top": 0.55,
        "jersey": 0.3,
        "jacket": 0.06,
        "hoodie": 0.08,
        "sweatshirt": 0.08,
        "long-tee": 0.08,
    }.get(name, 0.01):
        lines = int(generator.integers(1, 4))
    inner_kind = pick_name(
        generator, {"tee": 6, "shirt": 8 if style == "business" else 2, "knit": 3 * max(0.7 - warmth, 0.1)}
    )
    inner = _cloth(generator, code, inner_kind, _upper_shares(generator, code, warmth + 0.2, inner_kind), 1.0)
    tied = (
        name in ("shirt", "blazer", "coat")
        and style == "business"
        and feminine < 0.5
        and generator.random() < 0.4
    )
    printed = generator.random() < _PRINTED.get(name, 0.02)
    loose_hem = (
        not cut.tucked and cut.lower != "dress" and kind.cloth in ("knit", "sweat", "jacket", "track", "down")
    )
    return Top(
        kind=name,
        fabric=fabric,
        second=second,
        layout=pick_name(generator, layouts),
        trim=trim,
        trimmed=bool(trimmed),
        front=pick_name(generator, _FRONTS.get(name, {"none": 1})),
        pockets=pick_name(generator, _POCKETS.get(name, {"none": 1})),
        lines=lines,
        line_colour=colours.contrasting(generator, fabric.base, colours.ACCENT, 30),
        reflectors=int(generator.integers(1, 4))
        if kind.cloth == "high-visibility"
        else int(style == "work" and generator.random() < 0.15),
        quilts=float(generator.uniform(0.05, 0.13)) if kind.cloth == "down" else 0.0,
        prints=_draw_prints(generator, code, name, fabric.base, printed),
        inner=inner,
        inner_front="buttons" if inner_kind == "shirt" else "none",
        inner_prints=_draw_prints(
            generator, code, "tee", inner.base, inner_kind == "tee" and generator.random() < 0.3
        ),
        under_hem=float(generator.uniform(0.02, 0.09)) if loose_hem and generator.random() < 0.2 else 0.0,
        tie=colours.pick(
            generator, {"navy": 4, "red": 2, "burgundy": 2, "black": 3, "grey": 2, "blue": 2, "other": 2}
        )
        if tied
        else None,
        hardware=colours.pick(generator, {"silver": 4, "black": 3, "white": 2, "camel": 1, "brown": 1}),
    )


_PRINTS: Final[Shares] = {
    "text": 30,
    "lines": 12,
    "picture": 20,
    "disc": 6,
    "ring": 4,
    "square": 5,
    "triangle": 3,
    "star": 3,
    "cross": 2,
    "bar": 4,
    "blot": 8,
    "number": 5,
    "figure": 6,
}


def _draw_prints(
    generator: np.random.Generator, code: DressCode, name: str, ground: Colour, printed: bool
) -> tuple[Print, ...]:
    if not printed:
        return ()
    prints = []
    colour = colours.contrasting(generator, ground, colours.ACCENT, 30)
    shares = _PRINTS
    if name == "jersey":
        shares = {"number": 8, "text": 3, "bar": 1, "disc": 1}
    elif name in ("polo", "track-top", "jacket", "down-jacket"):
        shares = {"badge": 7, "text": 2, "lines": 1}
    elif name in ("high-visibility", "overall"):
        shares = {"text": 5, "bar": 1, "lines": 3}
    for front, share in ((True, 0.82), (False, 0.42)):
        if generator.random() >= share:
            continue
        kind = pick_name(generator, shares)
        width, height = float(generator.uniform(0.12, 0.32)), float(generator.uniform(0.05, 0.16))
        if kind in (
            "picture",
            "figure",
            "blot",
            "disc",
            "ring",
            "square",
            "triangle",
            "star",
            "cross",
            "lines",
        ):
            height = width * float(generator.uniform(0.7, 1.4))
        elif kind == "number":
            width, height = float(generator.uniform(0.14, 0.26)), float(generator.uniform(0.16, 0.28))
        v, u = float(generator.uniform(0.27, 0.48)), 0.5 if front else 0.0
        if kind == "badge":
            u, width, height = (0.5 + 0.09 if front else 0.0), 0.07, 0.06
            v = 0.27
        prints.append(
            Print(
                kind=kind,
                colours=(
                    colour,
                    colours.pick(generator, colours.BRIGHT),
                    colours.pick(generator, colours.ACCENT),
                ),
                u=u,
                v=v,
                width=width,
                height=height,
                seed=int(generator.integers(1 << 31)),
            )
        )
    return tuple(prints)


# How often the lower garment is of the top's cloth.
_SETS: Final = {
    ("blazer", "suit-trousers"): 0.75,
    ("track-top", "track-trousers"): 0.65,
    ("jersey", "sports-shorts"): 0.35,
    ("overall", "cargo"): 0.8,
    ("hoodie", "joggers"): 0.25,
    ("sweatshirt", "joggers"): 0.25,
}


def _draw_lower(
    generator: np.random.Generator, code: DressCode, warmth: float, feminine: float, style: str, name: str,
    kind: LowerKind | None, top: Top, cut: OutfitCut,
) -> Lower:  # fmt: skip
    cloth = kind.cloth if kind is not None else "dress"
    if kind is None:
        fabric = top.fabric
    else:
        shares: Shares = colours.LOWER
        if cloth == "suit":
            shares = {"black": 40, "charcoal": 22, "navy": 18, "grey": 10, "beige": 4, "brown": 3, "khaki": 2}
        elif cloth == "work":
            shares = {"navy": 5, "olive": 3, "khaki": 3, "black": 4, "grey": 2, "charcoal": 2, "orange": 0.7}
        elif cloth in ("jersey", "skirt") and generator.random() < 1.5 * code.colourful + 0.05:
            shares = colours.BRIGHT
        rich = {"skirt": 2.0, "leggings": 2.0, "shorts": 0.8}.get(cloth, 0.05)
        fabric = _cloth(generator, code, cloth, shares, rich)
    if generator.random() < _SETS.get((top.kind, name), 0.0):
        fabric = top.fabric
    elif style == "school" and cut.lower == "skirt" and generator.random() < 0.45:
        fabric = replace(fabric, pattern="tartan")
    lined = generator.random() < {
        "track-trousers": 0.55,
        "sports-shorts": 0.4,
        "joggers": 0.15,
        "leggings": 0.08,
        "jeans": 0.01,
    }.get(name, 0.02)
    bare = cut.lower != "trousers" or cut.lower_length < 0.9
    hosiery, hosiery_colour, opacity = "none", colours.dyed(generator, "black"), 1.0
    if bare and cut.lower != "trousers" and generator.random() < 0.75 * (1.15 - warmth):
        hosiery = "tights"
        hosiery_colour = colours.pick(
            generator,
            {
                "black": 60,
                "charcoal": 10,
                "brown": 6,
                "navy": 6,
                "beige": 8,
                "burgundy": 2,
                "white": 1,
                "grey": 4,
            },
        )
        opacity = float(generator.uniform(0.45, 1.0))
    elif bare and cut.footwear != "sandals":
        high = generator.random()
        hosiery = (
            "knee socks"
            if high < (0.16 if style == "sports" else 0.04)
            else "socks"
            if high < 0.72
            else "none"
        )
        hosiery_colour = colours.pick(
            generator, {"white": 46, "black": 30, "grey": 10, "navy": 5, "other": 5, "red": 2}
        )
    pleated = cut.lower != "trousers" and generator.random() < (0.9 if style == "school" else 0.3)
    return Lower(
        kind=name,
        fabric=fabric,
        belt=colours.pick(generator, {"black": 6, "brown": 4, "camel": 2, "white": 0.6, "other": 0.6})
        if generator.random() < (0.75 if cut.tucked else 0.3)
        and cloth in ("jeans", "chinos", "suit", "shorts", "work")
        else None,
        lines=int(generator.integers(1, 4)) if lined else 0,
        line_colour=colours.contrasting(generator, fabric.base, colours.ACCENT, 30),
        pockets=cloth in ("jeans", "chinos", "suit", "work", "shorts", "sweat", "track"),
        thigh_pockets=bool(name == "cargo" or (name == "shorts" and generator.random() < 0.2)),
        torn=float(generator.uniform(0.2, 0.9))
        if fabric.pattern == "denim" and generator.random() < 0.1
        else 0.0,
        turn_up=float(generator.uniform(0.02, 0.06))
        if cloth in ("jeans", "chinos", "shorts") and generator.random() < 0.15
        else 0.0,
        pleats=int(generator.integers(10, 30)) if pleated else 0,
        hosiery=hosiery,
        hosiery_colour=hosiery_colour,
        hosiery_lines=colours.pick(generator, colours.BRIGHT) if generator.random() < 0.25 else None,
        opacity=opacity,
    )


def _draw_shoe(
    generator: np.random.Generator, code: DressCode, style: str, feminine: float, cut: OutfitCut
) -> Shoe:
    if cut.footwear == "boots":
        name = "boot"
    elif cut.footwear == "sandals":
        name = "sandal"
    else:
        name = pick_name(
            generator,
            {"trainer": 0.8 if style == "business" else 5, "canvas": 0.3 if style == "business" else 2,
                "leather": 5 if style == "business" else 0.9,
                "heel": feminine * (2 if style == "business" else 0.6)},
        )  # fmt: skip
    if name in ("leather", "boot", "heel"):
        upper = colours.pick(
            generator,
            {
                "black": 60,
                "brown": 18,
                "camel": 8,
                "beige": 3,
                "burgundy": 2,
                "grey": 2,
                "white": 2,
                "other": 2,
            },
        )
    elif generator.random() < 0.5 * code.colourful + (0.12 if style == "sports" else 0.03):
        upper = colours.pick(generator, colours.BRIGHT)
    else:
        upper = colours.pick(generator, colours.SHOE)
    dark_sole = {"black": 6, "brown": 2, "charcoal": 1}
    sole = (
        dark_sole
        if name in ("leather", "boot", "heel")
        else {"white": 6, "black": 2, "cream": 1, "grey": 1, "neon": 0.2, "camel": 0.4}
    )
    return Shoe(
        style=name,
        upper=upper,
        second=colours.pick(generator, colours.ACCENT),
        sole=colours.pick(generator, sole),
        laces=colours.pick(generator, {"white": 5, "black": 3, "other": 1}),
        seed=int(generator.integers(1 << 31)),
    )


def _draw_bag(generator: np.random.Generator, code: DressCode) -> Bag:
    bright = generator.random() < 0.08 + 0.6 * code.colourful
    fabric = _cloth(generator, code, "bag", colours.BRIGHT if bright else colours.BAG, 1.0)
    second = fabric.base
    if generator.random() < 0.3:
        second = colours.pick(generator, colours.BAG if generator.random() < 0.6 else colours.BRIGHT)
    logo = None
    if generator.random() < 0.4:
        width = float(generator.uniform(0.04, 0.14))
        kind = pick_name(generator, {"text": 4, "disc": 1, "square": 2, "blot": 2, "picture": 1, "bar": 1})
        ink = colours.contrasting(generator, fabric.base, colours.ACCENT, 25)
        logo = Print(kind, (ink, colours.pick(generator, colours.BRIGHT), colours.pick(generator,
        colours.ACCENT)), 0.0, float(generator.uniform(0.3, 0.65)), width, width * 0.7,
        int(generator.integers(1 << 31)))  # fmt: skip
    return Bag(
        fabric=fabric,
        second=second,
        strap=colours.scaled(fabric.base, 0.8)
        if generator.random() < 0.7
        else colours.pick(generator, colours.BAG),
        pockets=int(generator.integers(0, 4)),
        print=logo,
    )
