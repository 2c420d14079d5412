"""Bodies and their clothes: measured on the mesh."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from omnireid.core.errors import InputError
from omnireid.synthetic.people import (
    SLOTS,
    OutfitCut,
    Shape,
    build_person,
    draw_pose,
    draw_shape,
    draw_style,
    standing,
    stride_length,
    walking,
)
from omnireid.synthetic.people.assets import FILE, SHA256, assets, charts
from omnireid.synthetic.people.body import make_body
from omnireid.synthetic.people.pose import KINDS
from omnireid.synthetic.people.shape import body_points


def test_the_assets_are_the_ones_that_the_tool_made() -> None:
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == SHA256
    assert FILE.stat().st_size < 4_000_000
    assert "CC0" in FILE.with_name("people.npz.LICENSE.md").read_text()


def test_weights_of_bones_sum_to_one_and_parents_come_first() -> None:
    body = assets()
    assert np.allclose(body.skin_weights.sum(1), 1, atol=1e-5)
    assert all(parent < row for row, parent in enumerate(body.parents))


@pytest.mark.parametrize("seed", range(6))
def test_the_mesh_has_the_stature_that_was_drawn(seed: int) -> None:
    shape = draw_shape(np.random.default_rng(seed))
    points = body_points(shape)
    rows = np.unique(assets().faces["head"])
    soles = points[[assets().landmarks[f"sole_heel_{s}"] for s in "lr"], 2]
    assert soles == pytest.approx(0, abs=0.002)
    assert points[rows, 2].max() == pytest.approx(shape.stature, abs=0.008)


def test_the_rest_pose_is_symmetric() -> None:
    points = body_points(Shape())
    body = assets()
    rows = np.unique(body.faces["suit"])
    mirrored = body.template[rows] * [1, -1, 1]
    twins = rows[np.linalg.norm(body.template[rows][None] - mirrored[:, None], axis=2).argmin(1)]
    assert np.linalg.norm(points[rows] * [1, -1, 1] - points[twins], axis=1).max() < 0.004


def test_builds_differ_as_they_should() -> None:
    def girth(shape: Shape) -> float:
        body = make_body(shape)
        rows = np.unique(body.assets.faces["suit"])
        near = rows[(np.abs(charts().down[rows]) < 0.04) & (charts().arm[rows] < 0.3)]
        return float(np.ptp(body.points[near, 1]))

    thin, usual, heavy = (girth(Shape(weight=w)) for w in (0.1, 0.5, 1.0))
    assert thin < usual < heavy
    assert heavy > 1.3 * thin


@pytest.mark.parametrize("cut", [OutfitCut(), OutfitCut(lower="skirt", lower_length=0.6, sleeve_length=0.3)])
def test_a_dressed_person_is_whole(cut: OutfitCut) -> None:
    person = build_person(Shape(), cut)
    mesh = person.posed(standing())
    assert 4_000 < len(mesh.faces) < 12_000
    assert np.isfinite(mesh.vertices).all()
    assert np.linalg.norm(mesh.normals, axis=1) == pytest.approx(1, abs=1e-3)
    v = mesh.uvs[..., 1]
    assert v.min() >= 0
    assert v.max() <= 1
    assert (np.ptp(mesh.uvs[..., 0], axis=1) <= 0.75).all()
    assert set(mesh.textures) <= set(range(len(SLOTS)))
    assert np.ptp(mesh.vertices[:, 2]) == pytest.approx(1.74 + cut.sole, abs=0.06)


def test_feet_stay_on_the_ground_through_the_gait() -> None:
    person = build_person(Shape())
    heights = []
    for phase in np.linspace(0, 2 * np.pi, 24, endpoint=False):
        mesh = person.posed(walking(float(phase)))
        assert mesh.vertices[:, 2].min() == pytest.approx(0, abs=1e-5)
        heights.append(mesh.vertices[:, 2].max())
    # The head rises and falls a few centimetres, twice in a cycle.
    assert 0.01 < np.ptp(heights) < 0.09


def test_one_seed_gives_the_same_bytes() -> None:
    def drawn(seed: int) -> bytes:
        generator = np.random.default_rng(seed)
        mesh = build_person(draw_shape(generator)).posed(walking(1.0))
        return mesh.vertices.tobytes() + mesh.uvs.tobytes()

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


CUTS = {
    "sleeveless": OutfitCut(sleeve_length=0.0, top_looseness=0.003, lower_width=0.0, hair="long"),
    "hoodie": OutfitCut(top_looseness=0.035, hood="down", lower_width=0.7, backpack=1.0, hat="cap"),
    "jacket": OutfitCut(
        top_looseness=0.03, open_front=0.12, top_length=0.28, collar="shirt", hair="tousled", beard="full"
    ),
    "coat": OutfitCut(
        top_length=0.62,
        top_looseness=0.03,
        collar="stand",
        footwear="boots",
        scarf=True,
        hair="bob",
        glasses=True,
    ),
    "open coat": OutfitCut(
        open_front=0.2, top_length=0.6, collar="turtleneck", umbrella="closed", hair="afro", beard="short"
    ),
    "skirt": OutfitCut(
        lower="skirt", lower_length=0.5, tucked=True, hair="ponytail", handbag=1.0, hat="beanie"
    ),
    "dress": OutfitCut(
        lower="dress", lower_length=0.7, lower_width=0.8, hair="bun", umbrella="open", hat="brim"
    ),
    "headscarf": OutfitCut(
        lower="skirt", lower_length=1.0, lower_width=1.0, hat="headscarf", shoulder_bag=1.0
    ),
    "traveller": OutfitCut(pushed="trolley", hood="up", hair="buzz", footwear="sandals"),
    "cyclist": OutfitCut(
        pushed="bicycle", lower_length=0.5, sleeve_length=0.3, hair="bald", beard="moustache"
    ),
}
THINGS = {"bag", "handbag", "umbrella", "thing"}


@pytest.mark.parametrize("name", CUTS)
def test_every_cut_holds_together_in_motion(name: str) -> None:
    cut = CUTS[name]
    generator = np.random.default_rng(5)
    person = build_person(draw_shape(generator), cut)
    assert 6_000 < len(person.faces) < 12_500
    v = person.uvs[..., 1]
    assert v.min() >= -1e-6
    assert v.max() <= 1 + 1e-6
    assert (np.ptp(person.uvs[..., 0], axis=1) <= 0.75).all()
    assert person.weights.sum(1) == pytest.approx(1, abs=1e-5)
    worn = np.array([slot not in THINGS for slot in SLOTS])[person.textures]
    for phase in (0.3, 2.0, 4.4):
        mesh = person.posed(walking(phase, 1.4, draw_style(generator, cut)))
        assert np.isfinite(mesh.vertices).all()
        # Nothing that is worn is further from the middle than a long step, or higher than a hat.
        shown = mesh.vertices[mesh.faces[worn]].reshape(-1, 3)
        assert np.abs(shown[:, 0]).max() < 0.75 * person.stature
        assert np.abs(shown[:, 1]).max() < 0.55 * person.stature
        assert shown[:, 2].max() < person.stature + 0.2
        # No edge is torn: cloth stretches, but not to a spike.
        edges = np.linalg.norm(mesh.vertices[mesh.faces] - mesh.vertices[mesh.faces[:, [1, 2, 0]]], axis=2)
        rest = np.linalg.norm(person.vertices[mesh.faces] - person.vertices[mesh.faces[:, [1, 2, 0]]], axis=2)
        assert (edges - rest)[worn].max() < 0.16


@pytest.mark.parametrize(
    ("changes", "slots"),
    [
        ({}, {"face", "hand", "hair", "torso", "sleeve_l", "sleeve_r", "hip", "leg_l", "leg_r", "shoe"}),
        ({"sleeve_length": 0.3}, {"arm"}),
        ({"lower_length": 0.5}, {"bare_leg"}),
        ({"open_front": 0.1}, {"inner"}),
        ({"lower": "skirt", "lower_length": 0.6}, {"skirt", "bare_leg"}),
        ({"hat": "cap"}, {"hat"}),
        ({"beard": "full"}, {"beard"}),
        ({"glasses": True}, {"glasses"}),
        ({"scarf": True}, {"scarf"}),
        ({"collar": "shirt"}, {"collar"}),
        ({"backpack": 1.0}, {"bag"}),
        ({"shoulder_bag": 1.0}, {"bag"}),
        ({"handbag": 1.0}, {"handbag"}),
        ({"umbrella": "open"}, {"umbrella"}),
        ({"pushed": "bicycle"}, {"thing"}),
    ],
)
def test_a_cut_makes_the_slots_that_it_names(changes: dict[str, object], slots: set[str]) -> None:
    plain = build_person(Shape(), OutfitCut(), coarse=True)
    changed = build_person(Shape(), OutfitCut().replace(**changes), coarse=True)
    there = {SLOTS[texture] for texture in changed.textures}
    assert slots <= there
    if changes:
        assert there - {SLOTS[texture] for texture in plain.textures} == slots


def test_coarse_people_have_fewer_faces() -> None:
    fine, coarse = (build_person(Shape(), OutfitCut(), coarse=c) for c in (False, True))
    assert len(coarse.faces) < 0.6 * len(fine.faces)
    a, b = (person.posed(standing()).vertices for person in (fine, coarse))
    assert np.ptp(a, axis=0) == pytest.approx(np.ptp(b, axis=0), abs=0.03)


def test_u_is_a_half_in_front_and_three_quarters_on_the_left() -> None:
    person = build_person(Shape(), OutfitCut())
    for slot in ("torso", "face", "hip", "leg_l", "leg_r"):
        faces = person.textures == SLOTS.index(slot)
        u = person.uvs[faces][..., 0].mean(1) % 1.0
        centres = person.vertices[person.faces[faces]].mean(1)
        middle = (centres.max(0) + centres.min(0)) / 2
        front, left = np.abs(u - 0.5) < 0.06, np.abs(u - 0.75) < 0.06
        assert (centres[front, 0] > middle[0]).mean() > 0.9
        assert (centres[left, 1] > middle[1]).mean() > 0.8


@pytest.mark.parametrize("kind", KINDS)
def test_poses_of_every_kind_keep_hands_and_feet_in_reach(kind: str) -> None:
    generator = np.random.default_rng(1)
    person = build_person(Shape(), OutfitCut())
    for _ in range(4):
        mesh = person.posed(draw_pose(generator, kind))  # type: ignore[arg-type]
        assert mesh.vertices[:, 2].min() == pytest.approx(0, abs=1e-5)
        assert mesh.vertices[:, 2].max() > 1.35
        # Every limb keeps its length.
        hands = mesh.vertices[mesh.faces[mesh.textures == SLOTS.index("hand")]].reshape(-1, 3)
        assert np.linalg.norm(hands - [0, 0, 1.35], axis=1).max() < 1.05


def test_a_pose_of_no_kind_is_refused() -> None:
    with pytest.raises(InputError, match="kind"):
        draw_pose(np.random.default_rng(0), "fly")  # type: ignore[arg-type]


@pytest.mark.parametrize(("field", "value"), [("age", 1.0), ("stature", 3.0), ("weight", -0.1)])
def test_a_shape_that_cannot_be_names_its_field(field: str, value: float) -> None:
    with pytest.raises(InputError, match=f"Shape.{field}"):
        Shape(**{field: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("speed", [0.7, 1.35, 1.9])
def test_the_standing_foot_does_not_slide_and_both_touch_at_heel_strike(speed: float) -> None:
    person = build_person(Shape(stature=1.75))
    shoes = np.unique(person.faces[person.textures == SLOTS.index("shoe")])
    left = person.vertices[shoes, 1] > 0
    frames, length = 40, stride_length(speed, 1.75)
    before, slid = None, []
    for frame in range(frames + 1):
        share = frame / frames
        place = person.posed(walking(2 * np.pi * share, speed)).vertices[shoes].copy()
        place[:, 0] += length * share
        if before is not None:
            standing = (place[:, 2] < 0.012) & (before[:, 2] < 0.012)
            slid.append(float((place[standing, 0] - before[standing, 0]).mean()))
        before = place
    assert np.abs(slid).max() < 0.02
    assert np.abs(slid).sum() < 0.25  # of a stride of 1.0 to 1.7 m
    strike = person.posed(walking(0.0, speed)).vertices[shoes]
    assert abs(strike[left, 2].min() - strike[~left, 2].min()) < 0.03
    assert strike[left, 0].min() - strike[~left, 0].min() == pytest.approx(length / 2, abs=0.1)


def test_hands_that_hold_something_are_not_given_something_else() -> None:
    generator = np.random.default_rng(3)
    cut = OutfitCut(umbrella="open", pushed="trolley", backpack=1.0)
    assert cut.hauling_side == "left"
    for _ in range(20):
        assert draw_style(generator, cut).arms == ("haul", "umbrella")
        assert draw_style(generator, OutfitCut(handbag=1.0, backpack=1.0)).arms[1] == "hold"
        assert (
            draw_style(generator, OutfitCut(handbag=1.0, hand_side="left", pushed="bicycle")).arms[0]
            == "hold"
        )


@pytest.mark.parametrize("cut", [OutfitCut(pushed="trolley"), OutfitCut(pushed="trolley", umbrella="open")])
def test_a_trolley_stands_on_the_ground_with_its_handle_at_the_hand(cut: OutfitCut) -> None:
    person = build_person(Shape(), cut)
    mesh = person.posed(walking(1.0, 1.3, draw_style(np.random.default_rng(0), cut)))
    trolley = mesh.vertices[np.unique(mesh.faces[mesh.textures == SLOTS.index("thing")])]
    assert trolley[:, 2].min() == pytest.approx(0, abs=0.08)
    hands = mesh.vertices[np.unique(mesh.faces[mesh.textures == SLOTS.index("hand")])]
    own = hands[(hands[:, 1] > 0) == (cut.hauling_side == "left")]
    handle = trolley[trolley[:, 2].argmax()]
    assert np.linalg.norm(own - handle, axis=1).min() < 0.2
