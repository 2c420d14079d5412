"""The watch list over HTTP: rights, what is said, events that go on where they were, and ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from omnireid import Gallery, Item
from omnireid.gallery.watching import WatchList
from omnireid.server.routes import watch as routes
from omnireid.server.schemas import format_time
from omnireid.server.tokens import TokenFile
from server.toy_service import MODEL, enrol, person, post_picture, service, text_of

SOON = format_time(time.time() + 3600)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    monkeypatch.setattr(routes, "HOLD_S", 1.5)
    with service(tmp_path) as opened:
        yield opened


def watch(client: TestClient, identity: str, **other: Any) -> Any:
    body = {"identity": identity, "reason": "lost child", "ends": SOON, **other}
    return client.post("/v1/watch", json=body)


def alerts(client: TestClient, count: int, **query: Any) -> list[dict[str, Any]]:
    """As soon as there are so many."""
    deadline = time.monotonic() + 10
    while True:
        found: list[dict[str, Any]] = client.get("/v1/watch/alerts", params=query).json()["alerts"]
        if len(found) >= count:
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def events_of(text: str) -> list[tuple[int, str, Any]]:
    """(id, event, data) of each."""
    parts = [dict(line.split(": ", 1) for line in one.splitlines()) for one in text.split("\n\n") if one]
    return [(int(one["id"]), one["event"], json.loads(one["data"])) for one in parts if "data" in one]


def test_somebody_comes_again_and_everybody_is_told(client: TestClient, tmp_path: Path) -> None:
    enrol(client, 1, identity="p1", camera="gate")
    client.put("/v1/identity", params={"id": "p1"}, json={"name": "Ada"})
    made = watch(client, "p1")
    assert made.status_code == 200, made.text
    assert (made.json()["name"], made.json()["reason"], made.json()["actor"]) == (
        "Ada",
        "lost child",
        "local",
    )
    assert watch(client, "p1").status_code == 409
    new = enrol(client, 1, 2, camera="door", time="2026-03-01T12:00:00Z")["id"]
    (alert,) = alerts(client, 1)
    assert (alert["item"]["id"], alert["why"], alert["answer"], alert["name"]) == (new, "looks", "new", "Ada")
    assert alert["compared"]["identity"] == "p1"
    # Another process enrols into the same gallery.
    with Gallery.open(str(tmp_path / "doors")) as other:
        row = client.post("/v1/embed", json={"images": [text_of(person(1, 3))]}).json()["embeddings"]
        other.enrol([Item(camera="yard", identity="p1")], np.array(row), model=MODEL)
    found = alerts(client, 2)
    assert [(one["seq"], one["why"], one["item"]["camera"]) for one in found] == [
        (2, "enrolled", "yard"), (1, "looks", "door"),
    ]  # fmt: skip
    # Events: from the number that is named on, and in the end where it was.
    stream = client.get("/v1/watch/events", headers={"Last-Event-ID": "1"})
    assert stream.headers["content-type"].startswith("text/event-stream")
    (hello, said) = events_of(stream.text)
    assert (hello[:2], said[:2]) == ((1, "hello"), (2, "alert"))
    assert (said[2]["item"], said[2]["gallery"]) == (found[0]["item"]["id"], "doors")
    assert "Ada" not in stream.text
    assert "lost" not in stream.text
    answered = client.post(f"/v1/watch/alerts/{found[0]['id']}", json={"answer": "wrong"})
    assert (answered.json()["answer"], answered.json()["answered_by"]) == ("wrong", "local")
    state = client.get("/v1/watch").json()
    assert [(one["alerts"], one["unanswered"], one["wrong"]) for one in state["entries"]] == [(2, 1, 1)]
    assert state["judged"] == {"right": 0, "wrong": 1}
    assert [one["seq"] for one in alerts(client, 1, open=True)] == [1]
    assert client.delete(f"/v1/watch/{made.json()['id']}").json() == {"alerts": 2}
    assert client.get("/v1/watch/alerts").json() == {"alerts": [], "unanswered": 0, "next": None}
    said_after = events_of(client.get("/v1/watch/events", params={"after": 0}).text)
    assert [one[1] for one in said_after] == ["hello"]


def test_a_reason_an_end_and_somebody_known_are_asked_for(client: TestClient) -> None:
    enrol(client, 1, identity="p1")
    year = format_time(time.time() + 365 * 86_400)
    for other, status, field in (
        ({"reason": ""}, 422, "reason"),
        ({"reason": "   "}, 422, "reason"),
        ({"ends": year}, 422, "ends"),
        ({"ends": "2020-01-01T00:00:00Z"}, 422, "ends"),
        ({"ends": None}, 422, "ends"),
        ({"identity": "nobody"}, 404, "identity"),
    ):
        answer = watch(client, **{"identity": "p1", **other})
        assert answer.status_code == status, answer.text
        assert [one["field"] for one in answer.json()["errors"]] in ([field], []), answer.text
        assert field in answer.json()["detail"]
    assert client.delete("/v1/watch/nothing").status_code == 404
    assert client.post("/v1/watch/alerts/nothing", json={"answer": "right"}).status_code == 404
    odd = client.get("/v1/watch/events", headers={"Last-Event-ID": "9" * 30_000})
    assert odd.status_code == 200


def test_what_to_expect_is_said_before_an_entry_is_made(client: TestClient) -> None:
    for seed in range(5):
        enrol(client, seed, identity=f"p{seed}")
    expected = client.get("/v1/watch/estimate", params={"identity": "p1"}).json()
    assert (expected["people"], expected["pictures_per_day"], expected["days"]) == (1, 5, 1)
    assert expected["false_alarms_per_day"] == pytest.approx(5 * expected["rate"])
    both = client.get("/v1/watch/estimate", params={"identity": ["p1", "p2"]}).json()
    assert both["people"] == 2
    assert client.get("/v1/watch").json()["entries"] == []
    nobody = client.get("/v1/watch").json()["expectation"]
    assert (nobody["people"], nobody["false_alarms_per_day"]) == (0, 0)


def test_reading_is_not_enough_to_watch_and_the_webhook_is_told_of_to_admins(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    headers = {
        scope: {"Authorization": f"Bearer {tokens.create(scope, scope)}"}  # type: ignore[arg-type]
        for scope in ("read", "write", "admin")
    }
    with service(tmp_path, tokens=tokens) as client:
        post_picture(client, "/v1/enrol", person(1), identity="p1")
        client.headers = headers["write"]
        enrol(client, 1, identity="p1")
        body = {"identity": "p1", "reason": "lost child", "ends": SOON}
        assert client.post("/v1/watch", json=body, headers=headers["read"]).status_code == 403
        made = client.post("/v1/watch", json=body).json()
        assert made["actor"] == "write"
        assert client.get("/v1/watch", headers=headers["read"]).json()["entries"][0]["reason"] == "lost child"
        assert client.delete(f"/v1/watch/{made['id']}", headers=headers["read"]).status_code == 403
        # A stream ends when its token is taken back.
        started = time.monotonic()
        with client.stream("GET", "/v1/watch/events", headers=headers["read"]) as stream:
            tokens.revoke("read")
            assert stream.status_code == 200
            stream.read()
        assert time.monotonic() - started < routes.HOLD_S / 2
        actions = [
            one["action"] for one in client.get("/v1/audit", headers=headers["admin"]).json()["entries"]
        ]
        assert "watch" in actions


def test_ended_entries_are_deleted_when_the_server_starts(tmp_path: Path) -> None:
    long_ago = time.time() - 7200
    with Gallery.open(str(tmp_path / "doors"), clock=lambda: long_ago) as gallery:
        gallery.enrol([Item(identity="p1")], np.ones((1, MODEL.dim)), model=MODEL)
        WatchList(gallery).add("p1", reason="lost child", ends=long_ago + 60)
    with service(tmp_path) as client:
        deadline = time.monotonic() + 20
        while client.get("/v1/watch").json()["entries"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
