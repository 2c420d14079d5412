"""What makes a network differ from others of its family: the base of their options. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, TypeVar

from omnireid.core.errors import ConfigError, UnknownNameError

MAX_POWER = 6
"""Of pooling: the least value to the sixth is still a float32."""

SMALLEST_POOLED = 1e-6
"""Of the values whose generalised mean is taken: below it a root has no useful gradient."""

_Config = TypeVar("_Config", bound="NetworkConfig")


@dataclass(frozen=True)
class NetworkConfig:
    """What makes one network of a family differ from another: the base of each family's own options.

    A subclass is a frozen dataclass with a default for every field, names its `family`, and has an
    `embedding_size`, as a field or as a property. It may have a `neck` and a `pooling_power`, as fields.
    """

    family: ClassVar[str]

    @property
    def embedding_size(self) -> int:
        """D, the size of an embedding."""
        raise NotImplementedError

    @property
    def neck(self) -> bool:
        """Whether the head ends in a BNNeck."""
        return False

    @property
    def pooling_power(self) -> float:
        """p of the generalised mean over the last maps; 1 is their mean."""
        return 1.0

    def with_overrides(self: _Config, overrides: Mapping[str, Any]) -> _Config:
        """This configuration with some fields replaced; lists (from YAML or JSON) become tuples.

        Raises:
            UnknownNameError: a key that is no field; names the nearest.
            ConfigError: a value that makes no network.
        """
        known = [field.name for field in fields(self)]
        for name in overrides:
            if name not in known:
                raise UnknownNameError("model option", str(name), known)
        return replace(self, **{name: _as_tuples(value) for name, value in overrides.items()})

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values; `with_overrides` reads them back."""
        return asdict(self)

    def takes_weights_of(self, other: NetworkConfig) -> bool:
        """Whether weights of `other` mean the same in this network, so that training can start from them."""
        return self == other


def check_head(neck: bool, pooling_power: float, last_stride: int) -> None:
    """Refuse values of the fields that families have in common.

    Raises:
        ConfigError: names the field.
    """
    if not isinstance(neck, bool):
        raise ConfigError(f"neck: true or false, got {neck!r}")
    if type(pooling_power) not in (int, float) or not 1 <= pooling_power <= MAX_POWER:
        raise ConfigError(f"pooling_power: 1 (the mean) to {MAX_POWER}, got {pooling_power!r}")
    if type(last_stride) is not int or last_stride not in (1, 2):
        raise ConfigError(f"last_stride: 1 or 2, got {last_stride!r}")


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list | tuple) else value
