"""Who a walk is, decided at once; later evidence, what an operator takes back, and what cannot be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from gallery.people import DIM, MODEL, calibration, memory_gallery
from omnireid import Gallery, Item
from omnireid.core.arrays import Float32
from omnireid.core.errors import InputError
from omnireid.evaluation.calibration import Decision
from omnireid.gallery.items import Filter
from omnireid.video.ground import Ground
from omnireid.video.lately import Lately
from omnireid.video.meeting import Meetings, Trail
from omnireid.video.online import ACTOR, Online, OnlineLinker, Seen
from omnireid.video.plan import SitePlan


def view(person: int, number: int, noise: float = 0.4) -> Float32:
    """(D,) of unit norm: somebody as `gallery.people.crowd` draws them, more alike the less noise."""
    point = np.random.default_rng([9, person]).standard_normal(DIM)
    point = point + noise * np.random.default_rng([person, number]).standard_normal(DIM)
    point[0] += 1
    return (point / np.linalg.norm(point)).astype(np.float32)


def between(one: Float32, two: Float32, share: float = 1.0) -> Float32:
    """Somebody whom nobody can tell from either of two; more like the second where `share` is less."""
    mean = share * one + two
    return (mean / np.linalg.norm(mean)).astype(np.float32)


def seen(
    walk: str,
    begin: float,
    vector: Float32,
    *,
    camera: str = "yard",
    part: int = 1,
    at: tuple[float, float] | None = None,
) -> Seen:
    """Five seconds of a walk; `at`: metres where somebody stands meanwhile."""
    trail = None if at is None else stands(at, begin)
    return Seen(camera, f"{camera}.mp4", walk, part, begin, begin + 5.0, vector, 0.75, None, trail)


def stands(at: tuple[float, float], begin: float) -> Trail:
    """Five seconds at a place, within a few decimetres."""
    moments = np.arange(2 * begin, 2 * begin + 10).astype(np.int64)
    rng = np.random.default_rng([abs(int(at[0] * 8)), int(begin)])
    return Trail("ground", moments, at + rng.normal(0, 0.2, (10, 2)), np.tile(0.1 * np.eye(2), (10, 1, 1)))


ONE_FLOOR = SitePlan(grounds={name: Ground(np.eye(3), "ground") for name in ("yard", "hall", "porch")})


@pytest.fixture
def gallery() -> Gallery:
    """With twelve strangers, so that a search has somebody to tell people from."""
    opened = memory_gallery(calibration=calibration(noise=0.5))
    strangers = [Item(camera="old", time=float(n), identity=f"s{n}") for n in range(12)]
    opened.enrol(strangers, np.stack([view(100 + n, 0) for n in range(12)]), model=MODEL)
    return opened


def test_somebody_new_is_known_when_they_come_again(gallery: Gallery) -> None:
    linker = OnlineLinker(gallery, MODEL)
    first = linker.add(seen("w1", 1_000, view(1, 0)))
    assert first.decision is Decision.NEW
    assert first.identity is not None
    assert first.probability is not None
    gallery.name_identity(first.identity, "Ada")
    again = linker.add(seen("w2", 1_100, view(1, 1), camera="hall"))
    assert (again.decision, again.identity, again.name) == (Decision.SAME, first.identity, "Ada")
    item = gallery.item(again.item)
    assert (item.time, item.end_time, item.tracklet, item.quality) == (1_100, 1_105, "w2", 0.75)
    assert item.attributes["link"] == "same"
    assert item.attributes["link_probability"] == round(again.probability or 0, 2)
    # Everything was done by one name, and enrolled again nothing changes.
    assert {entry.actor for entry in gallery.audit(action="search")} == {ACTOR}
    restarted = OnlineLinker(gallery, MODEL)
    assert restarted.add(seen("w2", 1_100, view(1, 1), camera="hall")).item == again.item
    assert len(gallery.items(Filter(tracklets=frozenset({"w2"})))) == 1


def test_nobody_is_before_two_cameras_at_once(gallery: Gallery) -> None:
    linker = OnlineLinker(gallery, MODEL)
    first = linker.add(seen("w1", 1_000, view(1, 0)))
    twin = linker.add(seen("w2", 1_002, view(1, 1), camera="hall"))
    assert twin.identity != first.identity
    # A walk that goes on is in its place although its last part has ended.
    later = seen("w3", 1_020, view(1, 2), camera="door")
    assert linker.add(later, {"w1": None, "w2": None}).identity not in (first.identity, twin.identity, None)
    # Where cameras see the same place, it may be one person; a restart knows who was where.
    overlapping = OnlineLinker(gallery, MODEL, Online(overlapping=True))
    assert overlapping.add(seen("w4", 1_002, view(1, 3), camera="gate")).identity == first.identity
    assert OnlineLinker(gallery, MODEL).add(seen("w5", 1_002, view(1, 4), camera="attic")).identity not in {
        first.identity,
        twin.identity,
    }


def test_a_site_says_which_cameras_see_one_person_at_once(gallery: Gallery) -> None:
    linker = OnlineLinker(gallery, MODEL, plan=SitePlan(overlaps=frozenset({frozenset({"yard", "porch"})})))
    first = linker.add(seen("w1", 1_000, view(1, 0)))
    assert linker.add(seen("w2", 1_002, view(1, 1), camera="porch"), {"w1": None}).identity == first.identity
    assert linker.add(seen("w3", 1_002, view(1, 2), camera="attic"), {"w1": None}).identity != first.identity


def test_who_stands_at_one_place_in_two_cameras_is_one_person_whatever_they_look_like(
    gallery: Gallery,
) -> None:
    linker = OnlineLinker(gallery, MODEL, plan=ONE_FLOOR)
    first = linker.add(seen("w1", 1_000, view(1, 0), at=(2, 3)))
    other = linker.add(seen("w2", 1_000, view(2, 0), camera="hall"))
    assert (first.decision, other.decision) == (Decision.NEW, Decision.NEW)
    # In another camera their back is seen, which looks like nobody.
    seen_back = between(view(1, 0), view(3, 0), 0.3)
    back = linker.add(seen("w3", 1_001, seen_back, camera="porch", at=(2, 3)), {"w1": None})
    assert (back.decision, back.identity) == (Decision.SAME, first.identity)
    assert back.probability is not None
    assert back.probability > 0.8
    # The walk of the other camera may have gone on since its last part.
    still = {"w1": stands((7, 3), 1_020)}
    side = between(view(1, 0), view(4, 0), 0.3)
    late = linker.add(seen("w4", 1_020, side, camera="porch", at=(7, 3)), still)
    assert late.identity == first.identity
    alone = linker.add(seen("w5", 1_020, between(view(1, 0), view(6, 0), 0.3), camera="hall"), still)
    assert alone.identity != first.identity


def test_who_are_at_two_places_of_one_floor_at_once_are_two_whatever_they_look_like(gallery: Gallery) -> None:
    linker = OnlineLinker(gallery, MODEL, plan=ONE_FLOOR)
    first = linker.add(seen("w1", 1_000, view(1, 0), at=(2, 3)))
    twin = linker.add(seen("w2", 1_000, view(1, 0), camera="hall", at=(8, 3)))
    assert twin.identity not in (first.identity, None)
    # Nor are they joined when somebody comes who looks like both.
    third = linker.add(seen("w3", 1_100, view(1, 1, 0.1), camera="porch"))
    assert third.merged == ()
    # Where only looks can tell, they are taken for one.
    blind = OnlineLinker(gallery, MODEL, plan=ONE_FLOOR)
    blind.add(seen("v1", 2_000, view(5, 0)))
    again = blind.add(seen("v2", 2_000, view(5, 0), camera="hall"))
    assert again.decision is Decision.SAME


def test_places_that_come_later_join_two_people_until_somebody_takes_it_back(gallery: Gallery) -> None:
    linker = OnlineLinker(gallery, MODEL, Online(join=0.95), ONE_FLOOR)
    near = between(view(1, 0), view(3, 0), 0.4)
    one = linker.add(seen("w1", 1_000, view(1, 0)))
    two = linker.add(seen("w2", 1_000, near, camera="hall"))
    assert one.identity != two.identity
    linker.add(seen("w1", 1_005, view(1, 0), part=2, at=(4, 4)))
    later = linker.add(seen("w2", 1_005, near, camera="hall", part=2, at=(4, 4)))
    (merge,) = later.merged
    assert gallery.operations(limit=1)[0].actor == ACTOR
    roots = gallery.people(fresh=True).root
    assert roots(one.identity or "") == roots(two.identity or "")
    gallery.undo(merge)
    more = linker.add(
        seen("w2", 1_010, near, camera="hall", part=3, at=(4, 4)), {"w1": stands((4, 4), 1_010)}
    )
    assert more.merged == ()


def test_a_walk_that_was_unsure_is_whose_place_it_shares(gallery: Gallery) -> None:
    linker = OnlineLinker(gallery, MODEL, Online(join=0.999999), ONE_FLOOR)
    linker.add(seen("w1", 1_000, view(1, 0)))
    linker.add(seen("w2", 1_100, view(2, 0)))
    doubtful = linker.add(seen("w3", 1_200, between(view(1, 0), view(2, 0)), at=(1, 1)))
    assert doubtful.identity is None
    known = linker.add(seen("w4", 1_201, view(2, 1, 0.1), camera="hall", at=(1, 1)))
    assert known.identity is not None
    assert gallery.item(doubtful.item).identity == known.identity


def test_what_floors_say_is_remembered_of_the_latest_walks_alone() -> None:
    meetings = Meetings()
    for n in range(300):
        name, camera = f"w{n}", ("yard", "hall")[n % 2]
        meetings.see(name, {name: (camera, stands((3.0 * (n // 2 % 7), 3.0), 1_000 + n // 2))})
    assert len(meetings._trails) < 300
    assert len(meetings._pairs) <= 500
    found = meetings.evidence({"w298"})
    assert found["w299"] > 3
    assert found["w297"] < 0
    assert "w1" not in found


def test_journeys_that_were_learned_tell_whom_looks_cannot(gallery: Gallery) -> None:
    linker = OnlineLinker(gallery, MODEL, Online(join=0.999999))
    for n in range(12):
        linker.add(seen(f"g{n}", 1_000 + 60 * n, view(20 + n, 0, 0.1), camera="gate"))
        linker.add(seen(f"h{n}", 1_025 + 60 * n, view(20 + n, 1, 0.1), camera="hall"))
    first = linker.add(seen("a", 3_000, view(1, 0), camera="gate"))
    second = linker.add(seen("b", 3_100, view(2, 0), camera="gate"))
    alike = between(view(1, 0), view(2, 0))
    chosen = linker.add(seen("c", 3_125, alike, camera="hall"))
    assert chosen.identity == second.identity != first.identity
    # A linker that starts now learns from what is in the gallery.
    restarted = OnlineLinker(gallery, MODEL, Online(join=0.999999))
    came = restarted._lately.journeys("hall", 3_125, str)
    assert came[second.identity or ""] > 1 > came[first.identity or ""]


def test_parts_of_a_walk_are_one_person_whom_an_operator_may_change(gallery: Gallery) -> None:
    linker = OnlineLinker(gallery, MODEL)
    first = linker.add(seen("w1", 1_000, view(1, 0)))
    # The tracker knows better than looks.
    second = linker.add(seen("w1", 1_005, view(2, 0), part=2))
    assert second.identity == first.identity
    moved = gallery.assign([first.item, second.item], "s3").identity
    assert linker.add(seen("w1", 1_010, view(1, 2), part=3)).identity == moved
    # Who was forgotten does not come back by their own walk.
    gallery.forget("s3")
    after = linker.add(seen("w1", 1_015, view(1, 3), part=4))
    assert (after.decision, after.identity not in ("s3", first.identity)) == (Decision.NEW, True)


def test_nothing_is_enrolled_under_who_was_forgotten_while_it_was_decided(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    linker = OnlineLinker(gallery, MODEL)
    first = linker.add(seen("w1", 1_000, view(1, 0)))
    search, doomed = Gallery.search, [first.identity]

    def slow(self: Gallery, *asked: Any, **options: Any) -> Any:
        answer = search(self, *asked, **options)
        while doomed:
            gallery.forget(doomed.pop())
        return answer

    monkeypatch.setattr(Gallery, "search", slow)
    again = linker.add(seen("w2", 1_100, view(1, 1), camera="hall"))
    assert (again.decision, again.identity != first.identity) == (Decision.NEW, True)
    assert len(gallery.items(Filter(identities=frozenset({first.identity or ""})))) == 0
    # Their own walk goes on meanwhile.
    doomed.append(again.identity)
    assert linker.add(seen("w2", 1_105, view(1, 2), camera="hall", part=2)).identity != again.identity


def test_parts_stay_with_whom_an_operator_made_one(gallery: Gallery) -> None:
    linker = OnlineLinker(gallery, MODEL)
    linker.add(seen("w1", 1_000, view(1, 0)))
    gallery.name_identity("s3", "Ada")
    known = linker.name_of("w1")
    assert known is not None
    gallery.merge("s3", [known.identity or ""])
    after = linker.add(seen("w1", 1_005, view(1, 1), part=2))
    assert (after.identity, after.name) == ("s3", "Ada")


def test_a_part_that_an_operator_left_to_nobody_stays_so(gallery: Gallery) -> None:
    linker = OnlineLinker(gallery, MODEL, Online(join=0.999999))
    one = linker.add(seen("w1", 1_000, view(1, 0)))
    linker.add(seen("w2", 1_100, view(2, 0)))
    walk = linker.add(seen("w3", 1_200, view(1, 1)))
    gallery.assign([walk.item], None)
    doubtful = linker.add(seen("w3", 1_205, between(view(1, 0), view(2, 0)), part=2))
    assert doubtful.identity is None
    clear = linker.add(seen("w3", 1_210, view(1, 2, 0.0), part=3))
    assert clear.identity == one.identity
    assert gallery.item(doubtful.item).identity == one.identity
    assert gallery.item(walk.item).identity is None


def test_a_walk_that_was_unsure_is_assigned_when_more_is_known(gallery: Gallery) -> None:
    linker = OnlineLinker(gallery, MODEL, Online(join=0.999999))
    linker.add(seen("w1", 1_000, view(1, 0)))
    linker.add(seen("w2", 1_100, view(2, 0)))
    doubtful = linker.add(seen("w3", 1_200, between(view(1, 0), view(2, 0))))
    assert (doubtful.decision, doubtful.identity) == (Decision.UNSURE, None)
    assert gallery.item(doubtful.item).attributes["link"] == "unsure"
    # The same walk goes on, and shows who it is.
    clear = linker.add(seen("w3", 1_205, view(1, 1, 0.0), part=2))
    assert clear.decision is Decision.SAME
    assert gallery.item(doubtful.item).identity == clear.identity
    (operation,) = gallery.operations(limit=1)
    assert (operation.kind, operation.actor) == ("assign", ACTOR)
    gallery.undo(operation.id)
    assert gallery.item(doubtful.item).identity is None


def test_a_walk_that_was_unsure_is_looked_at_again_when_somebody_alike_comes(gallery: Gallery) -> None:
    linker = OnlineLinker(gallery, MODEL, Online(join=0.999999))
    linker.add(seen("w1", 1_000, view(1, 0)))
    other = linker.add(seen("w2", 1_100, view(2, 0)))
    doubtful = linker.add(seen("w3", 1_200, between(view(1, 0), view(2, 0))))
    assert doubtful.identity is None
    near = view(1, 0) + 0.8 * view(2, 0)
    known = gallery.enrol([Item(camera="x", identity="p1")], near[None], model=MODEL)
    linker.add(seen("w4", 1_300, near, camera="hall"))
    assert known.ids
    assert gallery.item(doubtful.item).identity not in (None, other.identity)


def test_later_evidence_joins_two_people_until_somebody_takes_it_back(gallery: Gallery) -> None:
    items = [Item(camera="yard", time=100.0 * n, identity=f"p{n // 3}") for n in range(6)]
    gallery.enrol(items, np.stack([view(1, n, 0.5) for n in range(6)]), model=MODEL)
    gallery.name_identity("p1", "Ada")
    linker = OnlineLinker(gallery, MODEL)
    link = linker.add(seen("w1", 2_000, view(1, 9, 0.2)))
    assert (link.decision, link.identity, link.name) == (Decision.SAME, "p1", "Ada")
    (merge,) = link.merged
    assert (gallery.operations(limit=1)[0].kind, gallery.operations(limit=1)[0].actor) == ("merge", ACTOR)
    gallery.undo(merge)
    assert gallery.people(fresh=True).root("p0") == "p0"
    for n in (1, 2):
        assert (
            OnlineLinker(gallery, MODEL).add(seen(f"x{n}", 3_000 + 50 * n, view(1, 10 + n, 0.2))).merged == ()
        )
    # Two people with names stay two.
    gallery.name_identity("p0", "Eva")
    gallery.enrol([replace(items[0], identity="p2", time=900.0)], view(1, 20, 0.5)[None], model=MODEL)
    gallery.name_identity("p2", "Bea")
    assert linker.add(seen("w9", 4_000, view(1, 30, 0.2))).merged == ()


def test_people_who_were_in_two_places_at_once_are_never_joined(gallery: Gallery) -> None:
    twins = [Item(camera=f"c{n % 2}", time=100.0 * (n // 2), identity=f"p{n % 2}") for n in range(6)]
    twins = [replace(item, end_time=item.time + 9.0) for item in twins if item.time is not None]
    gallery.enrol(twins, np.stack([view(1, n, 0.5) for n in range(6)]), model=MODEL)
    link = OnlineLinker(gallery, MODEL).add(seen("w1", 2_000, view(1, 9, 0.2)))
    assert link.merged == ()
    assert gallery.people(fresh=True).root("p0") != gallery.people().root("p1")


def test_a_gallery_that_cannot_decide_is_refused() -> None:
    with pytest.raises(InputError, match="calibration"):
        OnlineLinker(memory_gallery(), MODEL)
    with pytest.raises(InputError, match="join"):
        Online(join=1.0)


@pytest.mark.parametrize("seed", range(4))
def test_two_people_were_apart_where_any_two_sightings_cannot_be_one(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def walks(number: int) -> list[Item]:
        begins = rng.integers(0, 60, number).astype(float)
        ends = [None if rng.random() < 0.2 else begin + float(rng.integers(0, 4)) for begin in begins]
        cameras = rng.choice(["yard", "hall", "porch"], number)
        return [
            Item(camera=str(camera), time=None if rng.random() < 0.1 else begin, end_time=end)
            for camera, begin, end in zip(cameras, begins, ends, strict=True)
        ]

    lately = Lately((), lambda one, other: {one, other} == {"yard", "hall"}, travel_s=3.0)
    answers = set()
    for _ in range(100):
        ones, others = walks(int(rng.integers(0, 8))), walks(int(rng.integers(0, 8)))
        expected = any(
            other.time is not None
            and lately.cannot_be_one(
                one, other.camera, other.time, other.time if other.end_time is None else other.end_time
            )
            for one in ones
            for other in others
        )
        assert lately.were_apart(ones, others) == expected
        answers.add(expected)
    assert answers == {False, True}
