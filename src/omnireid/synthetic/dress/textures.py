"""From an outfit to one texture per slot of the body's geometry."""

from __future__ import annotations

import numpy as np

from omnireid.core.arrays import UInt8
from omnireid.synthetic.dress import bare, carried, head, lowers, tops
from omnireid.synthetic.dress.cloth import Layer, finish
from omnireid.synthetic.dress.outfit import Outfit
from omnireid.synthetic.dress.wearer import Wearer
from omnireid.synthetic.people.outfit import SLOTS, Slot


def dress(outfit: Outfit, wearer: Wearer) -> dict[Slot, UInt8]:
    """Draw every slot's texture: (H, W, 3) uint8 sRGB each, glasses (H, W, 4); u and v as `people.SLOTS`.

    A pure function of its arguments. A slot that the cut has no geometry for gets one plain colour, so that
    every slot can be looked up.
    """
    cut = outfit.cut
    trousers = cut.lower == "trousers"
    bag = outfit.bag
    size = (0.75, 0.5) if cut.backpack else (0.6, 0.3)
    layers: dict[Slot, Layer] = {
        "face": head.face(outfit),
        "hair": head.hair(outfit),
        "beard": head.beard(outfit) if cut.beard != "none" else _small(outfit.complexion.hair),
        "glasses": head.glasses(outfit) if cut.glasses else _small(outfit.extras.glasses),
        "hat": head.hat(outfit) if cut.hat != "none" else _small(outfit.hat.base),
        "torso": tops.torso(outfit, wearer),
        "inner": tops.inner(outfit, wearer) if cut.open_front else _small(outfit.top.inner.base),
        "collar": tops.collar(outfit),
        "sleeve_l": tops.sleeve(outfit, wearer, left=True),
        "sleeve_r": tops.sleeve(outfit, wearer, left=False),
        "arm": bare.arm(outfit, wearer),
        "hand": bare.hand(outfit),
        "hip": lowers.hip(outfit, wearer) if trousers else _small(outfit.lower.fabric.base),
        "leg_l": lowers.leg(outfit, wearer, left=True) if trousers else _small(outfit.lower.fabric.base),
        "leg_r": lowers.leg(outfit, wearer, left=False) if trousers else _small(outfit.lower.fabric.base),
        "bare_leg": bare.bare_leg(outfit, wearer),
        "skirt": _small(outfit.lower.fabric.base) if trousers else lowers.skirt(outfit, wearer),
        "shoe": lowers.shoe(outfit),
        "scarf": carried.scarf(outfit) if cut.scarf else _small(outfit.scarf.base),
        "bag": carried.bag(outfit, bag, "bag", *size)
        if cut.backpack or cut.shoulder_bag
        else _small(bag.fabric.base),
        "handbag": carried.bag(outfit, outfit.handbag, "handbag", 0.7, 0.3)
        if cut.handbag
        else _small(outfit.handbag.fabric.base),
        "umbrella": carried.umbrella(outfit) if cut.umbrella != "none" else _small(outfit.umbrella.base),
        "thing": carried.thing(outfit) if cut.pushed != "none" else _small(outfit.thing),
    }
    for slot in ("torso", "sleeve_l", "sleeve_r"):
        # v is 0 all over the shoulders, and textures repeat: half of what is seen there is the last row.
        layers[slot][-2:] = layers[slot][:2].mean(axis=0)
    return {slot: finish(layer) for slot, layer in layers.items()}


def gloss(outfit: Outfit) -> dict[Slot, float]:
    """How much each slot shines, 0 cloth to 1 wet, as `TextureBank` takes it: leather, nylon, hair, shoes."""
    top, lower = 0.3 * outfit.top.fabric.sheen, 0.3 * outfit.lower.fabric.sheen
    shoes = {"leather": 0.35, "boot": 0.25, "heel": 0.35, "trainer": 0.06}
    shining: dict[Slot, float] = {
        "face": 0.05,
        "hair": 0.08,
        "glasses": 0.6,
        "hat": 0.3 * outfit.hat.sheen,
        "torso": top,
        "collar": top,
        "sleeve_l": top,
        "sleeve_r": top,
        "arm": 0.03,
        "hip": lower,
        "leg_l": lower,
        "leg_r": lower,
        "skirt": lower,
        "bare_leg": 0.04,
        "shoe": shoes.get(outfit.shoe.style, 0.02),
        "bag": 0.3 * outfit.bag.fabric.sheen,
        "handbag": 0.4 * outfit.handbag.fabric.sheen,
        "umbrella": 0.2,
        "thing": 0.4,
    }
    return {slot: shining.get(slot, 0.0) for slot in SLOTS}


def _small(colour: tuple[float, float, float]) -> Layer:
    return np.broadcast_to(np.asarray(colour, dtype=np.float32), (4, 4, 3))
