"""Which pieces of clothing a person wears and how they are cut: geometry only, no colours.

Heights of hems are shares of the way from the waist (0) to the ankle (1): the crotch is near 0.24, the knee
near 0.62. Ends of sleeves are shares of the way from the shoulder (0) to the wrist (1): the elbow is near
0.52.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from omnireid.core.errors import InputError

Slot = Literal[
    "face",
    "hair",
    "beard",
    "glasses",
    "hat",
    "torso",
    "inner",
    "collar",
    "sleeve_l",
    "sleeve_r",
    "arm",
    "hand",
    "hip",
    "leg_l",
    "leg_r",
    "bare_leg",
    "skirt",
    "shoe",
    "scarf",
    "bag",
    "handbag",
    "umbrella",
    "thing",
]

SLOTS: Final[tuple[Slot, ...]] = get_args(Slot)
"""What a texture is made for; `Mesh.textures` of a person are indices into it.

In every slot u runs around the piece (0.5 = front, 0 and 1 = the seam at the back, increasing to the person's
left) and v down (0 = top, 1 = lower end):

- `face`: head with ears and neck, from the crown to the base of the neck; `FACE_LANDMARKS` says where the
  eyes are.
- `hair` (crown to the tips), `beard`, `glasses` (u across, from the person's right to their left), `hat`.
- `torso`: neck to hem, with the hood; an open front has a gap around u 0.5. `inner`: what shows in the gap,
  neck to hem, u as on the torso. `collar`: the collar, v down to the neck's base.
- `sleeve_l`, `sleeve_r`: v 0 the shoulder, 1 the wrist, however long the sleeve is; u 0.5 is the side that
  points forward when the arm hangs, as on the other slots. `arm`: bare skin of both arms, same meaning.
- `hand`: both hands, wrist to fingertips. u as on the arm.
- `hip`: trousers from the waist to the crotch. `leg_l`, `leg_r`: trousers, v 0 the crotch, 1 the ankle,
  however long they are; u around the leg. `bare_leg`: bare skin or stockings of both legs, same meaning.
- `skirt`: waist to hem; of a dress what is below the waist.
- `shoe`: both shoes, u 0.5 the tip of the toes; v 0 the upper end, 0.85 to 1 the sole.
- `scarf`: v 0 the upper rim. `bag`: backpack or shoulder bag, its straps have v > 0.9. `handbag`.
- `umbrella`: v 0 the tip, 0.9 the rim, more: stick and handle.
- `thing`: trolley or bicycle; v < 0.5 is its coloured part, v > 0.5 tyres, rims, handles.
"""

Lower = Literal["trousers", "skirt", "dress"]
Collar = Literal["none", "shirt", "stand", "turtleneck"]
Hood = Literal["none", "down", "up"]
Footwear = Literal["shoes", "boots", "sandals"]
Hair = Literal["bald", "buzz", "short", "tousled", "bob", "long", "ponytail", "bun", "afro"]
Hat = Literal["none", "cap", "beanie", "brim", "headscarf"]
Beard = Literal["none", "short", "full", "moustache"]
Umbrella = Literal["none", "closed", "open"]
Pushed = Literal["none", "bicycle", "trolley"]


@dataclass(frozen=True, slots=True)
class OutfitCut:
    """The cut of an outfit: which geometry exists.

    Attributes:
        sleeve_length: end of the sleeves; 0 sleeveless, 0.3 a t-shirt, 1 long sleeves.
        top_length: height of the top's hem; 0.15 a shirt over the waistband, 0.28 a jacket, 0.5 a short coat.
        top_looseness: how far the top is from the body, in metres: 0.004 tight, 0.015 a shirt, 0.04 an
            anorak.
        open_front: share of the circumference that gapes at the front, where the slot `inner` shows; 0
            closed.
        inner_length: height of the inner top's hem, when the front gapes.
        lower: trousers (shorts are short ones), a skirt, or a dress, whose upper part is the top.
        lower_length: end of the trousers' legs or the hem of the skirt or dress; 0.35 hot pants, 0.6 the
            knee.
        lower_width: 0 leggings, 0.3 jeans, 0.6 straight, 1 wide; of a skirt: 0 a pencil skirt, 1 a wide one.
        tucked: the top ends inside the waistband; `top_length` is then not looked at.
        boot_height: height of the boots' shaft, as a share of the way from ankle to knee.
        sole: height of the sole in metres.
        hair_length: scales the style's own length, 0.5 to 1.5. hair_volume: distance from the skull, 0 to 1.
        backpack, shoulder_bag, handbag: size 0 is none, 0.7 small, 1 usual, 1.3 large.
        bag_side: the hip at which the shoulder bag hangs. hand_side: the hand that holds a handbag or
            umbrella.
        pushed: what the person pushes (a bicycle) or pulls (a trolley).
    """

    sleeve_length: float = 1.0
    top_length: float = 0.22
    top_looseness: float = 0.014
    open_front: float = 0.0
    inner_length: float = 0.2
    collar: Collar = "none"
    hood: Hood = "none"
    tucked: bool = False
    lower: Lower = "trousers"
    lower_length: float = 1.0
    lower_width: float = 0.35
    footwear: Footwear = "shoes"
    boot_height: float = 0.35
    sole: float = 0.025
    hair: Hair = "short"
    hair_length: float = 1.0
    hair_volume: float = 0.4
    hat: Hat = "none"
    beard: Beard = "none"
    glasses: bool = False
    scarf: bool = False
    backpack: float = 0.0
    shoulder_bag: float = 0.0
    bag_side: Literal["left", "right"] = "right"
    handbag: float = 0.0
    hand_side: Literal["left", "right"] = "right"
    umbrella: Umbrella = "none"
    pushed: Pushed = "none"

    def __post_init__(self) -> None:
        for name, (least, most) in _RANGES.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise InputError(f"OutfitCut.{name}: {least:g} to {most:g}, got {value!r}")
        for name, choices in _CHOICES.items():
            value = getattr(self, name)
            if value not in choices:
                raise InputError(f"OutfitCut.{name}: one of {', '.join(choices)}, got {value!r}")

    @property
    def hauling_side(self) -> Literal["left", "right"]:
        """The hand that pulls a trolley: the right one, unless it holds something."""
        holds = self.umbrella != "none" or self.handbag > 0
        return "left" if holds and self.hand_side == "right" else "right"

    def replace(self, **changes: Any) -> OutfitCut:
        """The same cut with other values of some fields."""
        return dataclasses.replace(self, **changes)


_RANGES: Final[dict[str, tuple[float, float]]] = {
    "sleeve_length": (0.0, 1.0),
    "top_length": (0.0, 0.85),
    "top_looseness": (0.0, 0.08),
    "open_front": (0.0, 0.3),
    "inner_length": (0.0, 0.5),
    "lower_length": (0.28, 1.0),
    "lower_width": (0.0, 1.0),
    "boot_height": (0.0, 1.0),
    "sole": (0.005, 0.08),
    "hair_length": (0.4, 1.6),
    "hair_volume": (0.0, 1.0),
    "backpack": (0.0, 1.5),
    "shoulder_bag": (0.0, 1.5),
    "handbag": (0.0, 1.5),
}
_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "collar": get_args(Collar),
    "hood": get_args(Hood),
    "lower": get_args(Lower),
    "footwear": get_args(Footwear),
    "hair": get_args(Hair),
    "hat": get_args(Hat),
    "beard": get_args(Beard),
    "bag_side": ("left", "right"),
    "hand_side": ("left", "right"),
    "umbrella": get_args(Umbrella),
    "pushed": get_args(Pushed),
}
