"""Sockets: tables of parts by name, which other installed packages can add to.

A package adds a part by an entry point in its `pyproject.toml`, whose name is the part's:

    [project.entry-points."omnireid.losses"]
    circle = "circle_loss:SPEC"

It is imported when somebody asks for that part. One that cannot be loaded is an error for whoever asks for
it, and for nobody else.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, Protocol, TypeVar

from omnireid.core.errors import OmniReIDWarning, PluginError, UnknownNameError


class Named(Protocol):
    """What every spec has."""

    @property
    def name(self) -> str: ...


Spec = TypeVar("Spec", bound=Named)


class Socket(Generic[Spec]):
    """One kind of part: name → spec, ours first and then those of other packages.

    Args:
        kind: what a part is called in messages, e.g. "loss".
        group: name of the entry points, e.g. "omnireid.losses".
        spec: the type of every entry.
        ours: the entries that come with OmniReID.
    """

    def __init__(self, kind: str, group: str, spec: type[Spec], ours: Iterable[Spec]) -> None:
        self.kind = kind
        self.group = group
        self._spec = spec
        self.ours = {entry.name: entry for entry in ours}
        self._loaded: dict[EntryPoint, Spec] = {}

    def names(self) -> tuple[str, ...]:
        """Every name that `get` knows, ours in their order, then others by alphabet. Imports nothing."""
        others = {entry.name for entry in self._entries()} - self.ours.keys()
        return (*self.ours, *sorted(others))

    def get(self, name: str) -> Spec:
        """The spec of a name; imports the package that brings it.

        Raises:
            UnknownNameError: no such part; names the nearest.
            PluginError: a package brings it and cannot be used; names the package.
        """
        if name in self.ours:
            return self.ours[name]
        entries = sorted((entry for entry in self._entries() if entry.name == name), key=_described)
        if not entries:
            raise UnknownNameError(self.kind, name, self.names())
        if len({_described(entry) for entry in entries}) > 1:
            rivals = " and ".join(map(_described, entries))
            raise PluginError(f"{self.kind} {name!r}: brought by {rivals}; uninstall one of them")
        return self._load(entries[0])

    def specs(self) -> Iterator[Spec]:
        """Every spec that can be used. Packages that cannot are left out, with a warning that names them."""
        yield from self.ours.values()
        for name in self.names()[len(self.ours) :]:
            try:
                spec = self.get(name)
            except PluginError as error:
                warnings.warn(f"left out: {error}", OmniReIDWarning, stacklevel=2)
            else:
                yield spec

    def _entries(self) -> tuple[EntryPoint, ...]:
        return _entry_points(self.group, tuple(sys.path))

    def _load(self, entry: EntryPoint) -> Spec:
        if entry not in self._loaded:
            try:
                value = entry.load()
            except (Exception, SystemExit) as error:  # whatever somebody else's module does when imported
                raise PluginError(self._complaint(entry, f"{type(error).__name__}: {error}")) from error
            if not isinstance(value, self._spec):
                expected = f"a {type(value).__name__}, where a {self._spec.__name__} is expected"
                raise PluginError(self._complaint(entry, expected))
            if value.name != entry.name:
                raise PluginError(self._complaint(entry, f"it calls itself {value.name!r}"))
            self._loaded[entry] = value
        return self._loaded[entry]

    def _complaint(self, entry: EntryPoint, reason: str) -> str:
        return (
            f"{self.kind} {entry.name!r}: {_described(entry)} brings it, and it cannot be used "
            f"({entry.value}: {reason}). Mend or uninstall that package"
        )


@dataclass(frozen=True)
class later:  # noqa: N801 (called as a function is)
    """A function or class that is imported when it is called.

    Attributes:
        home: "package.module:name".
    """

    home: str

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        module, _, name = self.home.partition(":")
        return getattr(import_module(module), name)(*arguments, **options)


@lru_cache
def _entry_points(group: str, search_path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """What installed packages bring; read once for a search path, as it takes tens of milliseconds."""
    return tuple(entry_points(group=group))


def _described(entry: EntryPoint) -> str:
    """The package that an entry point belongs to."""
    return "a package without a name" if entry.dist is None else f"the package {entry.dist.name!r}"
