"""Codes of a whole table in memory, kept up with its versions, and searches through them."""

from __future__ import annotations

import functools
import itertools
import threading
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from omnireid.core.arrays import Bool, Float32, Int64
from omnireid.core.machine import memory_bytes
from omnireid.core.vectors import unit_rows
from omnireid.gallery.encoding import matrix, scores
from omnireid.gallery.items import Filter
from omnireid.gallery.lance import codes, purging
from omnireid.gallery.lance.codes import Addresses, Block, Coder, Query, Seen
from omnireid.gallery.lance.failures import READS, reading, storing
from omnireid.gallery.lance.filters import condition

_MEMORY_SHARE = 0.25
_MEMORY_BYTES = 4 << 30
# Of one row beside its signs and levels: address, camera, time, factor, scale, error.
_ROW_BYTES = 32
_BLOCK_ROWS = 65_536
_SMALL_BLOCK = 4096
_MOST_SMALL_BLOCKS = 16
_BATCH = 8192
# Up to so many new rows are read by the search that finds them there; more in the background.
_MOST_NEW = 20_000
# A search drops codes of rows that are not there any more beyond this share.
_DEAD_SHARE = 0.01
# Grown by this factor all codes are made anew: the centre no longer fits.
_GROWTH = 4
_FEWEST_TO_CENTRE = 1000
# Rows whose levels are looked at, best by their signs, and for each wanted row.
_CANDIDATES = 6144
_CANDIDATES_EACH = 32
# The threshold of many scores is guessed from every 16th, so that a tenth more reach it.
_SAMPLED = 16
_MORE = 1.1
_FEWEST_SAMPLED = 256
# An exact search reads more embeddings than this only in the plain way.
_MOST_READ = 16_384
_PLACE_BITS = 32
_WHAT = "cannot search the gallery"
_COLUMNS = ["_rowaddr", "camera", "time", "embedding"]


Places = Int64
"""Of rows, counted through all blocks; sorted."""


class _MovedError(Exception):
    """Rows are not where they were: another version of the table is the newest now."""


@dataclass(frozen=True)
class _State:
    """Codes of every row of one version; and perhaps of some that are gone.

    Attributes:
        fragments: those whose rows have codes.
        loaded: rows when all codes were last made.
        dead: codes of rows that are gone.
    """

    version: int
    coder: Coder
    fragments: frozenset[int]
    loaded: int
    dead: int
    blocks: tuple[Block, ...]

    def __len__(self) -> int:
        return sum(map(len, self.blocks))

    def addresses(self, places_M: Places) -> Addresses:
        """(M,) of the rows at these places."""
        parts = [block.addresses[rows] for block, rows in self.by_block(places_M)]
        return np.concatenate([np.empty(0, np.uint64), *parts])

    def by_block(self, places_M: Places) -> Iterator[tuple[Block, Places]]:
        """Each block that has some of these places, and its rows there."""
        start = 0
        for block in self.blocks:
            first, last = np.searchsorted(places_M, [start, start + len(block)])
            if first < last:
                yield block, places_M[first:last] - start
            start += len(block)


@dataclass(frozen=True)
class _Candidates:
    """Rows that may be found.

    Attributes:
        cosines: (M,) float32, from levels.
        errors: (M,) float32, how far these may be off; None where the best by levels are enough.
    """

    places: Places
    cosines: Float32
    errors: Float32 | None


class Resident:
    """Codes of all rows of a LanceDB table. Threads may share it.

    Args:
        table: the LanceDB table.
        dim: D of its embeddings.
    """

    def __init__(self, table: Any, dim: int) -> None:
        self._table = table
        self._dim = dim
        self._cameras: dict[str, int] = {}
        self._state: _State | None = None
        self._following = threading.Lock()
        self._loading = threading.Lock()
        self._taken = 0.0
        with _residents_lock:
            _residents.add(self)

    def load(self) -> None:
        """Make codes of all rows, unless those of all tables would take more than a quarter of the memory.

        Where they are made already, take in new rows, and drop codes of those that are gone.
        """
        if self._state is not None:
            with storing(_WHAT):
                self._followed(dead_share=0.0)
            return
        with self._loading, storing(_WHAT):
            if self._state is None and self._fits():
                self._state = reading(_WHAT, self._loaded)

    def nearest(
        self, query: Float32, k: int, where: Filter, approximate: bool, columns: Sequence[str]
    ) -> pa.Table | None:
        """Rows among which are the best k, in no order.

        Args:
            query: (D,) float32 of unit norm.
            where: the filter that rows meet; then every one of them is compared.
            approximate: whether signs may rule out a row.

        Returns:
            `columns`, "embedding" among them; None where the codes are not there or cannot tell.
        """
        for _ in range(READS):
            with storing(_WHAT):
                state = self._followed()
            if state is None:
                return None
            asked = (state, query, k, where, approximate, list(columns))
            try:
                return reading(_WHAT, functools.partial(self._found, *asked))
            except _MovedError:
                continue
        return None

    def _found(
        self,
        state: _State,
        query: Float32,
        k: int,
        where: Filter,
        approximate: bool,
        columns: list[str],
    ) -> pa.Table | None:
        coded = state.coder.query(query)
        wanted = max(_CANDIDATES, _CANDIDATES_EACH * k)
        if not where.is_empty:
            candidates = _picked(state, coded, self._places(state, where), needs_errors=not approximate)
        elif approximate and len(state) > 2 * wanted:
            signs_N = codes.estimates(state.blocks, coded)
            candidates = _picked(state, coded, _largest(signs_N, wanted), needs_errors=False)
        else:
            candidates = _all(state, coded, needs_errors=not approximate)
        return self._read(state, query, k, candidates, columns)

    def _read(
        self,
        state: _State,
        query: Float32,
        k: int,
        candidates: _Candidates,
        columns: list[str],
    ) -> pa.Table | None:
        """Rows of the best candidates; where it is known how far they are off, of all that may be as good."""
        count = len(candidates.places)
        size = k + max(4, k // 4)
        while True:
            chosen = _largest(candidates.cosines, size)
            rows = self._rows(state, candidates.places[chosen], columns)
            if rows.num_rows >= k or size >= count:
                break
            size *= 4
        if candidates.errors is None or rows.num_rows < k:
            return rows
        values = scores(matrix(rows["embedding"]), query)
        kth = np.partition(values, -k)[-k]
        may_be_as_good = candidates.cosines + candidates.errors >= kth
        may_be_as_good[chosen] = False
        others = candidates.places[may_be_as_good]
        if len(others) > _MOST_READ:
            return None
        return pa.concat_tables([rows, self._rows(state, others, columns)]) if len(others) else rows

    def _rows(self, state: _State, places_M: Places, columns: list[str]) -> pa.Table:
        if not len(places_M):
            return self._table.search().where("false").select(columns).to_arrow()
        addresses = state.addresses(places_M).tolist()
        rows = self._table.take_row_ids(addresses).select(columns).to_arrow()
        # A row that is missing was deleted, before this version or since; or it moved.
        if rows.num_rows < len(addresses) and self._table.version != state.version:
            raise _MovedError
        return rows

    def _places(self, state: _State, where: Filter) -> Places:
        """Of the rows that meet a filter."""
        if where == Filter(cameras=where.cameras, since=where.since, until=where.until):
            return np.flatnonzero(np.concatenate([np.empty(0, bool), *map(self._meets(where), state.blocks)]))
        table = self._table.search().where(condition(where)).select(["_rowaddr"]).to_arrow()
        addresses = np.sort(table["_rowaddr"].to_numpy())
        places, start = [np.empty(0, np.int64)], 0
        for block in state.blocks:
            first, last = np.searchsorted(addresses, [block.addresses[0], block.addresses[-1]])
            part = addresses[first : last + 1]
            rows = np.minimum(np.searchsorted(block.addresses, part), len(block) - 1)
            places.append(start + rows[block.addresses[rows] == part])
            start += len(block)
        if sum(map(len, places)) < len(addresses):
            raise _MovedError
        return np.concatenate(places)

    def _meets(self, where: Filter) -> Callable[[Block], Bool]:
        """Which rows of a block have one of the cameras and a time in the window."""
        cameras = None
        if where.cameras is not None:
            cameras = np.array([self._cameras.get(name, -1) for name in where.cameras], np.int32)

        def meets(block: Block) -> Bool:
            kept_N = np.ones(len(block), bool) if cameras is None else np.isin(block.cameras, cameras)
            # No comparison holds for NaN.
            if where.since is not None:
                kept_N &= block.times >= where.since
            if where.until is not None:
                kept_N &= block.times < where.until
            return kept_N

        return meets

    def _seen(self, batch: pa.RecordBatch) -> Seen:
        names = batch["camera"].dictionary_encode()
        numbers = [
            self._cameras.setdefault(name, len(self._cameras)) for name in names.dictionary.to_pylist()
        ]
        cameras_N = np.array(numbers, np.int32)[names.indices.to_numpy()]
        return cameras_N, batch["time"].to_numpy(zero_copy_only=False)

    def _blocks(self, batches: Iterable[pa.RecordBatch], coder: Coder) -> Iterator[Block]:
        """Codes of rows, of as many in each block as are compared by one thread."""
        block, used = coder.empty(_BLOCK_ROWS), 0
        for batch in batches:
            addresses_N, (cameras_N, times_N) = batch["_rowaddr"].to_numpy(), self._seen(batch)
            embeddings_ND = matrix(pa.chunked_array([batch["embedding"]]))
            first = 0
            while first < len(addresses_N):
                part = slice(first, first + _BLOCK_ROWS - used)
                rows = addresses_N[part]
                coder.fill(block, used, rows, (cameras_N[part], times_N[part]), embeddings_ND[part])
                first, used = first + len(rows), used + len(rows)
                if used == _BLOCK_ROWS:
                    yield block.in_order()
                    block, used = coder.empty(_BLOCK_ROWS), 0
        if used:
            yield block.only(np.arange(used)).in_order()

    def _followed(self, dead_share: float | None = None) -> _State | None:
        """Codes of the newest version; None where they are being made."""
        dead_share = _DEAD_SHARE if dead_share is None else dead_share
        with self._following:
            for _ in range(READS):
                state = self._state
                if state is None:
                    break
                version = self._table.version
                if version == state.version and state.dead <= dead_share * len(state):
                    return state
                if not self._follow(state, version, dead_share):
                    self._state = None
                    break
            else:
                return None
        if not self._loading.locked() and self._fits():
            threading.Thread(target=self.load, name="omnireid-codes", daemon=True).start()
        return None

    def _follow(self, state: _State, version: int, dead_share: float) -> bool:
        """Take in what other versions have brought; whether that is better than making all codes anew.

        What is read may be of later versions than `version`, and rows may have moved between two reads: these
        are found when the next version is followed.
        """
        new = reading(_WHAT, lambda: self._new_rows(state))
        if new.num_rows > _MOST_NEW:
            return False
        blocks = _with_few_small([*state.blocks, *self._blocks(new.to_batches(), state.coder)])
        live = self._table.count_rows()
        dead = sum(map(len, blocks)) - live
        if live > _GROWTH * max(state.loaded, _FEWEST_TO_CENTRE) or not self._fits():
            return False
        if dead > dead_share * live:
            blocks, dead = self._without_dead(blocks), 0
        self._state = _State(version, state.coder, _fragments(blocks), state.loaded, dead, tuple(blocks))
        return True

    def _new_rows(self, state: _State) -> pa.Table:
        """Rows of fragments that no code is of, a few too many at most. Rows never join a fragment later."""
        predicate = _outside(state.fragments)
        query = self._table.search().select(_COLUMNS).limit(_MOST_NEW + 1)
        return (query if predicate is None else query.where(predicate)).to_arrow()

    def _without_dead(self, blocks: Iterable[Block]) -> list[Block]:
        addresses = purging.row_addresses(self._table)
        kept = []
        for block in blocks:
            places = np.minimum(np.searchsorted(addresses, block.addresses), len(addresses) - 1)
            is_live = addresses[places] == block.addresses if len(addresses) else np.zeros(len(block), bool)
            if is_live.all():
                kept.append(block)
            elif is_live.any():
                kept.append(block.only(is_live))
        return kept

    def _loaded(self) -> _State:
        version, rows = self._table.version, self._table.count_rows()
        batches = self._table.search().select(_COLUMNS).to_batches(_BATCH)
        first = next(iter(batches), None)
        if first is None:
            return _State(version, Coder(np.zeros(self._dim, np.float32)), frozenset(), 0, 0, ())
        coder = Coder(_centre(matrix(pa.chunked_array([first["embedding"]]))))
        blocks = tuple(self._blocks(itertools.chain([first], batches), coder))
        return _State(version, coder, _fragments(blocks), rows, 0, blocks)

    def _fits(self) -> bool:
        """Whether there is room for codes of all rows beside those of other tables; if so, it is taken."""
        room = memory_bytes()
        most = _MEMORY_BYTES if room is None else _MEMORY_SHARE * room
        # Signs are of the next power of two.
        wanted = int(self._table.count_rows()) * (self._dim + self._dim / 4 + _ROW_BYTES)
        with _residents_lock:
            fits = wanted + sum(resident._taken for resident in _residents if resident is not self) <= most
            self._taken = wanted if fits else 0.0
        return fits


# Of this process.
_residents: weakref.WeakSet[Resident] = weakref.WeakSet()
_residents_lock = threading.Lock()


def _all(state: _State, query: Query, *, needs_errors: bool) -> _Candidates:
    cosines_N = codes.cosines(state.blocks, query)
    errors = [block.errors for block in state.blocks] if needs_errors else None
    return _Candidates(np.arange(len(cosines_N)), cosines_N, _most_wrong(errors, query))


def _picked(state: _State, query: Query, places_M: Places, *, needs_errors: bool) -> _Candidates:
    parts = list(state.by_block(places_M))
    cosines_M = codes.cosines_of([block for block, _ in parts], query, [rows for _, rows in parts])
    errors = [block.errors[rows] for block, rows in parts] if needs_errors else None
    return _Candidates(places_M, cosines_M, _most_wrong(errors, query))


def _most_wrong(errors: list[Float32] | None, query: Query) -> Float32 | None:
    if errors is None:
        return None
    return codes.most_wrong(np.concatenate([np.empty(0, np.float32), *errors]), query)


def _largest(scores_N: Float32, count: int) -> Places:
    """Sorted places of at least the `count` largest."""
    if count >= len(scores_N):
        return np.arange(len(scores_N))
    # Sorting a million scores for their threshold would take longer than finding all that reach it.
    sample = scores_N[::_SAMPLED]
    guess = int(count / _SAMPLED * _MORE)
    if _FEWEST_SAMPLED <= guess < len(sample):
        largest = np.flatnonzero(scores_N >= np.partition(sample, -guess)[-guess])
        if len(largest) >= count:
            return largest
    return np.flatnonzero(scores_N >= np.partition(scores_N, -count)[-count])


def _with_few_small(blocks: list[Block]) -> list[Block]:
    """Join small blocks where there are many: each of a few rows takes as long as one of hundreds."""
    small = [block for block in blocks if len(block) < _SMALL_BLOCK]
    if len(small) <= _MOST_SMALL_BLOCKS:
        return blocks
    return [*(block for block in blocks if len(block) >= _SMALL_BLOCK), Block.joined(small)]


def _fragments(blocks: Iterable[Block]) -> frozenset[int]:
    numbers = [np.unique(block.addresses >> np.uint64(_PLACE_BITS)) for block in blocks]
    return frozenset(np.unique(np.concatenate([np.empty(0, np.uint64), *numbers])).tolist())


def _centre(embeddings_ND: npt.NDArray[np.generic]) -> Float32:
    """(D,) mean direction; none of few rows, which tell little of those to come."""
    rows_ND = unit_rows(embeddings_ND.astype(np.float32))
    mean: Float32 = rows_ND.mean(axis=0)
    return mean if len(rows_ND) >= _FEWEST_TO_CENTRE else np.zeros_like(mean)


def _outside(fragments: Collection[int]) -> str | None:
    """A condition that rows of all other fragments meet; None for all rows.

    Not only those with higher numbers: they are given out before a commit, which may come after later ones.
    """
    ranges: list[list[int]] = []
    for number in sorted(fragments):
        if ranges and ranges[-1][1] == number:
            ranges[-1][1] = number + 1
        else:
            ranges.append([number, number + 1])
    if not ranges:
        return None
    edges = [0, *(edge for pair in ranges for edge in pair)]
    between = [
        f"(_rowaddr >= {first << _PLACE_BITS} AND _rowaddr < {last << _PLACE_BITS})"
        for first, last in zip(edges[::2], edges[1::2], strict=False)
        if first < last
    ]
    return " OR ".join([*between, f"_rowaddr >= {edges[-1] << _PLACE_BITS}"])
