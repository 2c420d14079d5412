"""Running a program: its steps one after the other, for pictures side by side or one picture in parts."""

from __future__ import annotations

from typing import Any

import numpy as np

from omnireid.core.compiled import compiled, inlined
from omnireid.inference.native.kernels import (
    Memory,
    Network,
    Part,
    Pictures,
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
    target_size,
)
from omnireid.inference.native.matrix_tiles import configure_matrix_tiles, release_matrix_tiles
from omnireid.inference.native.products import Product, Source, Target, multiply_pixels
from omnireid.inference.native.program import (
    CONSTANT,
    EXTRA,
    HEIGHT,
    INPUTS,
    KIND,
    MEET,
    NORM,
    OUTPUTS,
    PANEL,
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
    STREAMS,
    TARGET,
    TRANSITION,
    WIDTH,
)
from omnireid.inference.native.sharing import count_up, give_way, pause, read_shared
from omnireid.inference.native.vectors import HAS_MATRIX_TILES, address, get_float, set_float

Array = Any


@compiled
def run(pictures: Pictures, network: Network, memory: Memory, tiles: Array, part: Part, sync: Array) -> None:
    """Embed pictures up to the means over conv5.

    With one part, pictures are taken from a counter that several threads share; each has activations of its
    own. With several parts, all threads work on the same picture, in the same activations.

    Args:
        tiles: how AMX is to be configured; empty where the precision does not use it.
        sync: three counters, all 0: pictures taken, arrivals at the barrier, a part will not come.
    """
    if HAS_MATRIX_TILES and len(tiles) > 0:
        configure_matrix_tiles(address(tiles, 0))
    steps = network.steps
    picture = count_up(sync, 0) if part.parts == 1 else 0
    while picture < pictures.crops.shape[0]:
        for index in range(steps.shape[0]):
            _run_step(pictures, picture, steps[index], network, memory, part)
            if part.parts > 1 and steps[index, MEET]:
                _meet(sync, part.parts)
        picture = count_up(sync, 0) if part.parts == 1 else picture + 1
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


@inlined
def _run_step(
    pictures: Pictures, picture: int, step: Array, network: Network, memory: Memory, part: Part
) -> None:
    kind = step[KIND]
    if kind == PREPARE:
        _prepare(pictures.crops[picture], step, network.constants, memory.activations, part)
    elif kind == STEM:
        _stem(step, network, memory, part)
    elif kind == POOL:
        _max_pool(step, memory.activations, part)
    elif kind == POINTWISE:
        first, end = share(step[HEIGHT], 1, part)
        first, end = first * step[WIDTH], end * step[WIDTH]
        source_at, target_at = step[SOURCE] + first * step[INPUTS], step[TARGET] + first * step[OUTPUTS]
        pointwise(step, network, memory, source_at, target_at, end - first)
    elif kind == STREAMS:
        # All of a part's rows; each level makes as many rows more as those after it need.
        for stream in range(len(network.depths)):
            for level in range(network.depths[stream]):
                lite(step, network, memory, stream, level, part)
    elif kind == RESTORE:
        _restore(step, network, memory, part)
    elif kind == NORM:
        normalise_instance(step, network.constants, memory.activations, part)
    elif kind == TRANSITION:
        _transition(step, network, memory, part)
    else:
        means(step, network.constants, memory.activations, pictures.features[picture], part)
        if len(pictures.maps):
            _copy_map(step, network.constants, memory.activations, pictures.maps[picture], part)


@compiled
def _prepare(crop: Array, step: Array, constants: Array, activations: Array, part: Part) -> None:
    """Bytes minus their centre, into the middle of the padded picture."""
    width, inputs, centre_at = crop.shape[1], step[INPUTS], step[CONSTANT]
    line = (width + 6) * inputs
    first, end = share(step[HEIGHT], 1, part)
    for row in range(first, end):
        at = step[TARGET] + (row + 3) * line + 3 * inputs
        for column in range(width):
            for colour in range(3):
                value = np.float32(crop[row, column, colour]) - constants[centre_at + colour]
                set_float(activations, at + column * inputs + colour, value)


@compiled
def _max_pool(step: Array, activations: Array, part: Part) -> None:
    """3×3 maximum, stride 2."""
    source, height, width, inputs = step[SOURCE], step[HEIGHT], step[WIDTH], step[INPUTS]
    line = width * inputs
    first, end = share((height + 1) // 2, 1, part)
    for row in range(first, end):
        above = source + (2 * row - 1) * line if row > 0 else -1
        below = source + (2 * row + 1) * line if 2 * row + 1 < height else -1
        out = step[TARGET] + row * ((width + 1) // 2) * inputs
        max_pool_row(activations, above, source + 2 * row * line, below, out, width, inputs)


@compiled
def _stem(step: Array, network: Network, memory: Memory, part: Part) -> None:
    """7×7, stride 2: a part's rows of its map, or of the 3×3 maximum over it, where EXTRA is 1."""
    height, width, channels = step[HEIGHT], step[WIDTH], step[OUTPUTS]
    line, chunk_at = width * channels, memory.chunk_at
    first, end = share(step[ROWS], 1, part)
    if step[EXTRA] == 0:
        for row in range(first, end):
            _stem_row(step, network, memory, row, step[TARGET] + row * line)
        return
    if first > 0 and first < end:
        before = 2 * first - 1
        _stem_row(step, network, memory, before, chunk_at + (before & 3) * line)
    for row in range(first, end):
        for mine in range(2 * row, min(2 * row + 2, height)):
            _stem_row(step, network, memory, mine, chunk_at + (mine & 3) * line)
        above = chunk_at + ((2 * row - 1) & 3) * line if row > 0 else -1
        here = chunk_at + ((2 * row) & 3) * line
        below = chunk_at + ((2 * row + 1) & 3) * line if 2 * row + 1 < height else -1
        out = step[TARGET] + row * ((width + 1) // 2) * channels
        max_pool_row(memory.activations, above, here, below, out, width, channels)


@compiled
def _stem_row(step: Array, network: Network, memory: Memory, row: int, target_at: int) -> None:
    activations = memory.activations
    size, out_size = activations.itemsize, target_size(step, activations)
    colours, channels = step[INPUTS], step[OUTPUTS]
    line = step[ROW_SIZE]
    bias = address(network.constants, step[CONSTANT])
    target = address(activations, step[TARGET]) + (target_at - step[TARGET]) * out_size
    multiply_pixels(
        step[PRODUCT],
        Product(
            Source(
                address(activations, step[SOURCE] + 2 * row * line),
                2 * colours * size,
                7,
                line * size,
                7 * colours,
            ),
            address(network.panels, step[PANEL]),
            channels,
            Target(target, channels * out_size, bias, 0, 0, step[RELU]),
            step[WIDTH],
            address(memory.room, memory.room_at),
            0,
        ),
    )


@compiled
def _restore(step: Array, network: Network, memory: Memory, part: Part) -> None:
    """Gate the streams, add them up, 1×1 back to the block's width, shortcut, ReLU."""
    channels, outputs = step[INPUTS], step[OUTPUTS]
    shortcut, inputs, chunk_at = step[SHORTCUT], step[SHORTCUT_INPUTS], memory.chunk_at
    gates(step, network, memory)
    first, end = share(step[HEIGHT], 1, part)
    first, end = first * step[WIDTH], end * step[WIDTH]
    for start in range(first, end, step[ROWS]):
        stop = min(start + step[ROWS], end)
        gated_sum(step, memory, len(network.depths), start, stop)
        if inputs:
            source_at, target_at = shortcut + start * inputs, chunk_at + channels
            copy_pixels(memory.activations, source_at, inputs, stop - start, target_at, channels + inputs)
        pointwise(step, network, memory, chunk_at, step[TARGET] + start * outputs, stop - start)


@compiled
def _transition(step: Array, network: Network, memory: Memory, part: Part) -> None:
    """1×1, ReLU, 2×2 mean; an odd last row is left out."""
    width, inputs, outputs = step[WIDTH], step[INPUTS], step[OUTPUTS]
    chunk_at = memory.chunk_at
    first, end = share(step[HEIGHT] // 2, 1, part)
    for start in range(first, end, step[ROWS]):
        stop = min(start + step[ROWS], end)
        source_at = step[SOURCE] + 2 * start * width * inputs
        pointwise(step, network, memory, source_at, chunk_at, 2 * (stop - start) * width)
        for row in range(start, stop):
            above = chunk_at + 2 * (row - start) * width * outputs
            out = step[TARGET] + row * (width // 2) * outputs
            mean_pool_row(memory.activations, above, above + width * outputs, out, width, outputs)


@compiled
def _copy_map(step: Array, constants: Array, activations: Array, feature_map: Array, part: Part) -> None:
    """(h · w, C) conv5, of a part's channels, in units of 1."""
    channels = step[INPUTS]
    first, end = share(channels, 16, part)
    for pixel in range(step[HEIGHT] * step[WIDTH]):
        for channel in range(first, end):
            value = get_float(activations, step[SOURCE] + pixel * channels + channel)
            feature_map[pixel, channel] = value * constants[step[CONSTANT] + channel]


@compiled
def embed_means(
    function: int,
    features: Array,
    weights: Array,
    bias_at: int,
    relu: int,
    constants: Array,
    embeddings: Array,
) -> None:
    """The last layer: (N, C) means → (N, D), ReLU where it is 1; by the float32 product."""
    inputs, outputs = features.shape[1], embeddings.shape[1]
    multiply_pixels(
        function,
        Product(
            Source(address(features, 0), 4 * inputs, 1, 0, inputs),
            address(weights, 0),
            outputs,
            Target(address(embeddings, 0), 4 * outputs, address(constants, bias_at), 0, 0, relu),
            len(features),
            0,
            0,
        ),
    )
