"""A program on threads: many pictures side by side, few pictures in parts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from dataclasses import replace

import numpy as np

from omnireid.core.arrays import Float32, Int64, UInt8
from omnireid.core.card import InputSpec
from omnireid.core.forking import ThreadPool, in_every_child
from omnireid.inference.backends.protocol import Crops, Embeddings, FeatureMaps
from omnireid.inference.fused.fold import FoldedOSNet
from omnireid.inference.native.compiler import compile_program
from omnireid.inference.native.kernels import Memory, Network, Part, Pictures
from omnireid.inference.native.packing import to_bfloat16
from omnireid.inference.native.precision import NativePrecision
from omnireid.inference.native.products import product_address
from omnireid.inference.native.program import Program
from omnireid.inference.native.ranges import Ranges
from omnireid.inference.native.steps import embed_means, run
from omnireid.models.network_config import SMALLEST_POOLED

_ALIGNED_BYTES = 64
_GIVEN_UP = 2  # of the counters that threads share, see `steps.run`
_MANY = 8  # pictures for each thread: then an idle thread at the end costs less than parts do


class _Workspace:
    """Memory of one picture under way, for up to `parts` threads."""

    def __init__(self, program: Program, parts: int) -> None:
        self.activations = _aligned_zeros(
            program.num_activations + parts * program.part_size, program.activations
        )
        self.room = _aligned_zeros(parts * program.room_size, np.dtype(np.float32))
        self.sums = _aligned_zeros(program.num_sums, np.dtype(np.float32))
        self._write_padding(program)

    def _write_padding(self, program: Program) -> None:
        """What lies around the picture stays there for good; the picture is written into its middle."""
        place, height, width = program.image
        colours = len(program.padding)
        padding = program.padding
        values = to_bfloat16(padding) if self.activations.dtype == np.uint16 else padding
        around = self.activations[place : place + height * width * colours]
        around.reshape(height, width, colours)[:] = values


class NativeEngine:
    """OSNet for crops of one size. Several threads may call it at once.

    Args:
        network: folded weights.
        spec: size and normalisation of the crops.
        precision: precision of activations and pointwise weights; sums are float32, of int8 int32.
        threads: how many threads one call uses.
        ranges: of the network's maps, for int8.
    """

    def __init__(
        self,
        network: FoldedOSNet,
        spec: InputSpec,
        *,
        precision: NativePrecision,
        threads: int,
        ranges: Ranges | None = None,
    ) -> None:
        program = compile_program(network, spec, precision, ranges)
        self._program = replace(
            program,
            panels=_aligned_copy(program.panels.view(np.uint8)),
            constants=_aligned_copy(program.constants),
            embedding=_aligned_copy(program.embedding),
        )
        self._threads = threads
        self._pool = ThreadPool(threads - 1, "omnireid-native") if threads > 1 else None
        self._idle: list[_Workspace] = []
        self._all_idle()
        in_every_child(self._all_idle)
        has_tiles = precision in ("bf16", "bf16x3")
        self._tiles = _tile_configuration() if has_tiles else np.zeros(0, np.uint8)
        self._num_map_channels = len(network.head.bias)

    def _all_idle(self) -> None:
        """No call is under way, as at the start of a child: what other threads had begun is the parent's."""
        self._lock = threading.Lock()
        self._num_busy = 0

    def embed(self, crops: Crops, *, threads: int | None = None) -> Embeddings:
        """(N, H, W, 3) uint8 RGB of the engine's size → (N, D) float32.

        Args:
            threads: how many threads this call may use at most; all of the engine's when None.
        """
        program = self._program
        power = program.pooling_power
        features, maps = self._run_network(crops, with_maps=power != 1, most_threads=threads)
        if power != 1:
            features = _generalised_means(maps, power)
        embeddings = np.empty((len(crops), program.num_embeddings_padded), np.float32)
        weights, bias_at, relu = program.embedding, program.embedding_bias, program.embedding_relu
        embed_means(product_address("fp32"), features, weights, bias_at, relu, program.constants, embeddings)
        return embeddings[:, : program.num_embeddings]

    def feature_maps(self, crops: Crops) -> FeatureMaps:
        """(N, H, W, 3) uint8 RGB of the engine's size → (N, C, h, w) float32."""
        height, width, channels = self._program.map_shape
        _, maps = self._run_network(crops, with_maps=True)
        channels_last = maps.reshape(len(crops), height, width, channels)[..., : self._num_map_channels]
        return np.ascontiguousarray(channels_last.transpose(0, 3, 1, 2))

    def _run_network(
        self, crops: Crops, *, with_maps: bool, most_threads: int | None = None
    ) -> tuple[Float32, Float32]:
        """The means over conv5, (N, C), and if wanted its maps, (N, h · w, C)."""
        crops = np.ascontiguousarray(crops)
        count = len(crops)
        height, width, channels = self._program.map_shape
        features = np.empty((count, self._program.num_features), np.float32)
        maps = np.empty((count if with_maps else 0, height * width, channels), np.float32)
        # Another call may be using some: then this one makes do with what is left, or its own thread.
        with self._lock:
            threads = max(1, min(most_threads or self._threads, self._threads - self._num_busy))
            self._num_busy += threads
        try:
            # A few pictures, or what is left over, would leave threads idle: these are cut in parts.
            whole = count if count >= _MANY * threads else count - count % threads
            self._side_by_side(Pictures(crops[:whole], features[:whole], maps[:whole]), threads)
            self._in_parts(Pictures(crops[whole:], features[whole:], maps[whole:]), threads)
        finally:
            with self._lock:
                self._num_busy -= threads
        return features, maps

    def _side_by_side(self, pictures: Pictures, threads: int) -> None:
        sync = np.zeros(3, np.int64)

        def work(_: int) -> None:
            workspace = self._take()
            try:
                self._run(pictures, workspace, Part(0, 1), sync)
            finally:
                self._give_back(workspace)

        if len(pictures.crops):
            self._on_threads(work, threads, sync)

    def _in_parts(self, pictures: Pictures, threads: int) -> None:
        if len(pictures.crops) == 0:
            return
        sync, workspace = np.zeros(3, np.int64), self._take()
        try:
            self._on_threads(
                lambda index: self._run(pictures, workspace, Part(index, threads), sync), threads, sync
            )
        finally:
            self._give_back(workspace)

    def _on_threads(self, work: Callable[[int], None], threads: int, sync: Int64) -> None:
        """Call `work` with 0 here, and with 1 and so on in other threads; all are done when this returns."""
        others: list[Future[None]] = []
        try:
            for index in range(1, threads):
                assert self._pool is not None
                others.append(self._pool.submit(work, index))
            work(0)
        finally:
            # After Ctrl-C part 0 may not have begun: the others must not wait for it for ever.
            sync[_GIVEN_UP] = 1
            wait(others)
        for other in others:
            other.result()

    def _run(self, pictures: Pictures, workspace: _Workspace, part: Part, sync: Int64) -> None:
        program = self._program
        mine, room_at = program.parts_at + part.number * program.part_size, part.number * program.room_size
        memory = Memory(
            workspace.activations,
            mine,
            mine + program.streams_at,
            workspace.room,
            room_at,
            room_at + program.ring_at,
            room_at + program.gates_at,
            workspace.sums,
        )
        network = Network(program.steps, program.depths, program.panels, program.constants)
        run(pictures, network, memory, self._tiles, part, sync)

    def _take(self) -> _Workspace:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        return _Workspace(self._program, self._threads)

    def _give_back(self, workspace: _Workspace) -> None:
        with self._lock:
            self._idle.append(workspace)


def _tile_configuration() -> UInt8:
    """AMX, palette 1: eight tiles of 16 rows of 64 bytes."""
    configuration = _aligned_zeros(64, np.dtype(np.uint8))
    configuration[0] = 1
    configuration[16:32:2] = 64
    configuration[48:56] = 16
    return configuration


def _aligned_zeros(size: int, dtype: np.dtype) -> np.ndarray:
    """Begins where a cache line begins."""
    memory = np.zeros(size * dtype.itemsize + _ALIGNED_BYTES, np.uint8)
    start = -memory.ctypes.data % _ALIGNED_BYTES
    return memory[start : start + size * dtype.itemsize].view(dtype)


def _generalised_means(maps: Float32, power: float) -> Float32:
    """(N, h · w, C) → (N, C), as `models.neck.generalised_mean`."""
    raised = np.maximum(maps, np.float32(SMALLEST_POOLED)) ** np.float32(power)
    return np.asarray(raised.mean(axis=1) ** np.float32(1 / power), np.float32)


def _aligned_copy(values: np.ndarray) -> np.ndarray:
    copy = _aligned_zeros(values.size, values.dtype)
    copy[:] = values
    return copy
