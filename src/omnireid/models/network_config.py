"""What makes a network differ from others of its family: the base of their options. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, TypeVar

from omnireid.core.errors import UnknownNameError

_Config = TypeVar("_Config", bound="NetworkConfig")


@dataclass(frozen=True)
class NetworkConfig:
    """What makes one network of a family differ from another: the base of each family's own options.

    A subclass is a frozen dataclass with a default for every field, names its `family`, and has an
    `embedding_size`, as a field or as a property.
    """

    family: ClassVar[str]

    @property
    def embedding_size(self) -> int:
        """D, the size of an embedding."""
        raise NotImplementedError

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


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list | tuple) else value
