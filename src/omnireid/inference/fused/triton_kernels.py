"""Triton kernels of OSNet on a GPU. Needs the extra `gpu`.

Activations lie channels last, (N, H·W, C), in bfloat16, float16 or float32; products add up in float32. A
program works on one picture's pixels, except where it says otherwise. Capitals are fixed when a kernel is
compiled. Weights of a 1×1 convolution lie (in, out), those of a Lite 3×3 (out, in). See docs/decisions/0009.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

from __future__ import annotations

from omnireid.core.errors import MissingExtraError

try:
    import triton
    import triton.language as tl
except ImportError as error:
    raise MissingExtraError("the Triton kernels", "gpu") from error


@triton.jit
def add_product(
    acc,
    x,
    inside,
    weights,
    columns,
    IN: tl.constexpr,
    OUT: tl.constexpr,
    BLOCK_K: tl.constexpr,
    PRECISION: tl.constexpr,
):
    """acc + x @ weights for a block of rows: `x` (M,) points at their first channels, `inside` hides rows."""
    for start in range(0, IN, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        a = tl.load(x[:, None] + k[None, :], mask=inside[:, None] & (k < IN)[None, :], other=0.0)
        b = tl.load(
            weights + k[:, None] * OUT + columns[None, :],
            mask=(k < IN)[:, None] & (columns < OUT)[None, :],
            other=0.0,
        )
        acc = tl.dot(a, b, acc, input_precision=PRECISION)
    return acc


@triton.jit
def store_moments(value, inside, moments, columns, OUT: tl.constexpr):
    """Mean and sum of squared deviations of a block's rows, for instance norms: two rows of OUT floats."""
    count = tl.sum(inside.to(tl.float32))
    mean = tl.sum(tl.where(inside[:, None], value, 0.0), axis=0) / count
    deviation = tl.where(inside[:, None], value - mean[None, :], 0.0)
    tl.store(moments + columns, mean, mask=columns < OUT)
    tl.store(moments + OUT + columns, tl.sum(deviation * deviation, axis=0), mask=columns < OUT)


@triton.jit
def stem_kernel(
    crops, weights, bias, out, moments, height, width, out_height, out_width,
    TAPS: tl.constexpr, OUT: tl.constexpr, RELU: tl.constexpr, MOMENTS: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """7×7, stride 2, of uint8 RGB (N, H, W, 3) → (N, H/2·W/2, OUT).

    Grid: pictures, blocks of pixels, of channels.
    The fourth channel is 1 inside the picture and 0 outside. Its weights carry what normalisation adds, so
    the padding is zero after normalisation, as in the network. 128 is taken off every value: what is left is
    exact in bfloat16, and normalisation adds next to nothing to it.
    """
    picture = tl.program_id(0).to(tl.int64)
    pixel = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(2) * BLOCK_N + tl.arange(0, BLOCK_N)
    pixels = out_height * out_width
    inside = pixel < pixels
    top = pixel // out_width * 2 - 3
    tap = tl.arange(0, TAPS)
    channel = tap % 4
    column = pixel[:, None] % out_width * 2 - 3 + tap[None, :] // 4
    crop = crops + picture * height * width * 3
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for ky in range(7):
        row = top[:, None] + ky
        there = inside[:, None] & (row >= 0) & (row < height) & (column >= 0) & (column < width)
        colour = tl.load(
            crop + (row * width + column) * 3 + channel[None, :],
            mask=there & (channel < 3)[None, :],
            other=129,
        )
        # Where there is no colour the byte is 129, so 1 remains; outside nothing does.
        a = tl.where(there, colour.to(tl.float32) - 128.0, 0.0).to(out.dtype.element_ty)
        b = tl.load(
            weights + (ky * TAPS + tap)[:, None] * OUT + columns[None, :],
            mask=(columns < OUT)[None, :],
            other=0.0,
        )
        acc = tl.dot(a, b, acc, input_precision=PRECISION)
    value = acc + tl.load(bias + columns, mask=columns < OUT, other=0.0)[None, :]
    if RELU:
        value = tl.maximum(value, 0.0)
    if MOMENTS:
        block = picture * tl.num_programs(1) + tl.program_id(1)
        store_moments(value, inside, moments + block * 2 * OUT, columns, OUT)
    tl.store(
        out + (picture * pixels + pixel)[:, None] * OUT + columns[None, :],
        value.to(out.dtype.element_ty),
        mask=inside[:, None] & (columns < OUT)[None, :],
    )


@triton.jit
def max_pool_kernel(
    x, scale_shift, out, height, width, out_height, out_width,
    C: tl.constexpr, NORM: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr,
):  # fmt: skip
    """3×3 maximum, stride 2, of (N, H·W, C). With NORM values are scaled, shifted and rectified first."""
    picture = tl.program_id(0).to(tl.int64)
    pixel = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(2) * BLOCK_N + tl.arange(0, BLOCK_N)
    pixels = out_height * out_width
    inside = (pixel < pixels)[:, None] & (columns < C)[None, :]
    best = tl.full((BLOCK_M, BLOCK_N), float("-inf"), tl.float32)
    if NORM:
        scale = tl.load(scale_shift + picture * 2 * C + columns, mask=columns < C, other=0.0)[None, :]
        shift = tl.load(scale_shift + (picture * 2 + 1) * C + columns, mask=columns < C, other=0.0)[None, :]
    for dy in tl.static_range(3):
        for dx in tl.static_range(3):
            row = (pixel // out_width * 2 + dy - 1)[:, None]
            column = (pixel % out_width * 2 + dx - 1)[:, None]
            there = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            at = x + (picture * height * width + row * width + column) * C + columns[None, :]
            value = tl.load(at, mask=there, other=float("-inf")).to(tl.float32)
            if NORM:
                value = tl.where(there, tl.maximum(value * scale + shift, 0.0), float("-inf"))
            best = tl.maximum(best, value)
    at = out + (picture * pixels + pixel)[:, None] * C + columns[None, :]
    tl.store(at, best.to(out.dtype.element_ty), mask=inside)


@triton.jit
def reduce_kernel(
    x, weights, bias, out, pixels,
    IN: tl.constexpr, OUT: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """1×1 and ReLU: (pixels, IN) → (pixels, OUT). Grid: blocks of all pictures' pixels, of channels."""
    pixel = tl.program_id(0).to(tl.int64) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = pixel < pixels
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    acc = add_product(acc, x + pixel * IN, inside, weights, columns, IN, OUT, BLOCK_K, PRECISION)
    value = tl.maximum(acc + tl.load(bias + columns, mask=columns < OUT, other=0.0)[None, :], 0.0)
    tl.store(
        out + pixel[:, None] * OUT + columns[None, :],
        value.to(out.dtype.element_ty),
        mask=inside[:, None] & (columns < OUT)[None, :],
    )


@triton.jit
def pointwise_at(
    weights, rest, line, column, there, width,
    C: tl.constexpr, PRECISION: tl.constexpr, BLOCK_K: tl.constexpr, REST_K: tl.constexpr,
):  # fmt: skip
    """weights (out, in) @ the pixels at `column` (P,) of their rows: (out, P); 0 outside the picture.

    Channels that a power of two leaves over are multiplied by `rest`.
    """
    inside = (there & (column >= 0) & (column < width))[None, :]
    pixel = (line + column * C)[None, :]
    k = tl.arange(0, BLOCK_K)
    x = tl.load(pixel + k[:, None], mask=inside & (k < C)[:, None], other=0.0)
    product = tl.dot(weights, x, input_precision=PRECISION)
    if REST_K > 0:
        k = BLOCK_K + tl.arange(0, REST_K)
        x = tl.load(pixel + k[:, None], mask=inside & (k < C)[:, None], other=0.0)
        product = tl.dot(rest, x, product, input_precision=PRECISION)
    return product


@triton.jit
def lite_kernel(
    slabs, level, pointwise, depthwise, bias, sums, slab_size, height, width, strips, parts, tiles,
    C: tl.constexpr, PRECISION: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    TILES: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_K: tl.constexpr, REST_K: tl.constexpr,
):  # fmt: skip
    """Lite 3×3 of every stream that is deep enough. Grid: groups of tiles, streams, blocks of channels.

    A tile is ROWS × COLUMNS pixels; a program walks TILES of them down at once, in any pictures. At each row
    it makes the pointwise result three times, for the pixels at the left, here and at the right, and adds it
    to the three rows of outputs that see it: the pointwise result never leaves the registers, and each output
    row is written once. Channels are the rows of the product, so a thread holds few depthwise weights.

    Args:
        slabs: activations, slabs of `slab_size` elements.
        level: (streams, 4) int32: layer, slab read, slab written, and row of `sums` (−1: no last layer).
        pointwise, depthwise, bias: (layers, C, C), (layers, 9, C), (layers, C).
        sums: (T, tiles, C) float32, each tile's sums of outputs; its means are what the gate takes.
        strips, parts: tiles down and across one picture; `tiles` of all pictures.
    """
    stream = level + tl.program_id(1) * 4
    layer = tl.load(stream)
    source = slabs + tl.load(stream + 1).to(tl.int64) * slab_size
    target = slabs + tl.load(stream + 2).to(tl.int64) * slab_size
    gate_row = tl.load(stream + 3)

    channels = tl.program_id(2) * BLOCK_C + tl.arange(0, BLOCK_C)
    exists = channels < C
    position = tl.arange(0, TILES * COLUMNS)
    tile = tl.program_id(0) * TILES + position // COLUMNS
    column = tile % parts * COLUMNS + position % COLUMNS
    top = tile // parts % strips * ROWS
    picture = tile // (parts * strips)
    real = (tile < tiles) & (column < width)

    rows = pointwise + (layer * C + channels)[:, None] * C
    k = tl.arange(0, BLOCK_K)
    weights = tl.load(rows + k[None, :], mask=exists[:, None] & (k < C)[None, :], other=0.0)
    rest = weights
    if REST_K > 0:
        k = BLOCK_K + tl.arange(0, REST_K)
        rest = tl.load(rows + k[None, :], mask=exists[:, None] & (k < C)[None, :], other=0.0)
    shift = tl.load(bias + layer * C + channels, mask=exists, other=0.0)[:, None]
    taps = depthwise + layer * 9 * C + channels
    w00 = tl.load(taps, mask=exists, other=0.0)[:, None]
    w01 = tl.load(taps + C, mask=exists, other=0.0)[:, None]
    w02 = tl.load(taps + 2 * C, mask=exists, other=0.0)[:, None]
    w10 = tl.load(taps + 3 * C, mask=exists, other=0.0)[:, None]
    w11 = tl.load(taps + 4 * C, mask=exists, other=0.0)[:, None]
    w12 = tl.load(taps + 5 * C, mask=exists, other=0.0)[:, None]
    w20 = tl.load(taps + 6 * C, mask=exists, other=0.0)[:, None]
    w21 = tl.load(taps + 7 * C, mask=exists, other=0.0)[:, None]
    w22 = tl.load(taps + 8 * C, mask=exists, other=0.0)[:, None]

    above = tl.zeros((BLOCK_C, TILES * COLUMNS), tl.float32)
    here = tl.zeros((BLOCK_C, TILES * COLUMNS), tl.float32)
    total = tl.zeros((BLOCK_C, TILES * COLUMNS), tl.float32)
    for step in range(ROWS + 2):
        row = top + step - 1
        line = source + (picture * height + row) * width * C
        there = real & (row >= 0) & (row < height)
        product = pointwise_at(weights, rest, line, column - 1, there, width, C, PRECISION, BLOCK_K, REST_K)
        above += w20 * product
        here += w10 * product
        below = w00 * product
        product = pointwise_at(weights, rest, line, column, there, width, C, PRECISION, BLOCK_K, REST_K)
        above += w21 * product
        here += w11 * product
        below += w01 * product
        product = pointwise_at(weights, rest, line, column + 1, there, width, C, PRECISION, BLOCK_K, REST_K)
        above += w22 * product
        here += w12 * product
        below += w02 * product
        # `above` has seen its three rows. The first two of a walk belong to the tile above.
        value = tl.maximum(above + shift, 0.0)
        done = row - 1
        keep = (real & (done >= top) & (done < height))[None, :] & exists[:, None]
        out = target + ((picture * height + done) * width + column)[None, :] * C + channels[:, None]
        tl.store(out, value.to(slabs.dtype.element_ty), mask=keep)
        total += tl.where(keep, value, 0.0)
        above = here
        here = below
    if gate_row >= 0:
        tile_sums = tl.sum(tl.reshape(total, (BLOCK_C, TILES, COLUMNS)), axis=2)
        which = tl.program_id(0) * TILES + tl.arange(0, TILES)
        tl.store(
            sums + (gate_row * tiles + which)[None, :] * C + channels[:, None],
            tile_sums,
            mask=(which < tiles)[None, :] & exists[:, None],
        )


@triton.jit
def gate_kernel(
    sums, reduce, reduce_bias, restore, restore_bias, gates, pixels, pictures, tiles,
    C: tl.constexpr, HIDDEN: tl.constexpr,
    BLOCK_T: tl.constexpr, BLOCK_C: tl.constexpr, BLOCK_H: tl.constexpr,
):  # fmt: skip
    """The shared gate: sums (T, N·tiles, C) → weights (T, N, C) in (0, 1). Grid: pictures, streams."""
    row = tl.program_id(1) * pictures + tl.program_id(0)
    channels = tl.arange(0, BLOCK_C)
    hidden = tl.arange(0, BLOCK_H)
    exists = channels < C
    both = (hidden < HIDDEN)[:, None] & exists[None, :]
    total = tl.zeros((BLOCK_C,), tl.float32)
    for start in range(0, tiles, BLOCK_T):
        tile = start + tl.arange(0, BLOCK_T)
        at = sums + (row * tiles + tile)[:, None] * C + channels[None, :]
        total += tl.sum(tl.load(at, mask=(tile < tiles)[:, None] & exists[None, :], other=0.0), axis=0)
    means = total / pixels
    weights = tl.load(reduce + hidden[:, None] * C + channels[None, :], mask=both, other=0.0)
    inner = tl.sum(weights * means[None, :], axis=1) + tl.load(
        reduce_bias + hidden, mask=hidden < HIDDEN, other=0.0
    )
    inner = tl.maximum(inner, 0.0)
    weights = tl.load(restore + channels[None, :] * HIDDEN + hidden[:, None], mask=both, other=0.0)
    outer = tl.sum(weights * inner[:, None], axis=0) + tl.load(
        restore_bias + channels, mask=exists, other=0.0
    )
    tl.store(gates + row * C + channels, tl.sigmoid(outer), mask=exists)


@triton.jit
def restore_kernel(
    slabs, gates, weights, shortcut, shortcut_weights, bias, out, moments, slab_size, pixels, pictures,
    T: tl.constexpr, C: tl.constexpr, IN: tl.constexpr, OUT: tl.constexpr, SHORTCUT: tl.constexpr,
    RELU: tl.constexpr, MOMENTS: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """The end of a block: streams weighed by their gates and added as they are read, 1×1, shortcut, ReLU.

    Grid: pictures, blocks of pixels, blocks of channels. Stream t lies in slab t.

    Args:
        shortcut: the block's input, (N, pixels, IN). SHORTCUT is "none", "identity" or "convolution", whose
            product goes into the same sum.
        moments: with MOMENTS, (N, blocks, 2, OUT) float32 for an instance norm.
    """
    picture = tl.program_id(0).to(tl.int64)
    pixel = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(2) * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = pixel < pixels
    row = picture * pixels + pixel
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in tl.static_range(0, C, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        there = inside[:, None] & (k < C)[None, :]
        gated = tl.zeros((BLOCK_M, BLOCK_K), tl.float32)
        for stream in tl.static_range(T):
            gate = tl.load(gates + (stream * pictures + picture) * C + k, mask=k < C, other=0.0)
            at = slabs + stream * slab_size + row[:, None] * C + k[None, :]
            gated += tl.load(at, mask=there, other=0.0).to(tl.float32) * gate[None, :]
        b = tl.load(
            weights + k[:, None] * OUT + columns[None, :],
            mask=(k < C)[:, None] & (columns < OUT)[None, :],
            other=0.0,
        )
        acc = tl.dot(gated.to(slabs.dtype.element_ty), b, acc, input_precision=PRECISION)
    if SHORTCUT == "convolution":
        acc = add_product(
            acc, shortcut + row * IN, inside, shortcut_weights, columns, IN, OUT, BLOCK_K, PRECISION
        )
    value = acc + tl.load(bias + columns, mask=columns < OUT, other=0.0)[None, :]
    keep = inside[:, None] & (columns < OUT)[None, :]
    if SHORTCUT == "identity":
        at = shortcut + row[:, None] * OUT + columns[None, :]
        value += tl.load(at, mask=keep, other=0.0).to(tl.float32)
    if RELU:
        value = tl.maximum(value, 0.0)
    if MOMENTS:
        block = picture * tl.num_programs(1) + tl.program_id(1)
        store_moments(value, inside, moments + block * 2 * OUT, columns, OUT)
    tl.store(out + row[:, None] * OUT + columns[None, :], value.to(out.dtype.element_ty), mask=keep)


@triton.jit
def norm_kernel(
    moments, weight, bias, scale_shift, pixels, blocks, block_pixels, EPSILON: tl.constexpr,
    C: tl.constexpr, BLOCK_C: tl.constexpr,
):  # fmt: skip
    """An instance norm as scale and shift: moments (N, blocks, 2, C) → (N, 2, C).

    Grid: pictures, blocks of channels. Deviations are taken from each block's own mean and put together
    afterwards: the difference of two large numbers, E(x²) − E(x)², is never formed.
    """
    picture = tl.program_id(0).to(tl.int64)
    channels = tl.program_id(1) * BLOCK_C + tl.arange(0, BLOCK_C)
    exists = channels < C
    start = moments + picture * blocks * 2 * C + channels
    total = tl.zeros((BLOCK_C,), tl.float32)
    for block in range(blocks):
        count = tl.minimum(pixels - block * block_pixels, block_pixels)
        total += tl.load(start + block * 2 * C, mask=exists, other=0.0) * count
    mean = total / pixels
    squares = tl.zeros((BLOCK_C,), tl.float32)
    for block in range(blocks):
        count = tl.minimum(pixels - block * block_pixels, block_pixels)
        away = tl.load(start + block * 2 * C, mask=exists, other=0.0) - mean
        squares += tl.load(start + (block * 2 + 1) * C, mask=exists, other=0.0) + away * away * count
    scale = tl.load(weight + channels, mask=exists, other=0.0) / tl.sqrt(squares / pixels + EPSILON)
    shift = tl.load(bias + channels, mask=exists, other=0.0) - mean * scale
    tl.store(scale_shift + picture * 2 * C + channels, scale, mask=exists)
    tl.store(scale_shift + (picture * 2 + 1) * C + channels, shift, mask=exists)


@triton.jit
def normalise_kernel(
    x, scale_shift, shortcut, shortcut_weights, bias, out, pixels,
    IN: tl.constexpr, OUT: tl.constexpr, SHORTCUT: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """The end of a block with an instance norm: ReLU(x · scale + shift + shortcut); as `restore_kernel`."""
    picture = tl.program_id(0).to(tl.int64)
    pixel = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(2) * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = pixel < pixels
    row = picture * pixels + pixel
    keep = inside[:, None] & (columns < OUT)[None, :]
    value = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    if SHORTCUT == "convolution":
        value = add_product(
            value, shortcut + row * IN, inside, shortcut_weights, columns, IN, OUT, BLOCK_K, PRECISION
        )
        value += tl.load(bias + columns, mask=columns < OUT, other=0.0)[None, :]
    at = row[:, None] * OUT + columns[None, :]
    if SHORTCUT == "identity":
        value += tl.load(shortcut + at, mask=keep, other=0.0).to(tl.float32)
    scale = tl.load(scale_shift + picture * 2 * OUT + columns, mask=columns < OUT, other=0.0)
    shift = tl.load(scale_shift + (picture * 2 + 1) * OUT + columns, mask=columns < OUT, other=0.0)
    value += tl.load(x + at, mask=keep, other=0.0).to(tl.float32) * scale[None, :] + shift[None, :]
    tl.store(out + at, tl.maximum(value, 0.0).to(out.dtype.element_ty), mask=keep)


@triton.jit
def transition_kernel(
    x, weights, bias, out, height, width,
    C: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """1×1, ReLU and the mean of 2×2 pixels: (N, H·W, C) → (N, H/2·W/2, C).

    Grid: pictures, blocks of BLOCK_M / 4 outputs, of channels. An output's four pixels stand side by side.
    """
    picture = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(2) * BLOCK_N + tl.arange(0, BLOCK_N)
    out_width = width // 2
    pixels = height // 2 * out_width
    member = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    quad = member // 4
    row = quad // out_width * 2 + member % 4 // 2
    column = quad % out_width * 2 + member % 2
    rows = x + (picture * height * width + row * width + column) * C
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    acc = add_product(acc, rows, quad < pixels, weights, columns, C, C, BLOCK_K, PRECISION)
    value = tl.maximum(acc + tl.load(bias + columns, mask=columns < C, other=0.0)[None, :], 0.0)
    means = tl.sum(tl.reshape(value, (BLOCK_M // 4, 4, BLOCK_N)), axis=1) * 0.25
    pixel = tl.program_id(1) * (BLOCK_M // 4) + tl.arange(0, BLOCK_M // 4)
    tl.store(
        out + (picture * pixels + pixel)[:, None] * C + columns[None, :],
        means.to(out.dtype.element_ty),
        mask=(pixel < pixels)[:, None] & (columns < C)[None, :],
    )


@triton.jit
def head_kernel(
    x, weights, bias, maps, sums, pixels,
    IN: tl.constexpr, OUT: tl.constexpr, MAPS: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """conv5: 1×1 and ReLU, of which only each block's sums are kept, (N, blocks, OUT) float32.

    Grid: pictures, blocks of pixels, of channels. With MAPS the feature maps (N, pixels, OUT) are written,
    in float32.
    """
    picture = tl.program_id(0).to(tl.int64)
    pixel = tl.program_id(1) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(2) * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = pixel < pixels
    row = picture * pixels + pixel
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    acc = add_product(acc, x + row * IN, inside, weights, columns, IN, OUT, BLOCK_K, PRECISION)
    value = tl.maximum(acc + tl.load(bias + columns, mask=columns < OUT, other=0.0)[None, :], 0.0)
    value = tl.where(inside[:, None], value, 0.0)
    block = picture * tl.num_programs(1) + tl.program_id(1)
    tl.store(sums + block * OUT + columns, tl.sum(value, axis=0), mask=columns < OUT)
    if MAPS:
        at = maps + row[:, None] * OUT + columns[None, :]
        tl.store(at, value, mask=inside[:, None] & (columns < OUT)[None, :])


@triton.jit
def embedding_kernel(
    sums, weights, bias, out, pictures, pixels, blocks,
    IN: tl.constexpr, OUT: tl.constexpr, PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr, BLOCK_N: tl.constexpr, BLOCK_K: tl.constexpr,
):  # fmt: skip
    """The embedding of conv5's means: sums (N, blocks, IN) → (N, OUT). Grid: pictures, blocks of channels."""
    picture = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = picture < pictures
    acc = tl.zeros((BLOCK_M, BLOCK_N), tl.float32)
    for start in range(0, IN, BLOCK_K):
        k = start + tl.arange(0, BLOCK_K)
        there = inside[:, None] & (k < IN)[None, :]
        total = tl.zeros((BLOCK_M, BLOCK_K), tl.float32)
        for block in range(blocks):
            at = sums + (picture * blocks + block)[:, None] * IN + k[None, :]
            total += tl.load(at, mask=there, other=0.0)
        b = tl.load(
            weights + k[:, None] * OUT + columns[None, :],
            mask=(k < IN)[:, None] & (columns < OUT)[None, :],
            other=0.0,
        )
        acc = tl.dot((total / pixels).to(weights.dtype.element_ty), b, acc, input_precision=PRECISION)
    value = tl.maximum(acc + tl.load(bias + columns, mask=columns < OUT, other=0.0)[None, :], 0.0)
    at = out + picture[:, None] * OUT + columns[None, :]
    tl.store(at, value, mask=inside[:, None] & (columns < OUT)[None, :])
