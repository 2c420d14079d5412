"""What is drawn: geometry by hand, cues that follow the body, identities that keep their look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from omnireid.core.arrays import Float32, Float64
from omnireid.core.images import decode
from omnireid.synthetic.clothing import make_wardrobe
from omnireid.synthetic.crop import render_crop, render_jpeg
from omnireid.synthetic.drawing import Light, Loft, draw_loft
from omnireid.synthetic.figure import Figure
from omnireid.synthetic.options import World
from omnireid.synthetic.parts import draw_figure
from omnireid.synthetic.person import Bag, Head, Logo, Person, draw_person
from omnireid.synthetic.pose import FOREARM, UPPER_ARM, Pose, View, joints

FLAT = Light(shade=np.ones(256, dtype=np.float32), folds=np.zeros((256, 256), dtype=np.float32))
MAGENTA = (255.0, 0.0, 255.0)


def draw_flat(**changes: object) -> Float32:
    loft = Loft(
        start=(60.0, 40.0),
        end=(60.0, 140.0),
        at=(0.0, 1.0),
        half=(10.0, 10.0),
        texture=np.full((4, 8, 3), 255, dtype=np.uint8),
        heading=0.0,
        cap_start=0.0,
        cap_end=0.0,
        creases=0.0,
    )
    canvas = np.zeros((200, 128, 3), dtype=np.float32)
    draw_loft(canvas, replace(loft, **changes), FLAT)
    return canvas


@pytest.mark.parametrize(
    ("changes", "area"),
    [
        ({}, 20.0 * 100.0),
        ({"half": (20.0, 0.5)}, 41.0 / 2 * 100.0),
        ({"cap_start": 1.0, "cap_end": 1.0}, 2000.0 + np.pi * 100.0),
        ({"end": (120.0, 120.0)}, 20.0 * 100.0),
    ],
)
def test_loft_covers_the_area_of_its_shape(changes: dict[str, object], area: float) -> None:
    covered = draw_flat(**changes)[:, :, 0].sum() / 255.0
    assert covered == pytest.approx(area, rel=0.02)


def test_loft_outside_the_picture_draws_nothing() -> None:
    assert not draw_flat(start=(-90.0, 40.0), end=(-90.0, 140.0)).any()


def test_loft_turns_its_texture_with_the_body() -> None:
    texture = np.zeros((4, 360, 3), dtype=np.uint8)
    texture[:, 175:186] = 255  # a stripe down the front
    for heading in (0.0, 0.6, -0.6):
        row = draw_flat(texture=texture, heading=heading, half=(40.0, 40.0))[90, :, 0]
        assert np.average(np.arange(len(row)), weights=row) == pytest.approx(
            60 + 40 * np.sin(heading), abs=1.0
        )
    assert not draw_flat(texture=texture, heading=np.pi)[90, :, 0].any()


def test_limbs_keep_their_length_through_the_gait() -> None:
    person = draw_person(np.random.default_rng(1))
    lengths = []
    for phase in np.linspace(0, 2 * np.pi, 12):
        pose = Pose(
            0.0, float(phase), stride=0.45, lean=0.0, arm_swing=0.4, elbow=0.3, raised=0, head_turn=0.0
        )
        at = joints(person.body, pose)
        legs = [np.linalg.norm(at[f"{s}_hip"] - at[f"{s}_knee"]) for s in "lr"]
        arms = [np.linalg.norm(at[f"{s}_shoulder"] - at[f"{s}_elbow"]) for s in "lr"]
        fore = [np.linalg.norm(at[f"{s}_elbow"] - at[f"{s}_wrist"]) for s in "lr"]
        lengths.append(legs + arms + fore)
        assert min(at["l_ankle"][1], at["r_ankle"][1]) == pytest.approx(0.042, abs=1e-9)
    np.testing.assert_allclose(lengths, np.broadcast_to(lengths[0], np.shape(lengths)), rtol=1e-9)
    np.testing.assert_allclose(lengths[0][2:], [UPPER_ARM] * 2 + [FOREARM] * 2, rtol=0.02)


def test_higher_camera_foreshortens() -> None:
    person = draw_person(np.random.default_rng(2))
    pose = Pose(0.0, 0.0, stride=0.0, lean=0.0, arm_swing=0.0, elbow=0.1, raised=0, head_turn=0.0)
    for elevation in (0.0, 0.3, 0.6):
        view = View(elevation, perspective=0.0, roll=0.0)
        crown = -Figure(person, make_wardrobe(person), pose, view).extent.top
        assert crown == pytest.approx(np.cos(elevation), abs=0.03)


def magenta_pixels(person: Person, heading: float) -> int:
    pose = Pose(heading, 0.0, stride=0.0, lean=0.0, arm_swing=0.0, elbow=0.1, raised=0, head_turn=0.0)
    figure = Figure(person, make_wardrobe(person), pose, View(0.1, 0.1, 0.0))
    figure.place(228.0, 64.0, 244.0)
    canvas = np.zeros((256, 128, 3), dtype=np.float32)
    draw_figure(canvas, figure, FLAT)
    return int(((canvas[:, :, 0] > 200) & (canvas[:, :, 1] < 60) & (canvas[:, :, 2] > 200)).sum())


def plain_person() -> Person:
    person = draw_person(np.random.default_rng(4))
    fabric = replace(person.upper.fabric, pattern="plain", base=(40.0, 60.0, 40.0))
    upper = replace(
        person.upper, kind="t-shirt", fabric=fabric, sleeve=0.6, skirt=0.0, logos=(), sleeve_stripe=None
    )
    head = replace(person.head, hair="short", hat="none", scarf=None)
    return replace(person, upper=upper, head=head, bag=replace(person.bag, kind="none"))


def test_chest_logo_is_seen_from_the_front_only() -> None:
    person = plain_person()
    logo = Logo("disc", MAGENTA, azimuth=0.0, height=0.35, size=0.3)
    person = replace(person, upper=replace(person.upper, logos=(logo,)))
    assert magenta_pixels(person, 0.0) > 60
    assert magenta_pixels(person, np.pi) == 0


def test_backpack_is_larger_from_behind_and_handbag_from_the_side() -> None:
    person = plain_person()
    pack = replace(person, bag=Bag("backpack", MAGENTA, MAGENTA, side=1, size=1.0))
    assert magenta_pixels(pack, np.pi) > 1.5 * magenta_pixels(pack, 0.0)
    hand = replace(person, bag=Bag("hand", MAGENTA, MAGENTA, side=1, size=1.0))
    assert magenta_pixels(hand, -np.pi / 2) > 1.5 * magenta_pixels(hand, 0.0)


@pytest.mark.parametrize("hair", ["bald", "buzz", "short", "long", "bob", "ponytail", "bun", "afro"])
@pytest.mark.parametrize("hat", ["none", "cap", "beanie", "brim"])
def test_every_head_can_be_drawn_from_every_side(hair: str, hat: str) -> None:
    person = plain_person()
    person = replace(person, head=Head(hair, MAGENTA, hat, (30.0, 30.0, 30.0), True, True, None))
    seen = [magenta_pixels(person, heading) for heading in np.linspace(-np.pi, np.pi, 5)]
    if hair in ("long", "bob"):
        assert seen[0] > seen[2] > 0, "more hair is seen from behind"
    if hair == "bald":
        assert seen[0] == seen[4] == 0, "only the beard is left, and that is in front"


def test_two_people_draw_from_shared_colours_and_many_look_alike() -> None:
    people = [draw_person(np.random.default_rng(seed)) for seed in range(200)]
    bases = np.array([person.upper.fabric.base for person in people])
    near = np.abs(bases[:, None] - bases[None]).max(axis=2) < 30
    np.fill_diagonal(near, False)
    assert near.any(axis=1).mean() > 0.95, "nearly everybody shares a colour with somebody"
    kinds = {(p.upper.kind, p.lower.kind, p.bag.kind, p.head.hair) for p in people}
    assert len(kinds) > 60, "cuts differ"


def test_picture_is_a_pure_function_of_its_key() -> None:
    world = World(seed=3, height=96, width=48)
    first = render_jpeg(world, 7, 2, 1)
    for other in ((1, 0, 0), (8, 2, 1), (7, 2, 0)):
        assert render_jpeg(world, *other) != first
    assert render_jpeg(world, 7, 2, 1) == first
    assert decode(first).shape == (96, 48, 3)


def test_identities_keep_their_look_across_cameras() -> None:
    """The person's own pixels, found by leaving the person out, are closer to the same person's elsewhere."""
    world = World(seed=9, height=96, width=48)
    features = np.array(
        [[_look(world, pid, camid) for camid in range(4)] for pid in range(1, 31)]
    )  # (pids, cameras, D)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    distance = np.linalg.norm(features[:, 0, None] - features[None, :, 1], axis=2)
    same, other = np.diag(distance), distance[~np.eye(30, dtype=bool)]
    closer = (same[:, None] < other[None]).mean()
    assert closer > 0.8


def _look(world: World, pid: int, camid: int) -> Float64:
    parts = []
    for index in range(3):
        shown = render_crop(world, pid, camid, index).astype(float)
        empty = render_crop(world, pid, camid, index, content="background").astype(float)
        mask = np.abs(shown - empty).max(axis=2) > 40
        upper, lower = np.split(np.arange(96), [48])
        parts.append(
            [
                np.median(shown[rows][mask[rows]], axis=0) if mask[rows].any() else np.full(3, 128.0)
                for rows in (upper, lower)
            ]
        )
    return np.mean(parts, axis=0).ravel()
