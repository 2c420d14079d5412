"""Light of a place, and the shadows that meshes cast in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from omnireid.core.arrays import Float32, Float64, Int64
from omnireid.core.errors import InputError, ShapeError
from omnireid.synthetic.mesh import Mesh, TextureBank

_LARGEST_MAP = 2048  # texels each way


@dataclass(frozen=True, slots=True, eq=False)
class Lamp:
    """A lamp that shines evenly all around.

    Attributes:
        position: (3,) metres.
        colour: (3,) linear RGB, the light on a surface one metre away that faces it.
    """

    position: tuple[float, float, float]
    colour: tuple[float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Lighting:
    """All light of a place, linear RGB: 1 on a white surface becomes white at exposure 1.

    Attributes:
        sun_direction: (3,) towards the sun, or the one strong light of a room; any length.
        sun: light on a surface that faces it.
        sky: light from above, on a surface that faces upwards.
        ground: light that the ground throws back, on a surface that faces downwards.
        lamps: lamps, which cast no shadows.
        shadow: 0 to 1, how dark shadows of the sun are (haze and bright walls fill them).
        occlusion: 0 to 1, how much bodies take of the sky's light around them.
        backdrop: light from where there is nothing; the sky's unless given.
        sky_direction: (3,) towards the middle of the sky's light; not straight up where a wall takes a side.

    Raises:
        ShapeError: a colour or direction that has not three numbers.
        InputError: a share outside 0 to 1.
    """

    sun_direction: tuple[float, float, float]
    sun: tuple[float, float, float]
    sky: tuple[float, float, float]
    ground: tuple[float, float, float]
    lamps: tuple[Lamp, ...] = ()
    shadow: float = 1.0
    occlusion: float = 1.0
    backdrop: tuple[float, float, float] | None = None
    sky_direction: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def __post_init__(self) -> None:
        for name in ("sun_direction", "sun", "sky", "ground", "backdrop", "sky_direction"):
            value = getattr(self, name)
            if value is not None and np.shape(value) != (3,):
                raise ShapeError(name, expected=(3,), actual=np.shape(value))
        for name in ("shadow", "occlusion"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"{name}: expected 0 to 1, got {getattr(self, name)}")

    def towards_sun(self) -> Float64:
        """(3,) float64 unit vector.

        Raises:
            InputError: a direction of no length.
        """
        return _unit("sun_direction", self.sun_direction)

    def towards_sky(self) -> Float64:
        """(3,) float64 unit vector.

        Raises:
            InputError: a direction of no length.
        """
        return _unit("sky_direction", self.sky_direction)


def _unit(name: str, vector: tuple[float, float, float]) -> Float64:
    direction = np.asarray(vector, np.float64)
    length = np.linalg.norm(direction)
    if not length > 0:
        raise InputError(f"{name}: a direction without a length, {vector}")
    return np.asarray(direction / length)


@dataclass(frozen=True, slots=True, eq=False)
class ShadowMaps:
    """How far meshes reach towards a light, on a grid across its direction. As compiled loops read it.

    Attributes:
        reach: (N,) float32, all maps one after another: metres along the direction, −inf where nothing is.
        nearby: (N,) float32, of the sky's maps the largest reach around each texel, as far as it takes light.
        starts: (M,) int64. `sizes`: (M, 2) int64, rows and columns.
        frames: (M, 3, 3) float64, rows: across, along, towards the light.
        corners: (M, 2) float64, where the grid begins across and along. `texels`: (M,) float64, metres.
    """

    reach: Float32
    nearby: Float32
    starts: Int64
    sizes: Int64
    frames: Float64
    corners: Float64
    texels: Float64

    def arrays(self) -> tuple[np.ndarray, ...]:
        """The fields in their order, as compiled loops take them."""
        return tuple(getattr(self, part.name) for part in fields(self))

    @classmethod
    def join(cls, maps: Sequence[ShadowMaps]) -> ShadowMaps:
        """All maps of several; none is allowed."""
        if len(maps) == 1:
            return maps[0]
        shifts = np.cumsum([0, *(len(each.reach) for each in maps)])
        starts = [each.starts + shift for each, shift in zip(maps, shifts, strict=False)]
        return cls(
            reach=np.concatenate([np.zeros(0, np.float32), *(each.reach for each in maps)]),
            nearby=np.concatenate([np.zeros(0, np.float32), *(each.nearby for each in maps)]),
            starts=np.concatenate([np.zeros(0, np.int64), *starts]),
            sizes=np.concatenate([np.zeros((0, 2), np.int64), *(each.sizes for each in maps)]),
            frames=np.concatenate([np.zeros((0, 3, 3)), *(each.frames for each in maps)]),
            corners=np.concatenate([np.zeros((0, 2)), *(each.corners for each in maps)]),
            texels=np.concatenate([np.zeros(0), *(each.texels for each in maps)]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Shadows:
    """What meshes take from others' light: the sun's, and the sky's near them."""

    sun: ShadowMaps = field(default_factory=lambda: ShadowMaps.join([]))
    sky: ShadowMaps = field(default_factory=lambda: ShadowMaps.join([]))


def cast_shadows(
    mesh: Mesh, bank: TextureBank, lighting: Lighting, *, texel: float = 0.02, sky: bool = True
) -> Shadows:
    """Draw a mesh as the sun sees it, and as the sky above does.

    Args:
        texel: metres; edges of shadows are twice as soft. Grows where the map would get too large.
        sky: whether it takes light of the sky around it, too: for people and things that stand in the open,
            not for grounds, walls or roofs.
    """
    if not len(mesh.faces):
        return Shadows()
    from omnireid.synthetic.optics.kernels import DISTANCES

    sun = _shadow_map(mesh, bank, lighting.towards_sun(), texel)
    if not sky:
        return Shadows(sun=sun)
    return Shadows(
        sun=sun, sky=_shadow_map(mesh, bank, np.array([0.0, 0.0, 1.0]), 2.0 * texel, DISTANCES[-1])
    )


def _shadow_map(
    mesh: Mesh, bank: TextureBank, direction: Float64, texel: float, around: float = 0.0
) -> ShadowMaps:
    from omnireid.synthetic.optics.kernels import draw_reach, spread, turn

    helper = np.array([1.0, 0.0, 0.0]) if abs(direction[2]) > 0.9 else np.array([0.0, 0.0, 1.0])
    across = np.cross(helper, direction)
    across /= np.linalg.norm(across)
    frame = np.stack([across, np.cross(direction, across), direction])
    places = np.empty((len(mesh.vertices), 3))
    low, high = turn(mesh.vertices, np.zeros(3), frame, places)
    texel = max(texel, float((high - low)[:2].max() + 2.0 * around) / (_LARGEST_MAP - 6))
    radius = int(np.ceil(around / texel))
    # A frame of empty texels around, so that lookups at the edge need no special case.
    columns, rows = (np.ceil((high - low)[:2] / texel).astype(np.int64) + 4 + 2 * radius).tolist()
    corner = low[:2] - (2.0 + radius) * texel
    reach = np.full((rows, columns), -np.inf, np.float32)
    draw_reach(places, corner, texel, mesh.faces, mesh.uvs, mesh.textures, bank.arrays(), reach)
    nearby = reach
    if radius:
        nearby = np.empty_like(reach)
        spread(reach, radius, nearby)
    return ShadowMaps(
        reach=reach.reshape(-1),
        nearby=nearby.reshape(-1),
        starts=np.zeros(1, np.int64),
        sizes=np.array([[rows, columns]], np.int64),
        frames=frame[None],
        corners=corner[None],
        texels=np.array([texel]),
    )
