"""Which ids may be there: asked before every enrolment, so kept in memory."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from omnireid.core.arrays import Bool, UInt64

_DIGITS = 16
_Prefixes = UInt64


class KnownIds:
    """The first 64 bits of the ids of a table: 8 bytes for each item.

    Ids that are not here are not in the table. One that is here is looked up, since ids are deleted and two
    may begin alike.

    Attributes:
        version: the version of the table whose ids are all here; 0 before any were read.
        fragments: numbers below this are of fragments whose ids were read.
    """

    def __init__(self) -> None:
        self.version = 0
        self.fragments = 0
        self._runs: list[_Prefixes] = []

    def may_hold(self, prefixes_N: _Prefixes) -> Bool:
        """(N,) bool: those that may be in the table."""
        found_N = np.zeros(len(prefixes_N), dtype=bool)
        for run in self._runs:
            places_N = np.minimum(np.searchsorted(run, prefixes_N), len(run) - 1)
            found_N |= run[places_N] == prefixes_N
        return found_N

    def follow(
        self, version: int, ids: Iterable[pa.Array], addresses_N: npt.NDArray[np.unsignedinteger]
    ) -> None:
        """Take in the ids of a version that are in fragments from `fragments` on."""
        self.add(np.concatenate([np.empty(0, np.uint64), *map(prefixes, ids)]))
        self.version = version
        if len(addresses_N):
            self.fragments = max(self.fragments, (int(addresses_N.max()) >> 32) + 1)

    def add(self, prefixes_N: _Prefixes) -> None:
        """Take in ids that have been added."""
        if len(prefixes_N):
            self._runs.append(np.sort(prefixes_N))
        # Runs double, so that an id is sorted a few times however many come one at a time.
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            self._runs[-2:] = [np.union1d(*self._runs[-2:])]


def prefixes(ids: pa.Array) -> _Prefixes:
    """(N,) uint64 of the first 16 of 32 hexadecimal digits."""
    fixed = ids.cast(pa.binary(2 * _DIGITS))
    texts = np.frombuffer(fixed.buffers()[1], np.uint8)
    texts_ND = texts.reshape(-1, 2 * _DIGITS)[fixed.offset : fixed.offset + len(fixed), :_DIGITS]
    # "0" to "9" end in their value, "a" to "f" in theirs less nine.
    values_ND = (texts_ND & 15) + 9 * (texts_ND >> 6)
    bytes_ND = values_ND[:, 0::2] << 4 | values_ND[:, 1::2]
    return bytes_ND.astype(np.uint8).view(">u8").astype(np.uint64).reshape(-1)
