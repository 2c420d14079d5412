"""Retention: each camera's items go when their time is over, compared with a plain loop over items."""

from __future__ import annotations

import numpy as np
import pytest

from gallery.lifecycle import fill, held, ids_in, people_of, person, stopped_after_each_write
from gallery.memory_store import MemoryStore
from omnireid.core.errors import InputError
from omnireid.gallery import forgetting, retention
from omnireid.gallery.identities import IDENTITIES, OPERATIONS
from omnireid.gallery.items import Item, item_id
from omnireid.gallery.journal import carry_out, finish_interrupted
from omnireid.gallery.retention import (
    Retention,
    plan_retention,
    read_retention,
    write_retention,
)

STEPS = {**forgetting.STEPS, **retention.STEPS}
NOW = 10_000.0


def run(store: MemoryStore, now: float = NOW) -> dict[str, int]:
    with store.lock():
        plan = plan_retention(store, now)
        carry_out(store, plan.tasks, STEPS)
    return plan.by_camera


def random_items(count: int) -> list[Item]:
    rng = np.random.default_rng(5)
    # The first is exactly 5,000 seconds old, and has not expired yet.
    return [person("crop0", camera="hall", time=5_000.0)] + [
        person(
            f"crop{number}",
            camera=str(rng.choice(["", "door", "hall", 'yard\'s "end"'])),
            time=None if rng.random() < 0.3 else float(rng.integers(0, 12_000)),
        )
        for number in range(1, count)
    ]


@pytest.mark.parametrize(
    "wanted",
    [
        Retention(),
        Retention(5_000),
        Retention(None, {"door": 100, "": 9_000}),
        Retention(6_000, {"door": 8_000, 'yard\'s "end"': 8_000, "hall": None}),
    ],
)
def test_what_expires_is_what_a_plain_loop_says(wanted: Retention) -> None:
    store, items = MemoryStore(), random_items(400)
    fill(store, items[:200], enrolled=3_000)
    fill(store, items[200:], enrolled=9_950)
    fill(store, items[:50], collection="items_b", enrolled=3_000)
    write_retention(store, wanted)
    assert read_retention(store) == wanted
    kept, expired = set(), dict.fromkeys(("", "door", "hall", 'yard\'s "end"'), 0)
    for number, item in enumerate(items):
        seconds = wanted.cameras.get(item.camera, wanted.default_s)
        seen = item.time if item.time is not None else (3_000 if number < 200 else 9_950)
        if seconds is None or seen >= NOW - seconds:
            kept.add(item_id(item.key or ""))
        else:
            expired[item.camera] += 1
    assert run(store) == {camera: count for camera, count in expired.items() if count}
    assert ids_in(store) == kept
    assert ids_in(store, "items_b") == kept & {item_id(item.key or "") for item in items[:50]}
    writes = store.num_writes
    assert run(store) == {}
    assert store.num_writes == writes, "nothing expired, so nothing is written"


def named_gallery() -> MemoryStore:
    store = MemoryStore()
    fill(
        store, [person("old1", "p1", time=1), person("old2", "p2", time=1), person("new2", "p3", time=9_999)]
    )
    people = people_of(store)
    people.name("p1", "Ann Alpha")
    people.name("p2", "Bob Beta")
    people.merge("p2", ["p3"])
    people.assign([item_id("old1"), item_id("new2")], "p2")
    people.undo(max(store.records(OPERATIONS)))
    write_retention(store, Retention(5_000))
    return store


def test_a_name_goes_with_its_last_item_and_operations_forget_the_items() -> None:
    store = named_gallery()
    assert run(store) == {"": 2}
    assert sorted(store.records(IDENTITIES)) == ["p2", "p3"]
    text = held(store)
    assert "Ann" not in text
    assert "p1" not in text
    assert item_id("old1") not in text
    assert item_id("new2") in text
    assert "Bob Beta" in text


def test_whatever_write_was_the_last_the_rest_is_done_when_it_opens_again() -> None:
    whole = named_gallery()
    run(whole)
    outcomes = []
    for store in stopped_after_each_write(named_gallery, run):
        finish_interrupted(store, STEPS)
        outcomes.append(held(store))
    assert set(outcomes[1:]) == {held(whole)}
    assert outcomes[0] != outcomes[1]


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf")])
def test_a_time_to_live_is_above_0(seconds: float) -> None:
    with pytest.raises(InputError, match="retention of door"):
        write_retention(MemoryStore(), Retention(cameras={"door": seconds}))
