"""ONNX Runtime: our own exports, and published OSNet graphs whose normalisation lies outside."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import InputError, WeightsError
from omnireid.core.machine import available_cores
from omnireid.inference.backends.onnx_graph import (
    CARD_KEY,
    FEATURE_MAPS_OUTPUT,
    expose_feature_maps,
    find_embedding_output,
    read_input,
)
from omnireid.inference.backends.protocol import Crops, Embeddings, FeatureMaps, check_crops
from omnireid.inference.backends.tiny_weights import zero_tiny_weights
from omnireid.models.cards import list_architectures

_DEFAULT_SIZE = (256, 128)


@dataclass(frozen=True, slots=True)
class _Options:
    """How sessions are opened. `folder` is where weights kept outside the graph's file lie."""

    providers: list[str]
    threads: int
    folder: str | None


class OnnxBackend:
    """One ONNX graph in ONNX Runtime. Needs no torch.

    Two kinds of graph are understood. Ours take uint8 (N, H, W, 3), normalise inside and carry their model
    card. Others take float32 or float16, (N, 3, H, W) or (N, H, W, 3), normalised outside, batch free or
    fixed; their card is derived from the graph and its notes say what was assumed.
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
    ) -> None:
        """Load a graph and try it once.

        Args:
            source: the file, or its content.
            device: "auto" and "cpu" are the CPU; "cuda" needs onnxruntime-gpu.
            threads: threads of one call; the cores available when None.
            label: what errors call the model; the file's name when None.

        Raises:
            WeightsError: missing, empty, damaged, not ONNX, or a graph that is no embedding network.
            InputError: an unknown device or thread count.
        """
        if threads is not None and threads < 1:
            raise InputError(f"threads: expected at least 1, got {threads}")
        self._label = label or ("<bytes>" if isinstance(source, bytes) else str(source))
        providers, self.device = _providers(device)
        folder = None if isinstance(source, bytes) else str(Path(source).resolve().parent)
        self._options = _Options(providers, threads or available_cores(), folder)
        content = source if isinstance(source, bytes) else _read(Path(source))
        self._content = zero_tiny_weights(content)
        self._session = _open_session(self._content, self._label, self._options)
        self._input = read_input(self._session, self._label)
        self._output = find_embedding_output(self._session, self._label)
        self._map_session: tuple[Any, str] | None = None
        self._map_lock = Lock()
        self.card = self._make_card(hashlib.sha256(content).hexdigest())

    @property
    def fixed_batch(self) -> int | None:
        """Rows the graph takes in every run; None where their number is free."""
        return self._input.batch

    def embed(self, crops: Crops) -> Embeddings:
        """(N, H, W, 3) uint8 RGB → (N, D) float32, not normalised.

        Raises:
            ShapeError, InputError: crops of another shape or dtype.
        """
        check_crops(crops, self.card)
        if len(crops) == 0:
            return np.zeros((0, self.card.embedding_size), np.float32)
        return self._run(self._session, self._output, crops, self.card.input).reshape(len(crops), -1)

    def feature_maps(self, crops: Crops) -> FeatureMaps | None:
        """(N, H, W, 3) uint8 RGB → (N, C, h, w) float32; None where the graph does not show them.

        Our exports offer them as a second output. In other graphs the tensor in front of the global
        average pool is exposed, which needs the package `onnx`.
        """
        check_crops(crops, self.card)
        exposed = self._feature_map_session()
        if exposed is None:
            return None
        # ONNX Runtime is not asked to run on nothing: not every operator of every graph can.
        fed = crops if len(crops) else np.zeros((1, *crops.shape[1:]), np.uint8)
        return self._run(*exposed, fed, self.card.input)[: len(crops)]

    def _run(self, session: Any, output: str, crops: Crops, spec: InputSpec) -> npt.NDArray[np.float32]:
        if self._input.batch is None:
            fed = self._input.prepare(crops, spec)
            return np.asarray(session.run([output], {self._input.name: fed})[0], np.float32)
        parts = []
        for start in range(0, len(crops), self._input.batch):
            part = crops[start : start + self._input.batch]
            filled = np.zeros((self._input.batch, *crops.shape[1:]), np.uint8)
            filled[: len(part)] = part
            rows = session.run([output], {self._input.name: self._input.prepare(filled, spec)})[0]
            parts.append(np.asarray(rows[: len(part)], np.float32))
        return np.concatenate(parts)

    def _make_card(self, sha256: str) -> ModelCard:
        """The card in the file, held against its graph; or one derived from the graph."""
        text = self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
        if text is None:
            height, width = self._input.height or _DEFAULT_SIZE[0], self._input.width or _DEFAULT_SIZE[1]
            spec = InputSpec(height=height, width=width)
            return self._derived_card(spec, self._try_once(spec), sha256)
        card = ModelCard.from_json(text, source=self._label)
        size = self._try_once(card.input)
        for what, stated, actual in (
            ("height", card.input.height, self._input.height),
            ("width", card.input.width, self._input.width),
            ("embedding size", card.embedding_size, size),
        ):
            if actual not in (None, stated):
                raise WeightsError(f"{self._label}: its card says {what} {stated}, its graph {actual}")
        return card.model_copy(update={"sha256": sha256})

    def _try_once(self, spec: InputSpec) -> int:
        """Embedding size, from one run: a graph that cannot embed must fail when it is opened, not later."""
        # Two rows show a batch that was fixed inside although the input calls it free.
        blank = np.zeros((2, spec.height, spec.width, 3), np.uint8)
        try:
            rows = self._run(self._session, self._output, blank, spec)
        except Exception as error:  # ONNX Runtime's errors share no base class.
            raise WeightsError(
                f"{self._label}: the graph opens but cannot embed two crops of {spec.height}×{spec.width} "
                f"({_first_line(error)}). If it was exported with a fixed batch, export it with a free one"
            ) from error
        if rows.ndim < 2 or rows.shape[0] != 2 or rows.size != 2 * rows.shape[1]:
            raise WeightsError(
                f"{self._label}: two crops gave output {self._output!r} of shape {rows.shape}; "
                "an embedding network gives (2, D)"
            )
        return int(rows.shape[1])

    def _derived_card(self, spec: InputSpec, embedding_size: int, sha256: str) -> ModelCard:
        stem = Path(self._label).stem
        architecture = max(
            (name for name in list_architectures() if stem.startswith(name)), key=len, default=""
        )
        notes = ["Card derived from an ONNX graph."]
        if self._input.normalises_inside:
            notes.append("Assumed: RGB, and normalisation inside the graph, because its input is uint8.")
        else:
            notes.append("Assumed: RGB, normalised outside the graph with ImageNet mean and std.")
        if self._input.height is None or self._input.width is None:
            notes.append(f"Assumed: input {spec.height}×{spec.width}, where the graph leaves its size free.")
        if architecture:
            notes.append("The architecture is taken from the file name.")
        return ModelCard(
            name=stem,
            architecture=architecture or "unknown",
            input=spec,
            embedding_size=embedding_size,
            licence="unknown",
            origin=f"ONNX file without a model card: {Path(self._label).name}",
            sha256=sha256,
            notes=" ".join(notes),
        )

    def _feature_map_session(self) -> tuple[Any, str] | None:
        if FEATURE_MAPS_OUTPUT in (output.name for output in self._session.get_outputs()):
            return self._session, FEATURE_MAPS_OUTPUT
        with self._map_lock:
            if self._map_session is None:
                exposed = expose_feature_maps(self._content, self._output, self._options.folder)
                if exposed is None:
                    return None
                content, tensor = exposed
                self._map_session = (_open_session(content, self._label, self._options), tensor)
            return self._map_session


def _providers(device: str) -> tuple[list[str], str]:
    import onnxruntime

    if device in ("auto", "cpu"):
        return ["CPUExecutionProvider"], "cpu"
    if device != "cuda":
        raise InputError(f"device {device!r}: ONNX Runtime runs here on 'cpu' ('auto') and 'cuda'")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        raise InputError("device 'cuda': this ONNX Runtime has no CUDA; install onnxruntime-gpu in its place")
    return ["CUDAExecutionProvider", "CPUExecutionProvider"], "cuda"


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise WeightsError(f"{path}: is a folder, not a model file") from error
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror or error}") from error
    if not content:
        raise WeightsError(f"{path}: the file is empty (0 bytes)")
    return content


def _open_session(content: bytes, label: str, wanted: _Options) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = wanted.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # Faults come as exceptions; nothing goes to stderr beside them.
    if wanted.folder is not None:
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", wanted.folder
        )
    try:
        session = onnxruntime.InferenceSession(content, options, providers=wanted.providers)
    except Exception as error:  # ONNX Runtime's errors share no base class.
        raise WeightsError(
            f"{label}: not a whole ONNX model that ONNX Runtime can open ({_first_line(error)})"
        ) from error
    if session.get_providers()[0] != wanted.providers[0]:
        raise InputError(f"{label}: ONNX Runtime could not start {wanted.providers[0]}; see what it requires")
    return session


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
