"""People put before the picture of a place, and how much of each is seen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from omnireid.core.arrays import Float32, Int32
from omnireid.synthetic.mesh import Mesh, TextureBank
from omnireid.synthetic.optics.camera import Pinhole
from omnireid.synthetic.optics.light import Lighting, Shadows
from omnireid.synthetic.optics.render import Rendered, render, visible
from omnireid.synthetic.places.boxes import Box
from omnireid.synthetic.places.cast import Actor

Standing = tuple[Actor, Mesh]

# At an edge, a pixel may show what is behind, or a part of the person that is nearer: metres.
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
    # What lies beyond the picture is hidden.
    nearest, whose = np.full(depth.shape, -np.inf, np.float32), np.zeros(depth.shape, np.int32)
    rows, columns = slice(max(-top, 0), camera.height - top), slice(max(-left, 0), camera.width - left)
    inside = slice(max(top, 0), max(top + height, 0)), slice(max(left, 0), max(left + width, 0))
    nearest[rows, columns], whose[rows, columns] = picture.depth[inside], picture.owners[inside]
    return not_hidden(owners, depth, whose, nearest)


def not_hidden(owners: Int32, depth: Float32, whose: Int32, nearest: Float32) -> float:
    """The share of somebody's silhouette before which nobody and nothing else stands; all (H, W). 0 of none.

    Args:
        owners, depth: of somebody alone; no owner is 0.
        whose, nearest: owners and depths of what the picture shows.
    """
    silhouette = owners != 0
    shown = silhouette & ((whose == owners) | (nearest > depth - _THICKNESS))
    return float(shown.sum() / silhouette.sum()) if silhouette.any() else 0.0
