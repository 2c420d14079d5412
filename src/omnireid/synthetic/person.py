"""An identity: build, hair, clothes and belongings, all drawn from one generator.

No real person is behind any of them. Lengths are shares of the stature.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireid.synthetic import palette
from omnireid.synthetic.palette import Colour


@dataclass(frozen=True, slots=True)
class Body:
    """Build. `leg` is hip-joint height, `shoulder` and `hip` half widths, `chest` and `belly` half depths."""

    leg: float
    shoulder: float
    hip: float
    chest: float
    belly: float
    limb: float
    head: float
    skin: Colour


@dataclass(frozen=True, slots=True)
class Fabric:
    """What a garment is made of. `scale` is the number of repeats of the pattern along the torso."""

    pattern: str
    base: Colour
    accent: Colour
    scale: float
    noise_seed: int


@dataclass(frozen=True, slots=True)
class Logo:
    """A print. `azimuth` and `height` place it on the torso (radians from the front, 0 = neck to 1 = hip)."""

    shape: str
    colour: Colour
    azimuth: float
    height: float
    size: float


@dataclass(frozen=True, slots=True)
class Upper:
    """Upper garment. `sleeve` counts covered arm segments (0 to 2); `hem` is where it ends (1 = hip)."""

    kind: str
    fabric: Fabric
    inner: Fabric
    sleeve: float
    hem: float
    skirt: float
    looseness: float
    logos: tuple[Logo, ...]
    sleeve_stripe: Colour | None
    sleeve_stripes: int


@dataclass(frozen=True, slots=True)
class Lower:
    """Lower garment. `cover` is how many leg segments it covers (0 to 2), `width` its looseness."""

    kind: str
    fabric: Fabric
    cover: float
    width: float
    side_stripe: Colour | None


@dataclass(frozen=True, slots=True)
class Head:
    hair: str
    hair_colour: Colour
    hat: str
    hat_colour: Colour
    beard: bool
    glasses: bool
    scarf: Colour | None


@dataclass(frozen=True, slots=True)
class Bag:
    """`kind` is none, backpack, shoulder, hand; `side` is +1 for the person's left."""

    kind: str
    colour: Colour
    accent: Colour
    side: int
    size: float


@dataclass(frozen=True, slots=True)
class Person:
    body: Body
    head: Head
    upper: Upper
    lower: Lower
    bag: Bag
    shoe: Colour
    boots: bool


def draw_person(generator: np.random.Generator) -> Person:
    """Draw one identity."""
    build = generator.normal(0.0, 1.0)
    female = bool(generator.random() < 0.5)
    body = Body(
        leg=float(np.clip(generator.normal(0.515, 0.018), 0.47, 0.56)),
        shoulder=float(
            np.clip(generator.normal(0.108 if female else 0.122, 0.007) + 0.004 * build, 0.09, 0.15)
        ),
        hip=float(np.clip(generator.normal(0.094 if female else 0.088, 0.005) + 0.007 * build, 0.075, 0.125)),
        chest=float(np.clip(0.066 + 0.006 * build + generator.normal(0, 0.003), 0.05, 0.095)),
        belly=float(np.clip(0.058 + 0.013 * build + generator.normal(0, 0.006), 0.045, 0.125)),
        limb=float(np.clip(1.0 + 0.10 * build + generator.normal(0, 0.05), 0.78, 1.35)),
        head=float(np.clip(generator.normal(0.068, 0.003), 0.06, 0.076)),
        skin=palette.SKIN[int(generator.integers(len(palette.SKIN)))],
    )
    upper = _draw_upper(generator, female)
    return Person(
        body=body,
        head=_draw_head(generator, female),
        upper=upper,
        lower=_draw_lower(generator, female, dress=upper.kind == "dress"),
        bag=_draw_bag(generator),
        shoe=palette.pick(generator, palette.SHOE_SHARES),
        boots=bool(generator.random() < 0.2),
    )


def _choose(generator: np.random.Generator, shares: dict[str, float]) -> str:
    names = list(shares)
    weights = np.array(list(shares.values()))
    return names[int(generator.choice(len(names), p=weights / weights.sum()))]


def _draw_fabric(
    generator: np.random.Generator, colours: dict[str, int], patterns: dict[str, float]
) -> Fabric:
    return Fabric(
        pattern=_choose(generator, patterns),
        base=palette.pick(generator, colours),
        accent=palette.pick(generator, palette.ACCENT_SHARES),
        scale=generator.uniform(2.5, 6.5),
        noise_seed=int(generator.integers(1 << 31)),
    )


def _draw_upper(generator: np.random.Generator, female: bool) -> Upper:
    kind = _choose(
        generator,
        {
            "t-shirt": 24, "long-sleeve": 18, "jacket": 20, "hoodie": 14, "coat": 12,
            "dress": 12 if female else 0, "vest": 5,
        },
    )  # fmt: skip
    plain = kind in ("coat", "jacket", "vest")
    fabric = _draw_fabric(
        generator,
        palette.UPPER_SHARES,
        {
            "plain": 3.6 if plain else 1.8, "stripes-h": 0.2 if plain else 1.1,
            "stripes-v": 0.3 if plain else 0.6, "checks": 0.7, "dots": 0.1 if plain else 0.6,
            "gradient": 0.3, "block": 0.8, "band": 0.8, "noise": 0.8,
        },
    )  # fmt: skip
    inner = _draw_fabric(generator, palette.UPPER_SHARES, {"plain": 4.0, "stripes-h": 1.0, "checks": 1.0})
    sleeve = {"t-shirt": 0.62, "vest": 0.18}.get(kind, 2.0)
    if kind == "dress":
        sleeve = float(generator.choice([0.15, 0.6, 2.0]))
    elif kind in ("jacket", "long-sleeve") and generator.random() < 0.2:
        sleeve = 1.25  # rolled up
    skirt = 0.0
    if kind == "coat":
        skirt = generator.uniform(0.16, 0.34)
    elif kind == "dress":
        skirt = generator.uniform(0.20, 0.38)
    logos = tuple(_draw_logos(generator, front=kind != "jacket"))
    striped = generator.random() < (0.28 if kind in ("jacket", "hoodie", "long-sleeve") else 0.08)
    return Upper(
        kind=kind,
        fabric=fabric,
        inner=inner,
        sleeve=sleeve,
        hem=generator.uniform(0.80, 1.0),
        skirt=skirt,
        looseness=generator.uniform(0.98, 1.16) * (1.06 if kind in ("coat", "hoodie", "jacket") else 1.0),
        logos=logos,
        sleeve_stripe=palette.pick(generator, palette.ACCENT_SHARES) if striped else None,
        sleeve_stripes=int(generator.integers(1, 4)),
    )


def _draw_logos(generator: np.random.Generator, front: bool) -> list[Logo]:
    logos = []
    shapes = ["disc", "square", "triangle", "cross", "ring", "bar", "diamond", "letters"]
    places = (("front", 0.45 if front else 0.0), ("back", 0.45))
    colour = palette.pick(generator, palette.ACCENT_SHARES)
    for side, share in places:
        shape = str(generator.choice(shapes))
        size = generator.uniform(0.22, 0.46)
        offset = float(generator.choice([-0.45, 0.0, 0.0, 0.45]))
        height = generator.uniform(0.26, 0.42)
        if generator.random() < share:
            if offset:
                size *= 0.65
            azimuth = offset if side == "front" else np.pi + offset
            logos.append(Logo(shape=shape, colour=colour, azimuth=azimuth, height=height, size=size))
    return logos


def _draw_lower(generator: np.random.Generator, female: bool, dress: bool) -> Lower:
    if dress:
        kind = _choose(generator, {"bare": 0.5, "tights": 0.5})
    else:
        kind = _choose(generator, {"trousers": 0.72, "shorts": 0.14, "skirt": 0.16 if female else 0.0})
    fabric = _draw_fabric(
        generator,
        palette.LOWER_SHARES,
        {"plain": 3.4, "denim": 2.6, "noise": 0.7, "checks": 0.5, "stripes-v": 0.5, "camouflage": 0.5},
    )
    cover = {
        "trousers": 2.0 if generator.random() < 0.85 else 1.7,
        "shorts": generator.uniform(0.6, 1.0),
        "skirt": generator.uniform(0.55, 1.5),
        "tights": 2.0,
        "bare": 0.0,
    }[kind]
    stripe = kind in ("trousers", "shorts") and generator.random() < 0.18
    return Lower(
        kind=kind,
        fabric=fabric,
        cover=cover,
        width=generator.uniform(0.92, 1.40) if kind != "tights" else 0.95,
        side_stripe=palette.pick(generator, palette.ACCENT_SHARES) if stripe else None,
    )


def _draw_head(generator: np.random.Generator, female: bool) -> Head:
    if female:
        hair = _choose(
            generator, {"long": 0.38, "bob": 0.2, "ponytail": 0.18, "bun": 0.12, "short": 0.08, "afro": 0.04}
        )
    else:
        hair = _choose(
            generator, {"short": 0.55, "buzz": 0.18, "bald": 0.1, "afro": 0.06, "bob": 0.06, "bun": 0.05}
        )
    shares = np.array(palette.HAIR_SHARES, dtype=np.float64)
    return Head(
        hair=hair,
        hair_colour=palette.HAIR[int(generator.choice(len(palette.HAIR), p=shares / shares.sum()))],
        hat=_choose(generator, {"none": 0.80, "cap": 0.10, "beanie": 0.07, "brim": 0.03}),
        hat_colour=palette.pick(generator, palette.BAG_SHARES),
        beard=bool(not female and generator.random() < 0.3),
        glasses=bool(generator.random() < 0.22),
        scarf=palette.pick(generator, palette.UPPER_SHARES) if generator.random() < 0.09 else None,
    )


def _draw_bag(generator: np.random.Generator) -> Bag:
    return Bag(
        kind=_choose(generator, {"none": 0.40, "backpack": 0.24, "shoulder": 0.20, "hand": 0.16}),
        colour=palette.pick(generator, palette.BAG_SHARES),
        accent=palette.pick(generator, palette.ACCENT_SHARES),
        side=int(generator.choice([-1, 1])),
        size=generator.uniform(0.8, 1.25),
    )
