"""An Embedder that was used before a fork: its child embeds, or says why not; it never waits for ever."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnireid import Embedder
from omnireid.core.errors import InputError

# In a process of its own: nothing that other tests have begun is forked.
SCRIPT = """
import multiprocessing, sys, threading
import numpy as np
from omnireid import Embedder

path, backend, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
if backend == "torch":
    import torch
    torch.set_num_threads(threads)
embedder = Embedder.open(path, backend=backend, threads=None if backend == "torch" else threads)
spec = embedder.card.input
crops = np.random.default_rng(0).integers(0, 255, (12, spec.height, spec.width, 3), np.uint8)
sizes = (1, 5, 12)
expected = [embedder.embed(crops[:size]) for size in sizes]
maps = embedder.feature_maps(crops[:2])
context = multiprocessing.get_context("fork")
parent, child = context.Pipe()

def work():
    try:
        rows = [embedder.embed(crops[:size]) for size in sizes]
        same = all(np.array_equal(*pair) for pair in zip(rows, expected))
        child.send("the same" if same and np.array_equal(embedder.feature_maps(crops[:2]), maps) else "other")
    except Exception as error:
        child.send(f"{type(error).__name__}: {error}")

def embed_meanwhile():
    while not stopped.is_set():
        embedder.embed(crops)

stopped = threading.Event()
turns = 3 if sys.argv[4:] == ["busy"] else 1
if turns > 1:
    threading.Thread(target=embed_meanwhile).start()
for turn in range(turns):
    process = context.Process(target=work, daemon=True)
    process.start()
    print(parent.recv() if parent.poll(60) else "hangs", flush=True)
    process.join(10)
    print("ended" if process.exitcode == 0 else f"exit code {process.exitcode}", flush=True)
    if process.is_alive():
        process.kill()
stopped.set()
embedder.embed(crops)
"""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def run(path: Path, backend: str, threads: int, *more: str) -> list[str]:
    arguments = [sys.executable, "-c", SCRIPT, str(path), backend, str(threads), *more]
    ran = subprocess.run(arguments, capture_output=True, text=True, timeout=240)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()


@pytest.fixture(scope="module")
def files(exported: Callable[[str], Any]) -> Any:
    return exported("osnet_x0_25")


@pytest.mark.parametrize("more", [(), ("busy",)])
@pytest.mark.parametrize("backend", ["native", "onnx"])
def test_pools_are_made_anew(files: Any, backend: str, more: tuple[str, ...]) -> None:
    path = files.onnx if backend == "onnx" else files.safetensors
    lines = run(path, backend, 2, *more)
    assert lines == ["the same", "ended"] * (len(lines) // 2)


def test_openvino_says_that_it_cannot(files: Any) -> None:
    pytest.importorskip("openvino")
    error, end = run(files.onnx, "openvino", 2)
    assert error.startswith("ForkError: ")
    assert "open it in the child" in error
    assert end == "ended"


def test_torch_says_how_it_can(files: Any) -> None:
    error, end = run(files.safetensors, "torch", 2)
    assert "ForkError" in error
    assert "torch.set_num_threads(1)" in error
    assert end == "ended"
    assert run(files.safetensors, "torch", 1) == ["the same", "ended"]


def test_an_embedder_is_not_sent_to_another_process(colour_graph: Callable[..., Path]) -> None:
    embedder = Embedder.open(colour_graph(), threads=1)
    for send in (pickle.dumps, copy.deepcopy):
        with pytest.raises(InputError, match="open that in the process that embeds"):
            send(embedder)
