"""ExecuTorch: programs that OmniReID exported, on the CPU."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock

import numpy as np

from omnireid.core.card import ModelCard
from omnireid.core.errors import MissingExtraError, WeightsError
from omnireid.core.files import sha256_file
from omnireid.core.forking import check_process
from omnireid.inference.backends.protocol import Crops, Embeddings, FeatureMaps, check_crops
from omnireid.inference.backends.table import Opening
from omnireid.inference.export.metadata import detach, read_metadata


class ExecuTorchBackend:
    """A `.pte` file. Several threads may call it; their runs follow one another."""

    name = "executorch"
    device = "cpu"
    calls_side_by_side = None

    def __init__(self, path: str | os.PathLike[str]) -> None:
        """Load a program.

        Raises:
            WeightsError: missing, damaged, without our metadata, or of another version of ExecuTorch.
            MissingExtraError: ExecuTorch is not installed.
        """
        metadata = read_metadata(path)
        if metadata is None or metadata.max_batch is None:
            raise WeightsError(
                f"{path}: no ExecuTorch program with a model card; write it with "
                "omnireid export --format executorch"
            )
        try:
            from executorch.runtime import Runtime
        except ImportError as error:
            raise MissingExtraError(f"{path}: running an ExecuTorch program", "executorch") from error
        self.card: ModelCard = metadata.card.model_copy(update={"sha256": sha256_file(path)})
        self._max_batch = metadata.max_batch
        content, _ = detach(Path(path).read_bytes(), "executorch")
        try:
            # The method does not keep its program alive, nor the program its bytes.
            self._content = content
            self._program = Runtime.get().load_program(content)
            self._method = self._program.load_method("forward")
        except RuntimeError as error:
            raise WeightsError(
                f"{path}: this ExecuTorch cannot load it ({error}); export it again"
            ) from error
        self._lock = Lock()
        self._process = os.getpid()
        self._label = str(path)

    def embed(self, crops: Crops) -> Embeddings:
        """(N, H, W, 3) uint8 RGB → (N, D) float32.

        Raises:
            ShapeError, InputError: crops of another shape or dtype.
        """
        return self._run(crops, 0)

    def feature_maps(self, crops: Crops) -> FeatureMaps:
        """(N, H, W, 3) uint8 RGB → (N, C, h, w) float32."""
        return self._run(crops, 1)

    def _run(self, crops: Crops, output: int) -> np.ndarray:
        import torch

        check_process(self._process, self._label, "open it in the child")
        check_crops(crops, self.card)
        fed = crops if len(crops) else np.zeros((1, *crops.shape[1:]), np.uint8)
        parts = []
        for start in range(0, len(fed), self._max_batch):
            part = torch.from_numpy(np.ascontiguousarray(fed[start : start + self._max_batch]))
            with self._lock:
                # Copied: the next run writes where this one did.
                parts.append(self._method.execute([part])[output].numpy().copy())
        return np.concatenate(parts)[: len(crops)]


def open_file(path: Path, how: Opening) -> ExecuTorchBackend:
    """A model file in this engine, as the table of engines opens it."""
    return ExecuTorchBackend(path)
