"""An outfit: everything that a person wears, and the skin and hair that show, drawn from one generator.

No real person is behind any of it. The cut (`OutfitCut`) says which geometry there is; the rest is what the
textures
are made from. What belongs to the person (`Complexion`, the hair style) and what is worn can be told apart,
so that
clothes can be changed and kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from omnireid.synthetic.dress.colours import Colour
from omnireid.synthetic.dress.fabrics import Fabric
from omnireid.synthetic.people.outfit import OutfitCut

BODY_FIELDS: Final = ("hair", "hair_length", "hair_volume", "beard")
"""Fields of the cut that belong to the person and not to the clothes."""


@dataclass(frozen=True, slots=True)
class Complexion:
    """What a person cannot take off: colours of skin, hair and face, and how the face is drawn.

    Attributes:
        highlights: colour of the lighter strands; `streaks` how many of them there are, 0 to 1.
        parting: where the hair is parted, −1 right to 1 left.
        brow, mouth, eyes, nose: strengths and sizes about 1.
        age_lines: how lined the face is, 0 to 1. tattoo: share of the arms that is drawn on.
    """

    skin: Colour
    hair: Colour
    highlights: Colour
    streaks: float
    parting: float
    lips: Colour
    iris: Colour
    blush: float
    brow: float
    mouth: float
    eyes: float
    nose: float
    make_up: float
    age_lines: float
    stubble: float
    tattoo: float
    seed: int


@dataclass(frozen=True, slots=True)
class Print:
    """Something printed on or sewn to a garment.

    Attributes:
        kind: a name in `prints.PRINTS`.
        u, v: its middle on the torso. width, height: metres.
    """

    kind: str
    colours: tuple[Colour, Colour, Colour]
    u: float
    v: float
    width: float
    height: float
    seed: int


@dataclass(frozen=True, slots=True)
class Top:
    """The upper garment. `kind` is a name in `codes.TOPS`; `trim` the colour of cuffs, hem, collar.

    Attributes:
        second: the fabric of other panels than the body's (`layout` says which).
        layout: whole, raglan, sleeves, yoke, chest, halves, sides, lower, shoulders.
        front: none, zip, buttons, placket.
        pockets: none, chest, kangaroo, patch.
        lines: number of lines along the sleeves; `reflectors` number of reflecting bands.
        inner: what shows in an open front and under the hem; `under_hem` how much of it shows there, share
        of v.
        tie: a tie's colour. sleeve_print: on the left upper arm.
    """

    kind: str
    fabric: Fabric
    second: Fabric
    layout: str
    trim: Colour
    trimmed: bool
    front: str
    pockets: str
    lines: int
    line_colour: Colour
    reflectors: int
    quilts: float
    prints: tuple[Print, ...]
    sleeve_print: Print | None
    inner: Fabric
    inner_front: str
    inner_prints: tuple[Print, ...]
    under_hem: float
    tie: Colour | None
    hardware: Colour


@dataclass(frozen=True, slots=True)
class Lower:
    """The lower garment and what is on the legs. `kind` is a name in `codes.LOWERS`, or "dress".

    Attributes:
        belt: the belt's colour, if one shows.
        lines: number of lines down the sides.
        pockets: whether pockets and seams show; `thigh_pockets` of cargo trousers.
        torn: share of the knees' cloth that is torn.
        turn_up: metres of the hem that are turned up.
        pleats: number of pleats of a skirt, 0 none.
        print: on the left thigh.
        hosiery: none, tights, knee socks, socks; with its colour and how opaque it is.
    """

    kind: str
    fabric: Fabric
    belt: Colour | None
    lines: int
    line_colour: Colour
    pockets: bool
    thigh_pockets: bool
    torn: float
    turn_up: float
    pleats: int
    print: Print | None
    hosiery: str
    hosiery_colour: Colour
    hosiery_lines: Colour | None
    opacity: float


@dataclass(frozen=True, slots=True)
class Shoe:
    """Shoes: `style` is trainer, leather, canvas, boot, sandal, heel."""

    style: str
    upper: Colour
    second: Colour
    sole: Colour
    laces: Colour
    seed: int


@dataclass(frozen=True, slots=True)
class Bag:
    """A bag, its flap, pockets and straps."""

    fabric: Fabric
    second: Colour
    strap: Colour
    pockets: int
    print: Print | None


@dataclass(frozen=True, slots=True)
class Extras:
    """Small things, each a colour or None. `shades`: the glasses are dark; `mask` is over mouth and nose."""

    glasses: Colour
    shades: bool
    watch: Colour | None
    gloves: Colour | None
    mask: Colour | None
    lanyard: Colour | None
    apron: Colour | None
    necklace: Colour | None


@dataclass(frozen=True, slots=True)
class Outfit:
    """Everything `dress` draws from; `style` is how the person dresses (a name in `DressCode.styles`)."""

    cut: OutfitCut
    complexion: Complexion
    style: str
    top: Top
    lower: Lower
    shoe: Shoe
    hat: Fabric
    hat_band: Colour
    hat_logo: Colour | None
    scarf: Fabric
    bag: Bag
    handbag: Bag
    umbrella: Fabric
    thing: Colour
    thing_second: Colour
    extras: Extras
    seed: int
