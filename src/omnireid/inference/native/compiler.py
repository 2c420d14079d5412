"""From folded weights to a program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32, Float64
from omnireid.core.card import InputSpec
from omnireid.core.errors import InputError, WeightsError
from omnireid.inference.backends.tiny_weights import TINY
from omnireid.inference.fused.fold import Block, Convolution, FoldedOSNet, InstanceNorm
from omnireid.inference.native import program as table
from omnireid.inference.native.packing import (
    pack_bfloat16,
    pack_bytes,
    pack_float32,
    padded,
    split_weights,
)
from omnireid.inference.native.precision import MIN_SIZE, NativePrecision
from omnireid.inference.native.products import (
    SPLIT_PIXELS,
    TILE_FLOATS,
    product_address,
    tile_height,
    tile_width,
)
from omnireid.inference.native.program import (
    EXTRA,
    HEIGHT,
    KIND,
    MEANS,
    MEET,
    NORM,
    NUM_COLUMNS,
    POINTWISE,
    POOL,
    PREPARE,
    PRODUCT,
    RESTORE,
    ROWS,
    SHORTCUT,
    STEM,
    STREAMS,
    TRANSITION,
    Program,
)
from omnireid.inference.native.ranges import Ranges, Scale, scale_of, to_bytes

_ALIGNMENT = 64
_RING_FLOATS = 6144  # 24 KiB at most for each half of the ring: both stay in the first cache
_CHUNK_PIXELS = 96  # a multiple of every tile's height
_MIN_PIXELS = 16  # what a tile of AMX reads at least


@dataclass(frozen=True)
class _Panel:
    """Weights of a product.

    Attributes:
        place: where they lie.
        factor: (O,) what 1 of its sums stands for.
        shift: (O,) what its sums lack, on average.
    """

    place: int
    factor: Float64
    shift: Float64


_ACTIVATIONS = {"fp32": np.float32, "bf16x3": np.float32, "bf16": np.uint16, "int8": np.uint8}


def compile_program(
    network: FoldedOSNet, spec: InputSpec, precision: NativePrecision, ranges: Ranges | None = None
) -> Program:
    """Lay a network out for pictures of `spec`.

    Args:
        ranges: of the network's maps; for int8, and for nothing else.

    Raises:
        InputError: pictures smaller than 16×16.
        WeightsError: ranges of another network.
    """
    if min(spec.height, spec.width) < MIN_SIZE:
        raise InputError(
            f"input {spec.height}×{spec.width}: this engine takes pictures from {MIN_SIZE}×{MIN_SIZE} on"
        )
    return _Compiler(network, spec, precision, ranges).program()


class _Compiler:
    def __init__(
        self, network: FoldedOSNet, spec: InputSpec, precision: NativePrecision, ranges: Ranges | None
    ) -> None:
        self._network = network
        self._spec = spec
        self._precision = precision
        self._ranges = ranges if precision == "int8" else None
        self._colours = 3 if _ACTIVATIONS[precision] is np.float32 else 4
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
        self._added = -1
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
        raw = -1
        if self._has_instance_norms():
            raw = self._raw_place(largest)
            self._added = self._raw_place(largest) if self._precision == "int8" else -1
        self._stem(image, here, raw, height, width)
        bottleneck = max(
            h * w * padded(stage[0].reduce.weight.shape[0])
            for (h, w), stage in zip(sizes, network.stages, strict=True)
        )
        reduced = self._place(bottleneck)
        name = "stem"
        for stage, blocks in enumerate(network.stages):
            for index, block in enumerate(blocks):
                before, name = name, f"stages.{stage}.{index}"
                self._block(block, (before, name), here, there, raw, reduced, *sizes[stage])
                here, there = there, here
            if stage < 2:
                before, name = name, f"transitions.{stage}"
                halves = sizes[stage + 1] != sizes[stage]
                join = self._transition if halves else self._pointwise
                join(network.transitions[stage], (before, name), here, there, *sizes[stage])
                here, there = there, here
        channels = self._pointwise(network.head, (name, "conv5"), here, there, *sizes[2])
        self._step(
            kind=MEANS,
            source=there,
            height=sizes[2][0],
            width=sizes[2][1],
            inputs=channels,
            constant=self._constant(self._map_scale("conv5", channels).unit),
        )
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
            activations=np.dtype(_ACTIVATIONS[self._precision]),
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

    def _raw_place(self, size: int) -> int:
        """A place for a map that no ReLU makes: in int8 it is bfloat16."""
        return self._place(2 * size if self._precision == "int8" else size)

    def _constant(self, *arrays: npt.NDArray[Any]) -> int:
        place = self._num_constants
        for array in arrays:
            self._constants.append(_without_tiny(array).astype(np.float32).ravel())
            self._num_constants += array.size
        surplus = _aligned(self._num_constants) - self._num_constants
        self._constants.append(np.zeros(surplus, np.float32))
        self._num_constants += surplus
        return place

    def _map_scale(self, name: str, channels: int) -> Scale:
        """Of a map; outside int8, maps hold values as they are."""
        if self._ranges is None:
            return _values(channels)
        seen = self._ranges.get(name)
        if seen is None or len(seen.high) > channels:
            raise WeightsError(
                f"the ranges in this file's header do not fit its network (map {name!r}); write it again: "
                "omnireid export --format safetensors --precision int8"
            )
        return scale_of(seen, channels)

    def _panel(self, weight: Float64, scale: Scale) -> _Panel:
        """Store (O, runs, length) weights for inputs of a scale, in the order a product reads them."""
        place = self._num_panels
        weight = _without_tiny(weight)
        factor, shift = np.ones(len(weight)), np.zeros(len(weight))
        if self._precision == "int8":
            whole, factor, shift = to_bytes(weight, scale)
            packed: npt.NDArray[Any] = pack_bytes(whole)
        elif self._precision == "fp32":
            packed = pack_float32(weight)
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
        return _Panel(place * packed.itemsize, factor, shift)

    def _finish(self, panel: _Panel, bias: Float64, target: Scale, residual: Float64 | float = 0.0) -> int:
        """Place of what turns a product's sums into a map: see `products.Target`.

        Args:
            residual: (O,) units of the map that is added.
        """
        bias = _padded_to(bias, len(panel.shift)) + panel.shift
        if self._precision != "int8":
            return self._constant(bias)
        return self._constant(panel.factor / target.unit, bias / target.unit, residual / target.unit)

    def _step(self, **columns: int) -> None:
        row = [0] * NUM_COLUMNS
        row[EXTRA] = row[SHORTCUT] = -1
        row[MEET] = 1
        row[PRODUCT] = product_address(self._precision)
        for name, value in columns.items():
            row[getattr(table, name.upper())] = value
        self._steps.append(row)

    # Steps

    def _prepare(self) -> tuple[tuple[int, int, int], Float32]:
        """Bytes as numbers around their mean: small, so that bfloat16 holds them exactly. int8 takes them as
        they are, and what lies around the picture to half a step.
        """
        spec = self._spec
        mean = -self._shift / self._scale
        self._centre = np.zeros(3) if self._precision == "int8" else np.rint(mean)
        colours = self._colours
        padding = np.zeros(colours, np.float32)
        padding[:3] = np.rint(mean) if self._precision == "int8" else mean - self._centre
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
        colours = self._colours
        mean = -self._shift / self._scale
        # The picture is there as x − centre; the network wants (x − mean) · scale.
        weight = stem.weight * self._scale[None, :, None, None]
        bias = np.zeros(len(stem.bias)) if norm else stem.bias  # A norm takes it away.
        bias = bias - np.einsum("ochw,c->o", weight, mean - self._centre)
        channels = padded(len(bias))
        values = np.zeros((channels, 7, 7, colours))
        values[: len(bias), :, :, :3] = weight.transpose(0, 2, 3, 1)
        pixel = Scale(np.ones(colours), _padded_to(mean, colours))
        run = Scale(np.tile(pixel.unit, 7), np.tile(pixel.mean, 7))
        panel = self._panel(values.reshape(channels, 7, 7 * colours), run)
        scale = self._map_scale("stem", channels)
        columns = {
            "source": image[0],
            "row_size": image[2] * colours,
            "panel": panel.place,
            "constant": self._finish(panel, bias, _values(channels) if norm else scale),
            "height": height,
            "width": width,
            "inputs": colours,
            "outputs": channels,
        }
        if norm is None:
            self._chunk = max(self._chunk, 4 * width * channels)
            self._step(kind=STEM, target=target, extra=1, relu=1, rows=-(-height // 2), **columns)
            return
        whole = self._raw_place(height * width * channels)
        normed = self._place(height * width * channels) if self._precision == "int8" else whole
        self._step(kind=STEM, target=whole, extra=0, relu=0, rows=height, **columns)
        self._norm(norm, whole, normed, scale, height, width)
        self._step(kind=POOL, source=normed, target=target, height=height, width=width, inputs=channels)

    def _norm(
        self,
        norm: InstanceNorm,
        source: int,
        target: int,
        scale: Scale,
        height: int,
        width: int,
        added: Float64 | float = 1.0,
        **shortcut: int,
    ) -> None:
        """An instance norm, what is added after it, and ReLU.

        Args:
            scale: of the target.
            added: (O,) units of the shortcut, which is EXTRA, or SHORTCUT if no ReLU made it.
        """
        channels = padded(len(norm.bias))
        constant = self._constant(
            _padded_to(norm.weight, channels) / scale.unit,
            _padded_to(norm.bias, channels) / scale.unit,
            added / scale.unit,
        )
        self._step(
            kind=NORM,
            source=source,
            target=target,
            constant=constant,
            height=height,
            width=width,
            inputs=channels,
            **shortcut,
        )

    def _pointwise(
        self,
        convolution: Convolution,
        names: tuple[str, str | None],
        source: int,
        target: int,
        height: int,
        width: int,
    ) -> int:
        """A 1×1 convolution from the map of one name to that of the other; one without has no ReLU."""
        weight = _pointwise_weight(convolution)
        panel = self._panel(weight[:, None], self._map_scale(names[0], weight.shape[1]))
        scale = self._map_scale(names[1], len(weight)) if names[1] else _values(len(weight))
        self._step(
            kind=POINTWISE,
            source=source,
            target=target,
            panel=panel.place,
            constant=self._finish(panel, convolution.bias, scale),
            height=height,
            width=width,
            inputs=weight.shape[1],
            outputs=len(weight),
            relu=1 if names[1] else 0,
        )
        return len(weight)

    def _transition(
        self,
        convolution: Convolution,
        names: tuple[str, str],
        source: int,
        target: int,
        height: int,
        width: int,
    ) -> None:
        weight = _pointwise_weight(convolution)
        rows = max(1, _CHUNK_PIXELS // width)
        self._chunk = max(self._chunk, 2 * rows * width * len(weight))
        panel = self._panel(weight[:, None], self._map_scale(names[0], weight.shape[1]))
        self._step(
            kind=TRANSITION,
            source=source,
            target=target,
            panel=panel.place,
            constant=self._finish(panel, convolution.bias, self._map_scale(names[1], len(weight))),
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
        names: tuple[str, str],
        here: int,
        there: int,
        raw: int,
        reduced: int,
        height: int,
        width: int,
    ) -> None:
        before, name = names
        channels = self._pointwise(block.reduce, (before, f"{name}.reduce"), here, reduced, height, width)
        stream_size = _aligned(height * width * channels)
        ends = self._streams(block, name, reduced, stream_size, height, width, channels)
        norm = block.inside or block.after
        outside = block.shortcut is None or block.inside is not None
        residual = here if block.shortcut is None and block.inside is None else -1
        weight = _pointwise_weight(block.restore)
        bias = np.zeros(len(weight)) if norm else block.restore.bias  # A norm takes it away.
        total = source_scale = self._map_scale(f"{name}.gate", channels)
        if not outside and block.shortcut is not None:
            weight = np.concatenate([weight, _pointwise_weight(block.shortcut)], axis=1)
            bias = bias if norm else bias + block.shortcut.bias
            source_scale = total.and_then(self._map_scale(before, weight.shape[1] - channels))
        panel = self._panel(weight[:, None], source_scale)
        scale = self._map_scale(name, len(weight))
        added = self._map_scale(before, len(weight)).unit if block.shortcut is None else 1.0
        gate = block.gate
        hidden = len(gate.reduce_bias)
        self._chunk = max(self._chunk, _CHUNK_PIXELS * weight.shape[1])
        self._step(
            kind=RESTORE,
            stream_size=stream_size,
            target=raw if norm else there,
            extra=residual,
            shortcut=here if not outside else -1,
            shortcut_inputs=weight.shape[1] - channels,
            panel=panel.place,
            constant=self._finish(panel, bias, _values(len(weight)) if norm else scale, added),
            gate=self._constant(
                _padded_columns(gate.reduce, channels),
                gate.reduce_bias,
                _padded_columns(gate.restore.T, channels),
                _padded_to(gate.restore_bias, channels),
                np.concatenate([end.unit for end in ends]),
                np.concatenate([end.unit / total.unit for end in ends]),
            ),
            hidden=hidden,
            height=height,
            width=width,
            inputs=channels,
            outputs=len(weight),
            rows=_CHUNK_PIXELS,
            relu=0 if norm else 1,
        )
        if block.inside and block.shortcut:
            # In place, but for bytes, which a norm cannot write over the bfloat16 that it reads.
            place = self._added if self._precision == "int8" else there
            self._pointwise(block.shortcut, (before, None), here, place, height, width)
            self._norm(block.inside, raw, there, scale, height, width, shortcut=place)
        elif block.inside:
            self._norm(block.inside, raw, there, scale, height, width, added, extra=here)
        elif block.after:
            self._norm(block.after, raw, there, scale, height, width)

    def _streams(
        self,
        block: Block,
        name: str,
        source: int,
        stream_size: int,
        height: int,
        width: int,
        channels: int,
    ) -> list[Scale]:
        """All streams of a block; what they end with."""
        line = width * channels
        rows = _rows_of_a_block(height, width, channels, self._precision)
        self._line = max(self._line, _aligned(line))
        self._ring = max(self._ring, 2 * rows * line)
        self._widest = max(self._widest, channels)
        self._streams_size = max(self._streams_size, len(block.streams) * stream_size)
        self._num_sums = max(self._num_sums, len(block.streams) * height * channels)
        panels, constants, ends = [], [], []
        for number, stream in enumerate(block.streams):
            scale = self._map_scale(f"{name}.reduce", channels)
            for level, layer in enumerate(stream):
                weight = np.zeros((channels, channels))
                weight[: len(layer.bias), : len(layer.bias)] = layer.pointwise
                panel = self._panel(weight[:, None], scale)
                panels.append(panel.place)
                scale = self._map_scale(f"{name}.streams.{number}.levels.{level}", channels)
                depthwise = np.zeros((10, channels))
                depthwise[:9, : len(layer.bias)] = layer.depthwise.reshape(-1, 9).T
                depthwise[9, : len(layer.bias)] = layer.bias
                depthwise[9] += panel.shift * depthwise[:9].sum(axis=0)
                depthwise[:9] *= panel.factor
                depthwise /= scale.unit
                self._constants.append(_without_tiny(depthwise).astype(np.float32).ravel())
                constants.append(self._num_constants)
                self._num_constants += depthwise.size
            ends.append(scale)
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
        return ends

    def _embedding(self, channels: int) -> tuple[Float32, int]:
        last = self._network.embedding
        weight = _padded_columns(last.weight[:, :, 0, 0], channels)
        outputs = padded(len(weight))
        rows = np.zeros((outputs, channels))
        rows[: len(weight)] = weight
        return pack_float32(_without_tiny(rows)[:, None]), self._constant(_padded_to(last.bias, outputs))


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _without_tiny(values: Float64) -> Float64:
    """Zero for weights whose products would be subnormal numbers, which processors compute slowly with."""
    return np.where(np.abs(values) < TINY, 0, values)


def _padded_to(values: Float64, size: int) -> Float64:
    return np.concatenate([values, np.zeros(size - len(values))])


def _padded_columns(matrix: Float64, size: int) -> Float64:
    return np.pad(matrix, ((0, 0), (0, size - matrix.shape[1])))


def _values(channels: int) -> Scale:
    """Of a map that holds values as they are."""
    return Scale(np.ones(channels), np.zeros(channels))


def _pointwise_weight(convolution: Convolution) -> Float64:
    weight = convolution.weight[:, :, 0, 0]
    return np.pad(weight, [(0, padded(size) - size) for size in weight.shape])


def _rows_of_a_block(height: int, width: int, channels: int, precision: NativePrecision) -> int:
    """How many rows of the 1×1 are made at once: such that tiles do little twice, in the first cache."""
    tall = 2 * _MIN_PIXELS
    if precision == "fp32":
        tall = tile_height(tile_width(channels))
    elif precision == "int8":
        tall = tile_height(32 if channels >= 32 else 16)

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
