"""Who enrolled, searched, changed and forgot: a log that is only ever added to.

An entry holds no name, no id and no picture, only keyed hashes of the ids it is about: who has an id can
look it up in the log, who has the log alone learns no id. What one opened gallery writes is a chain: each
entry holds the hash of the one before. A gallery's records know every chain, and its end once it was closed.
`AuditLog.verify` finds entries that were changed, removed or put in between. It cannot tell an entry that
was cut off the end of a chain that was never closed (kill -9) from one that was never written, and who can
write to the gallery's files and knows this code can forge all of it: copy the log elsewhere if that matters.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import secrets
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from omnireid.core.display import short_repr
from omnireid.gallery.audit_reading import AuditEntry, AuditFilter, AuditReader
from omnireid.gallery.store import GalleryStore

__all__ = ["AuditEntry", "AuditFilter", "AuditLog", "Verified"]

CHAINS = "audit-chain"
"""Kind of the records: by writer, the number of entries and the last hash, once it was closed."""
SETTINGS = "settings"
READING = frozenset({"search", "verify", "backup", "copy", "export-audit"})
"""Actions that change nothing: in a gallery that can only be read they go without an entry."""
MAX_SUBJECTS = 100
"""Ids of one entry that are hashed; its count is of all."""

START = "0" * 32
"""What stands in a chain's first entry in place of the hash of the one before."""

_log = logging.getLogger("omnireid.gallery")


@dataclass(frozen=True)
class Verified:
    """What `verify_audit` found.

    Attributes:
        entries: read.
        problems: what was changed or removed, in words; empty where all is well.
        open_chains: writers that are at work or were killed; the last entries of these cannot be vouched for.
    """

    entries: int
    problems: tuple[str, ...]
    open_chains: int

    __repr__ = short_repr


class AuditLog(AuditReader):
    """Adds to a gallery's log. Several threads may share it: they wait for one write together."""

    def __init__(self, store: GalleryStore, clock: Callable[[], float]) -> None:
        super().__init__(store)
        self._clock = clock
        self._writer = secrets.token_hex(8)
        self._waiting: deque[tuple[dict[str, Any], Future[None]]] = deque()
        self._writing = threading.Lock()
        self._count, self._last, self._time = 0, START, float("-inf")
        self._is_registered = False
        self._salt: bytes | None = None
        self._has_warned = False

    def subject(self, name: str) -> str:
        """Keyed hash of an item's or identity's id: 16 hexadecimal digits."""
        return hashlib.blake2b(name.encode(), digest_size=8, key=self._key()).hexdigest()

    def write(
        self,
        action: str,
        *,
        actor: str,
        count: int,
        subjects: Iterable[str] = (),
        detail: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any] | None:
        """Add an entry; it is durable when this returns.

        Args:
            action: one word. One of `READING` is not written where the store is read-only, which is said once
                in the log.
            actor: who does it.
            count: things concerned.
            subjects: their ids, the most telling first; `MAX_SUBJECTS` are hashed.
            detail: small JSON values; never names, ids or other words of a person's.

        Returns:
            The entry as it is stored; None where it goes without.

        Raises:
            StorageError: it could not be written.
        """
        if self._store.read_only is not None and action in READING:
            if not self._has_warned:
                self._has_warned = True
                where = f"{self._store.uri}: read-only ({self._store.read_only})"
                _log.warning("%s: what is asked of it is not in its audit", where)
            return None
        written: Future[None] = Future()
        entry = {
            "time": self._clock(),
            "actor": actor,
            "action": action,
            "count": count,
            "subjects": [self.subject(subject) for subject in itertools.islice(subjects, MAX_SUBJECTS)],
            "detail": dict(detail or {}),
        }
        # Nothing takes the store's lock while `_writing` is held: who has that lock may wait to write.
        self._key()
        self._waiting.append((entry, written))
        with self._writing:
            if not written.done():
                self._write_waiting()
        written.result()
        self._register()
        return entry

    def _register(self) -> None:
        """Note that this chain exists; after its first entry, so that an empty one was tampered with."""
        if not self._is_registered:
            with self._store.lock():
                if not self._is_registered:
                    self._store.put_records(CHAINS, {self._writer: {"entries": None, "last": None}})
                    self._is_registered = True

    def _write_waiting(self) -> None:
        """Write what all threads wait for, in one go."""
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        count, last, time = self._count, self._last, self._time
        try:
            key = self._key()
            for entry, _ in waiting:
                # A store may keep months apart: a chain's entries stay in order when the clock is set back.
                entry["time"] = time = max(time, entry["time"])
                entry["writer"], entry["n"], entry["prev"] = self._writer, count, last
                entry["hash"] = last = entry_hash(entry, key)
                count += 1
            self._store.append_audit([entry for entry, _ in waiting])
            self._count, self._last, self._time = count, last, time
        except BaseException as error:
            for _, written in waiting:
                written.set_exception(error)
        else:
            for _, written in waiting:
                written.set_result(None)

    def verify(self) -> Verified:
        """Follow every chain through the whole log. Problems count its entries from 0."""
        key, problems, seen = self._key(), [], 0
        ends: dict[str, tuple[int, str]] = {}
        # Read before the log: a chain that begins meanwhile is not missed.
        chains = self._store.records(CHAINS)
        for number, entry in enumerate(self._store.audit()):
            seen += 1
            writer = str(entry.get("writer"))
            count, last = ends.get(writer, (0, START))
            if entry.get("hash") != entry_hash(entry, key):
                problems.append(f"entry {number}: was changed")
            if entry.get("prev") != last or entry.get("n") != count:
                problems.append(f"entry {number}: what {writer} wrote before it was changed or removed")
            ends[writer] = (entry.get("n", count) + 1, str(entry.get("hash")))
        open_chains = 0
        for writer, chain in sorted(chains.items()):
            entries, last = ends.get(writer, (0, START))
            if chain["entries"] is None:
                open_chains += 1
                if entries == 0:
                    problems.append(f"writer {writer}: all its entries were removed")
            elif (entries, last) != (chain["entries"], chain["last"]):
                problems.append(f"writer {writer}: wrote {chain['entries']} entries, {entries} are there")
        return Verified(seen, tuple(problems), open_chains)

    def is_ours(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry, as it is stored, was written by this gallery and not changed since."""
        return entry.get("hash") == entry_hash(entry, self._key())

    def close(self) -> None:
        """Put down where this chain ends."""
        if self._is_registered:
            with self._writing:
                end = {"entries": self._count, "last": self._last}
            self._store.put_records(CHAINS, {self._writer: end})

    def _key(self) -> bytes:
        if self._salt is None:
            known = self._store.records(SETTINGS).get("audit")
            if known is None:
                with self._store.lock():
                    # Read again: until the lock was ours, another process has perhaps made it.
                    known = self._store.records(SETTINGS).get("audit")
                    if known is None:
                        known = {"salt": secrets.token_hex(16)}
                        self._store.put_records(SETTINGS, {"audit": known})
            self._salt = bytes.fromhex(known["salt"])
        return self._salt


def entry_hash(entry: Mapping[str, Any], key: bytes) -> str:
    """Keyed hash of all that an entry holds, 32 hexadecimal digits."""
    content = {name: value for name, value in entry.items() if name != "hash"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16, key=key).hexdigest()
