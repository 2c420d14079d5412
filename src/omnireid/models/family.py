"""What a family of networks is to everything that builds, saves, reads and trains them. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from omnireid.core.card import ModelCard
from omnireid.core.errors import ConfigError
from omnireid.models.network_config import NetworkConfig

if TYPE_CHECKING:
    from omnireid.models.network import Network

Shapes = Mapping[str, tuple[int, ...]]


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
class NetworkFamily:
    """One family of networks.

    Attributes:
        name: its name as weight files state it.
        title: its name in messages, with its article: "an OSNet".
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
