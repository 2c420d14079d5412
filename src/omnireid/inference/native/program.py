"""What running a network on pictures of one size takes: steps, weights, places in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireid.core.arrays import Float32, Int64
from omnireid.inference.native.packing import padded

# Kinds of steps.
PREPARE, STEM, POOL, POINTWISE, STREAMS, RESTORE, NORM, TRANSITION, MEANS = range(9)

# Columns of the table of steps. Places count elements, those of panels bytes; −1 is nowhere.
(
    KIND,
    SOURCE,
    TARGET,
    EXTRA,
    PANEL,
    CONSTANT,
    HEIGHT,
    WIDTH,
    INPUTS,
    OUTPUTS,
    ROWS,
    RELU,
    ROW_SIZE,
    STREAM_SIZE,
    PANEL_SIZE,
    GATE,
    HIDDEN,
    SHORTCUT,
    SHORTCUT_INPUTS,
    PRODUCT,
    MEET,
) = range(21)
NUM_COLUMNS = 21


@dataclass(frozen=True)
class Program:
    """Everything that running a network on pictures of one size takes, and that never changes.

    Attributes:
        steps: (S, 21) int64.
        panels: pointwise weights, float32, bfloat16 (uint16) or int8.
        constants: biases, depthwise weights, gates and norms, float32.
        embedding: the last layer's weights, float32, and `embedding_bias` the place of its bias; a ReLU
            follows where `embedding_relu` is 1.
        pooling_power: of the generalised mean that the last layer takes.
        depths: depths of the streams.
        activations: their dtype; uint16 holds bfloat16, uint8 whole numbers of each channel's unit.
        num_activations: elements that a picture needs besides those of its parts, which begin at `parts_at`.
        part_size, room_size: what each part needs for itself, of activations and of float32.
        streams_at: place of a part's streams behind its chunk.
        ring_at, gates_at: places in a part's room.
        padding: (C,) what lies around the picture.
        image: place, height and width of the padded picture.
    """

    steps: Int64
    panels: npt.NDArray[Any]
    constants: Float32
    embedding: Float32
    embedding_bias: int
    embedding_relu: int
    pooling_power: float
    depths: Int64
    activations: np.dtype[Any]
    num_activations: int
    parts_at: int
    part_size: int
    streams_at: int
    room_size: int
    ring_at: int
    gates_at: int
    num_sums: int
    padding: Float32
    image: tuple[int, int, int]
    map_shape: tuple[int, int, int]
    num_features: int
    num_embeddings: int

    @property
    def num_embeddings_padded(self) -> int:
        """What the last layer writes."""
        return padded(self.num_embeddings)
