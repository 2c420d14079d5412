"""Bodies and their clothes: measured on the mesh."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from omnireid.synthetic.people import SLOTS, OutfitCut, Shape, build_person, draw_shape, standing, walking
from omnireid.synthetic.people.assets import FILE, SHA256, assets, charts
from omnireid.synthetic.people.body import make_body
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
    assert heavy > 1.1 * thin


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
