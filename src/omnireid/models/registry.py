"""Networks by name: the table of families. Imports no torch.

A new family is a file with its networks, one with its configuration and cards, and its line in `FAMILIES`; or
a package with an entry point, see docs/guides/extending/package.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from omnireid.core.errors import UnknownNameError
from omnireid.core.sockets import Socket
from omnireid.models.family import NetworkFamily
from omnireid.models.network_config import NetworkConfig
from omnireid.models.osnet_config import OSNET
from omnireid.models.resnet_config import RESNET

if TYPE_CHECKING:
    from omnireid.models.network import Network

FAMILIES = Socket("network family", "omnireid.networks", NetworkFamily, (OSNET, RESNET))


def architecture_config(name: str) -> NetworkConfig:
    """Configuration of an architecture.

    Raises:
        UnknownNameError: no such architecture; names the nearest.
    """
    known: dict[str, NetworkConfig] = {}
    # Ours come first, so that one of them is found without importing anybody else's.
    for family in FAMILIES.specs():
        if name in family.architectures:
            return family.architectures[name]
        known.update(family.architectures)
    raise UnknownNameError("architecture", name, known)


def nearest_architecture(config: NetworkConfig) -> tuple[str, dict[str, Any]]:
    """The architecture of its family that a network differs least from, and the options in which it does."""
    wanted = config.to_dict()
    differing = {
        name: {option: wanted[option] for option, value in known.to_dict().items() if value != wanted[option]}
        for name, known in FAMILIES.get(config.family).architectures.items()
    }
    name = min(differing, key=lambda name: len(differing[name]))
    return name, differing[name]


def build_network(config: NetworkConfig) -> Network:
    """A freshly initialised network."""
    return FAMILIES.get(config.family).build(config)


def build_model(name: str, **overrides: Any) -> Network:
    """A freshly initialised network.

    Args:
        name: an architecture, e.g. "osnet_x0_25".
        overrides: fields of its configuration to replace, e.g. `stream_depths=(1, 2)`, `fusion="addition"`.

    Raises:
        UnknownNameError: unknown architecture or option; names the nearest.
        ConfigError: a value that makes no network.
    """
    return build_network(architecture_config(name).with_overrides(overrides))


def blank_network(config: NetworkConfig) -> Network:
    """A network whose weights will be replaced: torch's own generator stays where it was."""
    import torch

    with torch.random.fork_rng(devices=[]):
        return build_network(config)
