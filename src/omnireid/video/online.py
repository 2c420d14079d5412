"""Who a walk is, decided while it goes on: against the people whom a gallery has seen so far.

A walk is *same*, *new* or *unsure*, as a search says; nobody counts who was before another camera at that
moment. Where cameras see one floor, the search also weighs where people were at once (`meeting`). What comes
later may show more: a walk that was unsure is assigned, and two people who turn out to be one are merged.
Both are operations of the gallery, as if an operator had done them: they stand in its history and its audit
under `ACTOR`, and are undone there. A merge that somebody has undone is not made again.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import numpy as np

from omnireid.core.arrays import Float32
from omnireid.core.card import ModelRef
from omnireid.core.errors import InputError
from omnireid.core.vectors import unit_rows
from omnireid.evaluation.calibration import Decision
from omnireid.evaluation.whitening import unit_cosines
from omnireid.gallery.decisions import SearchJudge
from omnireid.gallery.errors import NotInGalleryError
from omnireid.gallery.gallery import Gallery
from omnireid.gallery.identities import new_identity
from omnireid.gallery.items import Filter, Item
from omnireid.gallery.questions import Question
from omnireid.gallery.searching import SearchResult
from omnireid.video.lately import REMEMBERED, Lately
from omnireid.video.meeting import Meetings, Trail
from omnireid.video.plan import SitePlan

ACTOR = "tracking"
"""Who decides, in the audit and the history."""

_PEOPLE = 4
_PICTURES = 8
_APART = 6.0  # so likely two that nothing else makes them one: 400 to 1


@dataclass(frozen=True, slots=True)
class Online:
    """When walks are one person's.

    Attributes:
        overlapping: Whether all cameras see the same places, so that somebody may be before two at once; a
            site's plan says which do.
        travel_s: Least time from one camera to another, where cameras do not overlap.
        prior: Share of pairs of people who are one, of those whom a walk looks like alike.
        join: Probability from which two people are merged.
    """

    overlapping: bool = False
    travel_s: float = 0.0
    prior: float = 0.1
    join: float = 0.98

    def __post_init__(self) -> None:
        for name in ("prior", "join"):
            if not 0.0 < getattr(self, name) < 1.0:
                raise InputError(f"{name}: expected a number between 0 and 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class Seen:
    """A part of a walk past a camera; short walks have one part.

    Attributes:
        camera: The camera's name. source: what it reads.
        walk: Name of the walk, unique in the gallery. part: from 1.
        begin, end: Unix seconds.
        embedding: (D,) L2-normalised, of this part.
        quality: That of the best crop, 0 to 1. thumbnail: the crop as JPEG; None where it is not kept.
        trail: Where the walk was lately; None where its camera has no ground plane.
    """

    camera: str
    source: str
    walk: str
    part: int
    begin: float
    end: float
    embedding: Float32
    quality: float
    thumbnail: bytes | None
    trail: Trail | None = None

    def item(self, **decided: object) -> Item:
        """As the gallery keeps it. Enrolled again, it stays as it was."""
        return Item(
            camera=self.camera,
            time=self.begin,
            end_time=self.end,
            tracklet=self.walk,
            source=self.source,
            quality=self.quality,
            thumbnail=self.thumbnail,
            key=json.dumps([self.walk, self.part]),
            **decided,  # type: ignore[arg-type]
        )


@dataclass(frozen=True, slots=True)
class Link:
    """What was decided.

    Attributes:
        item: Id of the item.
        identity: Who it is; None while nobody knows. name: what that person is called.
        decision: "same", "new" or "unsure".
        probability: Of "same", that it is this person; of "new", that it is nobody of the gallery; of
            "unsure", of the likeliest person.
        merged: Operations that joined people because of it; `Gallery.undo` takes each back.
    """

    item: str
    identity: str | None
    name: str | None
    decision: Decision
    probability: float | None
    merged: tuple[str, ...] = ()


@dataclass(slots=True)
class _Walk:
    """A walk of which parts are in the gallery.

    Attributes:
        items: Ids of its parts. link: what was decided last.
        open: Its parts by their items, while nobody could say who it is.
    """

    camera: str
    items: list[str] = field(default_factory=list)
    link: Link | None = None
    open: dict[str, Seen] = field(default_factory=dict)


class OnlineLinker:
    """Decides for one gallery, in one thread.

    Args:
        plan: Which cameras may see one person at once, and which floors they see.

    Raises:
        InputError: The gallery has no calibration of searches for this model, or cannot be written.
    """

    def __init__(
        self, gallery: Gallery, model: ModelRef, online: Online = Online(), plan: SitePlan = SitePlan()
    ) -> None:
        if SearchJudge.of(gallery.calibration, model).model is None:
            raise InputError(
                "following people into a gallery needs a calibration of the model; make one with "
                "'omnireid calibrate', and open the gallery with it"
            )
        if gallery.read_only is not None:
            raise InputError(f"{gallery.uri}: can only be read ({gallery.read_only})")
        self._gallery, self._model, self._online = gallery.acting_as(ACTOR), model, online
        self._plan, self._meetings = plan, Meetings()
        # Without pictures: of who is forgotten, none stays in memory.
        self._walks: OrderedDict[str, _Walk] = OrderedDict()
        latest = self._gallery.items(Filter(has_identity=True), limit=REMEMBERED)
        self._lately = Lately(latest.entries, self._overlap, online.travel_s)

    def add(self, seen: Seen, going_on: Mapping[str, Trail | None] = MappingProxyType({})) -> Link:
        """Enrol a part of a walk, and say who it is.

        Args:
            going_on: By name, the walks that cameras see at this moment, and where each was lately; None
                where its camera has no ground plane.

        Raises:
            StorageError: The gallery cannot be read or written now; the same part may be added again.
        """
        walk = self._walk(seen)
        self._meetings.see(seen.walk, self._present(seen, going_on))
        known = self._identity_of(walk)
        answer = self._search(seen, walk, going_on)
        beside = [identity for identity, ratio in self._beside(seen.walk).items() if ratio > 0]
        merged = self._joined([known, *self._alike(answer), *beside])
        if known is None:
            link = self._decided(self._search(seen, walk, going_on) if merged else answer)
        else:
            # An operator may have said who an unsure walk is.
            link = walk.link or Link("", known, None, Decision.SAME, None)
        identity = self._gallery.people().shown(known or link.identity)
        link = replace(link, identity=identity, merged=tuple(merged))
        attributes: dict[str, str | float] = {"link": link.decision.value}
        if link.probability is not None:
            attributes["link_probability"] = round(link.probability, 2)
        item = seen.item(identity=identity, attributes=attributes)
        is_new = known is None and link.decision is Decision.NEW
        with self._gallery.store.lock():
            if identity is None or is_new or self._is_known(identity):
                (item_id,) = self._gallery.enrol([item], seen.embedding[None], model=self._model).ids
                return self._enrolled(seen, walk, replace(link, item=item_id), item)
        return self.add(seen, going_on)  # who it was has been forgotten meanwhile

    def name_of(self, walk: str) -> Link | None:
        """What was decided of a walk last; None before its first part."""
        known = self._walks.get(walk)
        return None if known is None else known.link

    def _walk(self, seen: Seen) -> _Walk:
        walk = self._walks.setdefault(seen.walk, _Walk(seen.camera))
        self._walks.move_to_end(seen.walk)
        while len(self._walks) > REMEMBERED:
            self._walks.popitem(last=False)
        return walk

    def _identity_of(self, walk: _Walk) -> str | None:
        """Whose its last part is now: operators may have said otherwise, or had it forgotten."""
        try:
            return self._gallery.item(walk.items[-1]).identity if walk.items else None
        except NotInGalleryError:
            walk.items, walk.open, walk.link = [], {}, None
            return None

    def _present(self, seen: Seen, going_on: Mapping[str, Trail | None]) -> dict[str, tuple[str, Trail]]:
        """Camera and latest trail of the walks of which parts are known."""
        trails = {**going_on, seen.walk: going_on.get(seen.walk) or seen.trail}
        return {
            name: (self._walks[name].camera, trail)
            for name, trail in trails.items()
            if trail is not None and name in self._walks
        }

    def _search(self, seen: Seen, walk: _Walk, going_on: Collection[str]) -> SearchResult:
        beside = self._beside(seen.walk)
        apart = {identity for identity, ratio in beside.items() if ratio < -_APART}
        # Of who was there at once, no journey is to be told.
        came = self._lately.journeys(seen.camera, seen.begin, self._gallery.people().root)
        question = Question(
            k=_PEOPLE,
            where=Filter(has_identity=True),
            without=frozenset(walk.items),
            without_people=self._elsewhere(seen, going_on) | apart,
            evidence={**came, **beside},
        )
        return self._gallery.search(seen.embedding, question, model=self._model)

    def _beside(self, walk: str) -> dict[str, float]:
        """Log-likelihood ratios, by identity, of where people were at once with a walk."""
        met = self._meetings.evidence({walk})
        found: dict[str, float] = {}
        for name, identity in self._whose(met).items():
            found[identity] = found.get(identity, 0.0) + met[name]
        return found

    def _whose(self, walks: Collection[str]) -> dict[str, str]:
        """By name, whose each of these walks is now: operators may have said otherwise."""
        known = [(name, self._walks.get(name)) for name in walks]
        last = {walk.items[-1]: name for name, walk in known if walk is not None and walk.items}
        items = self._gallery.items(Filter(ids=frozenset(last)), limit=len(last)) if last else ()
        return {last[item.id]: item.identity for item in items if item.identity is not None}

    def _elsewhere(self, seen: Seen, going_on: Collection[str]) -> frozenset[str]:
        """People who were in another place at that moment: they are somebody else."""
        there = self._lately.elsewhere(seen.walk, seen.camera, seen.begin, seen.end)
        for name in going_on:
            walk = self._walks.get(name)
            if walk is None or walk.link is None or name == seen.walk:
                continue
            if walk.camera == seen.camera or not self._overlap(walk.camera, seen.camera):
                there += [walk.link.identity] if walk.link.identity is not None else []
        return frozenset(there)

    def _overlap(self, camera: str, other: str) -> bool:
        return self._online.overlapping or self._plan.overlap(camera, other)

    def _alike(self, answer: SearchResult) -> list[str | None]:
        """People whom a picture, taken by itself, would more likely show than not."""
        assert self._gallery.calibration is not None
        probable = self._gallery.calibration.probability([group.score for group in answer.groups]) >= 0.5
        return [group.identity for group, is_so in zip(answer.groups, probable, strict=True) if is_so]

    def _decided(self, answer: SearchResult) -> Link:
        best = answer.groups[0] if answer.groups else None
        if answer.decision is Decision.SAME and best is not None:
            return Link("", best.identity, None, Decision.SAME, best.probability)
        if answer.decision is Decision.NEW:
            return Link("", new_identity(), None, Decision.NEW, answer.nobody)
        return Link("", None, None, Decision.UNSURE, None if best is None else best.probability)

    def _is_known(self, identity: str) -> bool:
        """Whether anything is left of somebody. Under the gallery's lock nobody forgets them meanwhile."""
        return len(self._gallery.items(Filter(identities=frozenset({identity})), limit=1)) > 0

    def _enrolled(self, seen: Seen, walk: _Walk, link: Link, item: Item) -> Link:
        walk.link = replace(link, name=self._gallery.people().name(link.identity))
        walk.items.append(link.item)
        if link.identity is None:
            walk.open[link.item] = replace(seen, thumbnail=None, trail=None)
        else:
            self._lately.extend([replace(item, thumbnail=None)])
            self._settle(walk, link.identity)
            self._look_again(seen)
        return walk.link

    def _look_again(self, seen: Seen) -> None:
        """Ask once more of walks that nobody could name, and that look like this one."""
        calibration = self._gallery.calibration
        assert calibration is not None
        met = self._meetings.evidence({seen.walk})
        for name, walk in [(name, walk) for name, walk in self._walks.items() if walk.open]:
            item_id, last = next(reversed(walk.open.items()))
            score = unit_cosines(
                calibration.transform(last.embedding[None]), calibration.transform(seen.embedding[None])[0]
            )
            if calibration.probability(score)[0] < 0.5 and met.get(name, 0.0) <= 0:
                continue
            found = self._decided(self._search(last, walk, ()))
            if (
                found.decision is Decision.SAME
                and found.identity is not None
                and self._settle(walk, found.identity)
            ):
                called = self._gallery.people().name(found.identity)
                walk.link = replace(found, item=item_id, name=called)

    def _settle(self, walk: _Walk, identity: str) -> bool:
        """Give the parts that nobody could name an identity; those that an operator assigned keep theirs.

        Returns:
            Whether any of them has it now: they, or the person, may have been forgotten meanwhile.
        """
        if not walk.open:
            return False
        with self._gallery.store.lock():
            if not self._is_known(identity):
                return False
            parts, walk.open = walk.open, {}
            left = self._gallery.items(Filter(ids=frozenset(parts)), limit=len(parts))
            nobodys = [item.id for item in left if item.identity is None]
            if nobodys:
                self._gallery.assign(nobodys, identity)
        self._lately.extend(parts[item_id].item(identity=identity) for item_id in nobodys)
        return bool(nobodys)

    def _joined(self, identities: Sequence[str | None]) -> list[str]:
        """Merge the others with the first of these people, where all speaks for it; ids of the operations."""
        known = [identity for identity in dict.fromkeys(identities) if identity is not None]
        done: list[str] = []
        for other in known[1:]:
            people = self._gallery.people(fresh=True)
            one, two = people.root(known[0]), people.root(other)
            if one == two or (people.name(one) and people.name(two)):
                continue  # an operator has named both: they are two
            if people.name(two) and not people.name(one):
                one, two = two, one
            if self._are_one(one, two):
                done.append(self._gallery.merge(one, [two]).id)
        return done

    def _are_one(self, one: str, two: str) -> bool:
        parted = self._gallery.who_is.parted()
        people, calibration = self._gallery.people(), self._gallery.calibration
        assert calibration is not None
        if any({people.root(identity) for identity in pair} == {one, two} for pair in parted):
            return False
        pictures = [self._pictures(one), self._pictures(two)]
        if self._lately.were_apart(*pictures):
            return False
        place = self._met(one, two)
        if place < -_APART:
            return False
        means = np.stack([self._mean(items) for items in pictures])
        vectors = calibration.transform(unit_rows(means).astype(np.float32))
        looks = float(calibration.probability(float(vectors[0] @ vectors[1]), prior=self._online.prior))
        return bool(looks * np.exp(place) * (1 - self._online.join) >= (1 - looks) * self._online.join)

    def _met(self, one: str, two: str) -> float:
        """Log-likelihood ratio that two people are one, of where they were at once."""
        whose = self._whose(self._walks)
        names = {
            person: {name for name, identity in whose.items() if identity == person} for person in (one, two)
        }
        met = self._meetings.evidence(names[one])
        return sum(ratio for name, ratio in met.items() if name in names[two])

    def _pictures(self, identity: str) -> list[Item]:
        cameras = self._gallery.timeline(identity).cameras
        return [item for camera in cameras for sighting in camera.sightings for item in sighting.items]

    def _mean(self, items: Sequence[Item]) -> Float32:
        best = sorted(items, key=lambda item: (-item.quality, item.id))[:_PICTURES]
        vectors = np.stack([self._gallery.embedding(item.id) for item in best])
        return np.asarray(np.array([max(item.quality, 1e-3) for item in best]) @ vectors, np.float32)
