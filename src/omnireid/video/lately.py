"""Who was where lately: whom that rules out, and what it says of who comes now. Memory is bounded."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable

import numpy as np

from omnireid.core.arrays import Float64
from omnireid.evaluation.calibration import Decision
from omnireid.gallery.items import Item
from omnireid.video.linking import Identity, Tracklet
from omnireid.video.travel import Journeys, Travelling

REMEMBERED = 1000
_LEARN_AFTER = 20
_NO_LOOK = np.zeros(0, np.float32)


class Lately:
    """The latest parts of walks whose people are known.

    Args:
        items: The latest first.
        overlap: Whether two cameras see the same places.
        travel_s: Least time from one camera to another, where they do not overlap.
    """

    def __init__(
        self, items: Iterable[Item], overlap: Callable[[str, str], bool], travel_s: float = 0.0
    ) -> None:
        self._items = deque[Item](maxlen=REMEMBERED)
        self._overlap, self._travel_s = overlap, travel_s
        self._journeys, self._new = Journeys((), ()), _LEARN_AFTER
        self.extend(reversed(list(items)))

    def extend(self, items: Iterable[Item]) -> None:
        """Take in parts of walks, the latest last."""
        for item in items:
            self._items.append(item)
            self._new += 1

    def elsewhere(self, walk: str, camera: str, begin: float, end: float) -> list[str]:
        """Identities of people who were in another place at that moment: they are somebody else."""
        return [
            item.identity
            for item in self._items
            if item.identity is not None
            and item.tracklet != walk
            and self.cannot_be_one(item, camera, begin, end)
        ]

    def cannot_be_one(self, item: Item, camera: str, begin: float, end: float) -> bool:
        """Whether the person of an item cannot be before a camera at that moment."""
        if item.time is None or (item.camera != camera and self._overlap(item.camera, camera)):
            return False
        between = max(begin - end_of(item), item.time - end)
        return between < (0.0 if item.camera == camera else self._travel_s)

    def were_apart(self, ones: Iterable[Item], others: Iterable[Item]) -> bool:
        """Whether the people of these items were ever where one person cannot be."""
        first, second = _by_camera(ones), _by_camera(others)
        for (camera, spans), (other, meanwhile) in itertools.product(first.items(), second.items()):
            if camera != other and self._overlap(camera, other):
                continue
            between = 0.0 if camera == other else self._travel_s
            begins, ends = spans[np.argsort(spans[:, 0])].T
            # How long, at the latest, anybody was seen of those who had come before the other left.
            before = np.searchsorted(begins, meanwhile[:, 1] + between)
            latest = np.concatenate([[-np.inf], np.maximum.accumulate(ends)])[before]
            if (latest > meanwhile[:, 0] - between).any():
                return True
        return False

    def journeys(self, camera: str, begin: float, root: Callable[[str], str]) -> dict[str, float]:
        """Log-likelihood ratios, by identity, of coming to a camera now from where they were seen last.

        Args:
            root: Into whom an identity was merged.
        """
        if self._new >= _LEARN_AFTER:
            self._journeys, self._new = self._learned(root), 0
        last: dict[str, Item] = {}
        for item in self._items:
            if item.identity is not None and item.time is not None and end_of(item) <= begin:
                person = root(item.identity)
                if person not in last or end_of(last[person]) < end_of(item):
                    last[person] = item
        return {
            person: float(self._journeys.evidence(item.camera, camera, np.array(begin - end_of(item))))
            for person, item in last.items()
        }

    def _learned(self, root: Callable[[str], str]) -> Journeys:
        walks: dict[tuple[str | None, str], list[Item]] = {}
        for item in self._items:
            if item.identity is not None and item.time is not None and item.tracklet is not None:
                walks.setdefault((item.tracklet, root(item.identity)), []).append(item)
        tracklets, people = list[Tracklet](), dict[str, list[int]]()
        in_order = sorted(walks.items(), key=lambda walk: min(_begin(item) for item in walk[1]))
        for number, ((_, person), parts) in enumerate(in_order):
            begin, end = min(map(_begin, parts)), max(map(end_of, parts))
            tracklets.append(Tracklet(parts[0].camera, number, begin, end, _NO_LOOK, len(parts)))
            if _is_sure(parts[0]):
                people.setdefault(person, []).append(number)
        groups = [Identity(number, tuple(rows), 1.0) for number, rows in enumerate(people.values(), 1)]
        return Journeys(tracklets, groups)


def _by_camera(items: Iterable[Item]) -> dict[str, Float64]:
    """Begin and end (n, 2) of the items that have a time."""
    spans: dict[str, list[tuple[float, float]]] = {}
    for item in items:
        if item.time is not None:
            spans.setdefault(item.camera, []).append((item.time, end_of(item)))
    return {camera: np.array(times) for camera, times in spans.items()}


def end_of(item: Item) -> float:
    """When the person of an item was seen last, Unix seconds; of an item with a time."""
    return _begin(item) if item.end_time is None else item.end_time


def _begin(item: Item) -> float:
    assert item.time is not None
    return item.time


def _is_sure(item: Item) -> bool:
    """Whether whose it is can be learned from; what an operator enrolled can."""
    decided = item.attributes.get("link")
    probability = item.attributes.get("link_probability", 1.0)
    assert not isinstance(probability, str)
    return decided in (None, Decision.NEW.value) or (
        decided == Decision.SAME.value and probability >= Travelling().sure
    )
