"""Model card: every fact that must travel with a set of weights."""

from __future__ import annotations

import json
import math
from typing import Literal

import numpy as np
from pydantic import Field, ValidationError, field_validator

from omnireid.core.arrays import Float32
from omnireid.core.closed import ClosedModel
from omnireid.core.display import short_repr
from omnireid.core.errors import WeightsError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class InputSpec(ClosedModel):
    """How a picture becomes the network's input. RGB, values scaled to [0, 1], then (x − mean) / std."""

    height: int = Field(256, gt=0)
    width: int = Field(128, gt=0)
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bilinear"

    @field_validator("std")
    @classmethod
    def _positive(cls, value: tuple[float, float, float]) -> tuple[float, float, float]:
        if not all(math.isfinite(deviation) and deviation > 0 for deviation in value):
            raise ValueError("every standard deviation must be positive")
        return value

    def scale_shift(self) -> tuple[Float32, Float32]:
        """(3,) scale and shift with which uint8 · scale + shift is the normalised value."""
        mean, std = np.array(self.mean), np.array(self.std)
        return (1.0 / (255.0 * std)).astype(np.float32), (-mean / std).astype(np.float32)


class CardMetric(ClosedModel):
    """A published or measured result with the protocol it was obtained by. Fractions, not percent."""

    dataset: str
    rank1: float | None = Field(None, ge=0, le=1)
    mAP: float | None = Field(None, ge=0, le=1)  # noqa: N815 (the field's spelling)
    mINP: float | None = Field(None, ge=0, le=1)  # noqa: N815
    protocol: str
    source: str


class ModelCard(ClosedModel):
    """Facts of one set of weights, or of an architecture whose weights are yet to be trained."""

    name: str
    architecture: str
    input: InputSpec = InputSpec()
    embedding_size: int = Field(512, gt=0)
    num_parameters: int | None = None
    licence: str = "Apache-2.0"
    origin: str = ""
    paper: str = ""
    training_data: str = ""
    training_pids: int | None = None
    recipe: str = ""
    metrics: tuple[CardMetric, ...] = ()
    sha256: str | None = None
    notes: str = ""

    __repr__ = __str__ = short_repr

    def to_json(self) -> str:
        return self.model_dump_json(indent=2, exclude_none=True)

    @classmethod
    def from_json(cls, text: str, *, source: str) -> ModelCard:
        """Read a card.

        Raises:
            WeightsError: not a card; names the field that is wrong.
        """
        try:
            return cls.model_validate(json.loads(text))
        except (ValidationError, json.JSONDecodeError) as error:
            raise WeightsError(f"{source}: the model card cannot be used: {error}") from error
