"""Our own CPU engine: weights as they were trained, without torch and without a runtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, get_args

from omnireid.core.card import ModelCard
from omnireid.core.errors import ConfigError, InputError, UnknownNameError, WeightsError
from omnireid.core.files import sha256_file
from omnireid.core.machine import compute_threads, cores_to_run_on
from omnireid.inference.backends.protocol import Crops, Embeddings, FeatureMaps, check_crops
from omnireid.inference.backends.table import Opening
from omnireid.inference.fused.fold import FoldedOSNet, fold
from omnireid.inference.native.precision import NativePrecision, missing_for
from omnireid.inference.native.ranges import Ranges, from_header
from omnireid.models.weight_file import read_arrays


class NativeBackend:
    """OSNet in kernels that are compiled for this processor when first used, and kept.

    Attributes:
        precision: "fp32"; "bf16x3", float32 as three bfloat16 products on matrix tiles (AMX), nearly as exact
            and faster; "bf16", bfloat16 activations and weights; or "int8", bytes, for weights whose ranges
            were measured (`omnireid export --format safetensors --precision int8`).
        threads: how many threads one call uses.
    """

    name = "native"
    device = "cpu"

    def __init__(
        self,
        network: FoldedOSNet,
        card: ModelCard,
        *,
        threads: int | None = None,
        precision: NativePrecision = "fp32",
        ranges: Ranges | None = None,
    ) -> None:
        """Lay folded weights out for the card's input size.

        Args:
            ranges: of the network's maps, which int8 takes.

        Raises:
            InputError: int8 without ranges, a precision that this processor does not have, a number of
                threads below 1 or above the cores, or an input below 16×16.
        """
        if precision not in get_args(NativePrecision):
            raise UnknownNameError("precision", str(precision), get_args(NativePrecision))
        cores = cores_to_run_on()
        if threads is not None and not 1 <= threads <= cores:
            raise InputError(f"threads: expected 1 to {cores} (the cores of this process), got {threads}")
        missing = missing_for(precision)
        if missing:
            another = "" if missing_for("fp32") else "another precision, or "
            raise InputError(
                f"precision {precision!r}: this processor has no {missing}; "
                f"use {another}ONNX Runtime (omnireid export)"
            )
        if precision == "int8" and ranges is None:
            raise InputError(
                "precision 'int8': the ranges of this network's maps were not measured, and int8 needs them; "
                "run omnireid export MODEL --format safetensors --precision int8, and open what it writes"
            )
        from omnireid.inference.native.engine import NativeEngine

        self.card = card
        self.precision = precision
        self.threads = compute_threads() if threads is None else threads
        self.calls_side_by_side = self.threads
        self._engine = NativeEngine(
            network, card.input, precision=precision, threads=self.threads, ranges=ranges
        )

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], *, threads: int | None = None, precision: NativePrecision = "fp32"
    ) -> NativeBackend:
        """Load safetensors with a card.

        Raises:
            WeightsError: the file is missing, damaged, has no card, or holds a network without a fast form.
            InputError: as the constructor.
        """
        header, arrays = read_arrays(path)
        try:
            network = fold(arrays, header.config)
        except ConfigError as error:
            raise WeightsError(f"{path}: {error}") from error
        except KeyError as error:
            raise WeightsError(f"{path} does not fit the network: {error.args[0]} is missing") from error
        card = header.card.model_copy(update={"sha256": sha256_file(path)})
        ranges = None if header.ranges is None else from_header(header.ranges, source=path)
        return cls(network, card, threads=threads, precision=precision, ranges=ranges)

    def embed(self, crops: Crops, *, threads: int | None = None) -> Embeddings:
        """(N, H, W, 3) uint8 RGB → (N, D) float32, not normalised.

        Args:
            threads: how many threads this call may use at most, so that calls side by side leave cores to
                each other; all of the engine's when None.

        Raises:
            ShapeError, InputError: crops of another shape or dtype.
        """
        check_crops(crops, self.card)
        return self._engine.embed(crops, threads=threads)

    def feature_maps(self, crops: Crops) -> FeatureMaps:
        """(N, H, W, 3) uint8 RGB → (N, C, h, w) float32."""
        check_crops(crops, self.card)
        return self._engine.feature_maps(crops)


def open_file(path: Path, how: Opening) -> NativeBackend:
    """A model file in this engine, as the table of engines opens it."""
    precision: Any = how.precision or "fp32"
    return NativeBackend.open(path, threads=how.threads, precision=precision)
