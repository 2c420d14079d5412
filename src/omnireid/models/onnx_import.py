"""A published ONNX file turned back into weights, so that everything that starts from weights works from it.

The network is recognised by the shape of its graph (see `onnx_walk`) and proven on the spot: weights are
given only if an OSNet with them has the embeddings that ONNX Runtime gets from the file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32, Float64, UInt8
from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import MissingExtraError, WeightsError
from omnireid.core.files import sha256_file
from omnireid.core.images import normalise
from omnireid.core.seeds import numpy_generator
from omnireid.models.cards import model_card
from omnireid.models.onnx_walk import FoundBlock, FoundLayer, FoundNetwork, FoundNorm, is_instance_norm, walk
from omnireid.models.osnet_config import ARCHITECTURES, OSNetConfig
from omnireid.models.weight_header import require_file

try:
    import onnx
    import torch
    from torch import Tensor
except ImportError as error:
    raise MissingExtraError("importing an ONNX file", "train") from error

from omnireid.models.batch_norms import folded_note
from omnireid.models.network import Network
from omnireid.models.registry import architecture_config, blank_network
from omnireid.models.state_dict import check_state_dict

MAX_DISTANCE = 1e-5
"""Of unit embeddings. Rounding makes 2e-7. A cosine of 0.999999 is 1.4e-3, and lets a wrong pool pass."""

_NUM_CROPS = 4
# As `inference` writes it into the files that it exports.
_CARD_KEY = "omnireid.card"
_EPSILON = 1e-5


def import_onnx(
    path: str | os.PathLike[str], architecture: str | None = None
) -> tuple[dict[str, Tensor], ModelCard]:
    """Read the weights of an OSNet from an ONNX file.

    The file may take normalised (N, 3, H, W) pictures, as published files do, or uint8 (N, H, W, 3), as ours
    do; batch norms may be folded. A folded one comes back as scale 1, shift b, mean 0 and variance 1: the
    network gives the same embeddings, and `training.loop.train` measures statistics before it trains it.

    Args:
        path: the file; weights kept beside it are read too.
        architecture: what it must be; None takes what the graph is.

    Returns:
        A state dict (float32) that fits `build_model(card.architecture)` exactly, and a card: the one in the
        file, else one that says what is not known.

    Raises:
        WeightsError: missing, damaged, no OSNet, not of the stated architecture, not float32, or an OSNet
            whose embeddings these weights do not give (see `MAX_DISTANCE`).
        UnknownNameError: `architecture` is not known.
    """
    source = Path(path)
    wanted = None if architecture is None else architecture_config(architecture)
    model = _load(source)
    imported = walk(model.graph, str(source))
    name = _recognise(imported, source)
    if wanted is not None and wanted != ARCHITECTURES[name]:
        raise WeightsError(f"{source}: the graph is that of {name}, {architecture} was asked for")
    card = _card(model, name, source, takes_bytes=imported.scale is not None)
    config = ARCHITECTURES[name]
    state = dict(_state(_for_normalised_pictures(imported, card.input, source), config))
    network = blank_network(config).eval()
    check_state_dict(network.state_dict(), state, source=str(source))
    network.load_state_dict(state)
    _prove(network, card.input, model, source)
    notes = " ".join([card.notes, *folded_note(network)]).strip()
    return network.state_dict(), card.model_copy(update={"notes": notes})


def _load(source: Path) -> onnx.ModelProto:
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

    require_file(source)
    try:
        model = onnx.load(str(source))
    except (DecodeError, onnx.checker.ValidationError, OSError, ValueError) as error:
        raise WeightsError(f"{source}: damaged, truncated or not an ONNX file ({error})") from error
    if not model.graph.node:
        raise WeightsError(f"{source}: damaged, truncated or not an ONNX file (it holds no graph)")
    return model


def _recognise(network: FoundNetwork, source: Path) -> str:
    """The architecture of which this is a network; its key names follow from it."""
    blocks = [block for stage in network.stages for block in stage]
    shape: dict[str, Any] = {
        "channels": (
            len(network.stem.weight),
            *(len(stage[-1].restore.weight) for stage in network.stages if stage),
        ),
        "blocks": tuple(len(stage) for stage in network.stages),
        "stream_depths": {tuple(len(stream) for stream in block.streams) for block in blocks},
        "stem_norm": "instance" if is_instance_norm(network.stem.norm) else "batch",
        "instance_norm": tuple(tuple(block.placement for block in stage) for stage in network.stages),
        "embedding_size": len(network.fc.weight),
    }
    for name, config in ARCHITECTURES.items():
        known = {field: getattr(config, field) for field in shape} | {
            "stream_depths": {config.stream_depths},
            "instance_norm": tuple(config.placements(stage) for stage in range(3)),
        }
        if known == shape:
            return name
    listed = ", ".join(f"{field} {value}" for field, value in shape.items())
    raise WeightsError(f"{source}: an OSNet, but none of the nine architectures: {listed}")


def _card(model: onnx.ModelProto, architecture: str, source: Path, *, takes_bytes: bool) -> ModelCard:
    embedded = {entry.key: entry.value for entry in model.metadata_props}.get(_CARD_KEY)
    if embedded is not None:
        card = ModelCard.from_json(embedded, source=str(source))
        if card.architecture != architecture:
            raise WeightsError(
                f"{source}: its card says {card.architecture}, its graph is that of {architecture}"
            )
        return card
    if takes_bytes:
        raise WeightsError(
            f"{source}: it normalises inside and has no card that says how, so its input size, mean and "
            "deviation cannot be told apart from its weights; import the file that takes normalised pictures"
        )
    height, width = _input_size(model)
    known = model_card(architecture)
    spec = known.input.model_copy(
        update={"height": height or known.input.height, "width": width or known.input.width}
    )
    return known.model_copy(
        update={
            "name": source.stem,
            "input": spec,
            "licence": "unknown",
            "origin": source.name,
            "training_data": "unknown",
            "sha256": sha256_file(source),
            "notes": f"Imported from {source.name}; nothing but its graph is known. That it wants pictures "
            "normalised by ImageNet's mean and deviation is what OSNets usually want, the file does not say.",
        }
    )


def _input_size(model: onnx.ModelProto) -> tuple[int, int]:
    """Height and width of an (N, 3, H, W) input; 0 where they may vary."""
    constants = {tensor.name for tensor in model.graph.initializer}
    (value,) = (value for value in model.graph.input if value.name not in constants)
    sizes = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return (sizes[2], sizes[3]) if len(sizes) == 4 else (0, 0)


def _for_normalised_pictures(network: FoundNetwork, spec: InputSpec, source: Path) -> FoundNetwork:
    """The same network without what it does to its input: the stem takes what `core.images.normalise` gives.

    A scale may stand in front of the stem or in its weights, a shift only in front.
    """
    if network.scale is None or network.shift is None:
        return network
    scale, shift = (values.astype(np.float64) for values in spec.scale_shift())
    if not np.allclose(network.shift / network.scale, shift / scale, rtol=1e-4, atol=1e-3):
        raise WeightsError(
            f"{source}: it does not subtract the mean that its card states, {spec.mean}, but "
            f"{tuple(np.round(-network.shift / network.scale / 255, 4).tolist())}"
        )
    weight = network.stem.weight * (network.scale / scale)[:, None, None]
    return replace(network, stem=replace(network.stem, weight=weight.astype(np.float32)))


_Entries = Iterator[tuple[str, Tensor]]


def _state(network: FoundNetwork, config: OSNetConfig) -> _Entries:
    """The published keys and what belongs there."""
    apart = config.layout == "osnet_ain"
    yield from _layer("conv1", network.stem)
    for number, stage in enumerate(network.stages, start=2):
        for index, block in enumerate(stage):
            yield from _block(f"conv{number}.{index}", block, apart=apart)
    for number, layer in enumerate(network.transitions, start=2):
        name = f"pool{number}.0" if apart else f"conv{number}.{config.blocks[number - 2]}.0"
        yield from _layer(name, layer)
    yield from _layer("conv5", network.head)
    # The one layer with a bias of its own.
    yield "fc.0.weight", torch.from_numpy(network.fc.weight)
    yield "fc.0.bias", torch.from_numpy(network.fc.bias)
    yield from _norm("fc.1", network.fc.norm, np.zeros_like(network.fc.bias))


def _block(name: str, block: FoundBlock, *, apart: bool) -> _Entries:
    yield from _layer(f"{name}.conv1", block.reduce)
    for number, stream in enumerate(block.streams):
        for depth, (pointwise, depthwise) in enumerate(stream):
            if apart:
                layer = f"{name}.conv2.{number}.layers.{depth}"
            else:
                layer = f"{name}.conv2{'abcd'[number]}" + (f".{depth}" if len(stream) > 1 else "")
            yield f"{layer}.conv1.weight", torch.from_numpy(pointwise.weight)
            yield f"{layer}.conv2.weight", torch.from_numpy(depthwise.weight)
            yield from _norm(f"{layer}.bn", depthwise.norm, depthwise.bias)
    for number, part in enumerate((block.gate.reduce, block.gate.restore), start=1):
        yield f"{name}.gate.fc{number}.weight", torch.from_numpy(part.weight)
        yield f"{name}.gate.fc{number}.bias", torch.from_numpy(part.bias)
    if block.placement == "inside":
        # Whatever bias the convolution has, the instance norm takes it off again.
        yield f"{name}.conv3.conv.weight", torch.from_numpy(block.restore.weight)
        yield from _norm(f"{name}.IN", block.restore.norm, block.restore.bias)
    else:
        yield from _layer(f"{name}.conv3", block.restore)
    if block.after is not None:
        yield from _norm(f"{name}.IN", block.after, np.zeros_like(block.restore.bias))
    if block.shortcut is not None:
        yield from _layer(f"{name}.downsample", block.shortcut)


def _layer(name: str, layer: FoundLayer) -> _Entries:
    yield f"{name}.conv.weight", torch.from_numpy(layer.weight)
    yield from _norm(f"{name}.bn", layer.norm, layer.bias)


def _norm(name: str, norm: FoundNorm | None, bias: Float32) -> _Entries:
    """The norm behind a layer, which takes over the bias that published convolutions do not have."""
    if norm is None:
        # It was folded, and what is left of it is the bias.
        norm = FoundNorm(np.ones_like(bias), bias, 0.0, np.zeros_like(bias), np.ones_like(bias))
        bias = np.zeros_like(bias)
    yield f"{name}.weight", torch.from_numpy(norm.scale)
    yield f"{name}.bias", torch.from_numpy(norm.shift)
    if norm.mean is not None and norm.variance is not None:
        yield f"{name}.running_mean", torch.from_numpy(norm.mean - bias)
        # OSNet's epsilon, wherever the file's was another.
        yield f"{name}.running_var", torch.from_numpy(norm.variance) + (norm.epsilon - _EPSILON)
        yield f"{name}.num_batches_tracked", torch.tensor(0)


def _prove(network: Network, spec: InputSpec, model: onnx.ModelProto, source: Path) -> None:
    """Run both on the same pictures; the file in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        (value,) = session.get_inputs()
        batch = value.shape[0] if isinstance(value.shape[0], int) else _NUM_CROPS
        crops = _pictures(batch, spec)
        pictures = normalise(crops, spec)
        outputs = session.run(None, {value.name: crops if value.type == "tensor(uint8)" else pictures})
    except Exception as error:  # ONNX Runtime's errors have no base of their own
        raise WeightsError(f"{source}: ONNX Runtime cannot run it ({error})") from error
    with torch.inference_mode():
        actual = _unit(network(torch.from_numpy(pictures)).numpy())
    embeddings = [_unit(output) for output in outputs if output.size == actual.size]
    distance = min(
        (float(np.linalg.norm(embedding - actual, axis=1).max()) for embedding in embeddings), default=2.0
    )
    # Negated, so that what is not a number fails too.
    if not distance <= MAX_DISTANCE:
        raise WeightsError(
            f"{source}: an OSNet by its layers, but an OSNet with its weights gives other embeddings: "
            f"largest distance {distance:.2g} of {batch} unit embeddings (limit {MAX_DISTANCE}). A pool, a "
            "size or an epsilon in the graph differs from OSNet's"
        )


def _pictures(batch: int, spec: InputSpec) -> UInt8:
    """(batch, H, W, 3): patches of colour under noise, which no two pictures share."""
    generator = numpy_generator(0, "pictures to prove an import on")
    rows, columns = -(-spec.height // 8), -(-spec.width // 8)
    patches = generator.integers(0, 192, (batch, rows, columns, 3))
    colours = patches.repeat(8, axis=1).repeat(8, axis=2)[:, : spec.height, : spec.width]
    return (colours + generator.integers(0, 64, colours.shape)).astype(np.uint8)


def _unit(embeddings: npt.NDArray[Any]) -> Float64:
    """Rows of unit length; NaN where one is zero."""
    rows = embeddings.reshape(len(embeddings), -1).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
