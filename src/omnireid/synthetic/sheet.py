"""A contact sheet: one row per person, a few pictures by each camera."""

from __future__ import annotations

import numpy as np

from omnireid.core.arrays import UInt8
from omnireid.core.errors import InputError
from omnireid.core.images import decode
from omnireid.synthetic.crop import World, render_jpeg


def contact_sheet(
    world: World, *, pids: range = range(1, 9), crops_per_camera: int = 2, gap: int = 4
) -> UInt8:
    """Lay out what the cameras see of some people, compressed as on disk.

    Args:
        pids: one row each.
        crops_per_camera: pictures side by side of each camera, cameras from left to right.
        gap: white pixels between pictures; twice as many between cameras.

    Returns:
        (rows, columns, 3) uint8 RGB.

    Raises:
        InputError: nothing to show.
    """
    if not len(pids) or crops_per_camera < 1:
        raise InputError(f"nothing to show: {len(pids)} people, {crops_per_camera} crops per camera")
    across = world.num_cameras * (crops_per_camera * (world.width + gap) + gap)
    sheet = np.full((len(pids) * (world.height + gap) + gap, across, 3), 255, dtype=np.uint8)
    for row, pid in enumerate(pids):
        top = gap + row * (world.height + gap)
        for camid in range(world.num_cameras):
            for index in range(crops_per_camera):
                left = (
                    gap + camid * (crops_per_camera * (world.width + gap) + gap) + index * (world.width + gap)
                )
                picture = decode(render_jpeg(world, pid, camid, index))
                sheet[top : top + world.height, left : left + world.width] = picture
    return sheet
