"""Weights for our own engine in int8: ranges of the network's maps in their header."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from omnireid.core.card import InputSpec, ModelCard
from omnireid.core.images import normalise
from omnireid.inference.backends.protocol import Crops
from omnireid.inference.export.quantise import half_in_other_light, spread
from omnireid.inference.fused.fold import FoldedOSNet
from omnireid.inference.fused.module import FusedBlock, FusedOSNet, fold_module
from omnireid.inference.native.ranges import Range
from omnireid.models.weights import save_weights

if TYPE_CHECKING:
    from omnireid.models.network import Network

_MAX_CROPS = 256
_AT_ONCE = 8
_DIGITS = 5


def with_ranges(model: Network, card: ModelCard, crops: Crops) -> bytes:
    """A weight file whose header holds the ranges of the network's maps.

    Args:
        crops: (N, H, W, 3) uint8 RGB of the card's size; up to 256 of them, half in other light, are
            measured. After 64, a few in a thousand others go far beyond what was seen, and lose by it.

    Raises:
        ConfigError: the network has no fast form.
    """
    calibration = half_in_other_light(spread(crops, _MAX_CROPS))
    measured = measure_ranges(fold_module(model), card.input, calibration)
    ranges = {name: (_rounded(seen.high), _rounded(seen.mean)) for name, seen in sorted(measured.items())}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "weights.safetensors")
        save_weights(path, model, card, ranges=ranges)
        return path.read_bytes()


def measure_ranges(network: FoldedOSNet, spec: InputSpec, crops: Crops) -> dict[str, Range]:
    """What the maps of a network hold for crops, by channel; what a ReLU will take away counts as 0.

    Args:
        crops: (N, H, W, 3) uint8 RGB of the spec's size.
    """
    module = FusedOSNet(network, batch_streams=False)
    seen: dict[str, Range] = {}

    def note(name: str, values: torch.Tensor) -> None:
        values = values.clamp(min=0).double()
        high, mean = values.amax((0, 2, 3)).numpy(), values.mean((2, 3)).sum(0).numpy() / len(crops)
        before = seen.get(name, Range(high, 0 * mean))
        seen[name] = Range(np.maximum(high, before.high), mean + before.mean)

    def note_input(name: str, layer: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        note(name, inputs[0])

    def note_output(name: str, layer: Any, inputs: Any, output: torch.Tensor) -> None:
        note(name, output)

    # The maximum after the 7×7, and the sum of the gated streams, are no layers.
    module.stages[0].register_forward_pre_hook(partial(note_input, "stem"))
    for name, layer in module.named_modules():
        if isinstance(layer, FusedBlock):
            layer.restore.register_forward_pre_hook(partial(note_input, f"{name}.gate"))
        if isinstance(layer, FusedBlock) or name.split(".")[-2:][0] in ("levels", "transitions", "conv5"):
            layer.register_forward_hook(partial(note_output, name))
        if name.endswith(".reduce") and ".gate." not in name:
            layer.register_forward_hook(partial(note_output, name))
    with torch.inference_mode():
        for part in np.array_split(crops, -(-len(crops) // _AT_ONCE)):
            module(torch.from_numpy(np.ascontiguousarray(normalise(part, spec))))
    return seen


def _rounded(values: Any) -> list[float]:
    return [float(f"{value:.{_DIGITS}g}") for value in values]
