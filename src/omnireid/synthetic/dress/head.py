"""Textures of head, hair, beard, glasses and hats."""

from __future__ import annotations

import numpy as np

from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.dress.cloth import Layer, Patch, band, edge, line, noise, paint, plain, shade, spot
from omnireid.synthetic.dress.colours import scaled
from omnireid.synthetic.dress.fabrics import weave
from omnireid.synthetic.dress.folds import hollow
from omnireid.synthetic.dress.outfit import Outfit
from omnireid.synthetic.people.assets import FACE_LANDMARKS

# Where the features are on the texture: u from the middle, v from the crown.
_EYE_U, _EYE_V = FACE_LANDMARKS["eye_l"][0] - 0.5, FACE_LANDMARKS["eye_l"][1]
_EAR_U, _EAR_V = FACE_LANDMARKS["ear_l"][0] - 0.5, FACE_LANDMARKS["ear_l"][1]
_BROW_V, _NOSE_V, _MOUTH_V, _CHIN_V = (
    FACE_LANDMARKS[name][1] for name in ("brow_l", "nose", "mouth", "chin")
)
# The hair's lower border: v by the distance from the front, 0 to 1 behind.
_BORDER_AT = (0, 0.16, 0.26, 0.33, 0.40, 0.46, 0.52, 0.60, 0.70, 1.0)
_BORDER_V = (0.185, 0.20, 0.26, 0.36, 0.44, 0.46, 0.42, 0.52, 0.66, 0.68)


def face(outfit: Outfit) -> Layer:
    """Head with ears and neck, (96, 128, 3)."""
    person, cut = outfit.complexion, outfit.cut
    patch = Patch(96, 128, 0.57, 0.32)
    generator = numpy_generator(person.seed, "face")
    layer = plain(patch, person.skin)
    skin = np.asarray(person.skin, dtype=np.float32)
    u, v = patch.around(), patch.down()
    off = np.abs(u - 0.5)
    shade(layer, 1 + 0.03 * noise(generator, 96, 128, (6, 8)))
    # Hollows of the eyes, under nose, lip and chin; light on forehead, nose and cheekbones.
    shade(layer, 1 - 0.16 * hollow(off, _EYE_U, 0.035) * hollow(v, _EYE_V - 0.015, 0.035))
    shade(layer, 1 - 0.2 * hollow(v, _CHIN_V + 0.07, 0.05) * hollow(off, 0.0, 0.2))
    shade(layer, 1 + 0.07 * hollow(off, 0.0, 0.018) * hollow(v, _NOSE_V - 0.05, 0.05))
    paint(
        layer,
        skin * np.array([1.02, 0.72, 0.68], dtype=np.float32),
        hollow(off, 0.075, 0.04) * hollow(v, 0.56, 0.05) * (0.3 * person.blush),
    )
    nose = hollow(v, _NOSE_V + 0.012, 0.012) * hollow(off, 0.0, 0.018 + 0.008 * person.nose)
    shade(layer, 1 - 0.28 * nose)
    # Eyes: lids, white, iris.
    half = 0.018
    high = 0.015 * person.eyes
    opening = ((off - _EYE_U) / half) ** 2 + ((v - _EYE_V) / high) ** 2
    paint(layer, skin * (0.45 - 0.25 * person.make_up), np.clip((1.9 - opening) * 2, 0, 1) * 0.75)
    paint(layer, (222, 218, 212), np.clip((0.8 - opening) * 2, 0, 1) * 0.7)
    iris = np.hypot((off - _EYE_U) * 1.8, v - _EYE_V)
    paint(layer, scaled(person.iris, 0.7), np.clip((0.012 - iris) * 200 + 0.5, 0, 1))
    brow = line(v + np.abs(off - _EYE_U) * 0.12, _BROW_V, 0.008 * person.brow, 0.01) * line(
        off, _EYE_U + 0.002, 0.026, 0.008
    )
    paint(layer, scaled(person.hair, 0.8), brow * min(0.85, 0.5 + 0.3 * person.brow))
    mouth = np.clip(1.3 - (off / (0.034 * person.mouth)) ** 2 - ((v - _MOUTH_V) / 0.015) ** 2, 0, 1)
    paint(layer, person.lips, mouth * 0.8)
    shade(layer, 1 - 0.35 * line(v, _MOUTH_V, 0.003, 0.006) * line(off, 0.0, 0.03 * person.mouth, 0.01))
    if person.age_lines:
        fold = line(off - (v - _NOSE_V) * 0.25, 0.032, 0.003, 0.008) * line(v, 0.58, 0.05, 0.02)
        shade(layer, 1 - (0.22 * person.age_lines) * fold)
        brows = line((v * 38) % 1, 0.5, 0.12, 0.2) * line(v, 0.3, 0.04, 0.02) * line(off, 0, 0.09, 0.03)
        shade(layer, 1 - (0.12 * person.age_lines) * brows)
    ear = hollow(off, _EAR_U, 0.03) * hollow(v, _EAR_V, 0.06)
    shade(layer, 1 - 0.15 * ear)
    beard = edge(v, 0.6, 0.04) * (1 - edge(v, _CHIN_V + 0.05, 0.06)) * (1 - edge(off, 0.21, 0.05))
    lip = np.clip(line(v, _MOUTH_V, 0.018, 0.015) * line(off, 0, 0.034, 0.015), 0, 1)
    if cut.beard == "none":
        paint(layer, scaled(person.hair, 0.9), beard * (1 - lip) * (0.22 * max(person.stubble - 0.4, 0)))
    elif cut.beard == "moustache":
        paint(layer, person.hair, line(v, _MOUTH_V - 0.03, 0.012, 0.015) * line(off, 0, 0.045, 0.015) * 0.8)
    else:
        paint(layer, person.hair, beard * (1 - lip) * (0.62 if cut.beard == "short" else 0.85))
    if cut.glasses and not outfit.extras.shades:
        # From afar the rims are too thin for the geometry's texture: what is left of them is on the skin.
        lens = np.hypot((off - _EYE_U) / 0.042, (v - _EYE_V) / 0.05)
        paint(layer, outfit.extras.glasses, spot(np.abs(lens - 1), 0.12, 0.2) * 0.45)
    if outfit.extras.mask is not None:
        drop = (off / 0.2) ** 2
        cloth = edge(v, 0.53 + 0.03 * drop, 0.02) * (1 - edge(off, 0.17, 0.02))
        cloth = cloth * (1 - edge(v, 0.83 - 0.06 * drop, 0.03))
        loop = line(v, 0.55 - (off - 0.17) * 0.3, 0.004, 0.008)
        loop = loop * line(off, 0.205, 0.035, 0.01)
        paint(layer, outfit.extras.mask, np.maximum(cloth, loop))
        pleats = 1 - 0.1 * band(v * 22, 0.3, 0.2) * cloth
        shade(layer, pleats)
    if cut.hair != "bald":
        scalp = _hairline(outfit, patch)
        strength = 0.72 if cut.hair == "buzz" else 1.0
        paint(layer, hair_layer(outfit, 96, 128), scalp * strength)
    else:
        paint(layer, person.hair, _hairline(outfit, patch) * edge(v, 0.3, 0.1) * 0.5)
        shade(layer, 1 + 0.1 * hollow(v, 0.15, 0.12) * hollow(off, 0.0, 0.2))
    return layer


def _hairline(outfit: Outfit, patch: Patch) -> Layer:
    """Where hair grows: from the forehead over the temples down to the nape."""
    generator = numpy_generator(outfit.complexion.seed, "hairline")
    v = patch.down()
    limit = np.interp(patch.from_front(), _BORDER_AT, _BORDER_V) + 0.015 * generator.normal()
    limit = limit + 0.015 * noise(generator, 1, patch.columns, (1, 20))
    return np.asarray(np.clip((limit - v) * 30 + 0.5, 0, 1), dtype=np.float32)


def hair_layer(outfit: Outfit, rows: int, columns: int) -> Layer:
    """Hair: strands that run down, lighter ones among them, a soft gleam."""
    person = outfit.complexion
    generator = numpy_generator(person.seed, "hair")
    patch = Patch(rows, columns, 0.6, 0.35)
    layer = plain(patch, person.hair)
    v, u = patch.down(), patch.around()
    strands = noise(generator, rows, columns, (3, columns / 2.5))
    if outfit.cut.hair in ("afro", "tousled", "buzz"):
        strands = noise(generator, rows, columns, (rows / 3, columns / 3))
    if person.streaks:
        wide = noise(generator, rows, columns, (2, columns / 5))
        paint(layer, person.highlights, edge(wide, 1.6 - 1.6 * person.streaks, 0.6) * 0.8)
    shade(layer, 1 + 0.17 * strands)
    light = sum(person.hair) / 765
    paint(layer, (200, 196, 190), hollow(v, 0.3, 0.1) * np.clip(strands, 0, 1.5) * (0.07 + 0.06 * light))
    parting = 0.5 + 0.06 * person.parting
    paint(layer, scaled(person.skin, 0.8), line(u, parting, 0.004, 0.008) * (v < 0.2) * 0.5)
    shade(layer, 1 - 0.2 * edge(v, 0.7, 0.6))
    return layer


def hair(outfit: Outfit) -> Layer:
    """Hair, crown to tips, (64, 96, 3)."""
    return hair_layer(outfit, 64, 96)


def beard(outfit: Outfit) -> Layer:
    """The beard, (24, 48, 3)."""
    patch = Patch(24, 48, 0.25, 0.1)
    layer = plain(patch, outfit.complexion.hair)
    generator = numpy_generator(outfit.complexion.seed, "beard")
    shade(layer, 1 + 0.2 * noise(generator, 24, 48, (10, 20)))
    return layer


def glasses(outfit: Outfit) -> Layer:
    """Glasses, (32, 80, 4): panes across both eyes, of which rims, bridge and dark lenses are no holes."""
    patch = Patch(32, 80, 0.124, 0.04)
    extras = outfit.extras
    generator = numpy_generator(outfit.complexion.seed, "glasses")
    u, v = patch.around(), patch.down()
    rim = generator.uniform(0.1, 0.28)
    corners = generator.uniform(1.8, 5.0)
    wide, high = generator.uniform(0.16, 0.2), generator.uniform(0.24, 0.38)
    across = np.abs(np.abs(u - 0.5) - 0.225) / wide
    down = np.abs(v - 0.5) / high
    radius = (across**corners + down**corners) ** (1 / corners)
    frame = spot(np.abs(radius - 1), rim, 0.1)
    bridge = line(v, 0.36, 0.05, 0.04) * (np.abs(u - 0.5) < 0.08)
    temples = (np.abs(u - 0.5) > 0.46) * (v < 0.25)
    cover = np.maximum(np.maximum(frame, bridge), temples)
    layer = plain(patch, scaled(extras.glasses, 0.5 if extras.shades else 1.0))
    if extras.shades:
        lens = spot(radius, 1.0, 0.1)
        paint(layer, (24, 24, 26), lens * (1 - frame))
        cover = np.maximum(cover, lens)
    return np.concatenate([layer, np.asarray(cover * 255, dtype=np.float32)[:, :, None]], axis=2)


def hat(outfit: Outfit) -> Layer:
    """The hat, (48, 96, 3): band at its lower end, an emblem in front."""
    patch = Patch(48, 96, 0.6, 0.2)
    layer = weave(outfit.hat, patch)
    u, v = patch.around(), patch.down()
    generator = numpy_generator(outfit.seed, "hat")
    kind = outfit.cut.hat
    if kind == "beanie":
        shade(layer, 1 + 0.1 * np.cos(u * (2 * np.pi * 32)))
        shade(layer, 1 - 0.2 * hollow(v, 0.7, 0.03))
        if generator.random() < 0.3:
            paint(layer, outfit.hat_band, line(v, 0.45, 0.12, 0.03))
    elif kind == "brim":
        paint(layer, outfit.hat_band, line(v, 0.55, 0.06, 0.02))
    elif kind == "cap":
        shade(layer, 1 - 0.12 * line((u * 6) % 1, 0.5, 0.02, 0.03) * (v < 0.6))
        if generator.random() < 0.25:
            paint(layer, outfit.hat_band, edge(v, 0.62, 0.03))
    else:
        shade(layer, 1 + 0.12 * noise(generator, 48, 96, (8, 8)))
    if outfit.hat_logo is not None and kind in ("cap", "beanie"):
        spot = np.hypot((u - 0.5) * 2.2, (v - 0.5))
        paint(layer, outfit.hat_logo, np.clip((0.12 - spot) * 30, 0, 1))
    return layer
