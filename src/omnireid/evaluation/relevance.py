"""Which gallery items match a query and which are junk to it, as lists of pairs: no (Q, G) mask."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from omnireid.core.arrays import Bool, Int64
from omnireid.core.errors import InputError
from omnireid.core.options import Protocol
from omnireid.core.types import JUNK_PID, Embeddings, Split

UNKNOWN_CAMERA = -1

_QUERIES_AT_ONCE = 256


class Relevance:
    """The pairs of a query and a gallery item whose meaning labels, cameras and files decide.

    Attributes:
        junk_items: (J,) ascending gallery items that are junk to every query (pid −1).
    """

    def __init__(
        self,
        q_pids: Int64,
        g_pids: Int64,
        q_camids: Int64 | None,
        g_camids: Int64 | None,
        q_paths: Sequence[str] | None,
        g_paths: Sequence[str] | None,
        protocol: Protocol,
    ) -> None:
        self.q_pids, self.g_pids, self.protocol = q_pids, g_pids, protocol
        self.junk_items = np.flatnonzero(g_pids == JUNK_PID)
        self._by_pid = np.argsort(g_pids, kind="stable")
        sorted_pids = g_pids[self._by_pid]
        self._start = np.searchsorted(sorted_pids, q_pids, side="left")
        stop = np.searchsorted(sorted_pids, q_pids, side="right")
        # All that a query of pid −1 could meet by label is junk to everyone.
        self._count = np.where(q_pids == JUNK_PID, 0, stop - self._start)
        scored = sorted_pids != JUNK_PID
        self._scored_items = self._by_pid[scored]
        self._pids, self._pid_starts, self._pid_counts = np.unique(
            sorted_pids[scored], return_index=True, return_counts=True
        )
        if not protocol.uses_cameras:
            self._own_query, self._own_item = _own_files(q_paths, g_paths)
        else:
            self._q_camids = _cameras("query", q_pids, q_camids, protocol)
            self._g_camids = _cameras("gallery", g_pids, g_camids, protocol)

    @classmethod
    def of(cls, query: Embeddings | Split, gallery: Embeddings | Split, protocol: Protocol) -> Relevance:
        """Of embeddings or samples, which know all of that."""
        return cls(
            query.pids, gallery.pids, query.camids, gallery.camids, query.paths, gallery.paths, protocol
        )

    def known(self, first: int, stop: int) -> tuple[Int64, Int64, Bool]:
        """The matches and the query's own junk of queries first … stop.

        Returns:
            query, item, junk: (M,) each, ascending by (query, item). `junk` is False for a match.
            `junk_items` are not listed.
        """
        count = self._count[first:stop]
        query = np.repeat(np.arange(first, stop), count)
        within = np.arange(len(query)) - np.repeat(np.cumsum(count) - count, count)
        item = self._by_pid[self._start[query] + within]
        if self.protocol.uses_cameras:
            return query, item, self._g_camids[item] == self._q_camids[query]
        own = (self._own_query >= first) & (self._own_query < stop)
        own_query, own_item = self._own_query[own], self._own_item[own]
        key, own_key = query * len(self.g_pids) + item, own_query * len(self.g_pids) + own_item
        # A query's own file is junk whatever its label.
        unlabelled = ~np.isin(own_key, key) & (self.g_pids[own_item] != JUNK_PID)
        query, item = np.append(query, own_query[unlabelled]), np.append(item, own_item[unlabelled])
        junk = np.append(np.isin(key, own_key), np.ones(int(unlabelled.sum()), np.bool_))
        order = np.lexsort((item, query))
        return query[order], item[order], junk[order]

    def has_valid_query(self) -> bool:
        """Whether any query has a match that is not junk."""
        end = len(self.q_pids)
        return any(
            not self.known(first, min(first + _QUERIES_AT_ONCE, end))[2].all()
            for first in range(0, end, _QUERIES_AT_ONCE)
        )

    def draw_others(self, generator: np.random.Generator, pid: int, draws: int) -> Int64:
        """(draws, I) gallery items: in each draw, one of every identity but `pid`."""
        other = self._pids != pid
        share = generator.random((draws, int(other.sum())))
        index = self._pid_starts[other] + (share * self._pid_counts[other]).astype(np.int64)
        drawn_MI: Int64 = self._scored_items[index]
        return drawn_MI

    def why_no_query_is_valid(self) -> str:
        absent = int((~np.isin(self.q_pids, self.g_pids) | (self.q_pids == JUNK_PID)).sum())
        only_junk = len(self.q_pids) - absent
        reasons = []
        if absent:
            reasons.append(f"{absent} have a pid that the gallery lacks")
        if only_junk and not self.protocol.uses_cameras:
            reasons.append(f"{only_junk} are the only picture of their person")
        elif only_junk:
            reasons.append(
                f"{only_junk} meet their person only in their own camera. If the data has no real "
                "cameras, evaluate with the no-camera protocol"
            )
        return f"no valid query: of {len(self.q_pids)}, " + "; ".join(reasons)


def _cameras(name: str, pids: Int64, camids: Int64 | None, protocol: Protocol) -> Int64:
    known = (
        np.zeros(len(pids), np.bool_) if camids is None else (camids != UNKNOWN_CAMERA) | (pids == JUNK_PID)
    )
    if camids is None or not known.all():
        raise InputError(
            f"{name}: row {int(known.argmin())} has no camera, which the {protocol.value} protocol needs; "
            "evaluate with the no-camera protocol if the data has none"
        )
    return camids


def _own_files(q_paths: Sequence[str] | None, g_paths: Sequence[str] | None) -> tuple[Int64, Int64]:
    """Pairs of a query and a gallery item that are the very same file, ascending."""
    if q_paths is None or g_paths is None:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    where: dict[Path, list[int]] = {}
    for index, path in enumerate(g_paths):
        where.setdefault(Path(path).absolute(), []).append(index)
    own = [
        (query, item)
        for query, path in enumerate(q_paths)
        if path
        for item in where.get(Path(path).absolute(), ())
    ]
    pairs = np.array(own, np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]
