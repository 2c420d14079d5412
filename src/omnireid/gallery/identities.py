"""Who an operator says that items show: names, merges, splits, and taking them back.

Items hold the id of an identity, a pseudonym. Records say the rest: a name, and into which identity it was
merged. A merge writes records alone, so that it is one commit whatever the number of items, and undoing it
brings back exactly what was. Ids that are merged are aliases: filters and answers go by their root.

An operation is written down before it takes effect, and marked as done after. What was interrupted in
between (kill -9, a full disk) is finished when the gallery is opened, or by the next operation.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

from omnireid.core.errors import InputError
from omnireid.gallery.errors import ConflictError, NotInGalleryError
from omnireid.gallery.items import Filter
from omnireid.gallery.records import Records, RememberedRecords
from omnireid.gallery.store import GalleryStore
from omnireid.gallery.texts import check_text

IDENTITIES = "identity"
"""Kind of the records: by id {name, merged_into, created}. An identity without name and merge has none."""
OPERATIONS = "operation"
"""Kind of the records: by id what was done, and what was before."""

Kind = Literal["name", "merge", "split", "assign"]

MAX_OPERATIONS = 1000
"""Older ones are forgotten, and can no longer be undone."""
MAX_ITEMS = 10_000
"""Items of one split or assignment."""

_LONGEST_CHAIN = 10_000


class Operation(NamedTuple):
    """What an operator did.

    Attributes:
        id: sorts by the order in which operations were done.
        kind: "name", "merge", "split" or "assign".
        time: Unix seconds.
        actor: who.
        summary: what was done, in words.
        undone: whether it was taken back.
        blocked_by: why it cannot be undone now; "" where it can, or was.
        identity: the identity that was named, merged into, made by a split, or assigned to.
    """

    id: str
    kind: Kind
    time: float
    actor: str
    summary: str
    undone: bool
    blocked_by: str
    identity: str | None

    @property
    def can_undo(self) -> bool:
        """Whether `undo` would do it now."""
        return not self.undone and not self.blocked_by


class People:
    """Names and merges as they were at one moment; never changed.

    Attributes:
        records: the records as they are stored.
    """

    def __init__(self, records: Records) -> None:
        self.records = records
        self._parents = {
            identity: record["merged_into"] for identity, record in records.items() if record["merged_into"]
        }
        self._aliases: dict[str, set[str]] = {}
        for parent in self._parents:
            root = self.root(parent)
            self._aliases.setdefault(root, {root}).add(parent)

    def root(self, identity: str) -> str:
        """The identity that this one is shown as."""
        return self.path(identity)[-1]

    def path(self, identity: str) -> list[str]:
        """From an identity through those it was merged into to the root."""
        path = [identity]
        while (parent := self._parents.get(path[-1])) is not None and len(path) < _LONGEST_CHAIN:
            path.append(parent)
        return path

    def shown(self, identity: str | None) -> str | None:
        """`root`, where None stays None."""
        return None if identity is None else self.root(identity)

    def aliases(self, identity: str) -> frozenset[str]:
        """Every id that is shown as the same identity, the root among them."""
        root = self.root(identity)
        return frozenset(self._aliases.get(root, {root}))

    def meant(self, where: Filter) -> Filter:
        """A filter that asks for every alias of its identities."""
        if where.identities is None:
            return where
        aliases = (alias for identity in where.identities for alias in self.aliases(identity))
        return replace(where, identities=frozenset(aliases))

    def name(self, identity: str | None) -> str | None:
        """Of the root; where it has none, of the first alias (by id) that has one."""
        if identity is None:
            return None
        root = self.root(identity)
        for alias in (root, *sorted(self._aliases.get(root, ()))):
            if name := self.own_name(alias):
                return name
        return None

    def own_name(self, identity: str) -> str | None:
        """Of this id itself, whatever it was merged into."""
        name: str | None = self.records.get(identity, {}).get("name")
        return name

    @property
    def named(self) -> dict[str, str]:
        """Roots with a name."""
        roots = {self.root(identity) for identity, record in self.records.items() if record["name"]}
        return {root: name for root in roots if (name := self.name(root))}

    def __contains__(self, identity: object) -> bool:
        return identity in self.records


@dataclass(frozen=True)
class Identities:
    """Names, merges, splits and assignments of one gallery, in the hands of one actor.

    Attributes:
        store: The gallery's store.
        known: Names and merges, which all that change them share.
        collections: Those whose items are meant, the live one first.
        clock: Gives Unix seconds.
        actor: Who does it.
        tell: Writes into the audit (`Gallery.tell`), before anything is changed.
        writing: Keeps other writers out.
    """

    store: GalleryStore
    known: RememberedRecords[People]
    collections: Callable[[], Sequence[str]]
    clock: Callable[[], float]
    actor: str
    tell: Callable[..., object]
    writing: Callable[[], AbstractContextManager[None]]

    def name(self, identity: str, name: str | None) -> Operation:
        """Name an identity, rename it, or with None take its name away.

        Raises:
            InputError: a name that breaks the rule for texts (`gallery.texts`).
            NotInGalleryError: nobody has this id.
        """
        check_text("name", name)
        with self._writing() as people:
            self._check_known([identity], people)
            path = people.path(identity)
            root = path[-1]
            changes = {root: {"name": (people.own_name(root), name)}}
            return self._do("name", people, identity=root, records=changes, reads=path[:-1])

    def merge(self, into: str, identities: Sequence[str]) -> Operation:
        """Say that several identities are one person, shown as `into` and what that was merged into.

        Raises:
            InputError: none of them is another person.
            NotInGalleryError: nobody has one of these ids.
        """
        with self._writing() as people:
            self._check_known([into, *identities], people)
            target = people.root(into)
            changes: dict[str, Any] = {}
            reads: list[str] = []
            for identity in identities:
                path = people.path(identity)
                reads += path[:-1]
                if path[-1] == target:
                    reads += people.path(into)[:-1]
                else:
                    changes[path[-1]] = {"merged_into": (None, into)}
            if not changes:
                raise InputError(f"identities: expected others than {into!r}, which they are part of already")
            return self._do("merge", people, identity=into, records=changes, reads=reads)

    def split(self, item_ids: Sequence[str], name: str | None) -> Operation:
        """Make a new identity of some items, whatever they were before.

        Raises:
            InputError: no items, more than `MAX_ITEMS`, or an unusable name.
            NotInGalleryError: an item that is not there.
        """
        check_text("name", name)
        with self._writing() as people:
            identity = new_identity()
            before = self._identities_of(item_ids)
            changes = {identity: {"name": (None, name)}}
            return self._do("split", people, identity=identity, records=changes, items=before)

    def assign(self, item_ids: Sequence[str], identity: str | None) -> Operation:
        """Give items an identity, a known one or a new id of the caller's, or take theirs away.

        Raises:
            InputError: no items, more than `MAX_ITEMS`, or an unusable id.
            NotInGalleryError: an item that is not there.
        """
        check_text("identity", identity)
        with self._writing() as people:
            before = self._identities_of(item_ids)
            return self._do("assign", people, identity=identity, items=before)

    def undo(self, operation_id: str) -> Operation:
        """Take one operation back; once, and as long as no later one builds on it.

        Raises:
            NotInGalleryError: no such operation (any more).
            ConflictError: it was undone already, or a later one has to be undone first; says which.
        """
        with self._writing() as people:
            records = self.store.records(OPERATIONS)
            record = records.get(operation_id)
            if record is None:
                raise NotInGalleryError("operation", operation_id)
            if record["state"] == "undone":
                raise ConflictError(f"operation {operation_id}: was undone already")
            blocked = _blocked_by(operation_id, records)
            if blocked:
                raise ConflictError(f"operation {operation_id}: {blocked}")
            self._tell("undo", record)
            self.store.put_records(OPERATIONS, {operation_id: {**record, "state": "undoing"}})
            people = self._finish(operation_id, {**record, "state": "undoing"}, people)
            return _operation(operation_id, {**record, "state": "undone"}, records, people)

    def operations(self, limit: int = 100, identity: str | None = None) -> list[Operation]:
        """What was done, the latest first.

        Args:
            identity: what concerns this one and all that it is one person with; everything when None.
        """
        people, records = self.known.read(fresh=True), self.store.records(OPERATIONS)
        family = None if identity is None else people.aliases(identity)
        wanted = [
            operation for operation, record in records.items() if family is None or _names(record) & family
        ]
        latest = sorted(wanted, reverse=True)[:limit]
        return [_operation(operation, records[operation], records, people) for operation in latest]

    def parted(self) -> set[frozenset[str]]:
        """Pairs of identities whose merge somebody took back: a program must not merge them again."""
        undone = [
            record
            for record in self.store.records(OPERATIONS).values()
            if record["kind"] == "merge" and record["state"] == "undone"
        ]
        return {frozenset((record["identity"], merged)) for record in undone for merged in record["records"]}

    def recover(self) -> int:
        """Finish what was interrupted; how many operations."""
        if all(record["state"] in _FINISHED for record in self.store.records(OPERATIONS).values()):
            return 0
        with self.store.lock():
            return self._recover()

    def _recover(self) -> int:
        interrupted = {
            operation: record
            for operation, record in self.store.records(OPERATIONS).items()
            if record["state"] not in _FINISHED
        }
        for operation in sorted(interrupted):
            self._finish(operation, interrupted[operation], self.known.read(fresh=True))
        return len(interrupted)

    @contextmanager
    def _writing(self) -> Iterator[People]:
        """Keep other writers out, once what was interrupted is finished; gives the people as they are."""
        with self.writing():
            self._recover()
            yield self.known.read(fresh=True)

    def _check_known(self, identities: Iterable[str], people: People) -> None:
        for identity in dict.fromkeys(identities):
            if identity in people or len(people.aliases(identity)) > 1:
                continue
            where = Filter(identities=frozenset({identity}))
            if not any(self.store.count(collection, where) for collection in self.collections()):
                raise NotInGalleryError("identity", identity)

    def _identities_of(self, item_ids: Sequence[str]) -> dict[str, str | None]:
        ids = list(dict.fromkeys(item_ids))
        if not 0 < len(ids) <= MAX_ITEMS:
            raise InputError(f"items: expected 1 to {MAX_ITEMS:,}, got {len(ids):,}")
        owners: dict[str, str | None] = {}
        for collection in self.collections()[:1]:
            rows = self.store.get(collection, ids, columns=("id", "identity"))
            owners = dict(zip(*(rows.column(name).to_pylist() for name in ("id", "identity")), strict=True))
        for item_id in ids:
            if item_id not in owners:
                raise NotInGalleryError("item", item_id)
        return owners

    def _do(
        self,
        kind: Kind,
        people: People,
        *,
        identity: str | None,
        records: Mapping[str, Mapping[str, tuple[Any, Any]]] | None = None,
        items: Mapping[str, str | None] | None = None,
        reads: Sequence[str] = (),
    ) -> Operation:
        known = self.store.records(OPERATIONS)
        number = int(max(known, default="0" * 8)[:8], 16) + 1
        operation_id = f"{number:08x}{secrets.token_hex(4)}"
        record = {
            "kind": kind,
            "time": self.clock(),
            "actor": self.actor,
            "state": "doing",
            "identity": identity,
            # Of each identity and field what was before and what comes after; of each item what was before.
            "records": {
                key: {field: list(pair) for field, pair in fields.items()}
                for key, fields in (records or {}).items()
            },
            "items": dict(items or {}),
            # Identities whose merge this operation takes for granted.
            "reads": list(reads),
        }
        self._tell(kind, record)
        self.store.put_records(OPERATIONS, {operation_id: record})
        people = self._finish(operation_id, record, people)
        if len(known) >= MAX_OPERATIONS:
            self.store.delete_records(OPERATIONS, sorted(known)[: len(known) - MAX_OPERATIONS + 1])
        known[operation_id] = record = {**record, "state": "done"}
        return _operation(operation_id, record, known, people)

    def _tell(self, action: str, record: Mapping[str, Any]) -> None:
        changed = [*record["records"], *record["items"]]
        touched = dict.fromkeys([*changed, *([record["identity"]] if record["identity"] else [])])
        self.tell(action, count=len(changed), subjects=touched)

    def _finish(self, operation_id: str, record: Mapping[str, Any], people: People) -> People:
        """Do or undo what is written down, whatever of it was done before; the people as they are then."""
        is_undo = record["state"] == "undoing"
        changed = {
            key: {
                **people.records.get(key, {"name": None, "merged_into": None, "created": record["time"]}),
                **{field: before if is_undo else after for field, (before, after) in fields.items()},
            }
            for key, fields in record["records"].items()
        }
        if changed:
            self.store.put_records(IDENTITIES, changed)
        targets: dict[str | None, list[str]] = {}
        for item, before in record["items"].items():
            targets.setdefault(before if is_undo else record["identity"], []).append(item)
        for collection in self.collections():
            for identity, ids in targets.items():
                self.store.set_identity(collection, ids, identity)
        self.store.put_records(
            OPERATIONS, {operation_id: {**record, "state": "undone" if is_undo else "done"}}
        )
        if changed:
            people = People({**people.records, **changed})
            self.known.replace(people)
        return people


_FINISHED = ("done", "undone")


def new_identity() -> str:
    """A new pseudonym: 16 hexadecimal digits at random."""
    return secrets.token_hex(8)


def _names(record: Mapping[str, Any]) -> set[str]:
    """Identities that an operation was about, before or after it."""
    return {record["identity"], *record["records"], *record["items"].values()} - {None}


def _slots(record: Mapping[str, Any]) -> set[tuple[str, str]]:
    """What an operation changed."""
    fields = {(field, identity) for identity, changed in record["records"].items() for field in changed}
    return fields | {("item", item) for item in record["items"]}


def _blocked_by(operation_id: str, records: Records) -> str:
    """Why an operation cannot be undone; "" where it can."""
    mine = _slots(records[operation_id])
    for later in sorted(record for record in records if record > operation_id):
        other = records[later]
        if other["state"] == "undone":
            continue
        needs = _slots(other) | {("merged_into", read) for read in other["reads"]}
        if mine & needs:
            return f"a later one builds on it; undo {later} ({other['kind']}) first"
    return ""


def _operation(operation_id: str, record: Mapping[str, Any], records: Records, people: People) -> Operation:
    undone = record["state"] == "undone"
    return Operation(
        operation_id,
        record["kind"],
        record["time"],
        record["actor"],
        _summary(record, people),
        undone,
        "" if undone else _blocked_by(operation_id, records),
        record["identity"],
    )


def _summary(record: Mapping[str, Any], people: People) -> str:
    identity = record["identity"]
    who = "nobody" if identity is None else (people.name(identity) or identity)
    if record["kind"] == "name":
        ((before, after),) = [fields["name"] for fields in record["records"].values()]
        if after is None:
            return f"took the name “{before}” from {identity}"
        return f"named {identity} “{after}”" if before is None else f"renamed “{before}” to “{after}”"
    if record["kind"] == "merge":
        merged = list(record["records"])
        first = people.own_name(merged[0]) or merged[0]
        return f"merged {first if len(merged) == 1 else f'{len(merged)} people'} into {who}"
    count = len(record["items"])
    pictures = "one picture" if count == 1 else f"{count:,} pictures"
    if record["kind"] == "split":
        return f"split {pictures} off as {people.own_name(identity) or identity}"
    return f"took {pictures} from their person" if identity is None else f"assigned {pictures} to {who}"


def forget_people(store: GalleryStore, identities: Iterable[str], items: Iterable[str]) -> None:
    """Delete what records know of identities and items that are being forgotten.

    Names and merges of these identities go, and of every operation what it would bring back of them; an
    operation about nothing else goes as a whole. The bytes go with `purge_records`. Run again after an
    interruption, it does what is left.

    Args:
        identities: the identities, with all aliases.
    """
    gone, gone_items = set(identities), set(items)
    with store.lock():
        operations, known = store.records(OPERATIONS), store.records(IDENTITIES)
        left = {operation: _without(record, gone, gone_items) for operation, record in operations.items()}
        changed = {key: kept for key, kept in left.items() if kept is not None and kept != operations[key]}
        store.put_records(OPERATIONS, changed)
        store.delete_records(OPERATIONS, [operation for operation, kept in left.items() if kept is None])
        # In an old backup somebody may still be merged into who was forgotten, and be shown as them.
        parted = {
            identity: {**record, "merged_into": None}
            for identity, record in known.items()
            if record["merged_into"] in gone and identity not in gone
        }
        store.put_records(IDENTITIES, parted)
        store.delete_records(IDENTITIES, sorted(gone & known.keys()))


def _without(record: Mapping[str, Any], identities: set[str], items: set[str]) -> dict[str, Any] | None:
    """An operation without what is forgotten; None where nothing is left."""
    changed = {
        identity: fields
        for identity, fields in record["records"].items()
        if identity not in identities and identities.isdisjoint(fields.get("merged_into", ()))
    }
    kept = {
        item: before
        for item, before in record["items"].items()
        if item not in items and before not in identities and record["identity"] not in identities
    }
    if record["items"] and not kept:
        return None
    if record["records"] and not changed:
        return None
    reads = [read for read in record["reads"] if read not in identities]
    return {**record, "records": changed, "items": kept, "reads": reads}
