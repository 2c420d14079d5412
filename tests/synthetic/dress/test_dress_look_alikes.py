"""Look-alikes share what they must and differ in what they must; changing clothes keeps the person."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dressed_people import Body, draw
from omnireid.core.seeds import numpy_generator
from omnireid.synthetic.dress import change_clothes, draw_dress_code, dress, outfit_of, put_on, put_on_like
from omnireid.synthetic.dress.codes import DressCode
from omnireid.synthetic.dress.colours import colour_difference
from omnireid.synthetic.dress.look_alikes import same_clothes, same_person

CODE = draw_dress_code(numpy_generator(1, "code"), "campus-summer")
CODE = replace(CODE, masks=0.0)


def test_who_changes_clothes_stays_the_same_person() -> None:
    for seed in range(60):
        before, wearer = draw(seed)
        after = change_clothes(numpy_generator(seed, "change"), wearer, before, CODE)
        assert same_person(before, after)
        assert (after.cut.glasses, after.extras.glasses) == (before.cut.glasses, before.extras.glasses)
        assert after.shoe != before.shoe
        assert after.bag != before.bag
        for old, new in ((before.top.fabric, after.top.fabric), (before.lower.fabric, after.lower.fabric)):
            # Seen from afar: another colour, or a pattern where there was none.
            assert colour_difference(old.base, new.base) > 10 or old.pattern != new.pattern, seed


def test_the_face_of_who_changes_clothes_stays_as_it_is() -> None:
    before, wearer = draw(8)
    after = change_clothes(numpy_generator(8, "change"), wearer, before, CODE)
    first, second = dress(before, wearer), dress(after, wearer)
    for slot in ("face", "hair"):
        np.testing.assert_array_equal(first[slot], second[slot])
    assert (first["torso"] != second["torso"]).any()


def test_somebody_else_in_the_same_clothes() -> None:
    for seed in range(40):
        clothes, _ = draw(seed)
        other = put_on(numpy_generator(seed, "other"), Body(gender=float(seed % 2)), clothes, CODE)
        assert same_clothes(clothes, other)
        assert not same_person(clothes, other)
        assert other.shoe != clothes.shoe
        assert other.bag != clothes.bag


def test_somebody_else_in_nearly_the_same_colours() -> None:
    distances = []
    for seed in range(60):
        clothes, wearer = draw(seed)
        other = put_on_like(numpy_generator(seed, "like"), wearer, clothes, CODE)
        assert other.top.kind == clothes.top.kind
        assert other.lower.kind == clothes.lower.kind
        assert other.top.fabric.pattern == clothes.top.fabric.pattern
        assert not same_clothes(clothes, other)
        distances.append(colour_difference(other.top.fabric.base, clothes.top.fabric.base))
    # Three axes of deviation 5 are 8 apart on average.
    assert 3 < np.mean(distances) < 12


def test_a_crowd_has_look_alikes_and_people_in_uniform() -> None:
    plain = DressCode(0.8, {"casual": 1.0}, uniformed=0.0)
    for look_alikes, least, most in ((0.0, 0, 0), (0.5, 20, 80)):
        crowd = [
            outfit_of(5, n, Body(gender=float(n % 2)), plain, look_alikes=look_alikes) for n in range(80)
        ]
        twins = sum(
            any(crowd[i].top.kind == crowd[j].top.kind and crowd[i].top.layout == crowd[j].top.layout
                and colour_difference(crowd[i].top.fabric.base, crowd[j].top.fabric.base) < 0.01
                for j in range(80) if j != i)
            for i in range(80)
        )  # fmt: skip
        assert least <= twins <= most
    uniform = DressCode(0.8, {"casual": 1.0}, uniformed=1.0)
    crowd = [outfit_of(5, n, Body(), uniform) for n in range(6)]
    assert all(same_clothes(crowd[0], other) for other in crowd)
    assert not any(same_person(crowd[0], other) for other in crowd[1:])


def test_a_persons_outfit_does_not_depend_on_who_was_drawn_before() -> None:
    assert outfit_of(3, 7, Body(), CODE) == outfit_of(3, 7, Body(), CODE)
    assert outfit_of(3, 7, Body(), CODE) != outfit_of(3, 8, Body(), CODE)
