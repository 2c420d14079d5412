"""Randomness that is passed in: one seed, and a separate stream for each thing that draws from it."""

from __future__ import annotations

import hashlib

import numpy as np


def derive_seed(seed: int, *names: str | int) -> int:
    """A 63-bit seed for one stream of `seed`, e.g. `derive_seed(1, "sampler", epoch)`.

    The same on every machine and Python version (SHA-256, not `hash`).
    """
    text = "\x1f".join([str(seed), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator (PCG64) for one stream of `seed`."""
    return np.random.Generator(np.random.PCG64(derive_seed(seed, *names)))
