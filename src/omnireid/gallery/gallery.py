"""A gallery of people seen by cameras: enrol, search, decide, and say who is who."""

from __future__ import annotations

import dataclasses
import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from omnireid.core.arrays import Float32
from omnireid.core.card import ModelRef
from omnireid.core.errors import InputError, OmniReIDError
from omnireid.core.forking import ForkError, check_process, in_every_child
from omnireid.core.types import Embeddings
from omnireid.data.loading import Reading
from omnireid.evaluation.calibration import Calibration, Decision
from omnireid.gallery import forgetting, retention
from omnireid.gallery.attributes import KnownAttribute, known_attributes
from omnireid.gallery.audit import AuditEntry, AuditFilter, AuditLog, Verified
from omnireid.gallery.audit_reading import subjects_of
from omnireid.gallery.browsing import Browser, Page, Person, Timeline
from omnireid.gallery.cases import Cases
from omnireid.gallery.crowds import Crowds
from omnireid.gallery.decisions import Comparison, Crowd, Judge, SearchJudge
from omnireid.gallery.enrolling import Assigned, Enrolment, joined, numbers, prepared, unit_embeddings
from omnireid.gallery.errors import NotInGalleryError, NotWritableError
from omnireid.gallery.files import (
    Picture,
    Pictures,
    crop_of,
    embed_seen,
    is_pictures,
    items_seen,
    seen_pictures,
)
from omnireid.gallery.generations import Generation, Generations
from omnireid.gallery.identities import IDENTITIES, Identities, Operation, People, new_identity
from omnireid.gallery.items import EVERYTHING, Filter, Item
from omnireid.gallery.journal import Task, carry_out, check_whole, finish_interrupted
from omnireid.gallery.moving import Moved, abandon, clear_left, move
from omnireid.gallery.opening import open_store
from omnireid.gallery.options import DEFAULT_PRECISION, STORED_PRECISIONS, StoredPrecision
from omnireid.gallery.questions import Question
from omnireid.gallery.records import MAX_AGE_S, RememberedRecords
from omnireid.gallery.rejections import Rejections
from omnireid.gallery.retention import STEPS, Retention
from omnireid.gallery.rows import ITEM_COLUMNS, embeddings_of, items_of
from omnireid.gallery.searching import Searcher, SearchResult, empty_result
from omnireid.gallery.site import Site
from omnireid.gallery.store import GalleryStore, IndexState
from omnireid.gallery.tracklets import pooled, search_tracklets

if TYPE_CHECKING:
    from rich.console import Console

    from omnireid.gallery.backup import Manifest
    from omnireid.inference.embedder import Embedder

_log = logging.getLogger("omnireid.gallery")

SIGHTING_GAP_S = 60.0
"""Seconds without an item that end a sighting."""


@dataclass(frozen=True, slots=True)
class GalleryState:
    """What a gallery holds.

    Attributes:
        items: number of items of the live model.
        identities: shown ones, merged ones counting once.
        cameras: names of the cameras of items, sorted.
        models: the live one first.
        index: state of the index of the live model.
        precision: what its embeddings are stored with; None in an empty gallery.
        retention: how long items stay.
        disk_bytes: None where the store cannot know.
    """

    items: int
    identities: int
    cameras: tuple[str, ...]
    models: tuple[Generation, ...]
    index: IndexState
    precision: StoredPrecision | None
    retention: Retention
    disk_bytes: int | None


class Forgotten(NamedTuple):
    """What `forget` deleted: how many items, and the ids of the identity and of those merged with it."""

    items: int
    identities: tuple[str, ...]


class Gallery:
    """People seen by cameras. Several threads may share one; a process that is forked opens its own.

    ```python
    with Gallery.open("runs/gallery", model="model.safetensors") as gallery:
        gallery.enrol("crops/door/", camera="door")
        answer = gallery.search("somebody.jpg")
        answer.decision, answer.groups[0].name
    ```

    Attributes:
        store: The store that keeps it.
        calibration: Of the model; None where answers are scores only. May be replaced.
        embedder: Embeds the pictures that it is given; None where it is given embeddings only.
        actor: Who acts, in the audit and the history; `acting_as` gives the gallery to somebody else.
        generations: The models whose embeddings it holds.
        log: The audit.
    """

    # All but these is one dictionary, which the views of `acting_as` share.
    __slots__ = ("__dict__", "__weakref__", "_opened", "actor")
    _opened: Gallery

    def __init__(
        self,
        store: GalleryStore,
        *,
        precision: StoredPrecision = DEFAULT_PRECISION,
        actor: str = "local",
        calibration: Calibration | None = None,
        embedder: Embedder | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Of a store that is open already; `Gallery.open` opens one."""
        if precision not in STORED_PRECISIONS:
            raise InputError(f"precision: expected one of {', '.join(STORED_PRECISIONS)}, got {precision!r}")
        self.store = store
        self.calibration = calibration
        self.embedder = embedder
        self.clock = clock
        self.actor = actor
        self.generations = Generations(store)
        self.log = AuditLog(store, clock)
        self._people = RememberedRecords(store, IDENTITIES, People)
        self._precision = precision
        self._index_lock = threading.Lock()
        self._index_known: tuple[bool, float] | None = None
        self._crowds = Crowds()
        self._rejections = Rejections(store)
        check_whole(store)
        # What a crash has left half done, before anybody reads.
        finish_interrupted(store, STEPS)
        if store.read_only is None:
            self.who_is.recover()
            clear_left(store, self.generations)
        in_every_child(self._leave_to_parent)

    def __repr__(self) -> str:
        return f"Gallery({self.uri!r}, calibrated={self.calibration is not None})"

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        model: str | os.PathLike[str] | Embedder | None = None,
        precision: StoredPrecision = DEFAULT_PRECISION,
        actor: str = "local",
        calibration: Calibration | None = None,
        clock: Callable[[], float] = time.time,
        storage_options: Mapping[str, str] | None = None,
    ) -> Gallery:
        """Open a gallery, made where there is none; what was interrupted is finished.

        Args:
            uri: a local folder, "s3://bucket/prefix", or "http://host:19530/NAME" of Milvus.
            model: A model file, a name of `omnireid models list`, or an open `Embedder`; with it the gallery
                takes pictures, and finds the calibration beside the model.
            precision: precision of embeddings in a new gallery: "float32", "float16" or "int8".
            actor: who this is, in the audit.
            calibration: calibration of the gallery's model, in place of the one beside it; without any,
                answers are scores only.
            clock: gives Unix seconds.
            storage_options: keys, region and endpoint of object storage.

        Raises:
            InputError: something else is there, or a gallery of a later version.
            StorageError: it cannot be read, or made. One that cannot be written is opened for reading and
                searching, which its audit then does not show: see `read_only`.
            MissingExtraError: the store's package is not installed.
            WeightsError, UnknownNameError: the model cannot be opened, see `Embedder.open`.
        """
        embedder = None if model is None else _opened(model)
        if calibration is None and embedder is not None:
            calibration = _calibration_beside(embedder)
        store = open_store(uri, storage_options)
        try:
            return cls(
                store,
                precision=precision,
                actor=actor,
                calibration=calibration,
                embedder=embedder,
                clock=clock,
            )
        except BaseException:
            store.close()
            raise

    def acting_as(self, actor: str) -> Gallery:
        """This gallery in the hands of somebody else, who stands in the audit for what is done with it.

        It is a view that shares everything else, also what changes later, and costs nothing.
        """
        view = object.__new__(type(self))
        view.__dict__ = self.__dict__
        view.actor = actor
        # What is done in a forked child is known by the gallery that was opened: it must live as long.
        view._opened = getattr(self, "_opened", self)
        return view

    def tell(
        self,
        action: str,
        *,
        count: int,
        subjects: Iterable[str] = (),
        detail: Mapping[str, Any] | None = None,
    ) -> Mapping[str, Any] | None:
        """Write into the audit that `actor` does something. See `AuditLog.write`."""
        return self.log.write(action, actor=self.actor, count=count, subjects=subjects, detail=detail)

    def close(self) -> None:
        """End the audit's chain and let go of the store."""
        try:
            self.log.close()
        finally:
            self.store.close()

    def __enter__(self) -> Gallery:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def uri(self) -> str:
        """Where it is kept."""
        return self.store.uri

    @property
    def read_only(self) -> str | None:
        """Why it can only be read, as was found when it was opened; None where it can be changed."""
        return self.store.read_only

    @property
    def models(self) -> tuple[Generation, ...]:
        """Whose embeddings it holds, the live one first; empty before the first enrolment."""
        return tuple(generation for generation in self.generations.all() if generation.state != "leaving")

    def model_of_items(self) -> ModelRef:
        """The model whose embeddings are searched.

        Raises:
            InputError: The gallery is empty.
        """
        live = self.generations.live()
        if live is None:
            raise InputError("model: the gallery is empty, so say which model made the embeddings")
        return live.model

    # Enrolling

    def enrol(
        self,
        items: Sequence[Item] | Embeddings | Pictures,
        embeddings: npt.ArrayLike | Embeddings | None = None,
        *,
        camera: str = "",
        model: ModelRef | None = None,
        assign: bool = False,
        reading: Reading = Reading(),
    ) -> Enrolment:
        """Add items, in one commit. Those whose content key is there already stay as they were.

        The first enrolment fixes the gallery's model. The audit's entry is written before the items.
        Pictures are added a batch at a time: stopped, what was added stays, and enrolled again it goes on.

        Args:
            items: N items, with their `embeddings`; or without: `Embeddings` of items or samples, or pictures
                of a gallery that was opened with a model: files, folders, crops, see `files.seen_pictures`.
            embeddings: N `Embeddings`, or (N, D) numbers of any norm, which are normalised here.
            camera: Of all pictures, or samples.
            model: The model that made the embeddings, where these are bare numbers.
            reading: How picture files are read.
            assign: Search for each item first, and let the answer decide who it is: somebody known, somebody
                new, or nobody yet. Each is added by itself, and given its identity by an operation, which can
                be undone. Stopped in between, an item is left that nobody has been assigned to.

        Raises:
            ModelMismatchError: the gallery holds embeddings of another model.
            ShapeError, InputError: names the row and the field that cannot be used; nothing was added. Or
                there is no calibration by which to `assign`.
            StorageError: they could not be written; none was added.
        """
        if embeddings is None and not isinstance(items, Embeddings):
            seen = seen_pictures(items, camera=camera, console=reading.console)
            return joined(self.enrol_stream(embed_seen(self._embedder(), seen, reading), assign=assign))
        whose = items_seen(items.of, camera) if isinstance(items, Embeddings) else items
        given = items if isinstance(items, Embeddings) else embeddings
        assert given is not None
        unit_ND, model = unit_embeddings(given, model)
        rows = prepared(cast("Sequence[Item]", whose), unit_ND, self.clock())
        return self._add_assigned(rows, model) if assign else self._add(rows, model)

    def _embedder(self) -> Embedder:
        if self.embedder is None:
            raise InputError(
                "a gallery takes pictures when it was opened with a model (Gallery.open(…, model=…)); "
                "without one, give embeddings"
            )
        return self.embedder

    def _embedded(self, given: npt.ArrayLike | Embeddings | Pictures) -> npt.ArrayLike | Embeddings:
        """What is given, embedded where it is pictures."""
        if isinstance(given, Embeddings) or not is_pictures(given):
            return cast("npt.ArrayLike | Embeddings", given)
        embedder, seen = self._embedder(), seen_pictures(given)
        vectors = embedder.embed([crop_of(picture) for picture in seen])
        return Embeddings(vectors, tuple(picture.item for picture in seen), embedder.ref, embedder.normalise)

    def _one(
        self, given: npt.ArrayLike | Embeddings | Picture, model: ModelRef | None
    ) -> tuple[Float32, ModelRef]:
        """(D,) of unit norm of one picture or embedding, and the model that made it."""
        embedding = self._embedded(given)
        rows, model = unit_embeddings(
            embedding if isinstance(embedding, Embeddings) else numbers(embedding)[None], model
        )
        if len(rows) != 1:
            raise InputError(f"expected one picture, got {len(rows)}; those of one person are a tracklet")
        return rows[0], model

    def enrol_stream(
        self,
        batches: Iterable[Embeddings | tuple[Sequence[Item], npt.ArrayLike | Embeddings]],
        *,
        model: ModelRef | None = None,
        assign: bool = False,
    ) -> Iterator[Enrolment]:
        """Add batches of any number, each as `enrol` does; the next is made while one is written.

        Args:
            batches: `Embeddings` of items, or items and their embeddings.
            model, assign: As for `enrol`.

        Yields:
            What became of each batch, in order. What was yielded is durable.
        """
        process, add = os.getpid(), self._add_assigned if assign else self._add
        with ThreadPoolExecutor(1, "enrol") as writer:
            written: Future[Enrolment] | None = None
            for batch in batches:
                items, embeddings = (batch.of, batch) if isinstance(batch, Embeddings) else batch
                unit_ND, made_by = unit_embeddings(embeddings, model)
                rows = prepared(items, unit_ND, self.clock())
                if written is not None:
                    yield written.result()
                    check_process(process, "a gallery", "open it in the child")
                written = writer.submit(add, rows, made_by)
            if written is not None:
                yield written.result()

    def _add(self, rows: pa.Table, model: ModelRef) -> Enrolment:
        ids = tuple(rows.column("id").to_pylist())
        if not ids:
            return Enrolment((), np.zeros(0, np.bool_))
        # A move to another model ends under this lock: nothing is added to what it leaves.
        with self._writing():
            collection = self.generations.begin(model, self._precision, self.clock()).collection
            detail = {"model": model.saved_sha256[:12]}
            self.tell("enrol", count=len(ids), subjects=ids, detail=detail)
            self._crowds.added(len(ids))
            return Enrolment(ids, self.store.add(collection, rows))

    def _add_assigned(self, rows: pa.Table, model: ModelRef) -> Enrolment:
        if SearchJudge.of(self.calibration, model).model is None:
            raise InputError(
                "assign: needs a calibration of the model; make one with 'omnireid calibrate', and open the "
                "gallery with it"
            )
        is_new, assigned = np.zeros(rows.num_rows, np.bool_), []
        for index in range(rows.num_rows):
            row = rows.slice(index, 1)
            identity: str | None = row.column("identity")[0].as_py()
            answer = None
            if identity is None:
                known = Filter(has_identity=True)
                answer = self.search(embeddings_of(row)[0], model=model, k=1, where=known, group=False)
            added = self._add(row, model)
            is_new[index] = added.is_new[0]
            assigned.append(self._assigned(added, identity, answer))
        return Enrolment(tuple(rows.column("id").to_pylist()), is_new, tuple(assigned))

    def _assigned(self, added: Enrolment, identity: str | None, answer: SearchResult | None) -> Assigned:
        """Give an item that was just added the identity that a search decided for."""
        decision = None if answer is None else answer.decision
        if not added.is_new[0]:  # It keeps the identity that it had.
            identity = self.item(added.ids[0]).identity
            return Assigned(decision, identity, self.people().name(identity))
        if answer is None or answer.decision not in (Decision.SAME, Decision.NEW):
            return Assigned(decision, identity, self.people().name(identity))
        best = answer.candidates[0] if answer.decision is Decision.SAME else None
        identity = best.identity if best is not None else None
        operation = self.assign(added.ids, identity or new_identity())
        return Assigned(
            decision,
            operation.identity,
            self.people().name(operation.identity),
            None if best is None else best.probability,
            operation.id,
        )

    # Searching

    def search(
        self,
        embedding: npt.ArrayLike | Embeddings | Picture,
        question: Question | None = None,
        *,
        model: ModelRef | None = None,
        **options: Any,
    ) -> SearchResult:
        """Who is this, if anybody here?

        Args:
            embedding: `Embeddings` of one picture, or (D,) numbers of any norm; or the picture, where the
                gallery was opened with a model: a file, a crop (H, W, 3) of uint8 RGB, a Pillow picture.
            question: How to search; the usual one when None.
            model: The model that made bare numbers.
            options: Fields of `Question`, in place of those of `question`: `k=5`, `where=Filter(…)`.

        Raises:
            ModelMismatchError: The gallery holds embeddings of another model.
            ShapeError, InputError: An embedding, option, number or rate that cannot be used.
        """
        question = Question.of(question, options)
        query, model = self._one(embedding, model)
        return self._answer(question, model, 1, lambda searcher: searcher.search(query, question))

    def search_tracklet(
        self,
        embeddings: npt.ArrayLike | Embeddings | Pictures,
        question: Question | None = None,
        *,
        qualities: npt.ArrayLike | None = None,
        model: ModelRef | None = None,
        **options: Any,
    ) -> SearchResult:
        """Who are these frames of one person? Candidates are whole tracklets; see `gallery.tracklets`.

        Args:
            embeddings: `Embeddings` of T frames, or (T, D) numbers of any norm; or their pictures.
            qualities: (T,) weights, at least 0; all the same when None.
            question, model, options: As `search`.

        Raises:
            ModelMismatchError, ShapeError, InputError: As `search`.
        """
        question = Question.of(question, options)
        frames, model = unit_embeddings(self._embedded(embeddings), model)
        return self._answer(
            question,
            model,
            len(frames),
            lambda searcher: search_tracklets(searcher, frames, qualities, question),
        )

    def search_item(
        self,
        item_id: str,
        question: Question | None = None,
        *,
        model: ModelRef | None = None,
        **options: Any,
    ) -> SearchResult:
        """Who is on a picture of the gallery, and on which others? The picture itself is no candidate.

        Args:
            item_id: Id of the item.
            model: The model that is searched with, where somebody expects one; else the gallery's.
            question, options: As `search`.

        Raises:
            NotInGalleryError: The item is not there.
            ModelMismatchError, InputError: As `search`.
        """
        embedding, question = self.embedding(item_id), Question.of(question, options)
        question = dataclasses.replace(question, without=question.without | {item_id})
        return self.search(embedding, question, model=model or self.model_of_items())

    def _answer(
        self,
        question: Question,
        model: ModelRef,
        num_frames: int,
        answer: Callable[[Searcher], SearchResult],
    ) -> SearchResult:
        judge = SearchJudge.of(self.calibration, model, question)
        searcher = self._searcher(model, judge, question.where)
        result = empty_result(judge, model) if searcher is None else answer(searcher)
        self._audit_search(result, question, judge.prior, num_frames)
        return result

    def compare(
        self,
        first: str | npt.ArrayLike | Embeddings,
        second: str | npt.ArrayLike | Embeddings,
        *,
        model: ModelRef | None = None,
        false_alarm_rate: float | None = None,
        prior: float | None = None,
    ) -> Comparison:
        """Do two pictures show the same person? Which items were compared stands in the audit.

        Args:
            first, second: Id of an item, `Embeddings` of one picture, or (D,) numbers of any norm.
            model: The model of the embeddings that are given; by default the gallery's.
            false_alarm_rate: Of comparisons, one that the calibration holds; by default the lowest that could
                be measured.
            prior: Share of such pairs that are of one person; by default one half.

        Raises:
            NotInGalleryError: An item is not there.
            ModelMismatchError: The gallery holds embeddings of another model.
            ShapeError, InputError: An embedding, rate or prior that cannot be used.
        """
        items = [side for side in (first, second) if isinstance(side, str)]
        model = model or self.model_of_items()
        self.generations.of(model)
        rows = [
            self.embedding(side) if isinstance(side, str) else self._one(side, model)[0]
            for side in (first, second)
        ]
        judge = Judge.of(self.calibration, model, false_alarm_rate=false_alarm_rate, prior=prior)
        self.tell("verify", count=2, subjects=items)
        return judge.compare(*rows)

    def num_people(self, where: Filter = EVERYTHING) -> int:
        """Different people as far as known: identities, and tracklets and single items that have none.

        Counted at most every five minutes, or when a tenth was added, for it reads two columns of every item.
        """
        return self._crowd(where).people

    def _crowd(self, where: Filter) -> Crowd:
        """Whom a search through what meets a filter goes through."""
        live = self.generations.live()
        if live is None:
            return Crowd(0, 0)
        browser = self._browser()
        where = browser.people.meant(where)
        return self._crowds.get((live.collection, where), lambda: browser.crowd(where))

    def reject(
        self,
        identity: str,
        embedding: npt.ArrayLike | Embeddings,
        *,
        model: ModelRef | None = None,
        item: str | None = None,
    ) -> str:
        """Say that a picture does not show this person; later searches heed it. See `gallery.rejections`.

        Args:
            embedding: `Embeddings` of one picture or tracklet, or numbers of any norm: (D,), or (T, D).
            model: The model that made bare numbers.
            item: id of the item that it is, where it is one.

        Returns:
            An id to take it back with.

        Raises:
            NotInGalleryError: nobody has this identity.
            ModelMismatchError, ShapeError: an embedding that cannot be used.
            StorageError: it could not be written.
        """
        given = embedding if isinstance(embedding, Embeddings) else np.atleast_2d(numbers(embedding))
        rows, model = unit_embeddings(given, model)
        self.generations.of(model)
        root = self.identity(identity).id
        subjects = [root, *([item] if item else [])]
        self.tell("reject", count=len(rows), subjects=subjects)
        return self._rejections.add(root, pooled(rows), model, item=item, now=self.clock(), actor=self.actor)

    def unreject(self, rejection: str) -> None:
        """Take a rejection back.

        Raises:
            InputError: there is none of this id.
        """
        record = self._rejections.remove(rejection)
        self.tell("unreject", count=1, subjects=[record["identity"]])

    # Items and people

    def items(self, where: Filter = EVERYTHING, limit: int = 100, after: str | None = None) -> Page[Item]:
        """Items that meet a filter, the latest first, without thumbnails. See `Browser.items`."""
        return self._browser().items(where, limit, after)

    def item(self, item_id: str) -> Item:
        """One item, without its thumbnail.

        Raises:
            NotInGalleryError: it is not there.
        """
        return items_of(self._row(item_id, ITEM_COLUMNS), self.people().shown)[0]

    def thumbnail(self, item_id: str) -> bytes | None:
        """Picture of an item as it was enrolled; None where it has none.

        Raises:
            NotInGalleryError: it is not there.
        """
        content: bytes | None = self._row(item_id, ("thumbnail",)).column("thumbnail")[0].as_py()
        return content

    def embedding(self, item_id: str) -> Float32:
        """Stored embedding of an item, of the live model: (D,) float32.

        Raises:
            NotInGalleryError: it is not there.
        """
        return np.asarray(embeddings_of(self._row(item_id, ("embedding",)))[0], np.float32)

    @property
    def who_is(self) -> Identities:
        """Names and merges, and how they are changed. See `gallery.identities`."""
        return Identities(
            self.store, self._people, self._collections, self.clock, self.actor, self.tell, self._writing
        )

    def people(self, *, fresh: bool = False) -> People:
        """Names and merges; another process's are seen within a second, or with `fresh` now."""
        return self._people.read(fresh=fresh)

    def identities(self, text: str | None = None, limit: int = 100, after: str | None = None) -> Page[Person]:
        """Identities, those with a name first. See `Browser.persons`.

        Args:
            text: part of the name or, where there is none, of the id; or the whole id.
        """
        return self._browser(fresh=True).persons(text, limit, after)

    def identity(self, identity: str) -> Person:
        """One identity, by any of its ids.

        Raises:
            NotInGalleryError: nobody has this id.
        """
        return self._browser(fresh=True).person(identity)

    def timeline(self, identity: str, *, gap_s: float = SIGHTING_GAP_S) -> Timeline:
        """Where and when somebody was seen, by camera.

        Args:
            gap_s: how many seconds without an item end a sighting.

        Raises:
            NotInGalleryError: nobody has this id.
        """
        return self._browser(fresh=True).timeline(identity, gap_s)

    def name_identity(self, identity: str, name: str | None) -> Operation:
        """Name an identity, rename it, or with None take its name away. See `Identities.name`."""
        return self.who_is.name(identity, name)

    def merge(self, into: str, identities: Sequence[str]) -> Operation:
        """Say that identities are one person, shown as `into`. See `Identities.merge`."""
        return self.who_is.merge(into, identities)

    def split(self, item_ids: Sequence[str], name: str | None = None) -> Operation:
        """Make a new identity of some items; it is the operation's `identity`. See `Identities.split`."""
        return self.who_is.split(item_ids, name)

    def assign(self, item_ids: Sequence[str], identity: str | None) -> Operation:
        """Give items an identity, or with None take theirs away. See `Identities.assign`."""
        return self.who_is.assign(item_ids, identity)

    def undo(self, operation_id: str) -> Operation:
        """Take an operation back. See `Identities.undo`."""
        return self.who_is.undo(operation_id)

    def operations(self, limit: int = 100, identity: str | None = None) -> list[Operation]:
        """What operators did, the latest first. See `Identities.operations`."""
        return self.who_is.operations(limit, identity)

    @property
    def cases(self) -> Cases:
        """Cases: what operators collected for a reason, with its end date. See `gallery.cases`."""
        return Cases(self, self._writing)

    # Forgetting

    def forget(self, identity: str | None = None, items: Sequence[str] | None = None) -> Forgotten:
        """Delete for good: rows, pictures, names, what undo would bring back, and the bytes on disk.

        Args:
            identity: the person, with everything that was merged with it.
            items: ids; those that are not there are left out.

        Raises:
            InputError: neither of both.
            NotInGalleryError: nobody has this id.
            StorageError: it could not be finished; it is when the gallery is opened again.
        """
        with self._writing():
            self.who_is.recover()
            plan = forgetting.plan_forgetting(
                self.store, identity=identity, items=items or (), clock=self.clock
            )
            subjects = [*plan.identities, *plan.items]
            self.tell("forget", count=len(plan.items), subjects=subjects)
            self._carry_out(plan.tasks)
        return Forgotten(len(plan.items), plan.identities)

    def retention(self) -> Retention:
        """How long items stay."""
        return retention.read_retention(self.store)

    def set_retention(
        self,
        default_s: float | None,
        cameras: Mapping[str, float | None] | None = None,
    ) -> None:
        """Let items expire so many seconds after they were seen; `run_retention` then deletes them.

        Args:
            default_s: None keeps them.
            cameras: seconds by name of the camera, in place of the default.

        Raises:
            InputError: a time that is not above 0.
        """
        wanted = Retention(default_s, dict(cameras or {}))
        detail = {"default_s": default_s}
        self.tell("set-retention", count=len(wanted.cameras), detail=detail)
        retention.write_retention(self.store, wanted)

    def run_retention(self) -> int:
        """Delete what has expired, as `forget` does; how many items."""
        with self._writing():
            self.who_is.recover()
            plan = retention.plan_retention(self.store, self.clock())
            count = sum(plan.by_camera.values())
            if plan.tasks:
                detail = {"cameras": plan.by_camera}
                self.tell("retention", count=count, detail=detail)
                self._carry_out(plan.tasks)
            self._rejections.expire(self.retention().default_s, self.clock())
            self.cases.delete_ended()
        return count

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Keep other writers out, once what a crash has left is done: later it would take what is new."""
        with self.store.lock():
            if finish_interrupted(self.store, STEPS):
                self._people.forget()
            yield

    def _carry_out(self, tasks: Sequence[Task]) -> None:
        try:
            carry_out(self.store, tasks, STEPS)
        finally:
            self._people.forget()
            self._rejections.changed()

    @property
    def site(self) -> Site:
        """Groups of cameras, and the floor plan. See `gallery.site`."""
        return Site(self.store, self.tell, self._writing)

    def known_attributes(self) -> list[KnownAttribute]:
        """Names and values of attributes, with how many items have them; see `gallery.attributes`."""
        return known_attributes(self.store, self._live_collection())

    # Moving to another model

    def move_to(self, embedder: Embedder, *, drop_without_picture: bool = False) -> Iterator[Moved]:
        """Embed every thumbnail with another model, then answer with that one. See `moving.move`."""
        model = embedder.ref
        self.tell("move", count=0, detail={"model": model.saved_sha256[:12]})
        yield from move(
            self.store,
            self.generations,
            embedder,
            drop_without_picture=drop_without_picture,
            clock=self.clock,
        )
        if self.embedder is not None:
            # Pictures are embedded by the model that answers now.
            self.embedder, self.calibration = embedder, _calibration_beside(embedder)

    def abandon_move(self) -> bool:
        """Give up a move that is not complete; whether there was one."""
        self.tell("abandon-move", count=0)
        return abandon(self.store, self.generations)

    # Backups

    def backup(self, folder: str | os.PathLike[str], *, console: Console | None = None) -> Manifest:
        """Write all of it into a new folder, as it is now, while others go on. See `gallery.backup`.

        `gallery.restoring.restore` brings it back, into any store.

        Args:
            console: where to show progress; nothing is shown when None.

        Raises:
            InputError: the folder is not empty.
            StorageError: it could not be written.
        """
        from omnireid.gallery.backup import Snapshot, write_backup

        self.tell("backup", count=0)
        return write_backup(Snapshot(self.store), folder, clock=self.clock, console=console)

    # The gallery itself

    def build_index(self) -> None:
        """Build the approximate index of every model, or take new items into it. Reads and writes go on.

        Few items need none; then nothing happens.
        """
        with self._index_lock:
            for collection in self._collections():
                self.store.build_index(collection)
            self._index_known = None

    def index_in_background(self) -> threading.Thread:
        """`build_index` in a thread that has been started; one at a time, the next waits.

        Raises:
            NotWritableError: the gallery can only be read.
        """
        if self.read_only is not None:
            raise NotWritableError(self.uri, self.read_only)

        def build() -> None:
            try:
                self.build_index()
            except OmniReIDError as error:  # Nobody waits for this thread.
                _log.error("%s: the index was not built: %s", self.uri, error)

        thread = threading.Thread(target=build, name="index", daemon=True)
        thread.start()
        return thread

    def warm(self) -> None:
        """Take into memory what makes searches quick (about 600 bytes an item), and keep it up.

        For whoever searches often; returns when it is done. A search finds the same without.
        """
        for collection in self._collections():
            self.store.warm(collection)

    def check(self) -> None:
        """Read a little of it, for whoever asks whether it is there.

        Raises:
            StorageError: it cannot be read; says why.
        """
        self.generations.all(fresh=True)

    def state(self) -> GalleryState:
        """What it holds. Reads the identity and camera of every item."""
        live, browser = self.generations.live(fresh=True), self._browser(fresh=True)
        if live is None:
            empty = IndexState("none", 0, 0)
            return GalleryState(0, 0, (), (), empty, None, self.retention(), self.store.disk_bytes())
        everybody = set(map(browser.people.root, browser.values("identity")))
        return GalleryState(
            items=self.store.count(live.collection),
            identities=len(everybody | browser.people.named.keys()),
            cameras=tuple(sorted(browser.values("camera"))),
            models=self.models,
            index=self.store.index_state(live.collection),
            precision=self.store.collections()[live.collection].precision,
            retention=self.retention(),
            disk_bytes=self.store.disk_bytes(),
        )

    def audit(
        self,
        subject: str | None = None,
        *,
        after: int | None = None,
        limit: int = 100,
        latest: bool = False,
        **conditions: Any,
    ) -> list[AuditEntry]:
        """Entries of the audit, the oldest first; with `latest` the latest first.

        Args:
            subject: As `audit_filter`.
            after: `seq` of the last one known, in the order asked for.
            conditions: `since`, `until`, `action`, `actor`, as `audit_filter`.

        Raises:
            InputError: As `audit_filter`.
        """
        where = self.audit_filter(subject, **conditions)
        return list(self.log.find(where, after=after, limit=limit, latest=latest).entries)

    def audit_filter(
        self,
        subject: str | None = None,
        *,
        since: float | None = None,
        until: float | None = None,
        action: str | None = None,
        actor: str | None = None,
    ) -> AuditFilter:
        """Which entries of the audit to read, for `log.find` and `audit_export.export`.

        Args:
            subject: id of a person or a picture. Of a person: entries about them, whoever was merged with
                them, and the pictures that are theirs now. Of who was forgotten only those that name them.
            since, until: Unix seconds, at or after, and before.
            action: such as "search".
            actor: a person or program whose name holds this text.

        Raises:
            InputError: a person with more pictures than can be looked for.
        """

        def scan(wanted: Filter) -> Iterator[pa.Table]:
            for collection in self._collections():
                yield from self.store.scan(collection, where=wanted, columns=("id",))

        people = self.people(fresh=True)
        subjects = None if subject is None else subjects_of(subject, people, scan, self.log.subject)
        return AuditFilter(since, until, action, actor, subjects)

    def verify_audit(self) -> Verified:
        """Look for entries of the audit that were changed or removed. Reads all of it."""
        return self.log.verify()

    def _collections(self) -> list[str]:
        return [
            generation.collection
            for generation in self.generations.all(fresh=True)
            if generation.state != "leaving"
        ]

    def _browser(self, *, fresh: bool = False) -> Browser:
        return Browser(self.store, self._live_collection(), self.people(fresh=fresh))

    def _live_collection(self) -> str | None:
        live = self.generations.live()
        return None if live is None else live.collection

    def _row(self, item_id: str, columns: Sequence[str]) -> pa.Table:
        collection = self._live_collection()
        if collection is not None:
            rows = self.store.get(collection, [item_id], columns=columns)
            if rows.num_rows:
                return rows
        raise NotInGalleryError("item", item_id)

    def _searcher(self, model: ModelRef, judge: SearchJudge, where: Filter) -> Searcher | None:
        generation = self.generations.of(model)
        if generation is None:
            return None
        # Nobody needs the number where there are only scores.
        crowd = Crowd(0, 0) if judge.model is None else self._crowd(where)
        has_index = self._has_index(generation)
        rejected = self._rejections.of(model)
        return Searcher(self.store, generation, self.people(), judge, has_index, crowd, rejected)

    def _has_index(self, generation: Generation) -> bool:
        known, now = self._index_known, time.monotonic()
        if known is None or now - known[1] > MAX_AGE_S:
            self._index_known = known = self.store.index_state(generation.collection).indexed > 0, now
        return known[0]

    def _audit_search(
        self,
        result: SearchResult,
        asked: Question,
        prior: float,
        num_frames: int,
    ) -> None:
        # Which conditions were set, not to what: a filter may hold an identity or a plate number.
        fields = [field.name for field in dataclasses.fields(Filter)]
        conditions = [name for name in fields if getattr(asked.where, name) != getattr(EVERYTHING, name)]
        candidates = [
            *result.candidates,
            *(candidate for group in result.groups for candidate in group.candidates),
        ]
        self.tell(
            "search",
            count=len(result.candidates),
            subjects=dict.fromkeys(candidate.item.id for candidate in candidates),
            detail={
                "k": asked.k,
                "frames": num_frames,
                "exact": asked.exact,
                "where": conditions,
                "false_alarm_rate": result.false_alarm_rate,
                "prior": prior,
                "decision": None if result.decision is None else result.decision.value,
            },
        )

    def _leave_to_parent(self) -> None:
        vars(self).update(dict.fromkeys(("store", "generations", "log", "_people"), _Forked(self)))


def _opened(model: str | os.PathLike[str] | Embedder) -> Embedder:
    from omnireid.inference.embedder import Embedder

    if isinstance(model, (str, os.PathLike)):
        return Embedder.open(model)
    if not isinstance(model, Embedder):
        raise InputError(f"model: expected a file, a name or an Embedder, got {type(model).__name__}")
    return model


def _calibration_beside(embedder: Embedder) -> Calibration | None:
    return None if embedder.file is None else Calibration.load_beside(embedder.file, embedder.sha256)


class _Forked:
    """In a child process, in place of what a gallery of its parent works with.

    Threads do not survive a fork, so neither do the store's library, held locks and the audit's chain.
    """

    def __init__(self, gallery: Gallery) -> None:
        self.uri = gallery.uri
        # Not let go of: that may wait for a thread, too.
        self._parts = vars(gallery).copy()

    def __getattr__(self, name: str) -> Any:
        raise ForkError(f"gallery {self.uri}", "open it in the child")

    def close(self) -> None:
        """Nothing: it is the parent's."""
