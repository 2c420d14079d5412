"""Sockets: ours and others' parts by name; one that is broken breaks nothing else."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from installed_package import install_package
from omnireid.core.errors import OmniReIDWarning, PluginError, UnknownNameError
from omnireid.core.sockets import Socket, later

GROUP = "omnireid.testing"


@dataclass(frozen=True)
class Part:
    name: str


@pytest.fixture
def socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Socket[Part]:
    """Two parts of ours, and what four packages bring."""
    monkeypatch.setitem(sys.modules, "its_parts", sys.modules[__name__])
    good = "from its_parts import Part\nROUND, SQUARE = Part('round'), Part('square')\nOURS = Part('one')\n"
    packages = {
        "good-parts": ({"good_parts.py": good}, {"square": "good_parts:SQUARE", "round": "good_parts:ROUND"}),
        "thief": ({"thief.py": "raise SystemExit('never imported')\n"}, {"one": "thief:OURS"}),
        "broken": (
            {"broken.py": "import not_there_at_all\n", "quits.py": "raise SystemExit(3)\n"},
            {"gone": "broken:SPEC", "quits": "quits:SPEC", "no-attribute": "good_parts:ABSENT"},
        ),
        "odd": (
            {"odd.py": "NUMBER = 3\n"},
            {"number": "odd:NUMBER", "other-name": "good_parts:ROUND", "both": "good_parts:ROUND"},
        ),
        "rival": ({}, {"both": "good_parts:ROUND"}),
    }
    for name, (modules, entries) in packages.items():
        monkeypatch.syspath_prepend(install_package(tmp_path / name, name, modules, {GROUP: entries}))
    for module in ("good_parts", "thief", "broken", "quits", "odd"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    return Socket("part", GROUP, Part, (Part("one"), Part("two")))


def test_names_come_without_importing_anything(socket: Socket[Part]) -> None:
    names = socket.names()
    assert names[:2] == ("one", "two")
    assert list(names[2:]) == sorted(
        ["both", "gone", "no-attribute", "number", "other-name", "quits", "round", "square"]
    )
    assert "good_parts" not in sys.modules


def test_ours_come_first_and_others_by_their_name(socket: Socket[Part]) -> None:
    assert socket.get("one") == Part("one")
    assert socket.get("square") == Part("square")
    assert "thief" not in sys.modules
    with pytest.raises(UnknownNameError, match=r"unknown part 'sqare': did you mean 'square'\?"):
        socket.get("sqare")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("gone", r"the package 'broken' brings it.*\(broken:SPEC: ModuleNotFoundError: No module"),
        ("quits", r"the package 'broken' brings it.*SystemExit: 3"),
        ("no-attribute", r"the package 'broken' brings it.*AttributeError"),
        ("number", r"the package 'odd' brings it.*a int, where a Part is expected"),
        ("other-name", r"the package 'odd' brings it.*it calls itself 'round'"),
        ("both", r"brought by the package 'odd' and the package 'rival'; uninstall one"),
    ],
)
def test_a_part_that_cannot_be_used_names_its_package(socket: Socket[Part], name: str, message: str) -> None:
    with pytest.raises(PluginError, match=rf"part '{name}': .*{message}"):
        socket.get(name)
    assert socket.get("two") == Part("two")


def test_a_list_leaves_out_what_cannot_be_used_and_says_so(socket: Socket[Part]) -> None:
    with pytest.warns(OmniReIDWarning, match="left out: part ") as warned:
        assert [part.name for part in socket.specs()] == ["one", "two", "round", "square"]
    assert len(warned) == 6


def test_later_imports_when_it_is_called() -> None:
    assert later("json:dumps")([1], indent=None) == "[1]"
    nothing = later("not_there_at_all:x")
    with pytest.raises(ModuleNotFoundError):
        nothing()
