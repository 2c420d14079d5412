"""ONNX Runtime: our own exports, and published OSNet graphs whose normalisation lies outside."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import AnyFloat
from omnireid.core.errors import InputError, WeightsError
from omnireid.core.forking import check_process, keep_for_good
from omnireid.core.machine import compute_threads
from omnireid.inference.backends.foreign import ForeignCard
from omnireid.inference.backends.graph import GraphBackend, first_line
from omnireid.inference.backends.onnx_file import first_nodes, operations, read_onnx
from omnireid.inference.backends.onnx_graph import (
    CARD_KEY,
    FEATURE_MAPS_OUTPUT,
    expose_feature_maps,
    find_embedding_output,
    read_input,
)
from omnireid.inference.backends.table import Opening
from omnireid.inference.backends.tiny_weights import zero_tiny_weights

PART = 4
"""Crops in a part of a large batch: 1.1 times the speed of 32 at once for x1.0."""


@dataclass(frozen=True, slots=True)
class _Options:
    """How sessions are opened."""

    providers: list[str]
    threads: int


class OnnxBackend(GraphBackend):
    """One ONNX graph in ONNX Runtime. Needs no torch.

    Two kinds of graph are understood. Ours take uint8 (N, H, W, 3), normalise inside and carry their model
    card. Others take float32 or float16, (N, 3, H, W) or (N, H, W, 3), batch free or fixed; what pictures
    they take their card says (`foreign`), or it is found out (`colours`).
    Weights below 1e-20 in size are set to zero, see `tiny_weights`.
    """

    name = "onnx"

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes,
        *,
        device: str = "auto",
        threads: int | None = None,
        label: str | None = None,
        card: ForeignCard | None = None,
        is_ours: bool = False,
    ) -> None:
        """Load a graph and try it once.

        Args:
            source: the file, or its content.
            device: "auto" and "cpu" are the CPU; "cuda" needs onnxruntime-gpu.
            threads: threads of one call; `compute_threads` when None.
            label: what errors call the model; the file's name when None.
            card: what a file of others takes; None where the file says so itself.
            is_ours: whether it is a graph of ours in the making, which takes RGB bytes and has no card yet.

        Raises:
            WeightsError: missing, empty, damaged, not ONNX, or a graph that is no embedding network.
            InputError: an unknown device or thread count.
        """
        if threads is not None and threads < 1:
            raise InputError(f"threads: expected at least 1, got {threads}")
        self._begin()
        self._is_ours = is_ours
        self._label = label or ("<bytes>" if isinstance(source, bytes) else str(source))
        providers, self.device = _providers(device)
        self._threads = threads or compute_threads()
        self._part = PART if self.device == "cpu" else None
        self._options = _Options(providers, self._threads)
        content, sha256 = read_onnx(source)
        self._content = zero_tiny_weights(content)
        self.graph_input = read_input(self._session.get_inputs(), self._label)
        self._output = find_embedding_output(self._session.get_outputs(), self._label)
        card_text = self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
        self._finish(card_text, sha256, card)

    def _renew(self) -> None:
        """Sessions of several threads are opened anew in a child, and their like from here never closed."""
        super()._renew()
        for form in ("_opened_session", "_opened_map_session"):
            if form in self.__dict__ and self._threads > 1:
                keep_for_good(self.__dict__.pop(form))

    def _operations(self) -> Counter[str]:
        return operations(self._content)

    def _first_nodes(self) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None:
        beginning = first_nodes(self._content, self.graph_input.name)
        if beginning is None:
            return None
        content, tensor = beginning
        session = _open_session(content, self._label, replace(self._options, threads=1))
        return lambda fed: np.asarray(session.run([tensor], {self.graph_input.name: fed})[0])

    def _run(self, fed: npt.NDArray[Any], *, alone: bool) -> AnyFloat:
        if self.device != "cpu":
            check_process(self._process, self._label, "open it in the child")
        session = self._session if alone else self._part_session
        return np.asarray(session.run([self._output], {self.graph_input.name: fed})[0])

    def _run_maps(self, fed: npt.NDArray[Any]) -> AnyFloat | None:
        exposed = self._map_session
        if exposed is None:
            return None
        session, tensor = exposed
        return np.asarray(session.run([tensor], {self.graph_input.name: fed})[0])

    @property
    def _session(self) -> Any:
        with self._lock:
            return self._opened_session

    @cached_property
    def _opened_session(self) -> Any:
        return _open_session(self._content, self._label, self._options)

    @property
    def _part_session(self) -> Any:
        """Runs one part in the thread that calls it."""
        if self._threads == 1:
            return self._session
        with self._lock:
            return self._opened_part_session

    @cached_property
    def _opened_part_session(self) -> Any:
        return _open_session(self._content, self._label, replace(self._options, threads=1))

    @property
    def _map_session(self) -> tuple[Any, str] | None:
        if FEATURE_MAPS_OUTPUT in (output.name for output in self._session.get_outputs()):
            return self._session, FEATURE_MAPS_OUTPUT
        with self._lock:
            return self._opened_map_session

    @cached_property
    def _opened_map_session(self) -> tuple[Any, str] | None:
        exposed = expose_feature_maps(self._content, self._output)
        if exposed is None:
            return None
        content, tensor = exposed
        return _open_session(content, self._label, self._options), tensor


def _providers(device: str) -> tuple[list[str], str]:
    import onnxruntime

    if device in ("auto", "cpu"):
        return ["CPUExecutionProvider"], "cpu"
    if device != "cuda":
        raise InputError(f"device {device!r}: ONNX Runtime runs here on 'cpu' ('auto') and 'cuda'")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise InputError("device 'cuda': this ONNX Runtime has no CUDA; install onnxruntime-gpu in its place")
    return ["CUDAExecutionProvider", "CPUExecutionProvider"], "cuda"


def _open_session(content: bytes, label: str, wanted: _Options) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = wanted.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # Faults come as exceptions; nothing goes to stderr beside them.
    try:
        session = onnxruntime.InferenceSession(content, options, providers=wanted.providers)
    except Exception as error:  # ONNX Runtime's errors share no base class.
        raise WeightsError(
            f"{label}: not a whole ONNX model that ONNX Runtime can open ({first_line(error)})"
        ) from error
    if session.get_providers()[0] != wanted.providers[0]:
        raise InputError(f"{label}: ONNX Runtime could not start {wanted.providers[0]}; see what it requires")
    return session


def open_file(path: Path, how: Opening) -> OnnxBackend:
    """A model file in this engine, as the table of engines opens it."""
    return OnnxBackend(path, device=how.device, threads=how.threads, card=how.card)
