"""Compiled code is kept, and made anew when a module beside it changes."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

MAIN = """
from numba import types
from omnireid.core.compiled import compiled, compiled_entry
from toy.inner import inner

@compiled
def outer(value):
    return inner(value) + 1


entry = compiled_entry(types.int64(types.int64), lambda value: inner(value) + 1)
"""
INNER = """
from omnireid.core.compiled import compiled

@compiled
def inner(value):
    return value * {factor}
"""
RUN = """
from ctypes import CFUNCTYPE, c_int64
from toy.main import entry, outer
hits = lambda function: sum(function.stats.cache_hits.values())
print(outer(10), CFUNCTYPE(c_int64, c_int64)(entry.address)(10), hits(outer))
"""


# Every place where numba would keep code is refused.
NOWHERE = """
from numba.core import caching
def refused(self):
    raise OSError
caching._CacheLocator.ensure_cache_path = refused
"""


def run(folder: Path, warned: str = "", before: str = "") -> str:
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(paths),
        "NUMBA_CACHE_DIR": str(folder / "cache"),
    }
    ran = subprocess.run(
        [sys.executable, "-c", before + RUN], env=environment, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    said = [line for line in ran.stderr.splitlines() if "OmniReIDWarning" in line]
    assert len(said) == bool(warned), ran.stderr
    assert not warned or warned in said[0]
    return ran.stdout.strip()


def test_a_change_in_another_module_is_seen(tmp_path: Path) -> None:
    package = tmp_path / "toy"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "main.py").write_text(MAIN)
    (package / "inner.py").write_text(INNER.format(factor=2))
    assert run(tmp_path) == "21 21 0"
    assert run(tmp_path) == "21 21 1"  # kept
    (package / "inner.py").write_text(INNER.format(factor=3))
    assert run(tmp_path) == "31 31 0"


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    package = tmp_path / "toy"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "main.py").write_text(MAIN)
    (package / "inner.py").write_text(INNER.format(factor=2))
    return tmp_path


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def zero(file: Path) -> None:
    """As power loss leaves it: the size is there, the end of the content is not."""
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))


def swap_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))


def empty(file: Path) -> None:
    file.write_bytes(b"")


def put_a_folder_in_its_place(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    ("suffix", "damages"), [(".nbc", (cut, zero, swap_a_bit)), (".nbi", (cut, zero, empty))]
)
def test_damaged_code_is_compiled_anew_and_replaced(
    toy: Path, damages: tuple[Callable[[Path], None], ...], suffix: str
) -> None:
    assert run(toy) == "21 21 0"
    files = sorted((toy / "cache").rglob(f"*{suffix}"))
    assert len(files) >= len(damages)
    for file, damage in zip(files, itertools.cycle(damages), strict=False):
        damage(file)
    assert run(toy) == "21 21 0"
    assert run(toy) == "21 21 1"


def test_where_nothing_can_be_kept_it_is_said_once(toy: Path) -> None:
    assert run(toy) == "21 21 0"
    for file in (toy / "cache").rglob("*.nb?"):
        put_a_folder_in_its_place(file)
    assert run(toy, "compiled code cannot be kept (") == "21 21 0"


def test_a_folder_that_was_filled_is_used_though_it_cannot_be_written(toy: Path) -> None:
    assert run(toy) == "21 21 0"
    assert run(toy, before=NOWHERE) == "21 21 1"


def test_without_any_folder_it_is_said_once(toy: Path) -> None:
    assert run(toy, "compiled code cannot be kept (no folder can be written); set NUMBA_CACHE_DIR", NOWHERE)


@pytest.mark.parametrize("code", ["ENOSPC", "EACCES"])
def test_where_a_folder_is_full_it_is_said_once(toy: Path, code: str) -> None:
    full = f"""
import errno, os
from numba.core.caching import IndexDataCacheFile
def full(self, path):
    raise OSError(errno.{code}, os.strerror(errno.{code}), path)
IndexDataCacheFile._open_for_write = full
"""
    assert run(toy, f": {os.strerror(getattr(errno, code))}); set NUMBA_CACHE_DIR", full) == "21 21 0"


def test_processes_that_compile_at_once_do_not_disturb_each_other(toy: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda _: run(toy), range(3)))
    assert {answer.rpartition(" ")[0] for answer in answers} == {"21 21"}
    assert run(toy) == "21 21 1"
