"""What the service does for a gallery on its own."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest

from gallery.lifecycle import refuse_writes
from gallery.people import MODEL, items_of, vectors
from omnireid import Gallery
from omnireid.gallery.lance.store import LanceStore
from omnireid.server import upkeep
from omnireid.server.metrics import Metrics
from omnireid.server.rounds import DailyRun
from omnireid.server.upkeep import Upkeep
from server import toy_service


def test_codes_are_in_memory_soon_and_the_index_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(upkeep, "_INDEX_FROM", 5)
    built: list[str] = []
    monkeypatch.setattr(LanceStore, "build_index", lambda _, collection: built.append(collection))
    with Gallery.open(str(tmp_path / "gallery")) as gallery:
        gallery.enrol(items_of(list(range(7))), vectors(0, 7), model=MODEL)
        one = Upkeep("g", gallery, Metrics())
        one.start()
        until = time.monotonic() + 30
        while not built and time.monotonic() < until:
            time.sleep(0.01)
        one.stop()
        (collection,) = built
        assert isinstance(gallery.store, LanceStore)
        resident = gallery.store._collection(collection).resident
        assert resident is not None
        assert resident._state is not None
        assert len(resident._state) == 7


def test_an_empty_gallery_needs_nothing(tmp_path: Path) -> None:
    with Gallery.open(str(tmp_path / "gallery")) as gallery:
        one = Upkeep("g", gallery, Metrics())
        one.start()
        one.stop()


def test_a_gallery_that_can_only_be_read_is_searched_and_says_what_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with toy_service.service(tmp_path) as client:
        item = toy_service.enrol(client, 1)["id"]
        entries = len(client.get("/v1/audit").json()["entries"])
    refuse_writes(monkeypatch)
    with (
        caplog.at_level(logging.WARNING, "omnireid"),
        toy_service.service(tmp_path) as client,
    ):
        while (ready := client.get("/readyz")).json()["status"] == "starting":
            time.sleep(0.01)
        reason = "read-only file system"
        assert (ready.status_code, ready.json()["status"]) == (200, "ready")
        assert ready.json()["read_only"] == f"doors: {reason}, yard: {reason}"
        assert client.get("/v1/galleries/doors").json()["read_only"] == reason
        found = toy_service.post_picture(client, "/v1/search", toy_service.person(1)).json()
        assert [one["item"]["id"] for one in found["candidates"]] == [item]
        assert len(client.get("/v1/audit").json()["entries"]) == entries
        for answer in (
            toy_service.post_picture(client, "/v1/enrol", toy_service.person(2)),
            client.delete(f"/v1/items/{item}"),
            client.put("/v1/galleries/doors/retention", json={"default_s": 5}),
            client.post("/v1/galleries/doors/retention/run"),
            client.post("/v1/galleries/doors/index"),
        ):
            assert answer.status_code == 503
            assert "doors: cannot be written (read-only file system); let this" in answer.json()["detail"]
        assert len(client.get("/v1/items").json()["items"]) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert f"gallery doors: read-only ({reason}): it can be searched, nothing" in caplog.text


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def wait_until(condition: object) -> None:
    deadline = time.monotonic() + 10
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_it_runs_at_once_then_daily_and_an_error_is_tried_again_within_the_hour() -> None:
    clock, calls, errors = Clock(), [], []
    asked = threading.Event()

    def work() -> None:
        calls.append(clock.now)
        if len(calls) == 2:
            raise OSError("disk full")

    def ask() -> float:
        asked.set()
        return clock.now

    def settle() -> None:
        for _ in range(3):
            asked.clear()
            assert asked.wait(10)

    daily = DailyRun(work, on_error=errors.append, clock=ask, poll_s=0.001)
    daily.start()
    wait_until(lambda: calls == [0])
    for moment, expected in (
        (86_000, [0]),
        (86_400, [0, 86_400]),
        (89_000, [0, 86_400]),
        (90_000, [0, 86_400, 90_000]),
        (176_000, [0, 86_400, 90_000]),
        # Months ahead, and put right: days may go by, but not months.
        (9e6, [0, 86_400, 90_000, 9e6]),
        (177_000, [0, 86_400, 90_000, 9e6, 177_000]),
        (178_000, [0, 86_400, 90_000, 9e6, 177_000]),
        (263_400, [0, 86_400, 90_000, 9e6, 177_000, 263_400]),
    ):
        clock.now = moment
        settle()
        assert calls == expected
    daily.stop()
    assert [str(error) for error in errors] == ["disk full"]
