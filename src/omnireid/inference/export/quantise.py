"""int8 by static quantisation, with the layers that suffer from it found by measurement.

Convolutions get weights and activations of 8 bits, as pairs of QuantizeLinear and DequantizeLinear around
them (QDQ), which ONNX Runtime and OpenVINO read alike. What is small or delicate stays in float: the gates
with their sigmoids, everything after the global pool, instance norms, and additions.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from rich.console import Console

from omnireid.core.arrays import Float64
from omnireid.core.errors import (
    InputError,
    MissingExtraError,
    OmniReIDWarning,
    UnknownNameError,
    WeightsError,
)
from omnireid.core.progress import progress_bar
from omnireid.core.seeds import numpy_generator
from omnireid.inference.backends.onnx_graph import CARD_KEY
from omnireid.inference.backends.onnx_runtime import OnnxBackend
from omnireid.inference.backends.protocol import Crops, Embeddings, check_crops
from omnireid.inference.backends.tiny_weights import zero_tiny_weights

Method = Literal["minmax", "percentile", "entropy"]

MIN_CROPS = 32
MAX_CALIBRATION = 64
MAX_SENSITIVITY = 16
# Other crops than those held out lose a little more: two fifths of the loss allowed are kept back.
_MARGIN = 0.4
# Only convolutions gain from int8. Activations and pools between them pass integers on; additions and the
# product with the gate are no faster in integers and lose accuracy.
_OPERATORS = ["Conv", "Relu", "MaxPool", "AveragePool"]
_FOLLOW_A_POOL = ("Conv", "Relu", "Sigmoid", "Gemm", "MatMul", "Flatten", "Reshape", "BatchNormalization")
# Activations of all layers of so many crops are in memory at the same time.
_CALIBRATION_PART = 4
_OPSET = 17
_FIRST_OPSET_PER_CHANNEL = 13


@dataclass(frozen=True)
class QuantisationReport:
    """What was measured, on crops that were not calibrated with; cosines are to the float graph.

    Attributes:
        method: how the ranges of activations were chosen.
        num_calibration, num_held_out: crops.
        limit: asked for; the search kept two fifths of the loss it allows in reserve.
        min_cosine, p1_cosine, median_cosine: of the graph that is given back.
        min_cosine_all: smallest cosine with every layer in int8.
        num_layers: convolutions that could be quantised.
        loss: mean of 1 − cosine with nothing but this group of layers in int8, worst first; groups are named
            by their first layer. Empty where all layers together kept within the limit.
    """

    method: Method
    num_calibration: int
    num_held_out: int
    limit: float
    min_cosine: float
    p1_cosine: float
    median_cosine: float
    min_cosine_all: float
    num_layers: int
    loss: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class QuantisedGraph:
    """An ONNX model in int8, the convolutions in it that were left in float by name, and the proof."""

    bytes: bytes
    float_layers: tuple[str, ...]
    report: QuantisationReport


def quantise(
    graph: bytes,
    crops: Crops | None,
    *,
    limit: float = 0.99,
    method: Method = "minmax",
    console: Console | None = None,
) -> QuantisedGraph:
    """Quantise a network's graph to int8.

    Weights are quantised per output channel, activations per tensor; those behind a ReLU use all 256 steps
    for what is above zero. Every fourth crop is held out for measuring. If with all convolutions in int8 the
    cosine of one of these to the float graph falls below `limit`, each group of layers (the two convolutions
    of a Lite 3×3, or a single one) is quantised alone to see what it loses, and the groups that lose most
    stay in float: as few as halving the list finds.

    Half of the crops, of both kinds, are made brighter or darker first: ranges that know one light only cut
    off what another camera sees, and crops of that same light do not show it.

    Args:
        graph: an ONNX model that `OnnxBackend` reads: ours, or a published one.
        crops: (N, H, W, 3) uint8 RGB, N ≥ 32, like those the network will see: up to 64 of them set the
            ranges. None takes generated ones, with a warning.
        limit: least cosine, above 0 and below 1.
        method: range of an activation: "minmax" all of it, "percentile" without its outermost hundred-
            thousandth, "entropy" what keeps its distribution best. On pictures of other cameras "minmax"
            loses least (docs/guides/embedding/int8.md).
        console: where a progress bar is drawn.

    Raises:
        WeightsError: not a usable graph, no convolution in it, or none can be quantised within the limit.
        ShapeError, InputError: crops of another size, too few of them, or a limit out of range.
        UnknownNameError: no such method.
        MissingExtraError: the package onnx is not installed.
    """
    if not 0 < limit < 1:
        raise InputError(f"limit: expected a cosine above 0 and below 1, got {limit}")
    if method not in get_args(Method):
        raise UnknownNameError("method", method, get_args(Method))
    graph = zero_tiny_weights(graph)
    reference = OnnxBackend(graph, threads=1, label="graph to quantise", is_ours=True)
    if crops is None:
        from omnireid.inference.export.parity import generated_crops

        warnings.warn(
            "int8 is calibrated on generated crops, whose activations may differ from those of real ones: "
            "give crops like those the network will see",
            OmniReIDWarning,
            stacklevel=2,
        )
        crops = generated_crops(2 * MAX_CALIBRATION, reference.card.input, seed=0)
    check_crops(crops, reference.card)
    if len(crops) < MIN_CROPS:
        raise InputError(f"crops: quantising needs at least {MIN_CROPS}, got {len(crops)}")
    held_out = half_in_other_light(crops[3::4])
    calibration = half_in_other_light(spread(np.delete(crops, np.s_[3::4], axis=0), MAX_CALIBRATION))
    network = _Network(graph)
    if not network.groups:
        raise WeightsError("the graph holds no convolution that can be quantised")
    parts = reference.fed_parts(calibration, reference.card.input, _CALIBRATION_PART)
    network.calibrate([{reference.graph_input.name: part} for part in parts], method)
    search = _Search(network, held_out, reference.embed(held_out), console)
    content, cosines, float_layers = search.run(limit)
    report = QuantisationReport(
        method=method,
        num_calibration=len(calibration),
        num_held_out=len(held_out),
        limit=limit,
        min_cosine=float(cosines.min()),
        p1_cosine=float(np.percentile(cosines, 1)),
        median_cosine=float(np.median(cosines)),
        min_cosine_all=search.min_cosine_all,
        num_layers=sum(len(group) for group in network.groups),
        loss=search.loss,
    )
    return QuantisedGraph(content, float_layers, report)


class _Network:
    """The float graph, its quantisable layers and the ranges of its activations."""

    def __init__(self, graph: bytes) -> None:
        try:
            import onnx
        except ImportError as error:
            raise MissingExtraError("quantising a network", "train") from error
        model = onnx.load_from_string(graph)
        if model.opset_import[0].version < _FIRST_OPSET_PER_CHANNEL:
            model = onnx.version_converter.convert_version(model, _OPSET)
        # What else a file says of itself (the hash of its content) does not hold any more.
        self._metadata = [entry for entry in model.metadata_props if entry.key == CARD_KEY]
        for number, node in enumerate(model.graph.node):
            node.name = node.name or f"{node.op_type}_{number}"  # what is left in float is left by name
        self.model = onnx.shape_inference.infer_shapes(model)
        self.groups = _groups(self.model.graph)
        self._ranges: Any = None

    def calibrate(self, inputs: list[dict[str, npt.NDArray[Any]]], method: Method) -> None:
        """Find the ranges of activations."""
        from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

        methods = {
            "minmax": CalibrationMethod.MinMax,
            "percentile": CalibrationMethod.Percentile,
            "entropy": CalibrationMethod.Entropy,
        }
        # ONNX Runtime's calibrators work on files and print.
        with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
            source = Path(folder, "model.onnx")
            source.write_bytes(self.model.SerializeToString())
            calibrator = create_calibrator(
                source,
                _OPERATORS,
                augmented_model_path=str(Path(folder, "augmented.onnx")),
                calibrate_method=methods[method],
                providers=["CPUExecutionProvider"],
            )
            for part in inputs:
                calibrator.collect_data(_Reader([part]))
            self._ranges = calibrator.compute_data()

    def quantised(self, float_groups: Collection[int]) -> bytes:
        """The model with all groups in int8 but these."""
        import onnx
        from onnxruntime.quantization import QuantType
        from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        chosen = {layer for index, group in enumerate(self.groups) for layer in group} - set(
            self.layers(float_groups)
        )
        quantiser = QDQQuantizer(
            model,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=_left_out(model.graph, chosen),
            op_types_to_quantize=_OPERATORS,
            extra_options={},
        )
        quantiser.quantize_model()
        graph = quantiser.model.model
        del graph.metadata_props[:]
        graph.metadata_props.extend(self._metadata)
        return bytes(graph.SerializeToString())

    def layers(self, groups: Collection[int]) -> tuple[str, ...]:
        return tuple(layer for index in sorted(groups) for layer in self.groups[index])


class _Search:
    """As few groups in float as the limit needs."""

    def __init__(
        self, network: _Network, held_out: Crops, expected: Embeddings, console: Console | None
    ) -> None:
        self._network = network
        self._held_out = held_out
        self._expected = expected
        self._console = console
        self.min_cosine_all = 1.0
        self.loss: dict[str, float] = {}

    def run(self, limit: float) -> tuple[bytes, Float64, tuple[str, ...]]:
        """The quantised model, its cosines on the held-out crops and its float layers."""
        aim = limit + _MARGIN * (1 - limit)
        content = self._network.quantised(())
        cosines = self._cosines(content)
        self.min_cosine_all = float(cosines.min())
        if cosines.min() >= aim:
            return content, cosines, ()
        worst_first = self._worst_first()
        # The last one is all of them: the float graph, which always keeps within the limit.
        fewest, enough = 0, len(worst_first)
        best = None
        while enough - fewest > 1:
            middle = (fewest + enough) // 2
            tried = self._network.quantised(worst_first[:middle])
            cosines = self._cosines(tried)
            if cosines.min() >= aim:
                enough, best = middle, (tried, cosines, self._network.layers(worst_first[:middle]))
            else:
                fewest = middle
        if best is None:
            raise WeightsError(
                f"not one layer can be quantised with every cosine at {limit} or above "
                f"(all of them: {self.min_cosine_all:.4f}); export in fp16 or bf16, or allow a lower limit"
            )
        return best

    def _worst_first(self) -> list[int]:
        """Every group's index, by what it alone loses."""
        held_out, expected = (
            spread(self._held_out, MAX_SENSITIVITY),
            spread(self._expected, MAX_SENSITIVITY),
        )
        groups = self._network.groups
        losses = np.zeros(len(groups))
        with progress_bar(self._console, transient=True) as bar:
            task = bar.add_task("measuring layers in int8", total=len(groups))
            for index in range(len(groups)):
                alone = self._network.quantised(set(range(len(groups))) - {index})
                losses[index] = 1 - _cosines(_embed(alone, held_out), expected).mean()
                bar.advance(task)
        order = np.argsort(-losses, kind="stable")
        self.loss = {groups[index][0]: float(losses[index]) for index in order}
        return [int(index) for index in order]

    def _cosines(self, content: bytes) -> Float64:
        return _cosines(_embed(content, self._held_out), self._expected)


class _Reader:
    """Inputs in the form in which ONNX Runtime's calibrators ask for them."""

    def __init__(self, inputs: list[dict[str, npt.NDArray[Any]]]) -> None:
        self._inputs: Iterator[dict[str, npt.NDArray[Any]]] = iter(inputs)

    def get_next(self) -> dict[str, npt.NDArray[Any]] | None:
        return next(self._inputs, None)


def _groups(graph: Any) -> list[tuple[str, ...]]:
    """Names of the convolutions that may be quantised, in the graph's order, those of a chain together."""
    weights = {tensor.name for tensor in graph.initializer} | {
        output for node in graph.node if node.op_type == "Constant" for output in node.output
    }
    pooled = _pooled(graph)
    groups: list[list[str]] = []
    group_of: dict[str, list[str]] = {}  # by the tensor that a convolution gives
    for node in graph.node:
        if node.op_type != "Conv" or node.input[0] in pooled or node.input[1] not in weights:
            continue
        group = group_of.get(node.input[0])
        if group is None:
            group = []
            groups.append(group)
        group.append(node.name)
        group_of[node.output[0]] = group
    return [tuple(group) for group in groups]


def _pooled(graph: Any) -> set[str]:
    """Tensors of one pixel: global pools and what is computed from them alone."""
    pooled: set[str] = set()
    for node in graph.node:
        follows = node.op_type in _FOLLOW_A_POOL and node.input[0] in pooled
        if node.op_type in ("GlobalAveragePool", "ReduceMean") or follows:
            pooled.update(node.output)
    return pooled


def _left_out(graph: Any, chosen: Collection[str]) -> list[str]:
    """Nodes that the quantiser must pass over: convolutions not chosen, and what would only serve them."""
    quantised: set[str] = set()
    left_out = []
    for node in graph.node:
        if node.op_type not in _OPERATORS:
            continue
        # An activation or pool is quantised together with the layer it follows.
        if node.name in chosen or (node.op_type != "Conv" and node.input[0] in quantised):
            quantised.update(node.output)
        else:
            left_out.append(node.name)
    return left_out


def _embed(content: bytes, crops: Crops) -> Embeddings:
    # One thread: starting threads for each of a hundred graphs takes longer than running them.
    return OnnxBackend(content, threads=1, label="quantised graph", is_ours=True).embed(crops)


def _cosines(actual: Embeddings, expected: Embeddings) -> Float64:
    """Row by row; 0 where an embedding has died and points nowhere."""
    a, b = actual.astype(np.float64), expected.astype(np.float64)
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray(np.divide((a * b).sum(1), norms, out=np.zeros(len(a)), where=norms > 0))


def half_in_other_light(crops: Crops) -> Crops:
    """Every second crop made darker or brighter, by half to one and a half, in no order."""
    varied = crops.copy()
    count = len(crops[1::2])
    factors = numpy_generator(0, "light of calibration crops").permutation(np.linspace(0.5, 1.5, count))
    varied[1::2] = np.clip(crops[1::2] * factors[:, None, None, None], 0, 255).astype(np.uint8)
    return varied


def spread(rows: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """At most `count` of the rows, evenly spread."""
    return np.asarray(rows[np.unique(np.linspace(0, len(rows) - 1, count).round().astype(int))])
