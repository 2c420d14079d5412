"""Meshes and the bank of textures, against what is worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from omnireid.core.errors import InputError, ShapeError
from omnireid.synthetic.mesh import Mesh, TextureBank

TRIANGLE = np.array([[0, 0, 0], [2, 0, 0], [0, 2, 0]], np.float32)
FACE = np.array([[0, 1, 2]], np.int32)


def _triangle(texture: int = 0, owner: int = 0) -> Mesh:
    return Mesh.of(TRIANGLE, FACE, TRIANGLE[:, :2], texture=texture, owner=owner)


def test_normals_point_to_the_side_that_sees_corners_counter_clockwise() -> None:
    np.testing.assert_array_equal(_triangle().normals, [[0, 0, 1]] * 3)


def test_a_flat_mesh_has_sharp_edges_and_a_smooth_one_has_not() -> None:
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3]], np.int32)
    flat = Mesh.of(corners, faces, np.zeros((2, 3, 2)), flat=True)
    np.testing.assert_array_equal(flat.normals, [[0, 0, 1]] * 3 + [[1, 0, 0]] * 3)
    smooth = Mesh.of(corners, faces, np.zeros((2, 3, 2)))
    np.testing.assert_allclose(smooth.normals[0], np.array([1, 0, 1]) / np.sqrt(2), rtol=1e-6)


def test_joined_meshes_keep_their_corners_and_marks() -> None:
    turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
    moved = _triangle(owner=3, texture=1).moved(turn, np.array([5, 0, 1]))
    joined = Mesh.join([_triangle(), moved.marked(first_texture=10), moved.marked(owner=7)])
    np.testing.assert_array_equal(joined.vertices[joined.faces[1]], [[5, 0, 1], [5, 2, 1], [3, 0, 1]])
    assert joined.owners.tolist() == [0, 3, 7]
    assert joined.textures.tolist() == [0, 11, 1]


def test_arrays_that_do_not_fit_are_named() -> None:
    with pytest.raises(ShapeError, match="uvs"):
        Mesh.of(TRIANGLE, FACE, np.zeros((2, 3, 2)))
    mesh = _triangle()
    with pytest.raises(InputError, match="vertices: expected float32, got float64"):
        Mesh(mesh.vertices.astype(np.float64), mesh.faces, mesh.uvs, mesh.textures, mesh.owners, mesh.normals)
    with pytest.raises(InputError, match="no meshes"):
        Mesh.join([])


def test_levels_are_means_of_light_not_of_numbers() -> None:
    stripes = np.zeros((4, 6, 3), np.uint8)
    stripes[:, ::2] = 255
    bank = TextureBank.build([stripes])
    assert bank.heights[0, : bank.num_levels[0]].tolist() == [4, 2, 1]
    assert bank.widths[0, : bank.num_levels[0]].tolist() == [6, 3, 1]
    # Half of the light is sRGB 188, not 128.
    assert (bank.texels[24:, :3] == 188).all()


def test_colours_of_holes_do_not_bleed() -> None:
    leaf = np.zeros((2, 2, 4), np.uint8)
    leaf[0] = (10, 200, 30, 255)
    leaf[1] = (255, 0, 255, 0)
    bank = TextureBank.build([leaf])
    assert bank.holes.tolist() == [True]
    assert np.abs(bank.texels[-1].astype(int) - (10, 200, 30, 128)).max() <= 1


def test_banks_join_row_after_row() -> None:
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (size, 2 * size, 3), dtype=np.uint8) for size in (3, 8, 16)]
    whole = TextureBank.build(pictures, glow=[0, 1, 2], gloss=[1, 0, 0])
    first = TextureBank.build(pictures[:1], gloss=[1])
    joined = TextureBank.join([first, TextureBank.build(pictures[1:], glow=[1, 2])])
    np.testing.assert_array_equal(joined.texels, whole.texels)
    assert len(joined) == 3
    for row in range(3):
        levels = slice(0, whole.num_levels[row])
        np.testing.assert_array_equal(joined.starts[row, levels], whole.starts[row, levels])
    np.testing.assert_array_equal(joined.glow, whole.glow)


def test_what_is_no_texture_is_named() -> None:
    with pytest.raises(ShapeError, match="texture 1"):
        TextureBank.build([np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8)])
    with pytest.raises(InputError, match="texture 0: expected uint8"):
        TextureBank.build([np.zeros((2, 2, 3), np.float32)])
    with pytest.raises(InputError, match="glow: expected 1 values"):
        TextureBank.build([np.zeros((2, 2, 3), np.uint8)], glow=[1, 2])
