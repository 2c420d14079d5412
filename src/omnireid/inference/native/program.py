"""From folded weights to a program: steps, weights in the order they are read, places in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32, Float64, Int64
from omnireid.core.card import InputSpec
from omnireid.core.errors import InputError
from omnireid.inference.backends.tiny_weights import TINY
from omnireid.inference.fused.fold import Block, Convolution, FoldedOSNet, InstanceNorm
from omnireid.inference.native.precision import MIN_SIZE, NativePrecision
from omnireid.inference.native.products import (
    SPLIT_PIXELS,
    TILE_FLOATS,
    product_address,
    tile_height,
    tile_width,
)
from omnireid.inference.native.vectors import CHANNELS, HAS_MATRIX_TILES, TILES

# Kinds of steps.
PREPARE, STEM, POOL, POINTWISE, STREAMS, RESTORE, NORM, TRANSITION, MEANS = range(9)

# Columns of the table of steps. Places count elements, those of panels bytes; −1 is nowhere.
(
    KIND,
    SOURCE,
    TARGET,
    EXTRA,
    PANEL,
    CONSTANT,
    HEIGHT,
    WIDTH,
    INPUTS,
    OUTPUTS,
    ROWS,
    RELU,
    ROW_SIZE,
    STREAM_SIZE,
    PANEL_SIZE,
    GATE,
    HIDDEN,
    SHORTCUT,
    SHORTCUT_INPUTS,
    PRODUCT,
    MEET,
) = range(21)
NUM_COLUMNS = 21

_ALIGNMENT = 64
_RING_FLOATS = 6144  # 24 KiB at most for each half of the ring: both stay in the first cache
_CHUNK_PIXELS = 96  # a multiple of every tile's height
_MIN_PIXELS = 16  # what a tile of AMX reads at least


@dataclass(frozen=True)
class Program:
    """Everything that running a network on pictures of one size takes, and that never changes.

    Attributes:
        steps: (S, 21) int64.
        panels: pointwise weights, float32 or bfloat16 (uint16).
        constants: biases, depthwise weights, gates and norms, float32.
        embedding: the last layer's weights, float32, and `embedding_bias` the place of its bias; a ReLU
            follows where `embedding_relu` is 1.
        pooling_power: of the generalised mean that the last layer takes.
        depths: depths of the streams.
        activations: their dtype; uint16 holds bfloat16.
        num_activations: elements that a picture needs besides those of its parts, which begin at `parts_at`.
        part_size, room_size: what each part needs for itself, of activations and of float32.
        streams_at: place of a part's streams behind its chunk.
        ring_at, gates_at: places in a part's room.
        padding: (C,) what lies around the picture.
        image: place, height and width of the padded picture.
    """

    steps: Int64
    panels: npt.NDArray[Any]
    constants: Float32
    embedding: Float32
    embedding_bias: int
    embedding_relu: int
    pooling_power: float
    depths: Int64
    activations: np.dtype[Any]
    num_activations: int
    parts_at: int
    part_size: int
    streams_at: int
    room_size: int
    ring_at: int
    gates_at: int
    num_sums: int
    padding: Float32
    image: tuple[int, int, int]
    map_shape: tuple[int, int, int]
    num_features: int
    num_embeddings: int

    @property
    def num_embeddings_padded(self) -> int:
        """What the last layer writes."""
        return padded(self.num_embeddings)


def compile_program(network: FoldedOSNet, spec: InputSpec, precision: NativePrecision) -> Program:
    """Lay a network out for pictures of `spec`.

    Raises:
        InputError: pictures smaller than 16×16.
    """
    if min(spec.height, spec.width) < MIN_SIZE:
        raise InputError(
            f"input {spec.height}×{spec.width}: this engine takes pictures from {MIN_SIZE}×{MIN_SIZE} on"
        )
    return _Compiler(network, spec, precision).program()


def to_bfloat16(values: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
    """Rounded to the nearest, ties to even; finite values."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bfloat16(bits: npt.NDArray[np.uint16]) -> Float32:
    """The values that bfloat16 stand for."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def padded(channels: int) -> int:
    """The next multiple of 16."""
    return -(-channels // CHANNELS) * CHANNELS


class _Compiler:
    def __init__(self, network: FoldedOSNet, spec: InputSpec, precision: NativePrecision) -> None:
        self._network = network
        self._spec = spec
        self._precision = precision
        self._halves = precision == "bf16"
        self._split = 0
        self._steps: list[list[int]] = []
        self._panels: list[npt.NDArray[Any]] = []
        self._num_panels = 0
        self._constants: list[Float32] = []
        self._num_constants = 0
        self._num_activations = 0
        self._chunk = 0
        self._line = 0
        self._ring = 0
        self._widest = 0
        self._streams_size = 0
        self._num_sums = 0
        self._scale, self._shift = (np.asarray(value, np.float64) for value in spec.scale_shift())

    def program(self) -> Program:
        network, spec = self._network, self._spec
        height, width = -(-spec.height // 2), -(-spec.width // 2)
        pooled = (-(-height // 2), -(-width // 2))
        last = 2 * network.config.last_stride
        sizes = [pooled, (pooled[0] // 2, pooled[1] // 2), (pooled[0] // last, pooled[1] // last)]
        outputs = [padded(stage[0].restore.weight.shape[0]) for stage in network.stages]
        image, padding = self._prepare()
        stem_channels = padded(len(network.stem.bias))
        largest = max(
            [pooled[0] * pooled[1] * stem_channels]
            + [h * w * channels for (h, w), channels in zip(sizes, outputs, strict=True)]
        )
        here, there = self._place(largest), self._place(largest)
        raw = self._place(largest) if self._has_instance_norms() else -1
        self._stem(image, here, raw, height, width)
        bottleneck = max(
            h * w * padded(stage[0].reduce.weight.shape[0])
            for (h, w), stage in zip(sizes, network.stages, strict=True)
        )
        reduced = self._place(bottleneck)
        for stage, blocks in enumerate(network.stages):
            for block in blocks:
                self._block(block, here, there, raw, reduced, *sizes[stage])
                here, there = there, here
            if stage < 2:
                halves = sizes[stage + 1] != sizes[stage]
                join = self._transition if halves else self._pointwise
                join(network.transitions[stage], here, there, *sizes[stage])
                here, there = there, here
        channels = self._pointwise(network.head, here, there, *sizes[2])
        self._step(kind=MEANS, source=there, height=sizes[2][0], width=sizes[2][1], inputs=channels)
        embedding, embedding_bias = self._embedding(channels)
        ring_at = TILE_FLOATS + self._split + self._line
        gates_at = ring_at + self._ring + _MIN_PIXELS * self._widest
        num_gates = (len(network.config.stream_depths) + 1) * self._widest
        chunk_size = _aligned(self._chunk + _MIN_PIXELS * 2 * max(outputs))
        self._let_parts_go_on()
        room_size = _aligned(gates_at + num_gates)
        return Program(
            steps=np.array(self._steps, np.int64),
            panels=np.concatenate(self._panels),
            constants=np.concatenate(self._constants),
            embedding=embedding,
            embedding_bias=embedding_bias,
            embedding_relu=int(not network.config.neck),
            pooling_power=network.config.pooling_power,
            depths=np.array(network.config.stream_depths, np.int64),
            activations=np.dtype(np.uint16 if self._halves else np.float32),
            num_activations=self._num_activations,
            parts_at=self._num_activations,
            part_size=_aligned(chunk_size + self._streams_size + _MIN_PIXELS * self._widest),
            streams_at=chunk_size,
            room_size=room_size,
            ring_at=ring_at,
            gates_at=gates_at,
            num_sums=self._num_sums,
            padding=padding,
            image=image,
            map_shape=(*sizes[2], channels),
            num_features=channels,
            num_embeddings=len(network.embedding.bias),
        )

    def _let_parts_go_on(self) -> None:
        """No meeting where the next step reads nothing but what the same part wrote: rows of the same map."""
        for step, following in zip(self._steps, self._steps[1:], strict=False):
            by_rows = step[KIND] == RESTORE or (step[KIND] == STEM and step[EXTRA] == 1)
            rows = step[ROWS] if step[KIND] == STEM else step[HEIGHT]
            if by_rows and following[KIND] == POINTWISE and following[HEIGHT] == rows:
                step[MEET] = 0

    def _has_instance_norms(self) -> bool:
        blocks = [block for stage in self._network.stages for block in stage]
        return self._network.stem_norm is not None or any(block.inside or block.after for block in blocks)

    # Places and weights

    def _place(self, size: int) -> int:
        """A place for activations; what a tile reads beyond the last pixel is there too."""
        place = self._num_activations
        self._num_activations += _aligned(size + _MIN_PIXELS * 64)
        return place

    def _constant(self, *arrays: npt.NDArray[Any]) -> int:
        place = self._num_constants
        for array in arrays:
            self._constants.append(_without_tiny(array).astype(np.float32).ravel())
            self._num_constants += array.size
        surplus = _aligned(self._num_constants) - self._num_constants
        self._constants.append(np.zeros(surplus, np.float32))
        self._num_constants += surplus
        return place

    def _panel(self, weight: Float64) -> int:
        """Store (O, runs, length) weights in the order a product reads them."""
        place = self._num_panels
        weight = _without_tiny(weight)
        if self._precision == "fp32":
            packed: npt.NDArray[Any] = pack_float32(weight)
        elif self._precision == "bf16":
            packed = pack_bfloat16(weight)
        else:
            packed = pack_bfloat16(split_weights(weight))
            pixel = 2 * 3 if weight.shape[1] > 1 else weight.shape[2]
            run = pixel * SPLIT_PIXELS + weight.shape[2] + 64
            self._split = max(self._split, _aligned(3 * weight.shape[1] * run // 2))
        surplus = _aligned(len(packed)) - len(packed)
        self._panels += [packed, np.zeros(surplus, packed.dtype)]
        self._num_panels += len(packed) + surplus
        return place * packed.itemsize

    def _step(self, **columns: int) -> None:
        row = [0] * NUM_COLUMNS
        row[EXTRA] = row[SHORTCUT] = -1
        row[MEET] = 1
        row[PRODUCT] = product_address(self._precision)
        for name, value in columns.items():
            row[globals()[name.upper()]] = value
        self._steps.append(row)

    # Steps

    def _prepare(self) -> tuple[tuple[int, int, int], Float32]:
        """Bytes as numbers around their mean: small, so that bfloat16 holds them exactly."""
        spec = self._spec
        mean = -self._shift / self._scale
        self._centre = np.rint(mean)
        colours = 4 if self._halves else 3
        padding = np.zeros(colours, np.float32)
        padding[:3] = mean - self._centre
        height, width = spec.height + 6, spec.width + 6
        image = self._place(height * width * colours)
        self._step(
            kind=PREPARE,
            target=image,
            constant=self._constant(self._centre),
            height=spec.height,
            width=spec.width,
            inputs=colours,
        )
        return (image, height, width), padding

    def _stem(self, image: tuple[int, int, int], target: int, raw: int, height: int, width: int) -> None:
        stem, norm = self._network.stem, self._network.stem_norm
        colours = 4 if self._halves else 3
        mean = -self._shift / self._scale
        # The picture is there as x − centre; the network wants (x − mean) · scale.
        weight = stem.weight * self._scale[None, :, None, None]
        bias = stem.bias - np.einsum("ochw,c->o", weight, mean - self._centre)
        channels = padded(len(bias))
        panel = np.zeros((channels, 7, 7, colours))
        panel[: len(bias), :, :, :3] = weight.transpose(0, 2, 3, 1)
        columns = {
            "source": image[0],
            "row_size": image[2] * colours,
            "panel": self._panel(panel.reshape(channels, 7, 7 * colours)),
            "constant": self._constant(_padded_to(bias, channels)),
            "height": height,
            "width": width,
            "inputs": colours,
            "outputs": channels,
        }
        if norm is None:
            self._chunk = max(self._chunk, 4 * width * channels)
            self._step(kind=STEM, target=target, extra=1, relu=1, rows=-(-height // 2), **columns)
            return
        whole = self._place(height * width * channels)
        self._step(kind=STEM, target=whole, extra=0, relu=0, rows=height, **columns)
        self._norm(norm, whole, -1, whole, height, width)
        self._step(kind=POOL, source=whole, target=target, height=height, width=width, inputs=channels)

    def _norm(
        self, norm: InstanceNorm, source: int, shortcut: int, target: int, height: int, width: int
    ) -> None:
        channels = padded(len(norm.bias))
        constant = self._constant(_padded_to(norm.weight, channels), _padded_to(norm.bias, channels))
        self._step(
            kind=NORM,
            source=source,
            extra=shortcut,
            target=target,
            constant=constant,
            height=height,
            width=width,
            inputs=channels,
            relu=1,
        )

    def _pointwise(
        self, convolution: Convolution, source: int, target: int, height: int, width: int, relu: int = 1
    ) -> int:
        weight = _pointwise_weight(convolution)
        self._step(
            kind=POINTWISE,
            source=source,
            target=target,
            panel=self._panel(weight[:, None]),
            constant=self._constant(_padded_to(convolution.bias, len(weight))),
            height=height,
            width=width,
            inputs=weight.shape[1],
            outputs=len(weight),
            relu=relu,
        )
        return len(weight)

    def _transition(
        self, convolution: Convolution, source: int, target: int, height: int, width: int
    ) -> None:
        weight = _pointwise_weight(convolution)
        rows = max(1, _CHUNK_PIXELS // width)
        self._chunk = max(self._chunk, 2 * rows * width * len(weight))
        self._step(
            kind=TRANSITION,
            source=source,
            target=target,
            panel=self._panel(weight[:, None]),
            constant=self._constant(_padded_to(convolution.bias, len(weight))),
            height=height,
            width=width,
            inputs=weight.shape[1],
            outputs=len(weight),
            rows=rows,
            relu=1,
        )

    def _block(
        self,
        block: Block,
        here: int,
        there: int,
        raw: int,
        reduced: int,
        height: int,
        width: int,
    ) -> None:
        channels = self._pointwise(block.reduce, here, reduced, height, width)
        stream_size = _aligned(height * width * channels)
        self._streams(block, reduced, stream_size, height, width, channels)
        restored = raw if block.inside or block.after else there
        outside = block.shortcut is None or block.inside is not None
        residual = here if block.shortcut is None and block.inside is None else -1
        weight = _pointwise_weight(block.restore)
        bias = block.restore.bias
        if not outside and block.shortcut is not None:
            weight = np.concatenate([weight, _pointwise_weight(block.shortcut)], axis=1)
            bias = bias + block.shortcut.bias
        gate = block.gate
        hidden = len(gate.reduce_bias)
        self._chunk = max(self._chunk, _CHUNK_PIXELS * weight.shape[1])
        self._step(
            kind=RESTORE,
            stream_size=stream_size,
            target=restored,
            extra=residual,
            shortcut=here if not outside else -1,
            shortcut_inputs=weight.shape[1] - channels,
            panel=self._panel(weight[:, None]),
            constant=self._constant(_padded_to(bias, len(weight))),
            gate=self._constant(
                _padded_columns(gate.reduce, channels),
                gate.reduce_bias,
                _padded_columns(gate.restore.T, channels),
                _padded_to(gate.restore_bias, channels),
            ),
            hidden=hidden,
            height=height,
            width=width,
            inputs=channels,
            outputs=len(weight),
            rows=_CHUNK_PIXELS,
            relu=0 if block.inside or block.after else 1,
        )
        if block.inside:
            shortcut = here
            if block.shortcut is not None:
                self._pointwise(block.shortcut, here, there, height, width, relu=0)
                shortcut = there
            self._norm(block.inside, raw, shortcut, there, height, width)
        elif block.after:
            self._norm(block.after, raw, -1, there, height, width)

    def _streams(
        self, block: Block, source: int, stream_size: int, height: int, width: int, channels: int
    ) -> None:
        line = width * channels
        rows = _rows_of_a_block(height, width, channels, self._precision)
        self._line = max(self._line, _aligned(line))
        self._ring = max(self._ring, 2 * rows * line)
        self._widest = max(self._widest, channels)
        self._streams_size = max(self._streams_size, len(block.streams) * stream_size)
        self._num_sums = max(self._num_sums, len(block.streams) * height * channels)
        layers = [layer for stream in block.streams for layer in stream]
        panels, constants = [], []
        for layer in layers:
            weight = np.zeros((channels, channels))
            weight[: len(layer.bias), : len(layer.bias)] = layer.pointwise
            panels.append(self._panel(weight[:, None]))
            depthwise = np.zeros((10, channels))
            depthwise[:9, : len(layer.bias)] = layer.depthwise.reshape(-1, 9).T
            depthwise[9, : len(layer.bias)] = layer.bias
            self._constants.append(_without_tiny(depthwise).astype(np.float32).ravel())
            constants.append(self._num_constants)
            self._num_constants += depthwise.size
        self._constant()
        self._step(
            kind=STREAMS,
            source=source,
            stream_size=stream_size,
            panel=panels[0],
            panel_size=panels[1] - panels[0] if len(panels) > 1 else 0,
            constant=constants[0],
            height=height,
            width=width,
            inputs=channels,
            rows=rows,
        )

    def _embedding(self, channels: int) -> tuple[Float32, int]:
        last = self._network.embedding
        weight = _padded_columns(last.weight[:, :, 0, 0], channels)
        outputs = padded(len(weight))
        rows = np.zeros((outputs, channels))
        rows[: len(weight)] = weight
        return pack_float32(_without_tiny(rows)[:, None]), self._constant(_padded_to(last.bias, outputs))


def pack_float32(weight: Float64) -> Float32:
    """(O, runs, length) → for each tile [runs · length][width]."""
    parts, done = [], 0
    while done < len(weight):
        width = tile_width(len(weight) - done)
        parts.append(weight[done : done + width].transpose(1, 2, 0).ravel())
        done += width
    return np.concatenate(parts).astype(np.float32)


def pack_bfloat16(weight: Float64, *, matrix_tiles: bool = HAS_MATRIX_TILES) -> npt.NDArray[np.uint16]:
    """(O, runs, length) → for each tile, as AMX reads it [runs][steps][columns][16 pairs][16][2]; without
    AMX [runs][pairs][width][2]."""
    count, runs, length = weight.shape
    parts, done = [], 0
    if matrix_tiles:
        length = -(-length // 32) * 32
        longer = np.zeros((count, runs, length))
        longer[:, :, : weight.shape[2]] = weight
        weight = longer
    widest = 32 if matrix_tiles or 32 in TILES else 16
    while done < count:
        width = widest if count - done >= widest else 16
        tile = weight[done : done + width]
        if matrix_tiles:
            tile = tile.reshape(width // 16, 16, runs, length // 32, 16, 2).transpose(2, 3, 0, 4, 1, 5)
        else:
            tile = tile.reshape(width, runs, length // 2, 2).transpose(1, 2, 0, 3)
        parts.append(tile.ravel())
        done += width
    return to_bfloat16(np.concatenate(parts))


def split_weights(weight: Float64) -> Float64:
    """(O, runs, length) → (O, 3 · runs, length): of each run w₁, w₁ and w₂, see `products`."""
    large = from_bfloat16(to_bfloat16(weight))
    rest = weight - large
    return np.stack([large, large, rest], axis=2).reshape(len(weight), -1, weight.shape[2])


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _without_tiny(values: Float64) -> Float64:
    """Zero for weights whose products would be subnormal numbers, which processors compute slowly with."""
    return np.where(np.abs(values) < TINY, 0, values)


def _padded_to(values: Float64, size: int) -> Float64:
    return np.concatenate([values, np.zeros(size - len(values))])


def _padded_columns(matrix: Float64, size: int) -> Float64:
    return np.pad(matrix, ((0, 0), (0, size - matrix.shape[1])))


def _pointwise_weight(convolution: Convolution) -> Float64:
    weight = convolution.weight[:, :, 0, 0]
    return np.pad(weight, [(0, padded(size) - size) for size in weight.shape])


def _rows_of_a_block(height: int, width: int, channels: int, precision: NativePrecision) -> int:
    """How many rows of the 1×1 are made at once: such that tiles do little twice, in the first cache."""
    tall = tile_height(tile_width(channels)) if precision == "fp32" else 2 * _MIN_PIXELS

    def work(rows: int) -> int:
        """Pixels that the tiles of all blocks take together."""
        pixels = [min(rows, height - top) * width for top in range(0, height, rows)]
        return sum(-(-count // tall) * tall for count in pixels)

    fitting = [
        rows
        for rows in range(2, height)
        if rows * width >= 2 * _MIN_PIXELS and rows * width * channels <= _RING_FLOATS
    ]
    # Of equally good ones the smallest that is no mere few values: the rest of the cache is for weights.
    return min(
        fitting,
        key=lambda rows: (work(rows), rows * width * channels < _RING_FLOATS // 4, rows),
        default=height,
    )
