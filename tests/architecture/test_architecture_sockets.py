"""Every part of ours is where its table says, also where what it needs is not installed."""

from __future__ import annotations

import ast
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import pytest

from omnireid.core.sockets import Socket, later
from omnireid.data.datasets import DATASETS
from omnireid.data.samplers import SAMPLERS
from omnireid.inference.backends.table import BACKENDS
from omnireid.inference.formats import FORMATS
from omnireid.losses.table import LOSSES
from omnireid.models.registry import FAMILIES

SOCKETS = (FAMILIES, LOSSES, SAMPLERS, BACKENDS, DATASETS)


def defined(home: str) -> bool:
    """Whether a module has a function or class, read without importing it."""
    module, _, name = home.partition(":")
    found = find_spec(module)
    assert found is not None, home
    assert found.origin is not None, home
    tree = ast.parse(Path(found.origin).read_text(encoding="utf-8"))
    return any(getattr(node, "name", None) == name for node in tree.body)


@pytest.mark.parametrize("socket", SOCKETS, ids=lambda socket: socket.kind)
def test_homes_are_there(socket: Socket) -> None:
    homes = [
        value.home
        for spec in socket.ours.values()
        for value in (getattr(spec, item.name) for item in fields(spec))
        if isinstance(value, later)
    ]
    assert [home for home in homes if not defined(home)] == []
    assert defined("omnireid.core.sockets:Socket")
    assert not defined("omnireid.core.sockets:Plug")


def test_every_kind_of_file_has_an_engine_and_every_engine_a_kind_of_file() -> None:
    runs = {name for spec in BACKENDS.ours.values() for name in spec.formats}
    assert runs == FORMATS.keys()
