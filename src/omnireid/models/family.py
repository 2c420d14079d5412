"""What a family of networks is to everything that builds, saves, reads and trains them. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from omnireid.core.card import ModelCard
from omnireid.core.errors import ConfigError, UnknownNameError

if TYPE_CHECKING:
    from omnireid.models.network import Network

Shapes = Mapping[str, tuple[int, ...]]

_Config = TypeVar("_Config", bound="NetworkConfig")


@dataclass(frozen=True)
class HubFile:
    """A file on the Hugging Face Hub.

    Attributes:
        repo: "owner/name".
        filename: path in the repository.
        revision: full commit hash.
        sha256: of the file; None where we do not know it, then the user has to state it.
    """

    repo: str
    filename: str
    revision: str
    sha256: str | None


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


@dataclass(frozen=True)
class NetworkFamily:
    """One family of networks.

    Attributes:
        name: as weight files state it.
        title: in messages, with its article: "an OSNet".
        architectures: its networks by the names that recipes and commands take.
        build: a configuration → a fresh `Network`; the place to import torch.
        cards: makes the cards of its architectures, then of published weights.
        landmark: a key of the state dict that every network of the family has exactly once, by which its
            weights are found in checkpoints of others; None where those are not read.
        classifier: names of the linear layer that published checkpoints have besides the network's own.
        hub_files: makes a table of those published weights that are on the Hugging Face Hub.
        recognise: names and shapes of a state dict → the architecture; None where it is none of them.

    Raises:
        ConfigError: an architecture of another family.
    """

    name: str
    title: str
    architectures: Mapping[str, NetworkConfig]
    build: Callable[[Any], Network]
    cards: Callable[[], Iterable[ModelCard]]
    landmark: str | None = None
    classifier: tuple[str, ...] = ("classifier",)
    hub_files: Callable[[], Mapping[str, HubFile]] = dict
    recognise: Callable[[Shapes], str | None] = lambda shapes: None

    def __post_init__(self) -> None:
        foreign = [name for name, config in self.architectures.items() if config.family != self.name]
        if foreign or not self.architectures:
            what = f"{', '.join(foreign)} of another family" if foreign else "no architecture"
            raise ConfigError(f"network family {self.name!r}: {what}")

    @property
    def default(self) -> NetworkConfig:
        """The configuration that weight files are read into."""
        return type(next(iter(self.architectures.values())))()


def _as_tuples(value: Any) -> Any:
    return tuple(_as_tuples(item) for item in value) if isinstance(value, list | tuple) else value
