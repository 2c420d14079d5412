"""Tables of a Milvus server by alias, so that one appears, is exchanged and disappears in one step."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from omnireid.core.errors import StorageError
from omnireid.gallery.milvus.connection import NOT_LOADED, Connection, MilvusError

MESSAGE_BYTES = 16 << 20
"""Of one request or page; Milvus refuses above 64 MiB."""

MAX_ROWS = 16_384
"""Of one answer, at most."""

BACKGROUND_S = 600.0
"""Longest wait for what a cluster does in the background: compaction, the index."""

_COPIED_ROWS = 256

# Of a graph of 16 neighbours; the search widens with the number of candidates.
_BUILD = {"HNSW": {"M": 16, "efConstruction": 200}}
_EF = 128

T = TypeVar("T")
Row = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """How a table is made.

    Attributes:
        alias: what it is called by; the server's own name of it has a random end.
        schema: makes pymilvus's schema, given the client.
        vector: the field that has the index.
        index: Milvus's type of it.
    """

    alias: str
    schema: Callable[[Any], Any]
    vector: str
    index: str


class Tables:
    """What the store asks of a server. Writes of one table are to come one after the other.

    Every read is strong: it sees what any process was told is written.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        seconds = connection.address.timeout_s
        self._patience = {"timeout": seconds}
        self._reading = {"timeout": seconds, "consistency_level": "Strong"}

    def aliases(self) -> set[str]:
        """Every table there is, of other galleries too."""
        answer = self._run("list collections", lambda client: client.list_aliases(**self._patience))
        return set(answer["aliases"])

    def create(self, table: Table) -> None:
        """Make a table, index it and load it; where another process was faster, theirs stays."""
        name = self._make(table)
        try:
            self._run(
                "create a collection", lambda client: client.create_alias(name, table.alias, **self._patience)
            )
        except MilvusError:
            if table.alias not in self.aliases():
                raise
            self._run("drop a collection", lambda client: client.drop_collection(name, **self._patience))

    def drop(self, alias: str) -> None:
        """Drop a table, and what interrupted work has left of it."""
        # Gone for everyone with its alias; the rows follow.
        if alias in self.aliases():
            self._run("drop a collection", lambda client: client.drop_alias(alias, **self._patience))
        self._drop_leftovers(alias)

    def describe(self, alias: str) -> Row:
        return self.on(alias, "describe", lambda client: client.describe_collection(alias, **self._patience))

    def index(self, alias: str, vector: str) -> Row:
        return self.on(
            alias, "describe", lambda client: client.describe_index(alias, vector, **self._patience)
        )

    def upsert(self, alias: str, rows: list[Row]) -> None:
        """Write rows in one commit; those of the same id are replaced."""
        self.on(
            alias, f"write {len(rows):,} rows", lambda client: client.upsert(alias, rows, **self._patience)
        )

    def delete(self, alias: str, condition: str) -> None:
        self.on(alias, "delete", lambda client: client.delete(alias, filter=condition, **self._patience))

    def query(self, alias: str, condition: str, fields: Sequence[str]) -> list[Row]:
        """Rows of a condition that at most `MAX_ROWS` meet, in any order."""
        return self.on(
            alias,
            "read",
            lambda client: client.query(alias, filter=condition, output_fields=list(fields), **self._reading),
        )

    def pages(self, alias: str, condition: str, fields: Sequence[str], size: int) -> Iterator[list[Row]]:
        """Rows of a condition in the order of their ids, `size` at a time."""
        pages = self.on(
            alias,
            "read",
            lambda client: client.query_iterator(
                alias,
                batch_size=min(size, MAX_ROWS),
                filter=condition,
                output_fields=list(fields),
                **self._reading,
            ),
        )
        try:
            while page := self.on(alias, "read", lambda client: pages.next()):
                yield page
        finally:
            pages.close()

    def search(self, alias: str, query: Any, condition: str, fields: Sequence[str], limit: int) -> list[Row]:
        """The nearest rows, as the index finds them, with `fields` and id."""
        (hits,) = self.on(
            alias,
            "search",
            lambda client: client.search(
                alias,
                data=[query],
                filter=condition,
                limit=limit,
                search_params={"params": dict.fromkeys(("ef", "search_list"), max(_EF, 2 * limit))},
                output_fields=list(fields),
                **self._reading,
            ),
        )
        return [{"id": hit["id"], **hit["entity"]} for hit in hits]

    def flush(self, alias: str) -> None:
        """Seal what was written, so that it is indexed and compacted."""
        self.on(alias, "flush", lambda client: client.flush(alias, timeout=BACKGROUND_S))

    def purge(self, table: Table, *, is_lite: bool) -> None:
        """Have the rows written anew without those that were deleted.

        Raises:
            StorageError: a cluster has not ended within ten minutes; it goes on, and may be asked again.
        """
        if is_lite:
            self._rewrite(table)
        else:
            self.flush(table.alias)
            # Deletions go first into the segments that hold the rows, then those segments are written anew.
            for is_l0 in (True, False):
                self._compact(table.alias, is_l0)
        self._drop_leftovers(table.alias)

    def add_fields(
        self, table: Table, fields: Mapping[str, Mapping[str, Any]], completed: Callable[[Row], Row]
    ) -> None:
        """Give the rows of an older table fields that it lacks.

        Where all of them may be null, a server of version 2.6 does so in a moment; else every row is copied.

        Args:
            fields: pymilvus's arguments for each by name.
            completed: A row with these fields.
        """
        if all(kind.get("nullable") for kind in fields.values()):
            try:
                for name, kind in fields.items():
                    more = {key: value for key, value in kind.items() if key != "datatype"} | self._patience
                    add = partial(_add_field, table.alias, name, kind["datatype"], more)
                    self.on(table.alias, "add a field", add)
                return
            except MilvusError:  # milvus-lite, or a server before 2.6
                pass
        self._rewrite(table, completed)
        self._drop_leftovers(table.alias)

    def on(self, alias: str, doing: str, action: Callable[[Any], T]) -> T:
        """Do something with a table, and load it first where the server has restarted and has not."""
        try:
            return self._run(doing, action)
        except MilvusError as error:
            if error.code != NOT_LOADED:
                raise
        self._run("load a collection", lambda client: client.load_collection(alias, **self._patience))
        return self._run(doing, action)

    def _compact(self, alias: str, is_l0: bool) -> None:
        job = self.on(alias, "compact", lambda client: client.compact(alias, is_l0=is_l0, **self._patience))
        until = time.monotonic() + BACKGROUND_S
        while True:
            state = self._run("compact", lambda client: client.get_compaction_state(job, **self._patience))
            if state == "Completed":
                return
            if time.monotonic() > until:
                raise StorageError(
                    f"{self._connection.address.uri}: Milvus is still compacting; purge again later"
                )
            time.sleep(0.5)

    def _rewrite(self, table: Table, changed: Callable[[Row], Row] = dict) -> None:
        """Copy the rows to a new table: `milvus-lite` compacts when it likes, and not when it is asked."""
        fields = [field["name"] for field in self.describe(table.alias)["fields"]]
        name = self._make(table)
        for page in self.pages(table.alias, "", fields, _COPIED_ROWS):
            self.upsert(name, [changed(row) for row in page])
        self._run(
            "exchange a collection", lambda client: client.alter_alias(name, table.alias, **self._patience)
        )

    def _make(self, table: Table) -> str:
        """An empty table without an alias, which nobody sees."""
        name = f"{table.alias}__{uuid.uuid4().hex[:8]}"

        def make(client: Any) -> None:
            index = client.prepare_index_params()
            index.add_index(
                table.vector,
                index_name=table.vector,
                index_type=table.index,
                metric_type="COSINE",
                params=_BUILD.get(table.index, {}),
            )
            client.create_collection(
                name, schema=table.schema(client), consistency_level="Strong", **self._patience
            )
            # Of nothing: there is nothing to wait for.
            client.create_index(name, index, sync=False, **self._patience)
            client.load_collection(name, **self._patience)

        self._run("create a collection", make)
        return name

    def _drop_leftovers(self, alias: str) -> None:
        """Drop tables that were made for an alias and that it does not mean (any more)."""
        own = re.compile(re.escape(alias) + "__[0-9a-f]{8}")

        def drop(client: Any) -> None:
            names = [name for name in client.list_collections(**self._patience) if own.fullmatch(name)]
            kept = ""
            if names and alias in client.list_aliases(**self._patience)["aliases"]:
                kept = client.describe_alias(alias, **self._patience)["collection_name"]
            for name in names:
                if name != kept:
                    client.drop_collection(name, **self._patience)

        self._run("drop a collection", drop)

    def _run(self, doing: str, action: Callable[[Any], T]) -> T:
        return self._connection.run(doing, action)


def _add_field(alias: str, name: str, kind: Any, more: Row, client: Any) -> None:
    client.add_collection_field(alias, name, data_type=kind, **more)
