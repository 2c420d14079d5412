"""The camera's geometry, against OpenCV's and against itself backwards."""

from __future__ import annotations

import numpy as np
import pytest

from omnireid.core.errors import InputError, ShapeError
from omnireid.synthetic.opencv import cv2
from omnireid.synthetic.optics.camera import Pinhole


def _camera(distortion: tuple[float, float] = (0.0, 0.0)) -> Pinhole:
    return Pinhole.look_at(
        np.array([4.0, -6.0, 3.0]),
        np.array([0.0, 1.0, 1.0]),
        field_of_view=1.2,
        width=640,
        height=360,
        roll=0.1,
        distortion=distortion,
    )


@pytest.mark.parametrize("distortion", [(0.0, 0.0), (-0.25, 0.05), (0.1, 0.0), (-0.1, -0.02)])
def test_points_appear_where_opencv_says(distortion: tuple[float, float]) -> None:
    camera = _camera(distortion)
    points = np.random.default_rng(0).uniform((-2, 0, 0), (2, 4, 2), (200, 3))
    pixels, depth = camera.project(points)
    inner = np.array(
        [[camera.focal[0], 0, camera.centre[0]], [0, camera.focal[1], camera.centre[1]], [0, 0, 1]]
    )
    turn, _ = cv2.Rodrigues(camera.rotation)
    expected, _ = cv2.projectPoints(
        points, turn, -camera.rotation @ camera.position, inner, np.array([*distortion, 0, 0])
    )
    np.testing.assert_allclose(pixels, expected[:, 0], atol=1e-9)
    np.testing.assert_allclose(camera.points(pixels, depth), points, atol=1e-9)


def test_the_target_is_in_the_middle_and_up_is_up() -> None:
    pixels, depth = _camera().project(np.array([[0.0, 1.0, 1.0], [0.0, 1.0, 1.5]]))
    np.testing.assert_allclose(pixels[0], (320, 180))
    np.testing.assert_allclose(depth[0], np.linalg.norm([4, -7, 2]))
    assert pixels[1, 1] < pixels[0, 1]
    # Rolled so that the right side hangs lower, what is upright leans to the left.
    assert pixels[1, 0] < pixels[0, 0]


def test_what_no_ray_meets_has_no_pixel() -> None:
    camera = _camera((-0.3, 0.0))
    behind = camera.position - camera.rotation[2]
    aside = camera.position + camera.rotation[2] + 1.2 * camera.rotation[0]
    pixels, depth = camera.project(np.stack([behind, aside]))
    assert np.isnan(pixels).all()
    np.testing.assert_allclose(depth, [-1, 1])
    assert np.isnan(camera.points(np.array([[9000.0, 0.0]]), np.ones(1))).any()


@pytest.mark.parametrize("distortion", [(0.0, 0.0), (-0.25, 0.05)])
def test_rays_go_through_the_samples_of_their_pixels(distortion: tuple[float, float]) -> None:
    camera = _camera(distortion)
    x, y = np.broadcast_arrays(*camera.rays(2))
    assert x.shape == (720, 1280)
    rows, columns = np.array([0, 5, 719]), np.array([0, 77, 1279])
    rays = np.column_stack([x[rows, columns], y[rows, columns], np.ones(3)])
    pixels, _ = camera.project(3.0 * rays @ camera.rotation + camera.position)
    np.testing.assert_allclose(pixels, np.column_stack([columns + 0.5, rows + 0.5]) / 2, atol=1e-8)


def test_a_window_shows_a_part_at_another_scale() -> None:
    camera = _camera((-0.2, 0.02))
    window = camera.window(100.5, 50.0, 80.0, 160.0, 64, 256)
    points = np.random.default_rng(1).uniform((-2, 0, 0), (2, 4, 2), (20, 3))
    whole, part = camera.project(points)[0], window.project(points)[0]
    np.testing.assert_allclose(part, (whole - (100.5, 50.0)) * (0.8, 1.6), atol=1e-9)
    assert (window.width, window.height) == (64, 256)


def test_cameras_that_cannot_be_are_named() -> None:
    camera = _camera()
    with pytest.raises(InputError, match="straight up or down"):
        Pinhole.look_at(np.zeros(3), np.array([0, 0, -2.0]), field_of_view=1.0, width=10, height=10)
    with pytest.raises(ShapeError, match="rotation"):
        Pinhole(np.zeros(3), np.eye(2), (1.0, 1.0), (0.0, 0.0), 4, 4)
    with pytest.raises(InputError, match="0x5 pixels"):
        camera.window(0, 0, 0, 5, 10, 10)
    with pytest.raises(InputError, match="focal"):
        Pinhole(np.zeros(3), np.eye(3), (0.0, 1.0), (0.0, 0.0), 4, 4)
