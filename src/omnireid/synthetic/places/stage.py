"""People put before the picture of a place, and how much of each is seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omnireid.core.arrays import Bool, Float32
from omnireid.synthetic.mesh import Mesh, TextureBank
from omnireid.synthetic.optics.camera import Pinhole
from omnireid.synthetic.optics.light import Lighting, Shadows
from omnireid.synthetic.optics.render import Rendered, render, visible
from omnireid.synthetic.places.boxes import Box
from omnireid.synthetic.places.cast import Actor

Standing = tuple[Actor, Mesh]

# What lies so little before a silhouette is the person, metres.
_THICKNESS = 0.1


def draw_people(
    behind: Rendered,
    camera: Pinhole,
    lighting: Lighting,
    surroundings: Shadows,
    people: Sequence[Standing],
    *,
    samples: int = 2,
) -> Rendered:
    """Draw people over the picture of a place, by depth, with the shadows that they cast.

    Args:
        behind: the place as this camera sees it in this light.
        surroundings: the shadows of what stands in the place.
        people: each with the mesh in the world that it stands with.
    """
    if not people:
        return behind
    meshes, first = [], 0
    for actor, mesh in people:
        meshes.append(mesh.marked(first_texture=first))
        first += len(actor.bank)
    bank = TextureBank.join([actor.bank for actor, _ in people])
    return render(
        Mesh.join(meshes), bank, camera, lighting, surroundings=surroundings, behind=behind, samples=samples
    )


def box_of(camera: Pinhole, actor: Actor, mesh: Mesh) -> Box | None:
    """The smallest box round a body, which may reach beyond the picture; None: not before the lens.

    What the person pushes or holds up does not count.
    """
    pixels, _ = camera.project(mesh.vertices[actor.body].astype(np.float64))
    if np.isnan(pixels).any():
        return None
    return Box.round(pixels)


def seen_share(picture: Rendered, camera: Pinhole, actor: Actor, mesh: Mesh, box: Box) -> float:
    """The share of a person's silhouette that a picture shows: neither hidden nor beyond it, 0 to 1.

    Args:
        picture: of the camera, with the person in it.
        box: the person's, as `box_of` gives it.
    """
    # A window of whole pixels, so that both are of the same grid.
    left, top = int(np.floor(box.left)) - 1, int(np.floor(box.top)) - 1
    width, height = int(np.ceil(box.width)) + 3, int(np.ceil(box.height)) + 3
    window = camera.window(left, top, width, height, width, height)
    owners, depth = visible(mesh, actor.bank, window)
    nearest = np.full(depth.shape, -np.inf, np.float32)
    rows, columns = slice(max(-top, 0), camera.height - top), slice(max(-left, 0), camera.width - left)
    inside = picture.depth[max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)]
    nearest[rows, columns] = inside
    return not_hidden(owners != 0, depth, nearest)


def not_hidden(silhouette: Bool, depth: Float32, nearest: Float32) -> float:
    """The share of a silhouette before which nothing stands; all (H, W). 0 of none.

    Args:
        depth: of the silhouette. nearest: of whatever the picture shows.
    """
    whole = int(silhouette.sum())
    return float((silhouette & (nearest > depth - _THICKNESS)).sum() / whole) if whole else 0.0
