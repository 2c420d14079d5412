"""People who look alike on purpose, and people who changed their clothes.

Two strangers in one uniform are told apart by body, hair, shoes and bag; one person in two outfits is known
by what
stays. Both are asked of models that should know people and not clothes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.dress import colours
from omnireid.synthetic.dress.codes import UNIFORMED_STYLES, DressCode
from omnireid.synthetic.dress.colours import Colour, colour_difference
from omnireid.synthetic.dress.fabrics import Fabric
from omnireid.synthetic.dress.outfit import BODY_FIELDS, Outfit
from omnireid.synthetic.dress.wardrobe import draw_outfit, dress_person
from omnireid.synthetic.dress.wearer import Wearer

GARMENT_FIELDS = (
    "sleeve_length", "top_length", "top_looseness", "open_front", "inner_length", "collar", "hood",
        "tucked", "lower",
    "lower_length", "lower_width",
)  # fmt: skip
"""Fields of the cut that belong to top and lower garment."""

_ANOTHER_COLOUR = 15.0  # CIE 1976; nobody calls two such colours the same


def change_clothes(generator: np.random.Generator, wearer: Wearer, outfit: Outfit, code: DressCode) -> Outfit:
    """Other clothes, shoes and bags on the same person: skin, hair, beard and glasses stay.

    Top and lower garment get another colour, pattern or kind (16 tries, of which the most different is kept).
    """
    changed, most = outfit, -1.0
    for _ in range(16):
        other = dress_person(generator, wearer, code, outfit.complexion, outfit.cut)
        difference = min(
            _difference(outfit.top.fabric, other.top.fabric),
            _difference(outfit.lower.fabric, other.lower.fabric),
        )
        if difference > most:
            changed, most = other, difference
        if most >= _ANOTHER_COLOUR:
            break
    cut = replace(changed.cut, glasses=outfit.cut.glasses)
    extras = replace(changed.extras, glasses=outfit.extras.glasses, shades=outfit.extras.shades)
    return replace(changed, cut=cut, extras=extras)


def put_on(generator: np.random.Generator, wearer: Wearer, clothes: Outfit, code: DressCode) -> Outfit:
    """Somebody else in the same top and lower garment, as in a uniform; all else is drawn anew.

    `wearer` may be anybody; skin, hair, shoes, hat, bags and folds are the new person's own.
    """
    other = draw_outfit(generator, wearer, code)
    kept = {name: getattr(clothes.cut, name) for name in GARMENT_FIELDS}
    lower = replace(
        clothes.lower,
        hosiery=clothes.lower.hosiery if clothes.lower.hosiery == "tights" else other.lower.hosiery,
        hosiery_colour=other.lower.hosiery_colour,
    )
    return replace(other, cut=replace(other.cut, **kept), style=clothes.style, top=clothes.top, lower=lower)


def put_on_like(
    generator: np.random.Generator, wearer: Wearer, clothes: Outfit, code: DressCode, spread: float = 5.0
) -> Outfit:
    """Somebody else in clothes of the same kinds in nearly the same colours.

    Args:
        spread: deviation of each colour in each axis of L*a*b*; 2 is just seen, 5 is a like colour.
    """
    other = put_on(generator, wearer, clothes, code)
    top = replace(
        other.top,
        fabric=_like(generator, other.top.fabric, spread),
        second=_like(generator, other.top.second, spread),
        inner=_like(generator, other.top.inner, spread),
        trim=colours.near(generator, other.top.trim, spread),
        prints=other.top.prints if generator.random() < 0.5 else (),
        pockets="none" if generator.random() < 0.5 else other.top.pockets,
    )
    fabric = (
        top.fabric if other.lower.fabric == other.top.fabric else _like(generator, other.lower.fabric, spread)
    )
    cut = other.cut
    cut = replace(
        cut,
        top_length=_varied(generator, cut.top_length, 0.0, 0.85),
        sleeve_length=_varied(generator, cut.sleeve_length, 0.0, 1.0),
        top_looseness=_varied(generator, cut.top_looseness, 0.0, 0.08),
        lower_width=_varied(generator, cut.lower_width, 0.0, 1.0),
    )
    return replace(other, cut=cut, top=top, lower=replace(other.lower, fabric=fabric))


@dataclass(frozen=True, slots=True)
class _Template:
    """A usual adult for whom a uniform is drawn before anybody wears it."""

    gender: float
    age: float = 30.0
    stature: float = 1.72
    weight: float = 0.5
    ancestry: tuple[float, float, float] = (0.3, 0.35, 0.35)


def outfit_of(
    seed: int, number: int, wearer: Wearer, code: DressCode, *, look_alikes: float = 0.12, group: int = 12
) -> Outfit:
    """What person `number` of a crowd wears; some of them dress alike on purpose. A pure function of its
    arguments.

    Of every `group` people with consecutive numbers, a share of `look_alikes`, and those in uniform, take the
    clothes of their group: two thirds of them the same, the others nearly the same.
    """
    generator = numpy_generator(seed, "outfit", number)
    uniformed = generator.random() < code.uniformed
    alike = generator.random() < look_alikes
    if not (uniformed or alike):
        return draw_outfit(generator, wearer, code)
    woman = wearer.gender > 0.5
    # A place has one uniform; people who merely dress alike are of one group.
    name = ("uniform", 0) if uniformed else ("alike", number // group)
    template = draw_outfit(
        numpy_generator(seed, *name, int(woman)),
        _Template(0.92 if woman else 0.08),
        _code_of_uniforms(code) if uniformed else code,
    )
    if uniformed or generator.random() < 0.6:
        return put_on(generator, wearer, template, code)
    return put_on_like(generator, wearer, template, code)


def _code_of_uniforms(code: DressCode) -> DressCode:
    styles = {name: share for name, share in code.styles.items() if name in UNIFORMED_STYLES}
    return replace(code, styles=styles or code.styles)


def same_person(first: Outfit, second: Outfit) -> bool:
    """Whether two outfits are worn by one person, as far as skin, hair and beard say."""
    fields = all(getattr(first.cut, name) == getattr(second.cut, name) for name in BODY_FIELDS)
    return first.complexion == second.complexion and fields


def same_clothes(first: Outfit, second: Outfit) -> bool:
    """Whether top and lower garment are the same in two outfits."""
    fields = all(getattr(first.cut, name) == getattr(second.cut, name) for name in GARMENT_FIELDS)
    return first.top == second.top and first.lower.fabric == second.lower.fabric and fields


def _difference(first: Fabric, second: Fabric) -> float:
    """How far two fabrics are from each other: their grounds' colours, or more when only one has a
    pattern."""
    difference = colour_difference(first.base, second.base)
    return (
        difference + 20.0
        if first.pattern != second.pattern and "plain" in (first.pattern, second.pattern)
        else difference
    )


def _like(generator: np.random.Generator, fabric: Fabric, spread: float) -> Fabric:
    first, second, third, fourth = (_near(generator, colour, spread) for colour in fabric.colours)
    period = float(np.clip(fabric.period * np.exp(generator.normal(0, 0.12)), 0.018, 0.2))
    return replace(
        fabric, colours=(first, second, third, fourth), period=period, seed=int(generator.integers(1 << 31))
    )


def _near(generator: np.random.Generator, colour: Colour, spread: float) -> Colour:
    return colours.near(generator, colour, spread)


def _varied(generator: np.random.Generator, value: float, least: float, most: float) -> float:
    return float(np.clip(value * np.exp(generator.normal(0, 0.12)), least, most))
