"""TensorRT: engines that OmniReID exported, on an NVIDIA GPU. torch holds their inputs and outputs there."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock

import numpy as np

from omnireid.core.card import ModelCard
from omnireid.core.errors import InputError, MissingExtraError, WeightsError
from omnireid.core.files import sha256_file
from omnireid.core.forking import check_process
from omnireid.inference.backends.onnx_graph import EMBEDDING_OUTPUT, FEATURE_MAPS_OUTPUT
from omnireid.inference.backends.protocol import Crops, Embeddings, FeatureMaps, check_crops
from omnireid.inference.backends.table import Opening
from omnireid.inference.export.metadata import detach, read_metadata


class TensorRtBackend:
    """An `.engine` file. Several threads may call it; their runs follow one another."""

    name = "tensorrt"
    calls_side_by_side = None

    def __init__(self, path: str | os.PathLike[str], *, device: str = "auto") -> None:
        """Load an engine.

        Args:
            path: written by `omnireid export --format tensorrt` on this kind of GPU.
            device: "auto" and "cuda" are the first GPU; "cuda:1" another.

        Raises:
            WeightsError: missing, damaged, without our metadata, or built for another GPU or version.
            InputError: no such GPU.
            MissingExtraError: TensorRT is not installed.
        """
        metadata = read_metadata(path)
        if metadata is None or metadata.max_batch is None:
            raise WeightsError(
                f"{path}: no TensorRT engine with a model card; write it with "
                "omnireid export --format tensorrt"
            )
        try:
            import tensorrt
            import torch
        except ImportError as error:
            raise MissingExtraError(f"{path}: running a TensorRT engine", "tensorrt") from error
        self.device = _gpu(device, torch.cuda.device_count())
        self.card: ModelCard = metadata.card.model_copy(update={"sha256": sha256_file(path)})
        self._max_batch = metadata.max_batch
        plan, _ = detach(Path(path).read_bytes(), "tensorrt")
        with torch.cuda.device(self.device):
            # The runtime must outlive the engine.
            self._runtime = tensorrt.Runtime(tensorrt.Logger(tensorrt.Logger.INTERNAL_ERROR))
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            if self._engine is None:
                gpu = torch.cuda.get_device_name()
                raise WeightsError(
                    f"{path}: TensorRT {tensorrt.__version__} cannot load it on {gpu}: "
                    "an engine runs on the kind of GPU and in the version it was built with. Export it here"
                )
            self._context = self._engine.create_execution_context()
            self._stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        self._lock = Lock()
        self._process = os.getpid()
        self._label = str(path)

    def embed(self, crops: Crops) -> Embeddings:
        """(N, H, W, 3) uint8 RGB → (N, D) float32.

        Raises:
            ShapeError, InputError: crops of another shape or dtype.
        """
        return self._run(crops, EMBEDDING_OUTPUT)

    def feature_maps(self, crops: Crops) -> FeatureMaps:
        """(N, H, W, 3) uint8 RGB → (N, C, h, w) float32."""
        return self._run(crops, FEATURE_MAPS_OUTPUT)

    def _run(self, crops: Crops, wanted: str) -> np.ndarray:
        check_process(self._process, self._label, "open it in the child")
        check_crops(crops, self.card)
        fed = crops if len(crops) else np.zeros((1, *crops.shape[1:]), np.uint8)
        starts = range(0, len(fed), self._max_batch)
        parts = [self._run_part(fed[start : start + self._max_batch], wanted) for start in starts]
        return np.concatenate(parts)[: len(crops)]

    def _run_part(self, crops: Crops, wanted: str) -> np.ndarray:
        import torch

        with self._lock, torch.cuda.device(self.device), torch.cuda.stream(self._stream):
            images = torch.from_numpy(np.ascontiguousarray(crops)).to(self.device)
            context = self._context
            context.set_input_shape("images", tuple(images.shape))
            context.set_tensor_address("images", images.data_ptr())
            outputs = {}
            for name in (EMBEDDING_OUTPUT, FEATURE_MAPS_OUTPUT):
                shape = tuple(context.get_tensor_shape(name))
                outputs[name] = torch.empty(shape, dtype=torch.float32, device=self.device)
                context.set_tensor_address(name, outputs[name].data_ptr())
            if not context.execute_async_v3(self._stream.cuda_stream):
                raise WeightsError("TensorRT could not run the engine; see whether the GPU has memory left")
            rows: np.ndarray = outputs[wanted].cpu().numpy()
        return rows


def _gpu(device: str, available: int) -> str:
    if device in ("auto", "cuda"):
        device = "cuda:0"
    number = device.removeprefix("cuda:")
    if not device.startswith("cuda:") or not number.isdecimal():
        raise InputError(f"device {device!r}: TensorRT runs on 'cuda' ('auto') or 'cuda:N'")
    if int(number) >= available:
        raise InputError(f"device {device!r}: torch finds {available} CUDA devices here")
    return device


def open_file(path: Path, how: Opening) -> TensorRtBackend:
    """A model file in this engine, as the table of engines opens it."""
    return TensorRtBackend(path, device=how.device)
