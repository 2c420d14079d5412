"""OpenVINO: ONNX files, ours and published ones, and its own `.xml` with `.bin`. Needs [openvino]."""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from queue import Empty, LifoQueue
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import AnyFloat
from omnireid.core.errors import InputError, MissingExtraError, WeightsError
from omnireid.core.forking import check_process, keep_for_good
from omnireid.core.machine import compute_threads
from omnireid.inference.backends.colours import BEGINS_NETWORK, Pictures
from omnireid.inference.backends.foreign import ForeignCard
from omnireid.inference.backends.graph import GraphBackend, first_line, read_model_file
from omnireid.inference.backends.onnx_file import read_onnx
from omnireid.inference.backends.onnx_graph import (
    CARD_KEY,
    EMBEDDING_OUTPUT,
    FEATURE_MAPS_OUTPUT,
    find_embedding_output,
    read_input,
)
from omnireid.inference.backends.table import Opening
from omnireid.inference.backends.tiny_weights import TINY

_PARTS = {"fp32": 4, "bf16": 8}
"""Crops in a part of a large batch: x1.0 runs 1.2 times as fast so as 32 at once, in fp32 and in bf16."""

_TYPES = {"u8": "tensor(uint8)", "f32": "tensor(float)", "f16": "tensor(float16)"}
_HINTS = {"fp32": "f32", "bf16": "bf16"}
_TELEMETRY = "openvino_telemetry"
_INTEL_FAMILY = re.compile(r"person-reidentification-retail-\d{4}")
_WRITTEN_NAME = re.compile(rb'<model_name value="([^"]*)"')
_TURNED_ROUND = re.compile(rb'<reverse_input_channels value="True"')
_MEANS = re.compile(rb'<mean_values value="[^"]*\d')

_Form = TypeVar("_Form")


@dataclass(frozen=True, slots=True)
class _Port:
    """An input or output as `onnx_graph` reads them."""

    name: str
    type: str
    shape: list[int | str]


class OpenVinoBackend(GraphBackend):
    """One graph in OpenVINO, on the CPU. Needs no torch.

    Understands what `OnnxBackend` does, and OpenVINO's own files. A graph of free batch is compiled for one
    crop in all threads, and at the first large batch for parts of 4 crops (8 in bf16), one part per thread:
    fixed shapes run 1.2 to 1.5 times as fast as free ones. Of the outputs only the embedding is computed.
    Weights below 1e-20 in size are set to zero, see `tiny_weights`.
    """

    name = "openvino"
    device = "cpu"

    def __init__(
        self,
        source: str | os.PathLike[str] | bytes,
        *,
        precision: Literal["fp32", "bf16"] = "fp32",
        threads: int | None = None,
        cache: str | os.PathLike[str] | None = None,
        label: str | None = None,
        card: ForeignCard | None = None,
    ) -> None:
        """Load a graph, compile it for one crop and try it once.

        Args:
            source: an `.onnx` file, the `.xml` of a pair `.xml` and `.bin`, or the content of an ONNX file.
            precision: what float layers are computed in. "bf16" asks for a processor that has it; it is
                never chosen for you, although OpenVINO would. Layers quantised to int8 run in int8 with both.
            threads: threads of one call; `compute_threads` when None.
            cache: folder where compiled graphs are kept, which opens them faster the next time.
            label: what errors call the model; the file's name when None.
            card: what a file of others takes; None where the file says so itself.

        Raises:
            MissingExtraError: openvino is not installed.
            WeightsError: missing, empty, damaged, no graph, or one that is no embedding network.
            InputError: an unknown precision, one that this processor lacks, or a thread count below 1.
        """
        if threads is not None and threads < 1:
            raise InputError(f"threads: expected at least 1, got {threads}")
        if precision not in _HINTS:
            raise InputError(f"precision {precision!r}: OpenVINO computes here in 'fp32' and 'bf16'")
        self._begin()
        self._openvino = import_openvino()
        self._core = self._openvino.Core()
        if precision == "bf16" and "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise InputError("precision 'bf16': this processor cannot compute in bf16; use 'fp32'")
        # A file that is written anew while the model is open must not change its weights.
        self._core.set_property({"ENABLE_MMAP": False})
        self.precision = precision
        self._label = label or ("<bytes>" if isinstance(source, bytes) else str(source))
        self._threads = threads or compute_threads()
        self._rows = self._part = _PARTS[precision]
        self._cache = cache
        self._xml: bytes | None = None
        if not isinstance(source, bytes) and Path(source).suffix == ".xml":
            self._xml, weights = read_model_file(source), read_model_file(Path(source).with_suffix(".bin"))
            sha256 = hashlib.sha256(self._xml + weights).hexdigest()
        else:
            _, sha256 = read_onnx(source)
        self._model = self._read(source if isinstance(source, bytes) else os.fspath(source))
        outputs = [_port(port) for port in self._model.outputs]
        self.graph_input = read_input([_port(port) for port in self._model.inputs], self._label)
        self._output_names = [port.name for port in outputs]
        self._output = self._output_names.index(find_embedding_output(outputs, self._label))
        _zero_tiny_constants(self._model, self._openvino)
        self._finish(_card_text(self._model), sha256, card)

    def _renew(self) -> None:
        """Compiled graphs are of no use in a child, and closing them there would end it."""
        super()._renew()
        for form in ("_single", "_parts", "_maps"):
            keep_for_good(self.__dict__.get(form))

    def _operations(self) -> Counter[str]:
        names = Counter(node.get_type_name() for node in self._model.get_ordered_ops())
        names["Conv"] = names["Convolution"] + names["GroupConvolution"]
        return names

    def _first_nodes(self) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]] | None:
        model = self._model.clone()
        tensor = _behind_first_nodes(model)
        if tensor is None:
            return None
        nodes = self._openvino.Model([tensor], model.get_parameters(), "first nodes")
        compiled = self._core.compile_model(nodes, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return lambda fed: np.array(compiled(fed)[0])

    def _hint(self) -> Pictures | None:
        """What Intel publishes takes 0 to 255 in OpenCV's order; and converters write down what they add."""
        if self._xml is None:
            return None
        # By the file's name, or by the name that Intel's converter wrote into it.
        written = _WRITTEN_NAME.search(self._xml)
        family = _INTEL_FAMILY.search(Path(self._label).stem) or (
            _INTEL_FAMILY.search(written[1].decode()) if written else None
        )
        if family is not None:
            return Pictures(255, "BGR", notes=f"BGR of 0 to 255, as Intel's {family[0]} takes them.")
        if _TURNED_ROUND.search(self._xml) and _MEANS.search(self._xml):
            return Pictures(255, "BGR", notes="BGR of 0 to 255, as the parameters of its conversion say.")
        return None

    def _run(self, fed: npt.NDArray[Any], *, alone: bool) -> AnyFloat:
        if self.fixed_batch is not None:
            return self._locked(lambda: self._single).run(fed)
        if len(fed) == self._rows and not alone:
            return self._locked(lambda: self._parts).run(fed)
        single = self._locked(lambda: self._single)
        return np.concatenate([single.run(fed[row : row + 1]) for row in range(len(fed))])

    def _run_maps(self, fed: npt.NDArray[Any]) -> AnyFloat | None:
        compiled = self._locked(lambda: self._maps)
        return None if compiled is None else compiled.run(fed)

    def _locked(self, form: Callable[[], _Form]) -> _Form:
        """One of the compiled forms below, made by the first thread that asks for it."""
        check_process(self._process, self._label, "open it in the child")
        with self._lock:
            return form()

    @cached_property
    def _single(self) -> _Compiled:
        # Shapes are followed to the end here: a batch fixed inside shows before anything is compiled.
        self._embedding_model(self._rows)
        return self._compile(self._embedding_model(1), streams=1)

    @cached_property
    def _parts(self) -> _Compiled:
        return self._compile(self._embedding_model(self._rows), streams=self._threads)

    @cached_property
    def _maps(self) -> _Compiled | None:
        model = self._model.clone()
        if FEATURE_MAPS_OUTPUT in self._output_names:
            kept = self._output_names.index(FEATURE_MAPS_OUTPUT)
        else:
            tensor = _before_global_pool(model.outputs[self._output].node)
            if tensor is None:
                return None
            model.add_outputs([tensor])
            kept = len(model.outputs) - 1
        return self._compile(_with_one_output(model, kept), streams=1)

    def _embedding_model(self, batch: int) -> Any:
        model = _with_one_output(self._model.clone(), self._output)
        if self.fixed_batch is None:
            shape = model.input(0).partial_shape
            shape[0] = batch
            model.reshape(shape)
            if model.output(0).partial_shape[0] != batch:
                raise WeightsError(f"{batch} crops give an output of shape {model.output(0).partial_shape}")
        return model

    def _compile(self, model: Any, *, streams: int) -> _Compiled:
        options: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
            "INFERENCE_NUM_THREADS": self._threads,
            "NUM_STREAMS": streams,
            # Pinned threads of several models would share one core and leave others idle.
            "ENABLE_CPU_PINNING": False,
        }
        if self._cache is not None:
            options["CACHE_DIR"] = os.fspath(self._cache)
        return _Compiled(self._core.compile_model(model, "CPU", options), self._openvino.Tensor)

    def _read(self, source: str | bytes) -> Any:
        try:
            # By its path where there is one, so that weights outside the file are found.
            return self._core.read_model(source)
        except Exception as error:  # OpenVINO raises RuntimeError for whatever is wrong
            raise WeightsError(
                f"{self._label}: not a whole model that OpenVINO can open ({first_line(error)})"
            ) from error


class _Compiled:
    """A compiled graph and the requests that run on it: one per thread that is inside at the same time."""

    def __init__(self, model: Any, tensor: Any) -> None:
        self._model = model
        self._tensor = tensor
        self._idle: LifoQueue[Any] = LifoQueue()

    def run(self, fed: npt.NDArray[Any]) -> AnyFloat:
        try:
            request = self._idle.get_nowait()
        except Empty:
            request = self._model.create_infer_request()
        request.set_input_tensor(self._tensor(fed, shared_memory=True))
        request.infer()
        # The request's memory is written again by its next run.
        rows = np.array(request.get_output_tensor(0).data)
        self._idle.put(request)
        return rows


def import_openvino(what: str = "the OpenVINO backend") -> Any:
    """The package `openvino`, without the report on its use that importing it sends to its makers.

    The report is sent by the package `openvino_telemetry`, which is hidden meanwhile; OpenVINO has a
    substitute of its own for that case. If something else has imported OpenVINO before, it was sent.

    Args:
        what: needs it; for the error.

    Raises:
        MissingExtraError: openvino is not installed.
    """
    there, module = _TELEMETRY in sys.modules, sys.modules.get(_TELEMETRY)
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]  # the import system's way to say: absent
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError(what, "openvino") from error
    finally:
        if there:
            sys.modules[_TELEMETRY] = module  # type: ignore[assignment]
        else:
            del sys.modules[_TELEMETRY]
    return openvino


def _port(port: Any) -> _Port:
    kind = port.get_element_type().get_type_name()
    shape = [
        size.get_length() if size.is_static else f"d{axis}" for axis, size in enumerate(port.partial_shape)
    ]
    names = sorted(port.get_names()) or [port.node.get_friendly_name()]
    known = [name for name in (EMBEDDING_OUTPUT, FEATURE_MAPS_OUTPUT) if name in names]
    return _Port((known or names)[0], _TYPES.get(kind, f"tensor({kind})"), shape)


def _card_text(model: Any) -> str | None:
    """The card: where our exports to OpenVINO keep it, or where reading an ONNX file puts its metadata."""
    if model.has_rt_info(["omnireid"]):
        text = str(model.get_rt_info(["omnireid"]).astype(str))
        try:
            return json.dumps(json.loads(text)["card"])
        except (json.JSONDecodeError, KeyError, TypeError):
            return text  # no card either, and reported as such
    if model.has_rt_info(["framework", CARD_KEY]):
        return str(model.get_rt_info(["framework", CARD_KEY]).astype(str))
    return None


def _with_one_output(model: Any, kept: int) -> Any:
    for index, result in enumerate(model.get_results()):
        if index != kept:
            model.remove_result(result)
    return model


def _zero_tiny_constants(model: Any, openvino: Any) -> None:
    for node in model.get_ops():
        if node.get_type_name() == "Constant" and node.get_element_type() == openvino.Type.f32:
            values = node.data
            tiny = (values != 0) & (np.abs(values) < TINY)
            if tiny.any():
                zeroed = openvino.opset13.constant(np.where(tiny, np.float32(0), values))
                node.output(0).replace(zeroed.output(0))


def _behind_first_nodes(model: Any) -> Any | None:
    """The port that the network's first layer takes; None where it is the input."""
    (image,) = model.get_parameters()
    coloured = {image.get_friendly_name()}
    for node in model.get_ordered_ops():
        taken = [port for port in node.input_values() if port.get_node().get_friendly_name() in coloured]
        if not taken or node.get_type_name() == "ShapeOf":
            continue
        if BEGINS_NETWORK.search(node.get_type_name()):
            return None if taken[0].get_node().get_type_name() == "Parameter" else taken[0]
        coloured.add(node.get_friendly_name())
    return None


def _before_global_pool(node: Any) -> Any | None:
    """Input of the global average pool nearest to `node`, going back: `onnx_graph` says why the nearest."""
    reached, frontier = {node.get_friendly_name()}, [node]
    while frontier:
        before = []
        for current in frontier:
            if current.get_type_name() == "ReduceMean":
                return current.input_value(0)
            before += [port.get_node() for port in current.input_values()]
        frontier = [source for source in before if source.get_friendly_name() not in reached]
        reached.update(source.get_friendly_name() for source in frontier)
    return None


def open_file(path: Path, how: Opening) -> OpenVinoBackend:
    """A model file in this engine, as the table of engines opens it."""
    of_file = "bf16" if how.metadata is not None and how.metadata.precision == "bf16" else "fp32"
    precision: Any = how.precision or of_file
    return OpenVinoBackend(path, precision=precision, threads=how.threads, card=how.card)
