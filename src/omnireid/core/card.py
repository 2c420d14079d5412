"""Model card: every fact that must travel with a set of weights."""

from __future__ import annotations

import json
import math
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field, ValidationError, field_validator

from omnireid.core.arrays import Float32
from omnireid.core.closed import ClosedModel
from omnireid.core.display import short_repr
from omnireid.core.errors import InputError, WeightsError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


_SHORT_HASH = 12


class ModelRef(NamedTuple):
    """The model that made an embedding; two are the same where their hashes are.

    Attributes:
        name: The model's name, for people.
        sha256: Hash of its file, 64 hexadecimal digits; the first 12 where an old file of embeddings tells no
            more, None for a network that was never saved.
        dim: D, the size of its embeddings.
    """

    name: str
    sha256: str | None
    dim: int

    @classmethod
    def from_short(cls, text: str, dim: int) -> ModelRef:
        """The inverse of `short`, as far as a short hash tells."""
        name, _, digest = text.rpartition("@")
        return cls(text, None, dim) if not name else cls(name, None if digest == UNSAVED else digest, dim)

    @property
    def short(self) -> str:
        """Name and short hash: "osnet_x0_25@0123456789ab", or "osnet_x0_25@unsaved"."""
        return f"{self.name}@{self.sha256[:_SHORT_HASH] if self.sha256 else UNSAVED}"

    @property
    def saved_sha256(self) -> str:
        """The whole hash, for those who must tell this model from every other.

        Raises:
            InputError: The network was never saved, or only the first digits of its hash are known.
        """
        if self.sha256 is None:
            raise InputError(f"model {self.name}: never saved, so it has no hash; save it first")
        if len(self.sha256) == _SHORT_HASH:
            raise InputError(
                f"model {self.short}: an old file of embeddings tells only the first digits of its hash; "
                "embed the pictures again"
            )
        return self.sha256

    def is_same(self, other: ModelRef) -> bool:
        """Whether embeddings of both can be compared, as far as the hashes are known."""
        if self.sha256 is None or other.sha256 is None:
            return self.sha256 == other.sha256 and self.name == other.name
        known = min(len(self.sha256), len(other.sha256))
        return self.sha256[:known] == other.sha256[:known]

    def __str__(self) -> str:
        return f"{self.name} ({self.sha256[:_SHORT_HASH] if self.sha256 else 'never saved'})"


UNSAVED = "unsaved"


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

    @property
    def ref(self) -> ModelRef:
        """Which model it is, as its embeddings say."""
        return ModelRef(self.name, self.sha256, self.embedding_size)

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
