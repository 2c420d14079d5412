"""What a person cannot take off: skin, hair and face, as distributions over ancestry, sex and age."""

from __future__ import annotations

import numpy as np

from omnireid.synthetic.dress import colours
from omnireid.synthetic.dress.colours import Colour, pick_name
from omnireid.synthetic.dress.outfit import Complexion
from omnireid.synthetic.dress.wearer import Wearer
from omnireid.synthetic.people.outfit import OutfitCut


def draw_complexion(generator: np.random.Generator, wearer: Wearer) -> Complexion:
    """Draw skin, hair colour and face; skin and hair follow the ancestry's shares, each with a wide
    spread."""
    african, asian, caucasian = wearer.ancestry
    feminine, age = wearer.gender, wearer.age
    total = african + asian + caucasian
    lightness = (african * 40 + asian * 68 + caucasian * 69) / total + generator.normal(0.0, 6.0)
    lightness = float(np.clip(lightness, 22, 80))
    hue = (african * 57 + asian * 64 + caucasian * 56) / total + generator.normal(0.0, 5.0)
    chroma = (
        19.0 + 4.5 * float(np.sin(np.clip((lightness - 25) / 45, 0, 1) * np.pi)) + generator.normal(0, 2.5)
    )
    skin = colours.lch_to_srgb(lightness, max(chroma, 8.0), hue)
    hair, highlights = _hair_colours(generator, caucasian / total, feminine, age)
    lip_light, _, _ = colours.srgb_to_lch(skin)
    make_up = float(generator.random() ** 2) if generator.random() < 0.7 * feminine else 0.0
    lips = colours.lch_to_srgb(lip_light * 0.78, 26 + 22 * make_up, 24 + generator.normal(0, 6))
    iris_shares = {"brown": 4, "blue": 2 * caucasian / total, "olive": caucasian / total, "black": 2}
    return Complexion(
        skin=skin,
        hair=hair,
        highlights=highlights,
        streaks=float(generator.random() ** 2 * (0.25 + 0.75 * feminine)),
        parting=generator.uniform(-1, 1),
        lips=lips,
        iris=colours.pick(generator, iris_shares),
        blush=generator.random(),
        brow=float(np.clip(generator.normal(1.0 - 0.25 * feminine, 0.3), 0.3, 1.8)),
        mouth=float(np.clip(generator.normal(1.0, 0.18), 0.5, 1.5)),
        eyes=float(np.clip(generator.normal(1.0, 0.2), 0.5, 1.6)),
        nose=float(np.clip(generator.normal(1.0, 0.3), 0.3, 1.8)),
        make_up=make_up,
        age_lines=float(np.clip((age - 30) / 50 + generator.normal(0, 0.12), 0, 1)),
        stubble=float(generator.random() * (1 - feminine)) if age > 17 else 0.0,
        tattoo=generator.uniform(0.1, 0.9) if age > 17 and generator.random() < 0.06 else 0.0,
        seed=int(generator.integers(1 << 31)),
    )


def draw_hair(generator: np.random.Generator, wearer: Wearer) -> OutfitCut:
    """Draw hair style and beard, as a cut whose other fields are the defaults."""
    feminine, age = wearer.gender, wearer.age
    african = wearer.ancestry[0]
    woman = {
        "long": 36,
        "bob": 18,
        "ponytail": 20,
        "bun": 11,
        "short": 7,
        "tousled": 5,
        "afro": 1 + 14 * african,
        "buzz": 0.5 + 2 * african,
    }
    man = {
        "short": 50,
        "tousled": 17,
        "buzz": 13 + 14 * african,
        "bald": 1 + (12 if age > 45 else 3),
        "bob": 3,
        "long": 2,
        "bun": 1.5,
        "ponytail": 1.5,
        "afro": 1 + 10 * african,
    }
    hair = pick_name(generator, woman if generator.random() < feminine else man)
    beards = {"none": 66, "short": 18, "full": 9, "moustache": 5}
    beard = pick_name(generator, beards) if age > 18 and generator.random() > feminine * 1.6 else "none"
    return OutfitCut(
        hair=hair,  # type: ignore[arg-type]
        beard=beard,  # type: ignore[arg-type]
        hair_length=float(np.clip(generator.normal(1.0, 0.24), 0.5, 1.5)),
        hair_volume=float(np.clip(generator.beta(2.0, 2.6), 0.0, 1.0)),
    )


def _hair_colours(
    generator: np.random.Generator, caucasian: float, feminine: float, age: float
) -> tuple[Colour, Colour]:
    """Natural colours by their pigment, grey with age, sometimes dyed; and the lighter strands' colour."""
    darkness = 1.0 - generator.beta(1.3, 2.6) * caucasian
    lightness = 11 + 46 * (1 - darkness) + abs(generator.normal(0, 3))
    chroma = 3 + 26 * (1 - darkness) + generator.normal(0, 2)
    hue = 62 + 18 * (1 - darkness) + generator.normal(0, 6)
    if generator.random() < 0.06 * caucasian:  # red
        lightness, chroma, hue = 36 + generator.normal(0, 6), 38, 52
    dyed = generator.random() < 0.08 + 0.22 * feminine
    if dyed:
        if generator.random() < 0.06:
            lightness, chroma, hue = (
                generator.uniform(30, 70),
                generator.uniform(20, 60),
                generator.uniform(0, 360),
            )
        else:
            lightness, chroma, hue = (
                generator.uniform(18, 62),
                generator.uniform(10, 32),
                generator.normal(64, 9),
            )
    grey = float(np.clip((age - 56) / 26 + generator.normal(0, 0.2), 0, 1)) if not dyed else 0.0
    lightness, chroma = lightness * (1 - grey) + 68 * grey, max(chroma, 0.5) * (1 - 0.85 * grey)
    hair = colours.lch_to_srgb(lightness, chroma, hue)
    bleached = generator.random() < 0.3
    return hair, colours.lch_to_srgb(
        min(lightness + (28 if bleached else 12), 88), chroma + (8 if bleached else 2), hue + 6
    )
