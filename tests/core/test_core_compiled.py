"""Compiled code is kept, and made anew when a module beside it changes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


def run(folder: Path) -> str:
    environment = os.environ | {"PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache")}
    ran = subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
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
