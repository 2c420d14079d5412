"""Running a program: its steps one after the other, for pictures side by side or one picture in parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from omnireid.core.compiled import compiled
from omnireid.inference.native.kernels import (
    copy_pixels,
    gated_sum,
    gates,
    lite,
    max_pool_row,
    mean_pool_row,
    means,
    normalise_instance,
    pointwise,
    share,
)
from omnireid.inference.native.products import Source, Target, multiply_pixels
from omnireid.inference.native.program import (
    CONSTANT,
    EXTRA,
    GATE,
    HEIGHT,
    HIDDEN,
    INPUTS,
    KIND,
    MEET,
    NORM,
    OUTPUTS,
    PANEL,
    PANEL_SIZE,
    POINTWISE,
    POOL,
    PREPARE,
    PRODUCT,
    RELU,
    RESTORE,
    ROW_SIZE,
    ROWS,
    SHORTCUT,
    SHORTCUT_INPUTS,
    SOURCE,
    STEM,
    STREAM_SIZE,
    STREAMS,
    TARGET,
    TRANSITION,
    WIDTH,
)
from omnireid.inference.native.vectors import (
    HAS_MATRIX_TILES,
    address,
    configure_matrix_tiles,
    count_up,
    get_float,
    give_way,
    pause,
    read_shared,
    release_matrix_tiles,
    set_float,
)

Array = Any


@compiled
def run(
    images: Array,
    steps: Array,
    depths: Array,
    panels: Array,
    constants: Array,
    activations: Array,
    chunk_at: int,
    streams_at: int,
    room: Array,
    room_at: int,
    ring_at: int,
    gates_at: int,
    sums: Array,
    features: Array,
    maps: Array,
    tiles: Array,
    part: int,
    parts: int,
    sync: Array,
) -> None:
    """Embed pictures up to the means over conv5.

    With one part, pictures are taken from a counter that several threads share; each has activations of its
    own. With several parts, all threads work on the same picture, in the same activations.

    Args:
        images: (N, H, W, 3) uint8, contiguous.
        activations, room, sums: see `engine`; `chunk_at`, `streams_at`, `room_at`, `ring_at` and `gates_at`
            say where this thread's own part lies.
        features: (N, C) float32, written.
        maps: (N, h, w, C) float32, written; with N = 0 they are not wanted.
        tiles: how AMX is to be configured; empty where the precision does not use it.
        sync: three counters, all 0: pictures taken, arrivals at the barrier, a part will not come.
    """
    if HAS_MATRIX_TILES and len(tiles) > 0:
        configure_matrix_tiles(address(tiles, 0))
    picture = count_up(sync, 0) if parts == 1 else 0
    while picture < images.shape[0]:
        for index in range(steps.shape[0]):
            _run_step(
                images,
                picture,
                steps[index],
                depths,
                panels,
                constants,
                activations,
                chunk_at,
                streams_at,
                room,
                room_at,
                ring_at,
                gates_at,
                sums,
                features,
                maps,
                part,
                parts,
            )
            if parts > 1 and steps[index, MEET]:
                _meet(sync, parts)
        picture = count_up(sync, 0) if parts == 1 else picture + 1
    if HAS_MATRIX_TILES and len(tiles) > 0:
        release_matrix_tiles()


@compiled
def _meet(sync: Array, parts: int) -> None:
    """Wait until all parts are here."""
    before = count_up(sync, 1)
    everyone = (before // parts + 1) * parts
    looks = 0
    while read_shared(sync, 1) < everyone and read_shared(sync, 2) == 0:
        looks += 1
        # A part that does not come may be waiting for this very core.
        if looks % 1000 == 0:
            give_way()
        else:
            pause()


@compiled
def _run_step(
    images: Array,
    picture: int,
    step: Array,
    depths: Array,
    panels: Array,
    constants: Array,
    activations: Array,
    chunk_at: int,
    streams_at: int,
    room: Array,
    room_at: int,
    ring_at: int,
    gates_at: int,
    sums: Array,
    features: Array,
    maps: Array,
    part: int,
    parts: int,
) -> None:
    kind = step[KIND]
    source, target, extra = step[SOURCE], step[TARGET], step[EXTRA]
    height, width, inputs, outputs = step[HEIGHT], step[WIDTH], step[INPUTS], step[OUTPUTS]
    pixels = height * width
    if kind == PREPARE:
        first, end = share(height, 1, part, parts)
        _prepare(images, picture, constants, step[CONSTANT], activations, target, inputs, first, end)
    elif kind == STEM:
        first, end = share(step[ROWS], 1, part, parts)
        _stem(step, first, end, panels, constants, activations, chunk_at, room, room_at)
    elif kind == POOL:
        first, end = share((height + 1) // 2, 1, part, parts)
        line = width * inputs
        for row in range(first, end):
            above = source + (2 * row - 1) * line if row > 0 else -1
            below = source + (2 * row + 1) * line if 2 * row + 1 < height else -1
            out = target + row * ((width + 1) // 2) * inputs
            max_pool_row(activations, above, source + 2 * row * line, below, activations, out, width, inputs)
    elif kind == POINTWISE:
        first, end = share(height, 1, part, parts)
        first, end = first * width, end * width
        pointwise(
            step[PRODUCT],
            activations,
            source + first * inputs,
            inputs,
            panels,
            step[PANEL],
            constants,
            step[CONSTANT],
            activations,
            target + first * outputs,
            outputs,
            end - first,
            -1,
            step[RELU],
            room,
            room_at,
        )
    elif kind == STREAMS:
        _streams(
            step,
            depths,
            panels,
            constants,
            activations,
            streams_at,
            room,
            room_at,
            ring_at,
            sums,
            part,
            parts,
        )
    elif kind == RESTORE:
        _restore(
            step,
            len(depths),
            panels,
            constants,
            activations,
            chunk_at,
            streams_at,
            room,
            room_at,
            gates_at,
            sums,
            part,
            parts,
        )
    elif kind == NORM:
        first, end = share(inputs, 16, part, parts)
        normalise_instance(
            activations,
            source,
            extra,
            target,
            constants,
            step[CONSTANT],
            pixels,
            inputs,
            step[RELU],
            first,
            end,
        )
    elif kind == TRANSITION:
        _transition(step, panels, constants, activations, chunk_at, room, room_at, part, parts)
    else:
        first, end = share(inputs, 16, part, parts)
        means(activations, source, pixels, inputs, features, picture * inputs, first, end)
        if len(maps):
            for pixel in range(pixels):
                for channel in range(first, end):
                    maps[picture, pixel, channel] = get_float(activations, source + pixel * inputs + channel)


@compiled
def _prepare(
    images: Array,
    picture: int,
    constants: Array,
    centre_at: int,
    activations: Array,
    target: int,
    inputs: int,
    first: int,
    end: int,
) -> None:
    """Bytes minus their centre, into the middle of the padded picture."""
    width = images.shape[2]
    line = (width + 6) * inputs
    for row in range(first, end):
        at = target + (row + 3) * line + 3 * inputs
        for column in range(width):
            for colour in range(3):
                value = np.float32(images[picture, row, column, colour]) - constants[centre_at + colour]
                set_float(activations, at + column * inputs + colour, value)


@compiled
def _stem(
    step: Array,
    first: int,
    end: int,
    panels: Array,
    constants: Array,
    activations: Array,
    chunk_at: int,
    room: Array,
    room_at: int,
) -> None:
    """7×7, stride 2: rows `first` to `end` of its map, or of the 3×3 maximum over it, where EXTRA is 1."""
    height, width, channels = step[HEIGHT], step[WIDTH], step[OUTPUTS]
    line = width * channels
    if step[EXTRA] == 0:
        for row in range(first, end):
            _stem_row(step, row, panels, constants, activations, step[TARGET] + row * line, room, room_at)
        return
    if first > 0 and first < end:
        before = 2 * first - 1
        _stem_row(step, before, panels, constants, activations, chunk_at + (before & 3) * line, room, room_at)
    for row in range(first, end):
        for mine in range(2 * row, min(2 * row + 2, height)):
            _stem_row(step, mine, panels, constants, activations, chunk_at + (mine & 3) * line, room, room_at)
        above = chunk_at + ((2 * row - 1) & 3) * line if row > 0 else -1
        here = chunk_at + ((2 * row) & 3) * line
        below = chunk_at + ((2 * row + 1) & 3) * line if 2 * row + 1 < height else -1
        out = step[TARGET] + row * ((width + 1) // 2) * channels
        max_pool_row(activations, above, here, below, activations, out, width, channels)


@compiled
def _stem_row(
    step: Array,
    row: int,
    panels: Array,
    constants: Array,
    activations: Array,
    target_at: int,
    room: Array,
    room_at: int,
) -> None:
    size = activations.itemsize
    colours, channels = step[INPUTS], step[OUTPUTS]
    line = step[ROW_SIZE]
    source = Source(
        address(activations, step[SOURCE] + 2 * row * line), 2 * colours * size, 7, line * size, 7 * colours
    )
    bias = address(constants, step[CONSTANT])
    target = Target(address(activations, target_at), channels * size, bias, 0, 0, step[RELU])
    multiply_pixels(
        step[PRODUCT],
        source,
        address(panels, step[PANEL]),
        channels,
        target,
        step[WIDTH],
        address(room, room_at),
        0,
    )


@compiled
def _streams(
    step: Array,
    depths: Array,
    panels: Array,
    constants: Array,
    activations: Array,
    streams_at: int,
    room: Array,
    room_at: int,
    ring_at: int,
    sums: Array,
    part: int,
    parts: int,
) -> None:
    """All streams for this part's rows; each level makes as many rows more as those after it need."""
    height, channels = step[HEIGHT], step[INPUTS]
    first, end = share(height, 1, part, parts)
    layer = 0
    for stream in range(len(depths)):
        target = streams_at + stream * step[STREAM_SIZE]
        for level in range(depths[stream]):
            more = depths[stream] - 1 - level
            lite(
                step[PRODUCT],
                activations,
                step[SOURCE] if level == 0 else target,
                target,
                panels,
                step[PANEL] + layer * step[PANEL_SIZE],
                constants,
                step[CONSTANT] + layer * 10 * channels,
                height,
                step[WIDTH],
                channels,
                max(first - more, 0),
                min(end + more, height),
                step[ROWS],
                room,
                room_at,
                ring_at,
                sums,
                stream * height * channels if more == 0 else -1,
            )
            layer += 1


@compiled
def _restore(
    step: Array,
    streams: int,
    panels: Array,
    constants: Array,
    activations: Array,
    chunk_at: int,
    streams_at: int,
    room: Array,
    room_at: int,
    gates_at: int,
    sums: Array,
    part: int,
    parts: int,
) -> None:
    """Gate the streams, add them up, 1×1 back to the block's width, shortcut, ReLU."""
    channels, outputs, extra = step[INPUTS], step[OUTPUTS], step[EXTRA]
    shortcut, inputs = step[SHORTCUT], step[SHORTCUT_INPUTS]
    height, width, stride = step[HEIGHT], step[WIDTH], channels + inputs
    gates(sums, constants, step[GATE], height, width, channels, step[HIDDEN], streams, room, gates_at)
    first, end = share(height, 1, part, parts)
    end *= width
    for start in range(first * width, end, step[ROWS]):
        stop = min(start + step[ROWS], end)
        gated_sum(
            activations,
            streams_at,
            step[STREAM_SIZE],
            streams,
            start,
            stop,
            channels,
            room,
            gates_at,
            chunk_at,
            stride,
        )
        if inputs:
            copy_pixels(
                activations, shortcut + start * inputs, inputs, stop - start, chunk_at + channels, stride
            )
        pointwise(
            step[PRODUCT],
            activations,
            chunk_at,
            stride,
            panels,
            step[PANEL],
            constants,
            step[CONSTANT],
            activations,
            step[TARGET] + start * outputs,
            outputs,
            stop - start,
            extra + start * outputs if extra >= 0 else -1,
            step[RELU],
            room,
            room_at,
        )


@compiled
def _transition(
    step: Array,
    panels: Array,
    constants: Array,
    activations: Array,
    chunk_at: int,
    room: Array,
    room_at: int,
    part: int,
    parts: int,
) -> None:
    """1×1, ReLU, 2×2 mean; an odd last row is left out."""
    width, inputs, outputs = step[WIDTH], step[INPUTS], step[OUTPUTS]
    first, end = share(step[HEIGHT] // 2, 1, part, parts)
    for start in range(first, end, step[ROWS]):
        stop = min(start + step[ROWS], end)
        pointwise(
            step[PRODUCT],
            activations,
            step[SOURCE] + 2 * start * width * inputs,
            inputs,
            panels,
            step[PANEL],
            constants,
            step[CONSTANT],
            activations,
            chunk_at,
            outputs,
            2 * (stop - start) * width,
            -1,
            1,
            room,
            room_at,
        )
        for row in range(start, stop):
            above = chunk_at + 2 * (row - start) * width * outputs
            out = step[TARGET] + row * (width // 2) * outputs
            mean_pool_row(activations, above, above + width * outputs, activations, out, width, outputs)


@compiled
def embed_means(
    function: int, features: Array, weights: Array, bias_at: int, constants: Array, embeddings: Array
) -> None:
    """The last layer: (N, C) means → (N, D), ReLU; by the float32 product."""
    inputs, outputs = features.shape[1], embeddings.shape[1]
    multiply_pixels(
        function,
        Source(address(features, 0), 4 * inputs, 1, 0, inputs),
        address(weights, 0),
        outputs,
        Target(address(embeddings, 0), 4 * outputs, address(constants, bias_at), 0, 0, 1),
        len(features),
        0,
        0,
    )
