"""From a mesh, a camera and light to a picture in linear light, with depths and owners."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from omnireid.core.arrays import Float32, Float64, Int32
from omnireid.core.errors import InputError, ShapeError
from omnireid.synthetic.mesh import Mesh, TextureBank
from omnireid.synthetic.optics.camera import Pinhole
from omnireid.synthetic.optics.light import Lighting, Shadows, cast_shadows

_NEAREST = 0.05  # metres; what is closer to the camera is not drawn


@dataclass(frozen=True, slots=True, eq=False)
class Rendered:
    """A picture before the sensor.

    Attributes:
        colour: (H, W, 3) float32 linear RGB.
        sunlight: (H, W, 3) float32, the sun's direct part of it: what later shadows take away.
        depth: (H, W) float32, metres along the camera's axis; inf where nothing is.
        owners: (H, W) int32, whom most of a pixel shows; 0 where nothing is.
    """

    colour: Float32
    sunlight: Float32
    depth: Float32
    owners: Int32


def render(
    mesh: Mesh,
    bank: TextureBank,
    camera: Pinhole,
    lighting: Lighting,
    *,
    shadows: Shadows | None = None,
    surroundings: Shadows | None = None,
    behind: Rendered | None = None,
    samples: int = 2,
) -> Rendered:
    """Draw a mesh.

    Args:
        bank: what the mesh's textures are rows of.
        shadows: what the mesh's moving part takes from the light, on itself, the rest and `behind`; those of
            the whole mesh unless given. `Shadows()` is none.
        surroundings: shadows of what stands around, which are in `behind` already.
        behind: a picture of the same camera (a place without people) to draw over, by depth.
        samples: per pixel and direction, 1 to 4, for smooth edges.

    Raises:
        InputError: textures that the bank does not have; samples outside 1 to 4.
        ShapeError: a picture behind of another size.
    """
    from omnireid.synthetic.optics import kernels

    if not 1 <= samples <= 4:
        raise InputError(f"samples: expected 1 to 4, got {samples}")
    if len(mesh.faces) and not 0 <= mesh.textures.min() <= mesh.textures.max() < len(bank):
        raise InputError(f"textures of the mesh go up to row {mesh.textures.max()}; the bank has {len(bank)}")
    size = (camera.height, camera.width)
    if behind is not None and behind.depth.shape != size:
        raise ShapeError("behind", expected=size, actual=behind.depth.shape)
    if shadows is None:
        shadows = cast_shadows(mesh, bank, lighting)
    textures = bank.arrays()
    here = camera.seen_from_here(mesh.vertices)
    x_of, y_of = _rays(camera, samples)
    ids = np.full((size[0] * samples, size[1] * samples), -1, np.int32)
    if behind is None:
        depth = np.full(ids.shape, np.inf, np.float32)
    else:
        depth = behind.depth.repeat(samples, axis=0).repeat(samples, axis=1)
    kernels.draw_faces(
        here, mesh.faces, mesh.uvs, mesh.textures, textures, x_of, y_of, _lens(camera, samples), ids, depth
    )
    rendered = Rendered(
        colour=np.empty((*size, 3), np.float32),
        sunlight=np.empty((*size, 3), np.float32),
        depth=np.empty(size, np.float32),
        owners=np.empty(size, np.int32),
    )
    around = surroundings or Shadows()
    kernels.shade(
        here,
        mesh.vertices,
        mesh.normals,
        mesh.faces,
        mesh.uvs,
        mesh.textures,
        mesh.owners,
        textures,
        (*camera.rotation.ravel().tolist(), *camera.position.tolist()),
        x_of,
        y_of,
        ids,
        samples,
        depth,
        _light(lighting, camera),
        np.array([[*lamp.position, *lamp.colour] for lamp in lighting.lamps], np.float64).reshape(-1, 6),
        shadows.sun.arrays(),
        shadows.sky.arrays(),
        around.sun.arrays(),
        behind is not None,
        _arrays(rendered if behind is None else behind),
        _arrays(rendered),
    )
    return rendered


def visible(
    mesh: Mesh, bank: TextureBank, camera: Pinhole, *, depth: Float32 | None = None
) -> tuple[Int32, Float32]:
    """What each pixel's middle sees, without light: outlines, and how much of somebody is hidden.

    Args:
        bank: what the mesh's textures are rows of; only their holes matter.
        depth: (H, W) float32 of what else is there; farther faces are hidden by it.

    Returns:
        (H, W) int32 owners, 0 where no face is seen; (H, W) float32 depths, inf or `depth` there.

    Raises:
        ShapeError: depths of another size than the camera's picture.
    """
    from omnireid.synthetic.optics import kernels

    size = (camera.height, camera.width)
    if depth is not None and depth.shape != size:
        raise ShapeError("depth", expected=size, actual=depth.shape)
    nearest = np.full(size, np.inf, np.float32) if depth is None else np.array(depth, np.float32)
    ids = np.full(size, -1, np.int32)
    kernels.draw_faces(
        camera.seen_from_here(mesh.vertices),
        mesh.faces,
        mesh.uvs,
        mesh.textures,
        bank.arrays(),
        *camera.rays(),
        _lens(camera, 1),
        ids,
        nearest,
    )
    # The last owner, taken by −1, is nobody.
    return np.append(mesh.owners, np.int32(0))[ids], nearest


@lru_cache(maxsize=2)
def _rays(camera: Pinhole, samples: int) -> tuple[Float64, Float64]:
    """A camera's rays: a place and those in it are drawn one after the other."""
    return camera.rays(samples)


def _arrays(rendered: Rendered) -> tuple[Float32, Float32, Float32, Int32]:
    return rendered.colour, rendered.sunlight, rendered.depth, rendered.owners


def _lens(camera: Pinhole, samples: int) -> tuple[float, ...]:
    return (
        float(camera.focal[0] * samples),
        float(camera.focal[1] * samples),
        float(camera.centre[0] * samples),
        float(camera.centre[1] * samples),
        float(camera.distortion[0]),
        float(camera.distortion[1]),
        camera.widest_ray,
        _NEAREST,
    )


def _light(lighting: Lighting, camera: Pinhole) -> tuple[tuple[float, ...] | float, ...]:
    backdrop = lighting.sky if lighting.backdrop is None else lighting.backdrop
    open_side = lighting.towards_sky()
    vectors = (lighting.towards_sun(), lighting.sun, lighting.sky, lighting.ground, backdrop, open_side)
    return (
        *(tuple(float(value) for value in vector) for vector in vectors),
        float(lighting.shadow),
        float(lighting.occlusion),
        float(np.sqrt(camera.focal[0] * camera.focal[1])),
    )
