"""Networks by name."""

from __future__ import annotations

from typing import Any

from omnireid.models.config import architecture_config
from omnireid.models.osnet import OSNet


def build_model(name: str, **overrides: Any) -> OSNet:
    """A freshly initialised network.

    Args:
        name: one of the published architectures, e.g. "osnet_x0_25".
        overrides: fields of `OSNetConfig` to replace, e.g. `stream_depths=(1, 2)`, `fusion="addition"`.

    Raises:
        UnknownNameError: unknown architecture or option; names the nearest.
        ConfigError: a value that makes no network.
    """
    return OSNet(architecture_config(name).with_overrides(overrides))
