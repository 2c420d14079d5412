"""Journeys between cameras: what they teach, and what they must not."""

from __future__ import annotations

import numpy as np

from omnireid.video.identifying import identify
from omnireid.video.linking import Circumstances, Identity, Tracklet, link
from omnireid.video.plan import SitePlan
from omnireid.video.travel import Travelling, travel_evidence
from video.walks import look


def journeys(count: int, seed: int = 0) -> list[Tracklet]:
    """Everybody goes from the gate to the hall in 20 seconds or so."""
    rng = np.random.default_rng(seed)
    seen = []
    for n in range(count):
        at = 30.0 * n
        walk = rng.normal(20, 1.5)
        seen += [
            Tracklet("gate", n, at, at + 5, look(n), 10),
            Tracklet("hall", n, at + 5 + walk, at + 10 + walk, look(n), 10),
        ]
    return seen


def pairs(count: int, sure: float = 0.99) -> list[Identity]:
    return [Identity(n + 1, (2 * n, 2 * n + 1), sure) for n in range(count)]


def test_usual_journeys_speak_for_a_link_and_unusual_ones_against() -> None:
    seen = journeys(12)
    ratio = travel_evidence(seen, pairs(12))
    right = ratio[np.arange(0, 24, 2), np.arange(1, 24, 2)]
    assert (right > 1).all()
    assert (ratio[np.arange(0, 20, 2), np.arange(5, 24, 2)] < -0.5).all()  # half a minute and more too late
    assert (ratio[np.arange(1, 24, 2), np.arange(0, 24, 2)] == 0).all()  # before it left
    assert (np.abs(ratio) <= Travelling().limit).all()


def test_a_journey_says_nothing_about_itself_and_unsure_links_teach_nothing() -> None:
    seen = journeys(2)
    alone = travel_evidence(seen, [Identity(1, (0, 1), 0.99)])
    assert abs(alone[0, 1]) < 1e-9
    assert not travel_evidence(journeys(12), pairs(12, sure=0.6)).any()


def test_of_many_walks_of_somebody_few_are_the_next() -> None:
    seen = [Tracklet("gate", n, 30.0 * n, 30.0 * n + 5, look(0), 10) for n in range(10)]
    few = travel_evidence(seen, [Identity(1, (0, 1), 0.99), Identity(2, (5, 6), 0.99)])
    many = travel_evidence(seen[:5], [Identity(1, (0, 1, 2, 3, 4), 0.99)])
    assert many[0, 1] < few[0, 1] - 0.5
    assert many[0, 2] < few[0, 2] - 0.5


def test_journeys_tell_apart_whom_looks_cannot() -> None:
    """Twins leave the gate at different times; both come to the hall, each after the usual walk."""
    seen = journeys(20)
    twins = [
        Tracklet("gate", 101, 1000, 1005, look(500), 10),
        Tracklet("gate", 102, 1012, 1016, look(500), 10),
        Tracklet("hall", 101, 1025, 1028, look(500), 10),
        Tracklet("hall", 102, 1036, 1040, look(500), 10),
    ]
    everybody = seen + twins

    def evidence(scores: np.ndarray) -> np.ndarray:
        return 20.0 * (np.asarray(scores) - 0.7)

    def partner(people: tuple[Identity, ...]) -> list[set[int]]:
        return [set(p.members) & {40, 41, 42, 43} for p in people if set(p.members) & {40, 41, 42, 43}]

    apart = np.zeros((len(everybody), len(everybody)))
    apart[40, 41] = apart[41, 40] = apart[42, 43] = apart[43, 42] = -30  # whatever else tells them apart
    first = link(everybody, evidence, circumstances=Circumstances(SitePlan(), apart))
    learned = travel_evidence(everybody, first)
    second = link(everybody, evidence, circumstances=Circumstances(SitePlan(), apart, learned))
    assert sorted(map(sorted, partner(second))) == [[40, 42], [41, 43]]
    # And looks still lead where they are clear.
    assert [p.members for p in identify(seen, [None] * len(seen), evidence)] == [
        (2 * n, 2 * n + 1) for n in range(20)
    ]
