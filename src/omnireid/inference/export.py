"""A network as one ONNX file, with a proof beside it that both give the same embeddings."""

from __future__ import annotations

import copy
import hashlib
import io
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.errors import InputError, MissingExtraError, WeightsError
from omnireid.core.files import write_bytes, write_text
from omnireid.core.images import normalise, resize
from omnireid.core.record import EnvironmentRecord
from omnireid.core.seeds import numpy_generator
from omnireid.inference.backends.onnx_graph import CARD_KEY, EMBEDDING_OUTPUT, FEATURE_MAPS_OUTPUT
from omnireid.inference.backends.onnx_runtime import OnnxBackend
from omnireid.inference.backends.tiny_weights import zero_tiny_weights

try:
    import onnx
    import torch
    from torch import Tensor, nn
except ImportError as error:
    raise MissingExtraError("export to ONNX", "train") from error

if TYPE_CHECKING:
    from omnireid.models.osnet import OSNet

OPSET = 17
MIN_COSINE = 0.99999
MIN_CROPS = 64
# The gate runs one crop, then three, then the rest: what holds for one size of batch only cannot pass.
_BATCHES = (1, 3)


class ParityRecord(BaseModel):
    """The proof: how far the exported file is from the network it came from.

    Cosines are between embeddings of the same generated crops, not normalised; `max_abs_difference` is the
    largest difference of one element, `max_abs_embedding` the largest element of the network's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str
    model: str
    architecture: str
    opset: int
    num_crops: int
    seed: int
    batches: tuple[int, ...]
    min_cosine: float
    median_cosine: float
    min_cosine_limit: float
    max_abs_difference: float
    max_abs_embedding: float
    environment: EnvironmentRecord


def export_onnx(
    model: OSNet,
    card: ModelCard,
    path: str | os.PathLike[str],
    *,
    opset: int = OPSET,
    num_crops: int = MIN_CROPS,
    seed: int = 0,
) -> ParityRecord:
    """Write a network as ONNX, and `<path>.parity.json` beside it.

    The graph takes `images`, (N, H, W, 3) uint8 RGB of the card's size with N free, normalises inside as
    `core.images.normalise` does, and gives `embedding`, (N, D) float32, not L2-normalised, and
    `feature_maps`, (N, C, h, w) float32. The card lies in its metadata as `omnireid.card`. Batch norms are
    folded into convolutions. Nothing is written unless ONNX Runtime gives the network's embeddings.

    Args:
        model: the network; neither moved nor changed, and left in the mode it was in.
        opset: of ONNX, at least 17.
        num_crops: generated crops that the two are compared on, at least 64.
        seed: of those crops.

    Returns:
        The proof that lies beside the file.

    Raises:
        WeightsError: the smallest cosine is below 0.99999, or ONNX Runtime refuses the graph.
        InputError: another suffix than `.onnx`, or a number out of range.
        StorageError: the file could not be written; an old one stays.
    """
    target = Path(path)
    if target.suffix != ".onnx":
        raise InputError(f"{target}: an exported file ends in .onnx")
    if opset < OPSET:
        raise InputError(f"opset: expected at least {OPSET}, got {opset}")
    if num_crops < MIN_CROPS:
        raise InputError(f"num_crops: expected at least {MIN_CROPS}, got {num_crops}")
    frozen = copy.deepcopy(model).cpu().eval()
    content = zero_tiny_weights(_graph(frozen, card, opset))
    record = _compare(frozen, card, content, num_crops=num_crops, seed=seed, target=target)
    # Negated, so that a cosine that is not a number fails too.
    if not record.min_cosine >= MIN_COSINE:
        raise WeightsError(
            f"{target} was not written: the exported graph differs from the network, "
            f"smallest cosine {record.min_cosine:.7f} over {num_crops} crops (limit {MIN_COSINE}), "
            f"largest difference {record.max_abs_difference:.3g}"
        )
    # The proof first: a model is never there without it. It names the hash of the file it is for.
    write_text(parity_path(target), record.model_dump_json(indent=2) + "\n")
    write_bytes(target, content)
    return record


def parity_path(path: str | os.PathLike[str]) -> Path:
    """Where the proof of an exported file lies."""
    return Path(f"{os.fspath(path)}.parity.json")


class _Deployed(nn.Module):
    """uint8 crops → embedding and feature maps: the network with its normalisation in front."""

    scale: Tensor
    shift: Tensor

    def __init__(self, model: OSNet, spec: InputSpec) -> None:
        super().__init__()
        self.model = model
        scale, shift = spec.scale_shift()
        self.register_buffer("scale", torch.from_numpy(scale)[:, None, None])
        self.register_buffer("shift", torch.from_numpy(shift)[:, None, None])
        self._maps: list[Tensor] = []
        model.conv5.register_forward_hook(lambda module, inputs, output: self._maps.append(output))

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        self._maps.clear()
        embedding = self.model(crops.permute(0, 3, 1, 2).float() * self.scale + self.shift)
        return embedding, self._maps[0]


def _graph(model: OSNet, card: ModelCard, opset: int) -> bytes:
    outputs = [EMBEDDING_OUTPUT, FEATURE_MAPS_OUTPUT]
    example = torch.zeros(2, card.input.height, card.input.width, 3, dtype=torch.uint8)
    content = io.BytesIO()
    with warnings.catch_warnings():
        # torch marks this exporter as old. The new one needs two more packages and writes to the log.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            _Deployed(copy.deepcopy(model), card.input).eval(),
            (example,),
            content,  # type: ignore[arg-type]  # a stream works, and nothing is on disk before the gate
            dynamo=False,
            opset_version=opset,
            input_names=["images"],
            output_names=outputs,
            dynamic_axes={name: {0: "batch"} for name in ("images", *outputs)},
        )
    graph = onnx.load_from_string(content.getvalue())
    _name_global_pools(graph.graph)
    onnx.helper.set_model_props(graph, {CARD_KEY: card.model_copy(update={"sha256": None}).to_json()})
    graph.producer_name = "omnireid"
    onnx.checker.check_model(graph, full_check=True)
    return bytes(graph.SerializeToString())


def _name_global_pools(graph: onnx.GraphProto) -> None:
    """Write each mean over height and width as the global average pool that it is.

    ONNX Runtime keeps its blocked memory layout through a pool, not through a general mean.
    """
    nodes = []
    for node in graph.node:
        attributes = {entry.name: onnx.helper.get_attribute_value(entry) for entry in node.attribute}
        if node.op_type != "ReduceMean" or attributes.get("axes") != [2, 3]:
            nodes.append(node)
        elif attributes.get("keepdims", 1):
            nodes.append(onnx.helper.make_node("GlobalAveragePool", node.input, node.output, name=node.name))
        else:
            pooled = f"{node.output[0]}_pooled"
            nodes.append(onnx.helper.make_node("GlobalAveragePool", node.input, [pooled], name=node.name))
            nodes.append(onnx.helper.make_node("Flatten", [pooled], node.output, name=f"{node.name}_flat"))
    del graph.node[:]
    graph.node.extend(nodes)


def _compare(
    model: OSNet, card: ModelCard, content: bytes, *, num_crops: int, seed: int, target: Path
) -> ParityRecord:
    crops = generated_crops(num_crops, card.input, seed=seed)
    runtime = OnnxBackend(content, label=str(target))
    if runtime.fixed_batch is not None:
        raise WeightsError(f"{target} was not written: its batch is fixed at {runtime.fixed_batch}")
    batches = (*_BATCHES, num_crops - sum(_BATCHES))
    parts = np.split(crops, np.cumsum(batches)[:-1])
    actual = np.concatenate([runtime.embed(part) for part in parts]).astype(np.float64)
    with torch.inference_mode():
        expected = np.concatenate(
            [
                model(torch.from_numpy(normalise(part, card.input))).numpy()
                for part in np.array_split(crops, 8)
            ]
        ).astype(np.float64)
    cosines = (actual * expected).sum(1) / (np.linalg.norm(actual, axis=1) * np.linalg.norm(expected, axis=1))
    return ParityRecord(
        file=target.name,
        sha256=hashlib.sha256(content).hexdigest(),
        model=card.name,
        architecture=card.architecture,
        opset=onnx.load_from_string(content).opset_import[0].version,
        num_crops=num_crops,
        seed=seed,
        batches=batches,
        min_cosine=float(cosines.min()),
        median_cosine=float(np.median(cosines)),
        min_cosine_limit=MIN_COSINE,
        max_abs_difference=float(np.abs(actual - expected).max()),
        max_abs_embedding=float(np.abs(expected).max()),
        environment=EnvironmentRecord.capture(),
    )


def generated_crops(num_crops: int, spec: InputSpec, *, seed: int) -> npt.NDArray[np.uint8]:
    """(num_crops, H, W, 3) uint8: soft patches of colour under noise, from nearly black to nearly white."""
    generator = numpy_generator(seed, "parity crops")
    patches = generator.integers(0, 256, (num_crops, 8, 4, 3), dtype=np.uint8)
    soft = np.stack([resize(patch, spec) for patch in patches]).astype(np.float64)
    noise = generator.normal(0, 12, soft.shape)
    return np.clip(soft * generator.uniform(0.2, 1, (num_crops, 1, 1, 1)) + noise, 0, 255).astype(np.uint8)
