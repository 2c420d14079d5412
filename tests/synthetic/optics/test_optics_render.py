"""What is drawn, against rays that are cast one by one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import ndimage

from omnireid.core.arrays import Bool, Float64, UInt8
from omnireid.core.errors import InputError, ShapeError
from omnireid.synthetic.mesh import Mesh, TextureBank
from omnireid.synthetic.optics.camera import Pinhole
from omnireid.synthetic.optics.light import Lighting, Shadows, cast_shadows
from omnireid.synthetic.optics.render import Rendered, render, visible

# All light from everywhere: what is drawn is the texture's colour.
FLAT = Lighting((0, 0, 1), (0, 0, 0), (1, 1, 1), (1, 1, 1), occlusion=0.0, backdrop=(0, 0, 0))
SUNNY = Lighting((1.0, -0.5, 2.0), (1, 1, 1), (0.2, 0.2, 0.2), (0.2, 0.2, 0.2), occlusion=0.0)
WHITE = np.full((1, 1, 3), 255, np.uint8)


def _camera(width: int = 48, height: int = 32, distortion: tuple[float, float] = (0.0, 0.0)) -> Pinhole:
    return Pinhole.look_at(
        np.array([0.0, -5.0, 1.5]),
        np.array([0.0, 0.0, 1.0]),
        field_of_view=1.2,
        width=width,
        height=height,
        distortion=distortion,
    )


def _plain(*colours: tuple[int, int, int]) -> TextureBank:
    return TextureBank.build([np.array([[colour]], np.uint8) for colour in colours])


def _triangles(num: int, seed: int) -> Mesh:
    """Triangles all over the view, some behind the camera, some through its plane; each its own owner."""
    generator = np.random.default_rng(seed)
    middles = generator.uniform((-3, -6.5, -1), (3, 3, 3), (num, 1, 3))
    corners = (middles + generator.normal(0.0, 0.8, (num, 3, 3))).reshape(-1, 3)
    faces = np.arange(3 * num).reshape(num, 3)
    mesh = Mesh.of(corners, faces, generator.uniform(-1, 2, (num, 3, 2)))
    return Mesh(
        mesh.vertices,
        mesh.faces,
        mesh.uvs,
        mesh.textures,
        np.arange(1, num + 1, dtype=np.int32),
        mesh.normals,
    )


def _cast(mesh: Mesh, origin: Float64, ray: Float64) -> tuple[Float64, Float64]:
    """Where a ray meets each face (Möller and Trumbore): lengths along it (inf: nowhere), (F, 3) shares."""
    a, b, c = (mesh.vertices[mesh.faces[:, corner]].astype(np.float64) for corner in range(3))
    p = np.cross(ray, c - a)
    determinant = (p * (b - a)).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        second = (p * (origin - a)).sum(axis=1) / determinant
        q = np.cross(origin - a, b - a)
        third = (q * ray).sum(axis=1) / determinant
        length = (q * (c - a)).sum(axis=1) / determinant
    meets = (second >= 0) & (third >= 0) & (second + third <= 1) & (length > 0)
    shares = np.column_stack([1 - second - third, second, third])
    return np.where(meets, length, np.inf), shares


def _quad(corners: Sequence[Sequence[float]], texture: int = 0, owner: int = 0) -> Mesh:
    uvs = np.array([[0, 1], [1, 1], [1, 0], [0, 0]], np.float32)
    return Mesh.of(np.array(corners), np.array([[0, 1, 2], [0, 2, 3]]), uvs, texture=texture, owner=owner)


def _ground(size: float = 6.0) -> Mesh:
    return _quad([[-size, -size, 0], [size, -size, 0], [size, size, 0], [-size, size, 0]])


@pytest.mark.parametrize("distortion", [(0.0, 0.0), (-0.3, 0.02)])
def test_each_pixel_shows_the_nearest_face(distortion: tuple[float, float]) -> None:
    camera, mesh = _camera(distortion=distortion), _triangles(60, 3)
    rendered = render(mesh, _plain((255, 255, 255)), camera, FLAT, samples=1)
    x, y = np.broadcast_arrays(*camera.rays())
    owners, depths = np.zeros(x.shape, np.int32), np.full(x.shape, np.inf)
    for row, column in np.ndindex(x.shape):
        ray = np.array([x[row, column], y[row, column], 1.0]) @ camera.rotation
        length, _ = _cast(mesh, camera.position, ray)
        length[length < 0.05] = np.inf  # the nearest depth that is drawn
        owners[row, column] = length.argmin() + 1 if np.isfinite(length.min()) else 0
        depths[row, column] = length.min()
    assert len(np.unique(owners)) > 20
    np.testing.assert_array_equal(rendered.owners, owners)
    np.testing.assert_allclose(rendered.depth, depths, rtol=1e-5)


def test_what_is_visible_is_what_is_drawn() -> None:
    camera, mesh, bank = _camera(), _triangles(60, 3), _plain((255, 255, 255))
    rendered = render(mesh, bank, camera, FLAT, samples=1)
    owners, depth = visible(mesh, bank, camera)
    np.testing.assert_array_equal(owners, rendered.owners)
    np.testing.assert_array_equal(depth, rendered.depth)
    wall = np.full(depth.shape, 4.0, np.float32)
    owners, depth = visible(mesh, bank, camera, depth=wall)
    np.testing.assert_array_equal(owners, np.where(rendered.depth < 4.0, rendered.owners, 0))
    np.testing.assert_array_equal(depth, np.minimum(rendered.depth, 4.0))
    assert wall.min() == 4.0
    with pytest.raises(ShapeError, match="depth"):
        visible(mesh, bank, camera, depth=wall[1:])


def test_places_in_the_texture_are_exact_in_perspective() -> None:
    # A texture whose colour is its place.
    size = 64
    steps = np.arange(size, dtype=np.uint8) * 4
    picture = np.zeros((size, size, 3), np.uint8)
    picture[:, :, 0], picture[:, :, 1] = steps[None, :], steps[:, None]
    bank = TextureBank.build([picture])
    camera, mesh = _camera(200, 120), _ground()
    rendered = render(mesh, bank, camera, FLAT, samples=1, shadows=Shadows())
    x, y = np.broadcast_arrays(*camera.rays())
    for row, column in ((80, 60), (100, 150), (70, 110)):
        ray = np.array([x[row, column], y[row, column], 1.0]) @ camera.rotation
        length, shares = _cast(mesh, camera.position, ray)
        face = int(length.argmin())
        u, v = shares[face] @ mesh.uvs[face]
        found = _srgb(rendered.colour[row, column])
        np.testing.assert_allclose(found[:2] / 4, np.array([u, v]) * size - 0.5, atol=0.6)


def _srgb(light: Float64) -> Float64:
    light = np.asarray(light, np.float64)
    return 255 * np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def test_far_away_a_texture_is_its_mean() -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[::2] = 255
    wall = _quad([[-9, 90, -9], [9, 90, -9], [9, 90, 9], [-9, 90, 9]])
    rendered = render(wall, TextureBank.build([stripes]), _camera(), FLAT)
    middle = rendered.colour[rendered.depth < np.inf]
    np.testing.assert_allclose(np.median(middle), 0.5, atol=0.02)


def test_holes_are_seen_through_and_let_the_sun_through() -> None:
    grid = np.full((8, 8, 4), 255, np.uint8)
    grid[:, 4:, 3] = 0
    bank = TextureBank.build([WHITE, grid])
    camera = _camera(96, 64)
    wall = _quad([[-1, 0, 0], [1, 0, 0], [1, 0, 2], [-1, 0, 2]], texture=1, owner=2)
    scene = Mesh.join([_ground(), wall])
    backlit = Lighting((1.0, 1.5, 2.0), (1, 1, 1), (0, 0, 0), (0, 0, 0))
    rendered = render(scene, bank, camera, backlit, shadows=cast_shadows(wall, bank, backlit))
    pixels = camera.project(np.array([[-0.5, 0, 1], [0.5, 0, 1]]))[0].astype(int)
    assert rendered.owners[pixels[0, 1], pixels[0, 0]] == 2
    assert rendered.owners[pixels[1, 1], pixels[1, 0]] != 2
    direction = backlit.towards_sun()
    sunny = []
    for x in (-0.5, 0.5):
        point = np.array([x, 0.0, 1.0]) - direction / direction[2]
        column, row = camera.project(point[None])[0][0].astype(int)
        sunny.append(rendered.sunlight[row, column].max() > 0)
    assert sunny == [False, True]


@pytest.mark.parametrize("facing", [False, True])
def test_both_sides_are_drawn_and_lit_from_where_they_are_seen(facing: bool) -> None:
    corners = [[-1, 0, 0], [1, 0, 0], [1, 0, 2], [-1, 0, 2]]
    wall = _quad(corners if facing else corners[::-1])
    lighting = Lighting((0, -1, 0), (0.6, 0.6, 0.6), (0, 0, 0), (0, 0, 0), backdrop=(0, 0, 0))
    rendered = render(wall, _plain((255, 255, 255)), _camera(), lighting, shadows=Shadows())
    np.testing.assert_allclose(rendered.colour[rendered.depth < np.inf].max(), 0.6, rtol=1e-6)
    away = Lighting((0, 1, 0), (0.6, 0.6, 0.6), (0, 0, 0), (0, 0, 0), backdrop=(0, 0, 0))
    assert render(wall, _plain((255, 255, 255)), _camera(), away, shadows=Shadows()).colour.max() == 0


def _in_shadow(mesh: Mesh, points: Float64, direction: Float64) -> Bool:
    return np.array([np.isfinite(_cast(mesh, point, direction)[0]).any() for point in points])


def test_a_point_is_in_shadow_where_a_ray_to_the_sun_is_blocked() -> None:
    generator = np.random.default_rng(5)
    corners = (
        generator.uniform((-2, -1, 0.5), (2, 2, 2), (30, 1, 3)) + generator.normal(0, 0.5, (30, 3, 3))
    ).reshape(-1, 3)
    corners[:, 2] = np.abs(corners[:, 2]) + 0.2
    casters = Mesh.of(corners, np.arange(90).reshape(30, 3), np.zeros((30, 3, 2)), owner=1)
    camera, bank = _camera(120, 80), _plain((255, 255, 255))
    rendered = render(
        Mesh.join([_ground(), casters]),
        bank,
        camera,
        SUNNY,
        shadows=cast_shadows(casters, bank, SUNNY),
        samples=1,
    )
    rows, columns = np.nonzero((rendered.owners == 0) & (rendered.depth < 12))
    pixels = np.column_stack([columns + 0.5, rows + 0.5])
    points = camera.points(pixels, rendered.depth[rows, columns])
    direction = SUNNY.towards_sun()
    blocked = _in_shadow(casters, points, direction)
    # Near an edge the shadow is soft: points whose neighbours differ are left out.
    nudges = [(0.06, 0, 0), (-0.06, 0, 0), (0, 0.06, 0), (0, -0.06, 0)]
    near = [_in_shadow(casters, points + nudge, direction) for nudge in nudges]
    clear = np.all([other == blocked for other in near], axis=0)
    lit = rendered.sunlight[rows, columns, 0] > 0.5 * direction[2]
    assert 150 < blocked[clear].sum() < clear.sum() - 150
    np.testing.assert_array_equal(lit[clear], ~blocked[clear])


def test_light_of_sun_sky_lamps_and_glow_is_what_the_formula_says() -> None:
    from omnireid.synthetic.optics.light import Lamp

    bank = TextureBank.build([np.full((1, 1, 3), 188, np.uint8)], glow=[0.1])
    lighting = Lighting(
        (0, -3, 4),
        (0.5, 0.4, 0.3),
        (0.2, 0.3, 0.4),
        (9, 9, 9),
        lamps=(Lamp((0.0, 0.0, 2.0), (0.4, 0.0, 0.8)),),
    )
    camera = _camera(41, 41)
    rendered = render(_ground(), bank, camera, lighting, shadows=Shadows(), samples=1)
    point = np.array([0.0, 0.0, 0.0])
    column, row = camera.project(point[None])[0][0].astype(int)
    x, y = camera.points(np.array([[column + 0.5, row + 0.5]]), rendered.depth[row, column][None])[0, :2]
    lamp = np.array([0.4, 0.0, 0.8]) * 2.0 / (x * x + y * y + 4.0) ** 1.5
    base = ((188 / 255 + 0.055) / 1.055) ** 2.4
    expected = base * (0.8 * np.array([0.5, 0.4, 0.3]) + np.array([0.2, 0.3, 0.4]) + lamp + 0.1)
    np.testing.assert_allclose(rendered.colour[row, column], expected, rtol=1e-5)
    np.testing.assert_allclose(
        rendered.sunlight[row, column], 0.8 * base * np.array([0.5, 0.4, 0.3]), rtol=1e-5
    )


def test_the_side_towards_the_open_sky_is_brighter() -> None:
    sides = [_quad([[x, 0, 0], [x, 1, 0], [x, 1, 2], [x, 0, 2]]) for x in (-1.0, 1.0)]
    lighting = Lighting(
        (0, 0, 1), (0, 0, 0), (1, 1, 1), (0, 0, 0), backdrop=(0, 0, 0), sky_direction=(3, 0, 4)
    )
    camera = _camera(96, 64)
    rendered = render(Mesh.join(sides), _plain((255, 255, 255)), camera, lighting, shadows=Shadows())
    # Of both walls the inner side is seen, which looks to +x on the left and to −x on the right.
    for wall, share in zip(sides, (0.5 + 0.5 * 0.6, 0.5 - 0.5 * 0.6), strict=True):
        column, row = camera.project(wall.vertices.mean(axis=0)[None])[0][0].astype(int)
        np.testing.assert_allclose(rendered.colour[row, column], share, rtol=1e-5)


def test_feet_darken_the_ground_beside_them_under_a_grey_sky() -> None:
    grey = Lighting((0, 0, 1), (0, 0, 0), (1, 1, 1), (0, 0, 0))
    leg = Mesh.join(
        [_quad([[-0.1, y, 0], [0.1, y, 0], [0.1, y, 0.9], [-0.1, y, 0.9]], owner=1) for y in (-0.05, 0.05)]
        + [_quad([[-0.1, -0.05, 0.9], [0.1, -0.05, 0.9], [0.1, 0.05, 0.9], [-0.1, 0.05, 0.9]], owner=1)]
    )
    camera, bank = _camera(200, 120), _plain((255, 255, 255))
    rendered = render(Mesh.join([_ground(), leg]), bank, camera, grey, shadows=cast_shadows(leg, bank, grey))
    beside, away = camera.project(np.array([[0.0, -0.12, 0.0], [1.5, -0.12, 0.0]]))[0].astype(int)
    assert rendered.owners[beside[1], beside[0]] == 0
    np.testing.assert_allclose(rendered.colour[away[1], away[0]], 1.0, rtol=1e-5)
    assert 0.3 < rendered.colour[beside[1], beside[0], 0] < 0.92


def test_a_map_of_the_sky_knows_what_is_near() -> None:
    generator = np.random.default_rng(2)
    posts = Mesh.join(
        [
            _quad([[x, y, 1], [x + 0.1, y, 1], [x + 0.1, y + 0.1, 2], [x, y + 0.1, 2]])
            for x, y in generator.uniform(-1, 1, (6, 2))
        ]
    )
    sky = cast_shadows(posts, _plain((255, 255, 255)), SUNNY).sky
    reach, nearby = sky.reach.reshape(sky.sizes[0]), sky.nearby.reshape(sky.sizes[0])
    size = 2 * int(np.ceil(0.4 / sky.texels[0])) + 1
    np.testing.assert_array_equal(nearby, ndimage.maximum_filter(reach, size, mode="constant", cval=-np.inf))
    # What takes light from others lies wholly in the map.
    assert np.isinf(np.concatenate([nearby[0], nearby[-1], nearby[:, 0], nearby[:, -1]])).all()


def _scene() -> tuple[Mesh, Mesh, TextureBank]:
    generator = np.random.default_rng(8)
    pictures: list[UInt8] = [generator.integers(0, 256, (32, 32, 3), dtype=np.uint8) for _ in range(2)]
    place = Mesh.join([_ground(), _quad([[-6, 4, 0], [6, 4, 0], [6, 4, 4], [-6, 4, 4]])])
    people = Mesh.join(
        [
            _quad(
                [[x, y, 0], [x + 0.6, y + 0.2, 0], [x + 0.6, y + 0.2, 1.8], [x, y, 1.8]],
                texture=1,
                owner=1 + i,
            )
            for i, (x, y) in enumerate([(-1.0, 0.0), (-0.8, 0.5), (1.0, 2.0)])
        ]
    )
    return place, people, TextureBank.build(pictures)


def test_a_window_is_a_part_of_the_whole_picture() -> None:
    place, people, bank = _scene()
    camera = _camera(160, 96, distortion=(-0.1, 0.0))
    scene, shadows = Mesh.join([place, people]), cast_shadows(people, bank, SUNNY)
    whole = render(scene, bank, camera, SUNNY, shadows=shadows)
    part = render(scene, bank, camera.window(40, 16, 64, 64, 64, 64), SUNNY, shadows=shadows)
    np.testing.assert_array_equal(part.owners, whole.owners[16:80, 40:104])
    np.testing.assert_allclose(part.colour, whole.colour[16:80, 40:104], atol=1e-6)


def test_drawn_over_the_place_people_look_as_drawn_with_it() -> None:
    place, people, bank = _scene()
    camera = _camera(160, 96)
    shadows = cast_shadows(people, bank, SUNNY)
    behind = render(place, bank, camera, SUNNY, shadows=Shadows())
    over = render(people, bank, camera, SUNNY, shadows=shadows, behind=behind)
    together = render(Mesh.join([place, people]), bank, camera, SUNNY, shadows=shadows)
    differences = np.abs(over.colour - together.colour).max(axis=2)
    assert (over.owners != together.owners).mean() < 0.002
    # Edges of shadows on the place are met once a pixel instead of once a face.
    assert (differences > 0.02).mean() < 0.01
    assert np.abs(behind.colour - together.colour).max() > 0.2


def test_the_same_scene_gives_the_same_bytes() -> None:
    place, people, bank = _scene()
    scene = Mesh.join([place, people])

    def draw() -> Rendered:
        return render(scene, bank, _camera(), SUNNY)

    first, second = draw(), draw()
    assert first.colour.tobytes() == second.colour.tobytes()
    assert first.depth.tobytes() == second.depth.tobytes()


def test_what_does_not_fit_is_named() -> None:
    place, _, bank = _scene()
    with pytest.raises(InputError, match="go up to row 7; the bank has 2"):
        render(place.marked(first_texture=7), bank, _camera(), FLAT)
    with pytest.raises(InputError, match="samples"):
        render(place, bank, _camera(), FLAT, samples=5)
    with pytest.raises(ShapeError, match="behind"):
        render(place, bank, _camera(), FLAT, behind=render(place, bank, _camera(20, 20), FLAT))
    with pytest.raises(ShapeError, match="sky"):
        Lighting((0, 0, 1), (1, 1, 1), (1, 1), (1, 1, 1))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="occlusion: expected 0 to 1, got 2"):
        Lighting((0, 0, 1), (1, 1, 1), (1, 1, 1), (1, 1, 1), occlusion=2)
    with pytest.raises(InputError, match="sun_direction"):
        render(place, bank, _camera(), Lighting((0, 0, 0), (1, 1, 1), (1, 1, 1), (1, 1, 1)))


def test_nothing_is_drawn_of_no_faces() -> None:
    place, _, bank = _scene()
    nothing = Mesh.of(np.zeros((0, 3)), np.zeros((0, 3), np.int32), np.zeros((0, 3, 2)))
    behind = render(place, bank, _camera(), SUNNY)
    over = render(nothing, bank, _camera(), SUNNY, behind=behind)
    np.testing.assert_allclose(over.colour, behind.colour, rtol=1e-6)
    np.testing.assert_array_equal(over.owners, behind.owners)
