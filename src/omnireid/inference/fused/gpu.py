"""OSNet on an NVIDIA GPU: our kernels in CUDA graphs, or compiled or plain torch where they cannot run."""

# mypy: disable-error-code="no-untyped-call"

from __future__ import annotations

import warnings
from collections.abc import Callable
from importlib.util import find_spec
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any, Literal, get_args

import numpy as np

from omnireid.core.arrays import Float32, UInt8
from omnireid.core.card import InputSpec
from omnireid.core.errors import (
    ConfigError,
    InputError,
    MissingExtraError,
    OmniReIDWarning,
    ShapeError,
    UnknownNameError,
)
from omnireid.inference.fused.fold import FoldedOSNet
from omnireid.models.osnet_config import OSNetConfig

try:
    import torch
    from torch import Tensor
except ImportError as error:
    raise MissingExtraError("OSNet on a GPU", "gpu") from error

Engine = Literal["triton", "compile", "eager"]
GpuPrecision = Literal["bf16", "fp16", "fp32"]
Network = Callable[[Tensor], Callable[[], Tensor]]
"""From a device buffer of crops to a call that runs the network on what lies in it."""

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
LARGEST_BATCH = 256
LEAST_CAPABILITY = (8, 0)
"""Of the GPU: from here on tensor cores know bfloat16."""


class GpuOSNet:
    """A folded OSNet on one GPU, for batches of any size. Several threads may share it.

    A batch is filled up to the next of 1, 2, 4, … `largest_batch` crops, larger ones are cut. For each of
    these sizes there is one CUDA graph, captured when it is first needed: the crops' way from pinned memory,
    all launches, and the embeddings' way back are one call of the driver. Threads that meet here get buffers
    of their own, so that one's crops are copied while the other's are computed.

    Attributes:
        engine: "triton" (our kernels), "compile" (torch.compile of the folded network) or "eager" (the same,
            not compiled).
        precision: precision of activations and products; sums are float32.
    """

    def __init__(
        self,
        network: FoldedOSNet,
        spec: InputSpec,
        *,
        device: str = "cuda",
        precision: GpuPrecision = "bf16",
        engine: Engine | Literal["auto"] = "auto",
        tune: bool = True,
        largest_batch: int = LARGEST_BATCH,
    ) -> None:
        """Bring a network to a GPU.

        Args:
            network: as `fold` gives it.
            spec: size of the crops, and the normalisation that goes into the stem.
            device: "cuda" or "cuda:1". With engine="eager" also "cpu", without graphs.
            engine: "auto" is "triton"; with a warning "compile" on a GPU that is too old for it, or "eager"
                where that package is missing.
            tune: time the kernels' tile sizes for each batch size; else take the best guess.
            largest_batch: crops in one run, a power of two.

        Raises:
            InputError: no such device, or a batch size that is no power of two.
            UnknownNameError: another engine or precision.
            MissingExtraError: an engine that needs Triton, without it.
        """
        if precision not in DTYPES:
            raise UnknownNameError("precision", precision, DTYPES)
        if largest_batch < 1 or largest_batch & (largest_batch - 1):
            raise InputError(f"largest_batch: expected a power of two, got {largest_batch}")
        self.device = _check_device(device, engine)
        self.engine = _knowing(network.config, choose_engine(engine, self.device), engine)
        self.precision = precision
        self._shape = (spec.height, spec.width, 3)
        self._embedding_size = len(network.embedding.bias)
        self._largest = largest_batch
        self._network, self._maps = self._build(network, spec, tune=tune)
        self._lanes: SimpleQueue[_Lane] = SimpleQueue()
        # Graphs are captured and kernels timed one at a time.
        self._preparing = Lock()

    def embed(self, crops: UInt8) -> Float32:
        """(N, H, W, 3) uint8 RGB → (N, D) float32, not normalised.

        Raises:
            ShapeError: crops of another size.
        """
        if crops.shape[1:] != self._shape:
            raise ShapeError("crops", expected=f"(N, {', '.join(map(str, self._shape))})", actual=crops.shape)
        rows = np.empty((len(crops), self._embedding_size), np.float32)
        if len(crops) == 0:
            return rows
        lane = self._take_lane()
        try:
            for start in range(0, len(crops), self._largest):
                part = crops[start : start + self._largest]
                rows[start : start + len(part)] = lane.embed(part)
        finally:
            self._lanes.put(lane)
        return rows

    def feature_maps(self, crops: UInt8) -> Float32:
        """(N, H, W, 3) uint8 RGB → (N, C, h, w) float32, in one batch, without a graph."""
        blank = np.zeros((1, *self._shape), np.uint8)
        batch = torch.from_numpy(np.ascontiguousarray(crops if len(crops) else blank)).to(self.device)
        with torch.inference_mode(), self._preparing:
            maps = self._maps(batch)[: len(crops)].float().cpu()
        return np.ascontiguousarray(maps.numpy())

    def prepare(self, batch: int) -> None:
        """Compile, tune and capture for a batch size now, rather than when the first such batch comes."""
        self.embed(np.zeros((batch, *self._shape), np.uint8))

    def runner(self, crops: Tensor) -> Callable[[], Tensor]:
        """The bare network on a buffer that lies on the device already.

        Args:
            crops: (N, H, W, 3) uint8 on this device, contiguous. Every call reads what lies there.

        Returns:
            A call that launches the network on the current stream and gives (N, D) float32 on the device. The
            next call writes over them.
        """
        with torch.inference_mode(), self._preparing:
            return self._network(crops)

    def _take_lane(self) -> _Lane:
        try:
            return self._lanes.get_nowait()
        except Empty:
            return _Lane(self._network, self._preparing, self.device, self._shape)

    def _build(
        self, network: FoldedOSNet, spec: InputSpec, *, tune: bool
    ) -> tuple[Network, Callable[[Tensor], Tensor]]:
        dtype = DTYPES[self.precision]
        if self.engine == "triton":
            return kernel_network(network, spec, dtype=dtype, device=self.device, tune=tune)
        from omnireid.inference.fused.gpu_plain import PlainOSNet

        plain = PlainOSNet(network, spec, dtype=dtype).to(self.device)
        run: Callable[[Tensor], Tensor] = torch.compile(plain) if self.engine == "compile" else plain
        return lambda crops: lambda: run(crops), plain.feature_maps


def kernel_network(
    network: FoldedOSNet, spec: InputSpec, *, dtype: torch.dtype, device: str | torch.device, tune: bool
) -> tuple[Network, Callable[[Tensor], Tensor]]:
    """A network in our kernels: what runs it on a buffer, and what gives its feature maps (N, C, h, w).

    Raises:
        MissingExtraError: Triton is not installed.
    """
    from omnireid.inference.fused.triton_plan import Plan
    from omnireid.inference.fused.triton_tiles import TimedTiles, first_tile
    from omnireid.inference.fused.triton_weights import pack

    weights = pack(network, spec, dtype=dtype, device=device)
    timed: dict[int, TimedTiles] = {}

    def bind(crops: Tensor) -> Callable[[], Tensor]:
        with torch.cuda.device_of(crops):
            choose = timed.setdefault(len(crops), TimedTiles()) if tune else first_tile
            plan = Plan(weights, crops, choose=choose)

        def run() -> Tensor:
            # Triton launches on the current device, whichever its arguments lie on.
            with torch.cuda.device_of(crops):
                plan.run()
            return plan.embeddings

        return run

    def feature_maps(crops: Tensor) -> Tensor:
        with torch.cuda.device_of(crops):
            plan = Plan(weights, crops, maps=True)
            plan.run()
        maps: Tensor = plan.maps.permute(0, 3, 1, 2)
        return maps

    return bind, feature_maps


def choose_engine(engine: Engine | Literal["auto"], device: torch.device) -> Engine:
    """The engine that `engine` means here; a warning where it is not the fast one.

    Raises:
        UnknownNameError: no such engine.
        MissingExtraError: "triton" or "compile" without Triton, which torch.compile needs on a GPU as well.
    """
    if engine not in ("auto", *get_args(Engine)):
        raise UnknownNameError("engine", engine, ("auto", *get_args(Engine)))
    has_triton = find_spec("triton") is not None
    if engine != "auto":
        if engine != "eager" and not has_triton:
            raise MissingExtraError(f"engine {engine!r}", "gpu")
        return engine
    if not has_triton:
        _warn(
            "Triton is not installed, so the network runs in plain torch operations (engine 'eager'), "
            "several times slower than our kernels: pip install 'omnireid[gpu]'"
        )
        return "eager"
    major, minor = torch.cuda.get_device_capability(device)
    if (major, minor) < LEAST_CAPABILITY:
        _warn(
            f"{torch.cuda.get_device_name(device)} has compute capability {major}.{minor}; our kernels need "
            f"{'.'.join(map(str, LEAST_CAPABILITY))}, so torch.compile makes them (engine 'compile')"
        )
        return "compile"
    return "triton"


def _knowing(config: OSNetConfig, engine: Engine, asked: str) -> Engine:
    """The engine, or torch.compile in the place of kernels that do not have the network's head or last stage.

    Raises:
        ConfigError: just those kernels were asked for.
    """
    if engine != "triton" or (config.neck, config.pooling_power, config.last_stride) == (False, 1, 2):
        return engine
    missing = "our GPU kernels have no neck, no GeM and no last_stride 1"
    if asked == "triton":
        raise ConfigError(f"engine 'triton': {missing}; use engine 'compile'")
    _warn(f"{missing}, so torch.compile makes them (engine 'compile')")
    return "compile"


def _check_device(device: str, engine: str) -> torch.device:
    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device {device!r}: expected 'cuda' or 'cuda:N'") from error
    if wanted.type == "cpu" and engine == "eager":
        return wanted
    if wanted.type != "cuda":
        raise InputError(f"device {device!r}: expected 'cuda' or 'cuda:N'")
    if (wanted.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {device!r}: torch finds {torch.cuda.device_count()} CUDA devices here")
    return wanted


def _warn(text: str) -> None:
    warnings.warn(text, OmniReIDWarning, stacklevel=4)


class _Lane:
    """Buffers and graphs of one caller at a time."""

    def __init__(
        self, network: Network, preparing: Lock, device: torch.device, shape: tuple[int, int, int]
    ) -> None:
        self._network = network
        self._preparing = preparing
        self._device = device
        self._shape = shape
        self._buckets: dict[int, _Bucket] = {}

    def embed(self, crops: UInt8) -> Float32:
        size = 1 << (len(crops) - 1).bit_length()
        if size not in self._buckets:
            with torch.inference_mode(), self._preparing:
                self._buckets[size] = _Bucket(self._network, self._device, (size, *self._shape))
        return self._buckets[size].embed(crops)


class _Bucket:
    """One batch size: pinned buffers on the host, theirs on the device, and the graph between them."""

    def __init__(self, network: Network, device: torch.device, shape: tuple[int, ...]) -> None:
        on_gpu = device.type == "cuda"
        self._host_crops = torch.zeros(shape, dtype=torch.uint8, pin_memory=on_gpu)
        self._crops = torch.zeros(shape, dtype=torch.uint8, device=device)
        self._run = network(self._crops)
        self._stream = torch.cuda.Stream(device) if on_gpu else None
        self._graph: Any = None
        self._host_rows = torch.empty(0)
        if self._stream is not None:
            self._capture(self._stream)

    def embed(self, crops: UInt8) -> Float32:
        # What an earlier batch left behind the last crop is computed too, and not looked at.
        self._host_crops.numpy()[: len(crops)] = crops
        if self._stream is None or self._graph is None:
            with torch.inference_mode():
                self._crops.copy_(self._host_crops)
                return np.asarray(self._run()[: len(crops)].numpy())
        with torch.cuda.stream(self._stream):
            self._graph.replay()
        self._stream.synchronize()
        return np.asarray(self._host_rows[: len(crops)].numpy())

    def _capture(self, stream: torch.cuda.Stream) -> None:
        # What is compiled, tuned or allocated at the first run must not be captured.
        stream.wait_stream(torch.cuda.current_stream(stream.device))
        with torch.cuda.stream(stream):
            for _ in range(3):
                rows = self._run()
            self._host_rows = torch.empty(rows.shape, dtype=rows.dtype, pin_memory=True)
            stream.synchronize()
            self._graph = torch.cuda.CUDAGraph()
            # Other threads may go on using the device.
            with torch.cuda.graph(self._graph, stream=stream, capture_error_mode="thread_local"):
                self._crops.copy_(self._host_crops, non_blocking=True)
                self._host_rows.copy_(self._run(), non_blocking=True)
