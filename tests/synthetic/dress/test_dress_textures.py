"""Outfits and their textures: every choice gives every slot, and the same seed the same bytes."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from dressed_people import draw
from omnireid.core.errors import UnknownNameError
from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.dress import draw_dress_code, dress, gloss
from omnireid.synthetic.dress.cloth import Patch
from omnireid.synthetic.dress.codes import _PLACE_SHARES, PLACES
from omnireid.synthetic.dress.fabrics import PATTERNS, Fabric, weave
from omnireid.synthetic.dress.kinds import TOPS
from omnireid.synthetic.people.outfit import SLOTS


@pytest.mark.parametrize("place", PLACES)
def test_every_slot_has_a_texture(place: str) -> None:
    for seed in range(4):
        textures = dress(*draw(seed, place))
        assert set(textures) == set(SLOTS)
        for slot, texture in textures.items():
            assert texture.dtype == np.uint8, slot
            assert texture.ndim == 3, slot
            assert texture.shape[2] == (4 if slot == "glasses" and textures[slot].size > 48 else 3), slot
            assert texture.flags.c_contiguous, slot


def test_leather_shines_and_wool_does_not() -> None:
    outfits = [draw(seed, "street-winter")[0] for seed in range(400)]
    leather = [gloss(o)["torso"] for o in outfits if o.top.kind == "leather-jacket"]
    wool = [gloss(o)["torso"] for o in outfits if o.top.kind == "jumper"]
    assert leather
    assert wool
    assert min(leather) > 0.1
    assert np.mean(wool) < 0.03
    assert set(gloss(outfits[0])) == set(SLOTS)


def test_the_same_seed_gives_the_same_bytes_and_another_others() -> None:
    def digest(seed: int) -> str:
        textures = dress(*draw(seed))
        return hashlib.sha256(b"".join(textures[slot].tobytes() for slot in SLOTS)).hexdigest()

    assert digest(3) == digest(3)
    assert digest(3) != digest(4)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_pattern_is_cloth_of_the_patch_size(pattern: str) -> None:
    colours = ((30.0, 30.0, 34.0), (220.0, 220.0, 216.0), (160.0, 44.0, 48.0), (60.0, 100.0, 70.0))
    for rows, columns in ((128, 192), (16, 64), (5, 7)):
        layer = weave(Fabric(pattern, colours, seed=1), Patch(rows, columns, 0.9, 0.6))
        assert layer.shape == (rows, columns, 3)
        assert layer.dtype == np.float32
        assert np.isfinite(layer).all()


def test_a_place_that_is_not_known_is_named() -> None:
    with pytest.raises(UnknownNameError, match="street-winter"):
        draw_dress_code(numpy_generator(0), "street-wintr")


def test_kinds_of_tops_are_all_drawn() -> None:
    drawn = {draw(seed, place)[0].top.kind for place in PLACES for seed in range(70)}
    assert drawn == set(TOPS)
    assert set(PLACES) == set(_PLACE_SHARES)
