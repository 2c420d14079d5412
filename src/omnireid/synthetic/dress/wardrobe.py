"""Drawing clothes: which garments, of which cloth, in which colours, for a wearer and a place's code."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from omnireid.synthetic.dress import colours
from omnireid.synthetic.dress.codes import DressCode, draw_style
from omnireid.synthetic.dress.colours import Colour, Shares, pick_name
from omnireid.synthetic.dress.complexion import draw_complexion, draw_hair
from omnireid.synthetic.dress.fabrics import RICH, Fabric
from omnireid.synthetic.dress.kinds import (
    CLOTHS,
    COLOURS,
    FRONTS,
    HEATHER,
    LAYOUTS,
    LINED,
    LOWERS,
    POCKETS,
    PRINTED,
    PRINTS,
    SETS,
    SHEEN,
    TOPS,
    kind_shares,
)
from omnireid.synthetic.dress.outfit import (
    BODY_FIELDS,
    Bag,
    Complexion,
    Extras,
    Lower,
    Outfit,
    Print,
    Shoe,
    Top,
)
from omnireid.synthetic.dress.wearer import Wearer
from omnireid.synthetic.people.outfit import OutfitCut


def draw_outfit(generator: np.random.Generator, wearer: Wearer, code: DressCode) -> Outfit:
    """Draw what a person of this shape wears at a place with this dress code."""
    complexion, hair = draw_complexion(generator, wearer), draw_hair(generator, wearer)
    return dress_person(generator, wearer, code, complexion, hair)


def dress_person(
    generator: np.random.Generator, wearer: Wearer, code: DressCode, complexion: Complexion, hair: OutfitCut
) -> Outfit:
    """Draw clothes for a person whose skin and hair are given.

    Args:
        hair: a cut of which the fields `BODY_FIELDS` are taken.
    """
    return _Occasion(generator, wearer, code).outfit(complexion, hair)


class _Occasion:
    """One person who dresses once: how, how warmly, and everything that is drawn for it, in order."""

    def __init__(self, generator: np.random.Generator, wearer: Wearer, code: DressCode) -> None:
        self.generator, self.code, self.feminine = generator, code, wearer.gender
        self.style = draw_style(generator, code)
        if wearer.age < 16 and self.style in ("business", "work"):
            self.style = "casual"
        self.warmth = float(np.clip(code.warmth + generator.normal(0.0, 0.12), 0.0, 1.05))

    def chance(self, share: float) -> bool:
        return bool(self.generator.random() < share)

    def between(self, least: float, most: float) -> float:
        return self.generator.uniform(least, most)

    def pick(self, shares: Shares) -> Colour:
        return colours.pick(self.generator, shares)

    def maybe(self, share: float, shares: Shares) -> Colour | None:
        return self.pick(shares) if self.chance(share) else None

    def name(self, shares: Shares) -> str:
        return pick_name(self.generator, shares)

    def seed(self) -> int:
        return int(self.generator.integers(1 << 31))

    def outfit(self, complexion: Complexion, hair: OutfitCut) -> Outfit:
        top_name = self.name(kind_shares(TOPS, self.style, self.warmth, self.feminine))
        lower_name = self.name(kind_shares(LOWERS, self.style, self.warmth, self.feminine))
        if top_name == "dress":
            lower_name = "dress"
        elif top_name == "track-top" and self.chance(0.6):
            lower_name = "track-trousers"
        elif top_name == "blazer" and not LOWERS[lower_name].skirt and self.chance(0.6):
            lower_name = "suit-trousers"
        elif top_name == "overall" and self.chance(0.7):
            lower_name = "cargo"
        cut = self.cut(top_name, lower_name, hair)
        top = self.top(top_name, cut)
        return Outfit(
            cut=cut,
            complexion=complexion,
            style=self.style,
            top=top,
            lower=self.lower(lower_name, top, cut),
            shoe=self.shoe(cut),
            hat=self.cloth("hat", colours.BRIGHT if self.chance(0.5 * self.code.colourful) else colours.BAG),
            hat_band=self.pick(colours.ACCENT),
            hat_logo=self.pick(colours.ACCENT) if self.chance(0.5) else None,
            scarf=self.cloth("scarf", colours.BRIGHT if self.chance(0.25) else colours.UPPER),
            bag=self.bag(),
            handbag=self.bag(),
            umbrella=self.cloth("umbrella", colours.BRIGHT if self.chance(0.4) else colours.BAG),
            thing=self.pick(colours.BRIGHT if self.chance(0.4) else colours.BAG),
            thing_second=self.pick(colours.BAG),
            extras=self.extras(top_name),
            seed=self.seed(),
        )

    def extras(self, top_name: str) -> Extras:
        badged = self.style in ("business", "work", "school")
        aproned = self.style == "work" and top_name in ("tee", "shirt", "polo", "summer-shirt")
        return Extras(
            glasses=self.pick(COLOURS["glasses"]),
            shades=self.chance(0.1 + 0.35 * max(self.warmth - 0.5, 0.0)),
            watch=self.maybe(0.3, COLOURS["watch"]),
            gloves=self.maybe(0.7 * max(0.35 - self.warmth, 0.0), colours.BAG),
            mask=self.maybe(self.code.masks, COLOURS["mask"]),
            lanyard=self.maybe(0.14 * badged, COLOURS["lanyard"]),
            apron=self.maybe(0.2 * aproned, COLOURS["apron"]),
            necklace=self.maybe(0.12, COLOURS["necklace"]),
        )

    def cut(self, top_name: str, lower_name: str, hair: OutfitCut) -> OutfitCut:
        kind, lower, code = TOPS[top_name], LOWERS.get(lower_name), self.code
        cold = max(0.5 - self.warmth, 0.0) * 2
        sleeve = self.between(*kind.sleeve)
        if kind.sleeve[0] > 0.65 and self.warmth > 0.45 and self.chance(0.2):
            sleeve = self.between(0.55, 0.8)  # rolled up
        bag = self.name(
            {
                "none": 1.25,
                "backpack": 0.62 * code.bags * (1.5 if self.style in ("campus", "school") else 1.0),
                "shoulder": (0.3 + 0.25 * self.feminine) * code.bags,
                "hand": (0.18 + 0.25 * self.feminine) * code.bags,
                "both": 0.08 * code.bags,
            }
        )
        size = float(np.clip(self.generator.normal(1.0, 0.18), 0.6, 1.5))
        boots = self.chance(0.05 + 0.3 * cold * (0.4 + 0.6 * self.feminine))
        sandals = self.warmth > 0.75 and self.style in ("casual", "campus") and self.chance(0.24)
        hat = self.name(
            {
                "none": 1.0,
                "cap": 0.06 * code.hats * (2 if self.style == "sports" else 1) + 0.3 * (self.style == "work"),
                "beanie": 0.1 * code.hats * cold,
                "brim": 0.015 * code.hats * (0.5 + self.warmth),
                "headscarf": 0.01,
            }
        )
        rainy = self.chance(code.rain)
        if lower is not None:
            length, width = self.between(*lower.length), self.between(*lower.width)
        else:
            length, width = self.between(0.38, 0.95 if self.chance(0.35) else 0.66), self.between(0.1, 1.0)
        hood = "none"
        if self.chance(kind.hood):
            hood = "up" if self.chance(0.06 + 0.5 * rainy) else "down"
        opened = self.chance(kind.opens * (0.55 + 0.45 * self.warmth))
        kept = {name: getattr(hair, name) for name in BODY_FIELDS}
        return OutfitCut(
            **kept,
            sleeve_length=sleeve,
            top_length=self.between(*kind.hem),
            top_looseness=self.between(*kind.loose),
            open_front=self.between(0.04, 0.2) if opened else 0.0,
            inner_length=self.between(0.1, 0.28),
            collar=self.name(kind.collars) if kind.collars else "none",  # type: ignore[arg-type]
            hood=hood,  # type: ignore[arg-type]
            tucked=lower is not None and self.chance(kind.tucks * (1.6 if self.style == "business" else 1.0)),
            lower="dress" if lower is None else "skirt" if lower.skirt else "trousers",
            lower_length=length,
            lower_width=width,
            footwear="boots" if boots else "sandals" if sandals else "shoes",
            boot_height=self.between(0.15, 0.95),
            sole=float(np.clip(self.generator.gamma(6.0, 0.0045), 0.008, 0.07)),
            hat=hat,  # type: ignore[arg-type]
            glasses=self.chance(0.28),
            scarf=self.chance(0.04 + 0.4 * cold),
            backpack=size if bag == "backpack" or (bag == "both" and self.feminine < 0.5) else 0.0,
            shoulder_bag=size if bag == "shoulder" or (bag == "both" and self.feminine >= 0.5) else 0.0,
            bag_side="left" if self.chance(0.5) else "right",
            handbag=size if bag in ("hand", "both") else 0.0,
            hand_side="left" if self.chance(0.4) else "right",
            umbrella=("open" if self.chance(0.7) else "closed") if rainy else "none",
            pushed=self.name({"none": 0.96, "bicycle": 0.02, "trolley": 0.02}),  # type: ignore[arg-type]
        )

    def cloth(self, cloth: str, ground: Shares, rich: float = 0.0) -> Fabric:
        """Draw a fabric of a cloth; `rich` multiplies the code's share of prints like pictures."""
        generator = self.generator
        if self.chance(rich * self.code.rich):
            pattern = RICH[int(generator.integers(len(RICH)))]
            ground = colours.BRIGHT if self.chance(0.5) else ground
        else:
            shares = dict(CLOTHS[cloth])
            if len(shares) > 1:
                shares["plain"] /= max(self.code.patterned, 0.05)
            pattern = self.name(shares)
        knitted = cloth == "knit" and self.chance(0.7)
        return Fabric(
            pattern=pattern,
            colours=self.inks(pattern, ground),
            period=float(np.clip(np.exp(generator.normal(np.log(0.055), 0.5)), 0.018, 0.2)),
            duty=float(np.clip(generator.beta(2.2, 3.2), 0.12, 0.75)),
            heather=self.between(0.0, 1.0) if self.chance(HEATHER.get(cloth, 0.1)) else 0.0,
            knit=self.between(0.3, 1.0) if knitted else 0.0,
            wash=self.between(0.0, 1.0) if pattern == "denim" or self.chance(0.08) else 0.0,
            sheen=self.between(0.4, 1.0) if self.chance(SHEEN.get(cloth, 0.02)) else 0.0,
            seed=self.seed(),
        )

    def inks(self, pattern: str, ground: Shares) -> tuple[Colour, Colour, Colour, Colour]:
        """Four colours: of the ground's shares first; those that a pattern usually has, usually."""
        base = self.pick(ground)
        second = colours.contrasting(self.generator, base, colours.ACCENT)
        third = self.pick(colours.BRIGHT if self.chance(0.35) else colours.ACCENT)
        fourth = self.pick(colours.ACCENT)
        usual = self.chance(0.7)
        if pattern == "denim":
            base = self.pick(COLOURS["denim"])
        elif pattern == "tartan" and usual:
            base = self.pick(COLOURS["tartan"])
        elif pattern == "camouflage" and usual:
            base, second, third, fourth = map(self.dyed, ("olive", "pine", "khaki", "black"))
        elif pattern == "animal" and usual:
            base, second, third = map(self.dyed, ("camel", "black", "brown"))
        elif pattern in ("houndstooth", "herringbone", "pinstripes") and usual:
            second = self.pick({"silver": 3, "white": 2, "grey": 2, "charcoal": 1})
        elif pattern == "gingham" and usual:
            base, second = self.dyed("white"), base
        return base, second, third, fourth

    def dyed(self, name: str) -> Colour:
        return colours.dyed(self.generator, name)

    def ground(self, cloth: str, warmth: float) -> Shares:
        """Shares of a top's colours: darker in winter, bright where people dress to be seen."""
        if cloth in COLOURS:
            return COLOURS[cloth]
        if self.chance(self.code.colourful * (1.5 if cloth in ("jersey", "dress", "track") else 1.0)):
            return colours.BRIGHT
        shares = dict(colours.UPPER)
        for name, cold, warm in (
            ("black", 1.35, -0.55), ("navy", 1.3, -0.5), ("charcoal", 1.3, -0.6),
            ("white", 0.5, 1.0), ("sky", 0.6, 0.8), ("pink", 0.6, 0.8),
        ):  # fmt: skip
            shares[name] *= cold + warm * warmth
        if cloth == "shirt":
            shares["white"] *= 2.2
            shares["sky"] *= 3.0
            shares["black"] *= 0.6
        return shares

    def top(self, name: str, cut: OutfitCut) -> Top:
        kind, generator = TOPS[name], self.generator
        rich = {"tee": 1.6, "blouse": 1.8, "dress": 2.6, "sweat": 0.7, "jersey": 0.8, "shirt": 1.0}
        fabric = self.cloth(kind.cloth, self.ground(kind.cloth, self.warmth), rich.get(kind.cloth, 0.3))
        panel = colours.contrasting(generator, fabric.base, colours.ACCENT)
        second = replace(fabric, pattern="plain", colours=(panel, *fabric.colours[1:]), seed=self.seed())
        layouts = LAYOUTS.get(kind.cloth, {"whole": 1})
        if fabric.pattern != "plain" and kind.cloth not in ("jersey", "track"):
            layouts = {"whole": 1}
        often_trimmed = kind.cloth in ("tee", "polo", "sweat", "jersey", "track", "knit")
        trimmed = self.chance(0.3 if often_trimmed else 0.08)
        inner_kind = self.name(
            {"tee": 6, "shirt": 8 if self.style == "business" else 2, "knit": 3 * max(0.7 - self.warmth, 0.1)}
        )
        inner = self.cloth(inner_kind, self.ground(inner_kind, self.warmth + 0.2), 1.0)
        formal = name in ("shirt", "blazer", "coat") and self.style in ("business", "school")
        tieable = formal and self.feminine < 0.5
        short = (
            not cut.tucked
            and cut.lower != "dress"
            and kind.cloth in ("knit", "sweat", "jacket", "track", "down")
        )
        reflectors = int(generator.integers(1, 4)) if kind.cloth == "high-visibility" else 0
        return Top(
            kind=name,
            fabric=fabric,
            second=second,
            layout=self.name(layouts),
            trim=panel if trimmed else colours.scaled(fabric.base, self.between(0.75, 0.98)),
            trimmed=trimmed,
            front=self.name(FRONTS.get(name, {"none": 1})),
            pockets=self.name(POCKETS.get(name, {"none": 1})),
            lines=int(generator.integers(1, 4)) if self.chance(LINED.get(name, 0.01)) else 0,
            line_colour=colours.contrasting(generator, fabric.base, colours.ACCENT, 30),
            reflectors=reflectors or int(self.style == "work" and self.chance(0.15)),
            quilts=self.between(0.05, 0.13) if kind.cloth == "down" else 0.0,
            prints=self.prints(name, fabric.base) if self.chance(PRINTED.get(name, 0.02)) else (),
            sleeve_print=self.badge(fabric.base, 0.1) if self.chance(0.06) else None,
            inner=inner,
            inner_front="buttons" if inner_kind == "shirt" else "none",
            inner_prints=self.prints("tee", inner.base) if inner_kind == "tee" and self.chance(0.3) else (),
            under_hem=self.between(0.02, 0.09) if short and self.chance(0.2) else 0.0,
            tie=self.maybe(0.4 * tieable, COLOURS["tie"]),
            hardware=self.pick({"silver": 4, "black": 3, "white": 2, "camel": 1, "brown": 1}),
        )

    def prints(self, name: str, ground: Colour) -> tuple[Print, ...]:
        """What is printed on the front and on the back of a kind of top."""
        prints = []
        ink = colours.contrasting(self.generator, ground, colours.ACCENT, 30)
        shares = PRINTS.get(name, PRINTS["tee"])
        for front, share in ((True, 0.82), (False, 0.42)):
            if not self.chance(share):
                continue
            kind = self.name(shares)
            width, height = self.between(0.12, 0.32), self.between(0.05, 0.16)
            u, v = 0.5 if front else 0.0, self.between(0.27, 0.48)
            if kind == "badge":
                u, v, width, height = 0.59 if front else 0.0, 0.27, 0.07, 0.06
            elif kind == "number":
                width, height = self.between(0.14, 0.26), self.between(0.16, 0.28)
            elif kind not in ("text", "bar"):
                height = width * self.between(0.7, 1.4)
            inks = (ink, self.pick(colours.BRIGHT), self.pick(colours.ACCENT))
            prints.append(Print(kind, inks, u, v, width, height, self.seed()))
        return tuple(prints)

    def badge(self, ground: Colour, size: float) -> Print:
        """Something small that is sewn on or printed; where, says whoever puts it there."""
        ink = colours.contrasting(self.generator, ground, colours.ACCENT, 25)
        width = self.between(0.4, 1.0) * size
        kind = self.name({"text": 4, "disc": 1, "square": 2, "blot": 2, "picture": 1, "bar": 1, "badge": 2})
        inks = (ink, self.pick(colours.BRIGHT), self.pick(colours.ACCENT))
        return Print(kind, inks, 0.5, self.between(0.3, 0.65), width, width * 0.7, self.seed())

    def lower(self, name: str, top: Top, cut: OutfitCut) -> Lower:
        kind, generator = LOWERS.get(name), self.generator
        cloth = kind.cloth if kind is not None else "dress"
        if kind is None or self.chance(SETS.get((top.kind, name), 0.0)):
            fabric = top.fabric
        else:
            shares = (
                COLOURS["suit"] if cloth == "suit" else COLOURS["work"] if cloth == "work" else colours.LOWER
            )
            if cloth in ("jersey", "skirt") and self.chance(1.5 * self.code.colourful + 0.05):
                shares = colours.BRIGHT
            fabric = self.cloth(
                cloth, shares, {"skirt": 2.0, "leggings": 2.0, "shorts": 0.8}.get(cloth, 0.05)
            )
            if self.style == "school" and kind.skirt and self.chance(0.45):
                fabric = replace(fabric, pattern="tartan")
        sturdy = cloth in ("jeans", "chinos", "suit", "shorts", "work")
        hosiery, hosiery_colour, opacity = self.hosiery(cut)
        pleated = cut.lower != "trousers" and self.chance(0.9 if self.style == "school" else 0.3)
        turned = cloth in ("jeans", "chinos", "shorts") and self.chance(0.15)
        return Lower(
            kind=name,
            fabric=fabric,
            belt=self.maybe((0.75 if cut.tucked else 0.3) * sturdy, COLOURS["belt"]),
            lines=int(generator.integers(1, 4)) if self.chance(LINED.get(name, 0.01)) else 0,
            line_colour=colours.contrasting(generator, fabric.base, colours.ACCENT, 30),
            pockets=sturdy or cloth in ("sweat", "track"),
            thigh_pockets=name == "cargo" or (name == "shorts" and self.chance(0.2)),
            torn=self.between(0.2, 0.9) if fabric.pattern == "denim" and self.chance(0.1) else 0.0,
            turn_up=self.between(0.02, 0.06) if turned else 0.0,
            pleats=int(generator.integers(10, 30)) if pleated else 0,
            print=self.badge(fabric.base, 0.12)
            if cloth in ("sweat", "track", "jersey", "leggings") and self.chance(0.3)
            else None,
            hosiery=hosiery,
            hosiery_colour=hosiery_colour,
            hosiery_lines=self.pick(colours.BRIGHT) if self.chance(0.25) else None,
            opacity=opacity,
        )

    def hosiery(self, cut: OutfitCut) -> tuple[str, Colour, float]:
        """What is on the legs below short trousers, a skirt or a dress: its kind, colour and opacity."""
        trousers = cut.lower == "trousers"
        if not trousers and self.chance(0.75 * (1.15 - self.warmth)):
            return "tights", self.pick(COLOURS["tights"]), self.between(0.45, 1.0)
        colour = self.pick(COLOURS["socks"])
        if cut.footwear == "sandals" or (trousers and cut.lower_length >= 0.9):
            return "none", colour, 1.0
        high = 0.16 if self.style in ("sports", "school") else 0.04
        return self.name({"knee socks": high, "socks": 0.72 - high, "none": 0.28}), colour, 1.0

    def shoe(self, cut: OutfitCut) -> Shoe:
        business = self.style in ("business", "school")
        style = {"boots": "boot", "sandals": "sandal"}.get(cut.footwear)
        if style is None:
            style = self.name(
                {
                    "trainer": 0.8 if business else 5,
                    "canvas": 0.3 if business else 2,
                    "leather": 5 if business else 0.9,
                    "heel": self.feminine * (2 if business else 0.6),
                }
            )
        leather = style in ("leather", "boot", "heel")
        upper: Shares = colours.SHOE
        if leather:
            upper = COLOURS["leather shoe"]
        elif self.chance(0.5 * self.code.colourful + (0.12 if self.style == "sports" else 0.03)):
            upper = colours.BRIGHT
        return Shoe(
            style=style,
            upper=self.pick(upper),
            second=self.pick(colours.ACCENT),
            sole=self.pick(COLOURS["leather sole" if leather else "sole"]),
            laces=self.pick({"white": 5, "black": 3, "other": 1}),
            seed=self.seed(),
        )

    def bag(self) -> Bag:
        bright = self.chance(0.08 + 0.6 * self.code.colourful)
        fabric = self.cloth("bag", colours.BRIGHT if bright else colours.BAG, 1.0)
        second = fabric.base
        if self.chance(0.3):
            second = self.pick(colours.BAG if self.chance(0.6) else colours.BRIGHT)
        return Bag(
            fabric=fabric,
            second=second,
            strap=colours.scaled(fabric.base, 0.8) if self.chance(0.7) else self.pick(colours.BAG),
            pockets=int(self.generator.integers(0, 4)),
            print=self.badge(fabric.base, 0.14) if self.chance(0.4) else None,
        )
