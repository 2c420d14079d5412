"""Forgetting: what is asked for goes with everything that was merged into it, and nothing else does."""

from __future__ import annotations

import json

import pytest

from gallery.lifecycle import fill, held, ids_in, people_of, person, stopped_after_each_write
from gallery.memory_store import MemoryStore
from omnireid.core.errors import InputError
from omnireid.gallery.errors import NotInGalleryError
from omnireid.gallery.forgetting import STEPS, TOMBSTONES, Tombstones, plan_forgetting
from omnireid.gallery.identities import IDENTITIES, OPERATIONS
from omnireid.gallery.items import item_id
from omnireid.gallery.journal import KIND, carry_out, finish_interrupted


def gallery() -> MemoryStore:
    """Ann is shown as p1, with p2 and p3 merged into her; Bob is p4; one item is nobody's."""
    store = MemoryStore()
    crops = [person(f"crop{number}", f"p{number}") for number in (1, 2, 3, 4)]
    fill(store, [*crops, person("second4", "p4"), person("nobody")])
    fill(store, crops[:2], collection="items_b")
    people = people_of(store)
    people.name("p2", "Ann Alpha")
    people.merge("p1", ["p2"])
    people.merge("p2", ["p3"])
    people.name("p4", "Bob Beta")
    return store


def forget(store: MemoryStore, **what: object) -> tuple[int, int]:
    with store.lock():
        plan = plan_forgetting(store, **what)  # type: ignore[arg-type]
        carry_out(store, plan.tasks, STEPS)
    return len(plan.items), len(plan.identities)


def left(store: MemoryStore) -> str:
    return held(store, TOMBSTONES)


@pytest.mark.parametrize("asked", ["p1", "p2", "p3"])
def test_all_that_was_merged_goes_whichever_id_is_asked_for(asked: str) -> None:
    store = gallery()
    assert forget(store, identity=asked) == (3, 3)
    assert ids_in(store) == {item_id(key) for key in ("crop4", "second4", "nobody")}
    assert ids_in(store, "items_b") == set()
    for trace in ("p1", "p2", "p3", "Ann", *(item_id(f"crop{number}") for number in (1, 2, 3))):
        assert trace not in left(store), trace
    assert store.records(IDENTITIES)["p4"]["name"] == "Bob Beta"
    assert [record["kind"] for record in store.records(OPERATIONS).values()] == ["name"]


def test_an_item_goes_alone_and_a_name_goes_with_the_last_item() -> None:
    store = gallery()
    assert forget(store, items=[item_id("crop4")]) == (1, 0)
    assert store.records(IDENTITIES)["p4"]["name"] == "Bob Beta"
    assert forget(store, items=[item_id("second4"), item_id("crop1")]) == (2, 0)
    # Two items are left of those shown as p1; of Bob none.
    assert sorted(store.records(IDENTITIES)) == ["p2", "p3"]
    assert "Bob" not in left(store)


def test_an_operation_on_many_items_keeps_those_that_are_there() -> None:
    store = gallery()
    split = people_of(store).split([item_id("crop4"), item_id("second4")], None)
    forget(store, items=[item_id("crop4")])
    assert list(store.records(OPERATIONS)[split.id]["items"]) == [item_id("second4")]
    people_of(store).undo(split.id)
    (row,) = store.get("items_a", [item_id("second4")]).to_pylist()
    assert row["identity"] == "p4"


def test_whatever_write_was_the_last_the_rest_is_done_when_it_opens_again() -> None:
    whole = gallery()
    forget(whole, identity="p3")
    outcomes = []
    for store in stopped_after_each_write(gallery, lambda store: forget(store, identity="p3")):
        people_of(store).recover()
        finish_interrupted(store, STEPS)
        outcomes.append(left(store))
        assert store.records(KIND) == {}
    assert outcomes[0] == left(gallery()) != left(whole)
    assert set(outcomes[1:]) == {left(whole)}
    assert len(outcomes) > 8


def test_a_tombstone_knows_its_ids_and_holds_none() -> None:
    store = gallery()
    forget(store, identity="p1")
    forget(store, items=[item_id("nobody")])
    buried = Tombstones(store.records(TOMBSTONES).values())
    names = ["p1", "p2", "p3", *(item_id(key) for key in ("crop1", "crop2", "crop3", "nobody"))]
    assert all(name in buried for name in names)
    assert len(buried) == len(names)
    assert "p4" not in buried
    assert item_id("crop4") not in buried
    assert None not in buried
    text = json.dumps(store.records(TOMBSTONES))
    assert not any(name in text for name in names)


def test_forgetting_asks_for_somebody_and_forgets_what_is_gone_quietly() -> None:
    store = gallery()
    before = store.num_writes
    with pytest.raises(InputError, match="name an identity or items"):
        plan_forgetting(store)
    with pytest.raises(NotInGalleryError, match="'p9'"):
        plan_forgetting(store, identity="p9")
    assert forget(store, items=["0" * 32]) == (0, 0)
    assert store.num_writes == before


def test_many_items_fit_records_of_64_kilobytes() -> None:
    store = MemoryStore()
    fill(store, [person(f"crop{number}", "p1") for number in range(1_203)])
    plan = plan_forgetting(store, identity="p1")
    assert max(len(json.dumps(task._asdict())) for task in plan.tasks) < 32_000
    carry_out(store, plan.tasks, STEPS)
    assert ids_in(store) == set()
    assert max(len(json.dumps(record)) for record in store.records(TOMBSTONES).values()) < 32_000
